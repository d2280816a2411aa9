//! Clients that resume during an upgrade of their tenant's guest every 200 ms, compared with an undisturbed stretch.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    time::Duration,
};

use innkeeper_e2e::{House, openssl};

const EVERY: Duration = Duration::from_millis(200);
const QUIET: Duration = Duration::from_secs(10);
const UPGRADES: u32 = 150;

/// Results of the clients in one stretch.
#[derive(Default)]
struct Seen {
    full: AtomicU64,
    resumed: AtomicU64,
    visits: AtomicU64,
}

impl Seen {
    /// The share of sessions offered that were resumed: five of each visit's six connections offer one.
    fn hit_ratio(&self) -> f64 {
        let offered = 5 * self.visits.load(Ordering::Relaxed);
        self.resumed.load(Ordering::Relaxed) as f64 / offered.max(1) as f64
    }
}

/// Lets two clients reconnect until `work` is done.
fn while_visited(house: &House, work: impl FnOnce()) -> Seen {
    let (seen, is_done) = (Seen::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_done.load(Ordering::Acquire) {
                    let ended = openssl(house, "rust-lru.example", &["-tls1_2", "-no_ticket", "-reconnect"]);
                    seen.full.fetch_add(ended.count("New, ") as u64, Ordering::Relaxed);
                    seen.resumed.fetch_add(ended.count("Reused, ") as u64, Ordering::Relaxed);
                    seen.visits.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        work();
        is_done.store(true, Ordering::Release);
    });
    seen
}

fn main() {
    let mut house = House::open(&["rust-lru"]);
    let guests = ["c-lru", "rust-lru"].map(|name| house.guest(name).expect("it loads"));
    // Nobody sends, so receiving is a wait.
    let (_keep, never) = channel::<()>();
    let wait = |time| assert_eq!(never.recv_timeout(time), Err(RecvTimeoutError::Timeout));
    let quiet = while_visited(&house, || wait(QUIET));
    let upgraded = while_visited(&house, || {
        for number in 0..UPGRADES {
            let guest = Arc::clone(&guests[number as usize % guests.len()]);
            house.proxy().upgrade("rust-lru", guest).expect("an honest guest is taken");
            wait(EVERY);
        }
    });
    let stats = house.settled("rust-lru");
    println!("{UPGRADES} upgrades, one every {} ms: {} made", EVERY.as_millis(), stats.cache.upgrades);
    for (name, seen) in [("quiet", &quiet), ("upgraded", &upgraded)] {
        let handshakes = seen.full.load(Ordering::Relaxed) + seen.resumed.load(Ordering::Relaxed);
        println!("  {name:<9} {handshakes:>6} handshakes, hit ratio {:.4}", seen.hit_ratio());
    }
    println!("  {} failed, {} sessions kept", stats.failed, stats.cache.sessions);
}
