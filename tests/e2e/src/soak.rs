//! The soak: its stage, its clients, its changes, and its measurements.

mod clients;
mod stage;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    thread::scope,
    time::{Duration, Instant},
};

use self::{
    clients::{Counts, curls, h2loads, own, s_times},
    stage::{Reading, Stage},
};
use crate::{Reachable as _, Waiting};

/// Runs for a time, prints a line of figures each minute, and returns true on success.
///
/// # Panics
/// If a requirement is missing, or the server does not start.
#[expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a program of its own, which measures")]
pub fn run(time: Duration) -> ExitCode {
    let mut stage = Stage::set_up();
    let (address, target) = (stage.address(), stage.target());
    println!("{}", Reading::TITLE);
    let first = stage.reading(0);
    println!("{first}");
    let open: Vec<Waiting> = (0..20).map(|number| Waiting::connect(&stage, &stage::server_name(number % 19))).collect();
    let is_over = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    let (counts, rows) = scope(|threads| {
        let clients = [
            threads.spawn(|| s_times(address, &is_over)),
            threads.spawn(|| h2loads(address, &is_over)),
            threads.spawn(|| curls(&target, &is_over)),
            threads.spawn(|| own(&target, &is_over)),
        ];
        let (never, alarm) = channel::<()>();
        let mut rows = Vec::new();
        let mut tick = 0_u64;
        while start.elapsed() < time {
            // Nobody sends: the channel is a clock.
            assert_eq!(alarm.recv_timeout(Duration::from_secs(5)), Err(RecvTimeoutError::Timeout));
            tick += 1;
            stage.reload(tick);
            if tick.is_multiple_of(2) {
                stage.upgrade(tick / 2);
            }
            if tick.is_multiple_of(12) {
                rows.push(stage.reading(tick / 12));
                println!("{}", rows[rows.len() - 1]);
            }
        }
        drop(never);
        is_over.store(true, Ordering::Release);
        let counts = clients.map(|client| client.join().expect("no client panics"));
        (counts, rows)
    });
    let kept = open.len();
    let finished = open.into_iter().map(Waiting::finish).filter(|is_well| *is_well).count();
    println!("\n{kept} connections held open throughout: {finished} served to their end");
    verdict(&stage, &counts, kept as u64, finished as u64, &rows)
}

/// Compares the clients' counts with the server's.
#[expect(clippy::print_stdout, reason = "a program of its own")]
fn verdict(stage: &Stage, counts: &[Counts; 4], kept: u64, finished: u64, rows: &[Reading]) -> ExitCode {
    let mut is_good = kept == finished;
    for counts in counts {
        println!("{counts}");
        is_good &= counts.failed == 0;
    }
    let made: u64 = counts.iter().map(|counts| counts.handshakes).sum::<u64>() + kept;
    let last = stage.reading(0);
    println!("handshakes: clients {made}, server {}; failed: server {}", last.handshakes, last.failed);
    is_good &= made == last.handshakes && last.failed == 0;
    let resumed: u64 = counts.iter().filter_map(|counts| counts.resumed).sum();
    println!("resumed: server {} of {}, of which clients that can tell saw {resumed}", last.resumed, last.handshakes);
    println!(
        "upstream handshakes: {}, resumed {}, failed {}",
        last.upstream_handshakes, last.upstream_resumed, last.upstream_failed
    );
    is_good &= last.upstream_failed == 0;
    if let [first, .., end] = rows {
        println!("memory: {} MiB after the first minute, {} MiB after the last", first.resident_mib, end.resident_mib);
    }
    let (reloads, upgrades) = stage.changes();
    println!("{reloads} reloads, {upgrades} upgrades by hand");
    println!("\n{}", if is_good { "1 passed, 0 failed" } else { "0 passed, 1 failed" });
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
