//! Closed WASI, for guests whose toolchain imports WASI.
//!
//! wasmtime-wasi provides clocks, random numbers, an empty command line and an empty file system. Streams and polling
//! are our own, because a wait in a host call would burn no fuel and see no deadline. Sockets are left out.

pub(crate) mod linked;

use std::{sync::Arc, time::Duration};

use innkeeper_core::Host;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx};

/// A tenant's permission to import WASI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Wasi {
    /// No: the guest is sealed.
    #[default]
    None,
    /// Closed WASI 0.2: no files, no network, no environment, no arguments, no waiting. Its clocks are the cache's
    /// coarse clock. Standard output and standard error go to the tenant's log.
    Closed,
}

/// Handles that one instance can have at a time.
const HANDLES_MAX: usize = 256;

/// The most random bytes of one read.
const RANDOM_BYTES_MAX: u64 = 4 << 10;

/// The packages of closed WASI's interfaces.
const PACKAGES: [&str; 5] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/"];

/// True if closed WASI has the package of an import. The linker checks the interface.
pub(crate) fn has(import: &str) -> bool {
    PACKAGES.iter().any(|package| import.starts_with(package))
}

/// The WASI of one instance.
pub(crate) struct ClosedWasi {
    context: WasiCtx,
    handles: ResourceTable,
}

impl ClosedWasi {
    pub(crate) fn new(host: &Arc<dyn Host>) -> Self {
        let context = WasiCtx::builder()
            .monotonic_clock(CoarseClock(Arc::clone(host)))
            .wall_clock(CoarseClock(Arc::clone(host)))
            .max_random_size(RANDOM_BYTES_MAX)
            .allow_tcp(false)
            .allow_udp(false)
            .build();
        let mut handles = ResourceTable::new();
        handles.set_max_capacity(HANDLES_MAX);
        Self { context, handles }
    }
}

/// The cache's coarse clock, for both of WASI's clocks: a guest cannot measure with it.
struct CoarseClock(Arc<dyn Host>);

impl HostMonotonicClock for CoarseClock {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        self.0.now_ms().saturating_mul(1_000_000)
    }
}

impl HostWallClock for CoarseClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now_ms())
    }
}
