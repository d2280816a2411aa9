//! The queue between the threads that log and standard error.
//!
//! A thread that logs puts the line into the queue and goes on. One thread writes the lines, and it alone waits for
//! their reader. The queue is bounded. A line without room is lost and counted, and so is a line whose write fails.

use std::{
    collections::VecDeque,
    io::{self, Write},
    os::fd::AsFd as _,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The memory that waiting lines may take, some thousand lines.
const BYTES_MAX: usize = 1 << 20;
/// The memory of a line beside its text.
const LINE_BYTES: usize = 64;
/// The time before another try, on a descriptor that another process has made non-blocking.
const AGAIN: Duration = Duration::from_millis(20);

/// Lines that wait for the thread that writes them. A thread holds the lock to add or to take a line, never during a
/// write.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    is_added: Condvar,
    is_empty: Condvar,
    lost: AtomicU64,
}

struct Waiting {
    lines: VecDeque<Box<[u8]>>,
    /// The sum over `lines`, each with [`LINE_BYTES`]; at most [`BYTES_MAX`].
    bytes: usize,
    /// True while the write of a line is in progress.
    is_writing: bool,
}

impl Queue {
    pub(super) const fn new() -> Self {
        let waiting = Waiting { lines: VecDeque::new(), bytes: 0, is_writing: false };
        Self {
            waiting: Mutex::new(waiting),
            is_added: Condvar::new(),
            is_empty: Condvar::new(),
            lost: AtomicU64::new(0),
        }
    }

    /// Adds a line, or counts it as lost if there is no room. Never waits for the log's reader.
    pub(super) fn add(&self, line: &[u8]) {
        let line: Box<[u8]> = line.into();
        let mut waiting = self.waiting();
        let bytes = waiting.bytes.saturating_add(LINE_BYTES).saturating_add(line.len());
        if bytes > BYTES_MAX {
            drop(waiting);
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.bytes = bytes;
        waiting.lines.push_back(line);
        drop(waiting);
        self.is_added.notify_one();
    }

    /// The lines lost since the start.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until every line is written, or has failed, or the time is over.
    pub(super) fn flush(&self, time: Duration) {
        let is_busy = |waiting: &mut Waiting| waiting.is_writing || !waiting.lines.is_empty();
        // The outcome is ignored: lines that are left are lost.
        drop(self.is_empty.wait_timeout_while(self.waiting(), time, is_busy));
    }

    /// Writes lines for as long as the process lives. Calls `tell` with the number of lines lost since the last call,
    /// once the log works and nothing waits.
    pub(super) fn write(&self, mut sink: Sink, tell: impl Fn(u64)) {
        let mut told = 0;
        loop {
            let line = self.take();
            let written = sink.write_line(&line);
            let is_last = self.done();
            let lost = match written {
                Ok(()) => self.lost(),
                Err(_) => self.lost.fetch_add(1, Ordering::Relaxed),
            };
            if written.is_ok() && is_last && lost > told {
                tell(lost - told);
                told = lost;
            }
        }
    }

    fn take(&self) -> Box<[u8]> {
        let mut waiting = self.waiting();
        loop {
            if let Some(line) = waiting.lines.pop_front() {
                waiting.bytes = waiting.bytes.saturating_sub(LINE_BYTES + line.len());
                waiting.is_writing = true;
                return line;
            }
            waiting = self.is_added.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes the end of a write. True if no line waits.
    fn done(&self) -> bool {
        let mut waiting = self.waiting();
        waiting.is_writing = false;
        let is_last = waiting.lines.is_empty();
        if is_last {
            self.is_empty.notify_all();
        }
        is_last
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Standard error without the lock of [`io::Stderr`], so a write that waits for the reader holds up nobody else.
#[derive(Default)]
pub(super) struct Sink {
    /// True if the last line was written only in part, for example on a full disk.
    is_torn: bool,
}

impl Sink {
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.write_all(b"\n")?;
        }
        self.write_all(line)
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(io::stderr().as_fd(), bytes) {
                Ok(written) => {
                    self.is_torn = written < bytes.len();
                    return Ok(written);
                }
                Err(rustix::io::Errno::AGAIN) => std::thread::park_timeout(AGAIN),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
