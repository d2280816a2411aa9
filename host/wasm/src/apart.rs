//! Compilation in a separate process: the request of the serving process, and the work of the compiling one.
//!
//! A compiler may take gigabytes and hours over a few kilobytes, and nothing stops it from within. So another process
//! runs it under the system's limits on memory, CPU time and cores. Its output comes back over a pipe. If the compiler
//! dies, this process loses nothing.

use std::{
    ffi::OsString,
    io::{self, BufRead as _, Read, Write as _},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        process::ExitStatusExt as _,
    },
    path::PathBuf,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::mpsc::sync_channel,
    time::Duration,
};

use innkeeper_core::{Limits, SizeClass, log_line};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, nice, set_parent_process_death_signal, setrlimit};
use wasmtime::component::Component;

use crate::{LoadError, error::line, settings::Settings};

/// The process that compiles components.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compilation {
    /// A separate, limited process for each component: for components from others. A component that is too much for the
    /// compiler ends that process, and the refusal names the limit.
    Apart(Helper),
    /// A thread of this process: for components that are trusted not to attack the compiler. A hostile component of a
    /// few kilobytes may take all of the machine's memory, and this process with it.
    Trusted,
}

/// A program that compiles: it calls [`compiler_main`] when it is started with these arguments.
///
/// This package has such a program, `innkeeper-compiler`. The program `innkeeper` has a hidden command for it. A
/// program that embeds this library may be its own helper: it calls [`compiler_main`] before anything else when it
/// finds the arguments named here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helper {
    /// The program.
    pub program: PathBuf,
    /// The arguments that start it as a compiler.
    pub arguments: Vec<OsString>,
}

impl Helper {
    /// The running program itself, even if its file has been replaced since.
    pub fn this_program<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: "/proc/self/exe".into(), arguments }
    }
}

/// Machine code from a process that this one started.
pub(crate) struct Made {
    pub(crate) code: Vec<u8>,
}

/// The first line of a request: both sides must have the same version.
const GREETING: &str = concat!("innkeeper compiler ", env!("CARGO_PKG_VERSION"));
/// The answer to a request without a component.
const READY: &[u8] = b"ready";

/// The niceness of a compilation, so that serving threads come first.
pub(crate) const NICENESS: i32 = 10;

/// The factor between a compilation's limits of wall clock and CPU time, since it gives way to serving threads.
const PATIENCE: u32 = 6;

/// The length of a compiler's message that is kept, in bytes.
const SAID_MAX: u64 = 4 << 10;

/// The factor between the largest machine code and the largest component. A guest in Rust comes to four times its own
/// size.
const CODE_TIMES_MAX: usize = 8;

/// The time a compiler has to start.
const START: Duration = Duration::from_secs(20);

/// A compiler's task and limits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Request {
    settings: Settings,
    memory_bytes: u64,
    cpu_s: u64,
    code_bytes: u64,
}

impl Helper {
    /// Checks that the program starts and has this version.
    ///
    /// # Errors
    /// If it does not start, or has another version.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let request = Request {
            settings: Settings::of_class(SizeClass::Small),
            memory_bytes: 1 << 30,
            cpu_s: START.as_secs(),
            code_bytes: 1 << 10,
        };
        let answer = self.run(&request, &[], START)?;
        match (answer.status.success(), answer.code.as_slice()) {
            (true, READY) => Ok(()),
            _ => Err(LoadError::Engine(format!(
                "`{}` is no compiler of this version: {}",
                self.program.display(),
                answer.what_happened()
            ))),
        }
    }

    /// Compiles a component. Blocks for milliseconds up to a few times its time limit.
    pub(crate) fn compile(&self, settings: &Settings, bytes: &[u8], limits: &Limits) -> Result<Made, LoadError> {
        let code_bytes = limits.component_bytes.saturating_mul(CODE_TIMES_MAX);
        let request = Request {
            settings: settings.clone(),
            memory_bytes: limits.compile_memory_bytes as u64,
            cpu_s: limits.compile.as_secs().saturating_add(u64::from(limits.compile.subsec_nanos() > 0)),
            code_bytes: code_bytes as u64,
        };
        let answer = self.run(&request, bytes, limits.compile.saturating_mul(PATIENCE))?;
        if answer.is_late || answer.signal() == Some(Signal::XCPU) {
            return Err(LoadError::CompileTime { limit: limits.compile });
        }
        if answer.code.len() > code_bytes {
            return Err(LoadError::CodeSize { limit: code_bytes });
        }
        if answer.status.success() {
            return Ok(Made { code: answer.code });
        }
        if answer.is_out_of_memory() {
            return Err(LoadError::CompileMemory { limit_bytes: limits.compile_memory_bytes });
        }
        Err(LoadError::Compile(answer.what_happened()))
    }

    fn run(&self, request: &Request, bytes: &[u8], within: Duration) -> Result<Answer, LoadError> {
        let program = self.program.display();
        let start_error = |error| {
            let hint =
                "a process compiles each component: let this one start others, or say that components are trusted";
            LoadError::Engine(format!("the compiler `{program}` does not start: {error}\nhint: {hint}"))
        };
        // A compiler gets no environment: it may hold secrets of this process.
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(start_error)?;
        converse(child, &request.to_bytes(), bytes, request.code_bytes, within).map_err(start_error)
    }
}

/// The outcome of a compiler.
struct Answer {
    status: ExitStatus,
    is_late: bool,
    code: Vec<u8>,
    said: String,
}

impl Answer {
    fn signal(&self) -> Option<Signal> {
        self.status.signal().and_then(Signal::from_named_raw)
    }

    /// True if memory ran out. A failed allocation aborts a Rust program; a failed mapping returns the system's error.
    fn is_out_of_memory(&self) -> bool {
        ["memory allocation of", "Cannot allocate memory", "os error 12"].iter().any(|said| self.said.contains(said))
    }

    fn what_happened(&self) -> String {
        let said = log_line(self.said.trim(), SAID_MAX as usize);
        match (said.is_empty(), self.status.signal()) {
            (false, _) => said,
            (true, Some(signal)) => format!("the compiler was ended by signal {signal}"),
            (true, None) => format!("the compiler ended with {}", self.status),
        }
    }
}

/// Sends a compiler its task, and reads its output.
fn converse(mut child: Child, request: &[u8], bytes: &[u8], code_bytes: u64, within: Duration) -> io::Result<Answer> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (done, is_done) = sync_channel(1);
    let (code, said, is_late) = std::thread::scope(|scope| {
        // A compiler that ended early explains it in its message or its status.
        scope.spawn(|| {
            let mut stdin = stdin;
            stdin.as_mut().map(|stdin| stdin.write_all(request).and_then(|()| stdin.write_all(bytes)))
        });
        let said = scope.spawn(|| read_some(stderr, SAID_MAX));
        let code = scope.spawn(move || {
            let code = read_some(stdout, code_bytes.saturating_add(1));
            // If nobody waits any more, the compiler was late.
            let _ = done.send(());
            code
        });
        let is_late = is_done.recv_timeout(within).is_err();
        if is_late {
            let _ = child.kill();
        }
        let code = code.join().unwrap_or_default();
        if code.len() as u64 > code_bytes {
            let _ = child.kill();
        }
        (code, said.join().unwrap_or_default(), is_late)
    });
    let status = child.wait()?;
    Ok(Answer { status, is_late, code, said: String::from_utf8_lossy(&said).into_owned() })
}

/// Reads to the end, or up to a number of bytes.
fn read_some(from: Option<impl Read>, bytes_max: u64) -> Vec<u8> {
    let mut read = Vec::new();
    // After an error the bytes read so far count.
    let _ = from.map(|from| from.take(bytes_max).read_to_end(&mut read));
    read
}

impl Request {
    fn to_bytes(&self) -> Vec<u8> {
        let Self { settings, memory_bytes, cpu_s, code_bytes } = self;
        let Settings { class, backtraces, coredumps, parallel, cache } = settings;
        let fields = [
            ("class", class.name().to_owned()),
            ("backtraces", backtraces.to_string()),
            ("coredumps", coredumps.to_string()),
            ("parallel", parallel.to_string()),
            ("memory", memory_bytes.to_string()),
            ("cpu", cpu_s.to_string()),
            ("code", code_bytes.to_string()),
        ];
        let mut bytes = format!("{GREETING}\n").into_bytes();
        for (name, value) in fields {
            bytes.extend(format!("{name} {value}\n").bytes());
        }
        let folder = cache.as_ref().map_or(&[][..], |folder| folder.as_os_str().as_bytes());
        bytes.extend([format!("cache {}\n", folder.len()).as_bytes(), folder].concat());
        bytes
    }

    fn read(from: &mut impl io::BufRead) -> Option<Self> {
        let mut line = || {
            let mut line = String::new();
            // Our own lines are short; another program may send anything.
            from.by_ref().take(256).read_line(&mut line).ok()?;
            Some(line.trim_end_matches('\n').to_owned())
        };
        if line()? != GREETING {
            return None;
        }
        let mut field = |name: &str| line()?.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
        let class = match field("class")?.as_str() {
            "small" => SizeClass::Small,
            "large" => SizeClass::Large,
            _ => return None,
        };
        let (backtraces, coredumps, parallel) =
            (field("backtraces")?.parse().ok()?, field("coredumps")?.parse().ok()?, field("parallel")?.parse().ok()?);
        let mut number = |name| field(name)?.parse::<u64>().ok();
        let (memory_bytes, cpu_s, code_bytes) = (number("memory")?, number("cpu")?, number("code")?);
        let mut folder = Vec::new();
        let length = number("cache")?;
        from.take(length.min(1 << 16)).read_to_end(&mut folder).ok()?;
        let cache = (!folder.is_empty()).then(|| PathBuf::from(OsString::from_vec(folder)));
        let settings = Settings { class, backtraces, coredumps, parallel, cache };
        Some(Self { settings, memory_bytes, cpu_s, code_bytes })
    }

    /// Limits this process, and ties its life to the process that started it.
    fn apply(&self) -> io::Result<()> {
        // The parent may have set lower limits already.
        let bound = |resource, most: u64| {
            let most = Some(getrlimit(resource).maximum.map_or(most, |own| own.min(most)));
            setrlimit(resource, Rlimit { current: most, maximum: most })
        };
        set_parent_process_death_signal(Some(Signal::KILL))?;
        bound(Resource::Data, self.memory_bytes)?;
        bound(Resource::Cpu, self.cpu_s)?;
        bound(Resource::Core, 0)?;
        // Files in the cache are compressed, so smaller.
        bound(Resource::Fsize, self.code_bytes)?;
        // Without permission to lower its priority, the process compiles at the usual one.
        let _ = nice(NICENESS);
        Ok(())
    }
}

/// Runs as a [`Helper`]: reads a component and its limits from standard input, compiles it, and writes machine code to
/// standard output.
///
/// Call it before the program does anything else: the limits and the low priority apply to the whole process.
pub fn compiler_main() -> ExitCode {
    let mut input = io::BufReader::new(io::stdin().lock());
    let made = match Request::read(&mut input) {
        Some(request) => make(&request, input),
        None => Err("it is started by Innkeeper, of the same version, to compile components".to_owned()),
    };
    let written = made.and_then(|code| {
        let mut output = io::stdout().lock();
        output.write_all(&code).and_then(|()| output.flush()).map_err(|error| error.to_string())
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // The parent reads this, or is gone.
            let _ = io::stderr().write_all(why.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn make(request: &Request, mut input: impl Read) -> Result<Vec<u8>, String> {
    request.apply().map_err(|error| format!("the compiler cannot be bounded: {error}"))?;
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.is_empty() {
        return Ok(READY.to_vec());
    }
    let made = request.settings.compiler().and_then(|engine| Component::from_binary(&engine, &bytes)?.serialize());
    made.map_err(|error| line(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written_and_garbage_is_none() {
        for cache in [None, Some(PathBuf::from("a folder\nwith a line"))] {
            let settings = Settings { cache, backtraces: true, ..Settings::of_class(SizeClass::Large) };
            let request = Request { settings, memory_bytes: 1, cpu_s: 2, code_bytes: 3 };
            let bytes = [request.to_bytes(), b"\0asm".to_vec()].concat();
            let mut input = bytes.as_slice();
            assert_eq!(Request::read(&mut input), Some(request));
            assert_eq!(input, b"\0asm");
            for end in 0..bytes.len() - 5 {
                Request::read(&mut &bytes[..end]);
            }
        }
        assert_eq!(Request::read(&mut &b"innkeeper compiler 9.9.9\nclass small\n"[..]), None);
        assert_eq!(Request::read(&mut &b"\xff\xfe\n"[..]), None);
    }
}
