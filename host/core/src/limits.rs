//! Every number that bounds a cache, with its default for each size class.

use std::time::Duration;

use crate::Callback;

/// How much room a guest's language needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeClass {
    /// Compiled languages: Rust, C, C++, Zig.
    Small,
    /// Languages that bring an interpreter: JavaScript, Python.
    Large,
}

/// What one kind of callback may use in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Fuel: roughly one unit for each WebAssembly instruction.
    pub fuel: u64,
    /// Time on a core, and how long a reader waits for a busy instance. A call whose thread does not get a core may take
    /// up to ten times as long on the wall clock.
    pub time: Duration,
}

/// The bounds of one cache, set when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `lookup`, `select_session` and `size`.
    pub read: Grant,
    /// `update` and `delete`.
    pub write: Grant,
    /// `init`.
    pub init: Grant,
    /// `foldl` and `terminate`.
    pub whole: Grant,
    /// Linear memory of an instance, all its memories together, in bytes.
    pub memory_bytes: usize,
    /// Elements of an instance's tables, all together.
    pub table_elements: usize,
    /// Size of the component file, in bytes.
    pub component_bytes: usize,
    /// What one host call or one list result may carry, in bytes.
    pub host_call_bytes: usize,
    /// One log line, in bytes; the rest is cut.
    pub log_line_bytes: usize,
    /// Log lines in one second; more are dropped and counted.
    pub log_lines_per_s: u32,
    /// Sessions in the vault.
    pub sessions: u32,
    /// One session in the vault, key included, in bytes.
    pub session_bytes: usize,
    /// All sessions in the vault, keys included, in bytes.
    pub vault_bytes: usize,
    /// How long the vault keeps a session.
    pub lifetime: Duration,
    /// Messages that wait for the owner; more are dropped and counted.
    pub mailbox: usize,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

impl Limits {
    /// The defaults for a size class.
    pub fn new(class: SizeClass) -> Self {
        let (fuel, time_ms, memory_bytes, table_elements, component_bytes) = match class {
            SizeClass::Small => ([200_000, 2_000_000, 200_000_000], [2, 50, 2_000], 16 * MIB, 10_000, 4 * MIB),
            SizeClass::Large => {
                ([20_000_000, 50_000_000, 5_000_000_000], [20, 200, 10_000], 128 * MIB, 100_000, 32 * MIB)
            }
        };
        let grant = |fuel, ms| Grant { fuel, time: Duration::from_millis(ms) };
        Self {
            read: grant(fuel[0], time_ms[0]),
            write: grant(fuel[1], time_ms[1]),
            init: grant(fuel[2], time_ms[2]),
            whole: grant(fuel[2], time_ms[1]),
            memory_bytes,
            table_elements,
            component_bytes,
            host_call_bytes: 64 * KIB,
            log_line_bytes: KIB,
            log_lines_per_s: 100,
            sessions: 10_000,
            session_bytes: 16 * KIB,
            vault_bytes: 32 * MIB,
            lifetime: Duration::from_secs(24 * 60 * 60),
            mailbox: 1_024,
        }
    }

    /// What one call of `callback` may use.
    pub fn grant(&self, callback: Callback) -> Grant {
        match callback {
            Callback::Lookup | Callback::SelectSession | Callback::Size => self.read,
            Callback::Update | Callback::Delete => self.write,
            Callback::Init => self.init,
            Callback::Foldl | Callback::Terminate => self.whole,
        }
    }

    /// How many evictions or fold elements one call may name. A guest may briefly remember more sessions than the vault
    /// holds, since it is told late of those taken or expired.
    pub(crate) fn sessions_named(&self) -> usize {
        2 * self.sessions as usize + 1_024
    }
}
