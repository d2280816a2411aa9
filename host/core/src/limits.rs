//! Every number that bounds a cache, with its default for each size class.

use std::time::Duration;

use crate::{Callback, LimitError, VaultBounds};

/// How much room a guest's language needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeClass {
    /// Compiled languages: Rust, C, C++, Zig.
    Small,
    /// Languages that bring an interpreter: JavaScript, Python.
    Large,
}

impl SizeClass {
    /// The class's name in settings and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }
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
    /// Fuel that a tenant may burn in a second, over all its calls.
    pub fuel_per_s: u64,
    /// Fuel that a tenant may save up while it burns less.
    pub fuel_burst: u64,
    /// Time on a core that a tenant's guest may take in a second, over all threads: those of its owner and of its readers.
    pub time_per_s: Duration,
    /// Time that a tenant may save up while its guest takes less.
    pub time_burst: Duration,
    /// Linear memory of an instance, all its memories together, in bytes.
    pub memory_bytes: usize,
    /// Elements of an instance's tables, all together.
    pub table_elements: usize,
    /// Size of the component file, in bytes.
    pub component_bytes: usize,
    /// How long its compilation may take.
    pub compile: Duration,
    /// Memory that the process of its compiler may take, in bytes, where that is a process of its own.
    pub compile_memory_bytes: usize,
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

/// What a size class fixes, from which its other limits follow.
struct Defaults {
    read: Grant,
    write: Grant,
    init: Grant,
    whole: Grant,
    fuel_per_s: u64,
    fuel_burst: u64,
    time_per_s: Duration,
    time_burst: Duration,
    memory_bytes: usize,
    table_elements: usize,
    component_bytes: usize,
    compile: Duration,
    compile_memory_bytes: usize,
}

const fn grant(fuel: u64, ms: u64) -> Grant {
    Grant { fuel, time: Duration::from_millis(ms) }
}

const SMALL: Defaults = Defaults {
    read: grant(200_000, 2),
    write: grant(2_000_000, 50),
    init: grant(200_000_000, 2_000),
    whole: grant(200_000_000, 50),
    fuel_per_s: 500_000_000,
    fuel_burst: 1_000_000_000,
    time_per_s: Duration::from_millis(200),
    time_burst: Duration::from_millis(400),
    memory_bytes: 16 * MIB,
    table_elements: 10_000,
    component_bytes: 4 * MIB,
    compile: Duration::from_secs(10),
    compile_memory_bytes: 512 * MIB,
};

const LARGE: Defaults = Defaults {
    read: grant(20_000_000, 20),
    write: grant(50_000_000, 200),
    init: grant(5_000_000_000, 10_000),
    whole: grant(5_000_000_000, 200),
    fuel_per_s: 5_000_000_000,
    fuel_burst: 10_000_000_000,
    time_per_s: Duration::from_millis(500),
    time_burst: Duration::from_secs(1),
    memory_bytes: 128 * MIB,
    table_elements: 100_000,
    component_bytes: 32 * MIB,
    compile: Duration::from_secs(120),
    compile_memory_bytes: 2_048 * MIB,
};

/// A limit as a number: its name, how to read it, and its range.
struct Field {
    name: &'static str,
    value: fn(&Limits) -> u64,
    least: u64,
    most: u64,
}

const fn field(name: &'static str, value: fn(&Limits) -> u64, least: u64, most: u64) -> Field {
    Field { name, value, least, most }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A day of any clock in here, and more than any fuel counter needs.
const TIME_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
const FUEL_MAX: u64 = 1 << 60;
/// Seven days: RFC 9846, section 4.7.1, gives no TLS 1.3 session longer.
const LIFETIME_MS_MAX: u64 = 7 * TIME_MS_MAX;

/// Every limit.
const FIELDS: [Field; 25] = [
    field("read.fuel", |limits| limits.read.fuel, 1, FUEL_MAX),
    field("read.time_ms", |limits| ms(limits.read.time), 1, TIME_MS_MAX),
    field("write.fuel", |limits| limits.write.fuel, 1, FUEL_MAX),
    field("write.time_ms", |limits| ms(limits.write.time), 1, TIME_MS_MAX),
    field("init.fuel", |limits| limits.init.fuel, 1, FUEL_MAX),
    field("init.time_ms", |limits| ms(limits.init.time), 1, TIME_MS_MAX),
    field("whole.fuel", |limits| limits.whole.fuel, 1, FUEL_MAX),
    field("whole.time_ms", |limits| ms(limits.whole.time), 1, TIME_MS_MAX),
    field("fuel_per_s", |limits| limits.fuel_per_s, 1, FUEL_MAX),
    field("fuel_burst", |limits| limits.fuel_burst, 1, FUEL_MAX),
    field("time_ms_per_s", |limits| ms(limits.time_per_s), 1, TIME_MS_MAX),
    field("time_ms_burst", |limits| ms(limits.time_burst), 1, TIME_MS_MAX),
    field("memory_bytes", |limits| limits.memory_bytes as u64, 1, 4 << 30),
    field("table_elements", |limits| limits.table_elements as u64, 0, 10_000_000),
    field("component_bytes", |limits| limits.component_bytes as u64, 8, 1 << 30),
    field("compile_ms", |limits| ms(limits.compile), 1, TIME_MS_MAX),
    field("compile_memory_bytes", |limits| limits.compile_memory_bytes as u64, 64 << 20, 1 << 40),
    field("host_call_bytes", |limits| limits.host_call_bytes as u64, 1, 1 << 30),
    field("log_line_bytes", |limits| limits.log_line_bytes as u64, 0, 64 << 10),
    field("log_lines_per_s", |limits| limits.log_lines_per_s.into(), 0, 1_000_000),
    field("sessions", |limits| limits.sessions.into(), 1, VaultBounds::SESSIONS_END as u64 - 1),
    field("session_bytes", |limits| limits.session_bytes as u64, 1, u32::MAX as u64),
    field("vault_bytes", |limits| limits.vault_bytes as u64, 1, u64::MAX),
    field("lifetime_ms", |limits| ms(limits.lifetime), 1, LIFETIME_MS_MAX),
    field("mailbox", |limits| limits.mailbox as u64, 1, 1 << 20),
];

impl Limits {
    /// The defaults for a size class.
    pub fn new(class: SizeClass) -> Self {
        let class = match class {
            SizeClass::Small => SMALL,
            SizeClass::Large => LARGE,
        };
        Self {
            read: class.read,
            write: class.write,
            init: class.init,
            whole: class.whole,
            fuel_per_s: class.fuel_per_s,
            fuel_burst: class.fuel_burst,
            time_per_s: class.time_per_s,
            time_burst: class.time_burst,
            memory_bytes: class.memory_bytes,
            table_elements: class.table_elements,
            component_bytes: class.component_bytes,
            compile: class.compile,
            compile_memory_bytes: class.compile_memory_bytes,
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

    /// Checks every limit against its own range.
    ///
    /// # Errors
    /// The first that is out of it, by name.
    pub fn check(&self) -> Result<(), LimitError> {
        for Field { name, value, least, most } in FIELDS {
            let value = value(self);
            if value < least || value > most {
                return Err(LimitError { name, value, least, most });
            }
        }
        let grants = [self.read, self.write, self.init, self.whole];
        let least = grants.iter().map(|grant| grant.fuel).max().unwrap_or(1);
        match self.fuel_burst >= least {
            true => Ok(()),
            // A call whose grant is never there would never be made.
            false => Err(LimitError { name: "fuel_burst", value: self.fuel_burst, least, most: FUEL_MAX }),
        }
    }

    /// Checks a tenant's own limits against the operator's.
    ///
    /// # Errors
    /// The first that is above the operator's, by name.
    pub fn check_within(&self, maxima: &Self) -> Result<(), LimitError> {
        for Field { name, value, least, .. } in FIELDS {
            let (value, most) = (value(self), value(maxima));
            if value > most {
                return Err(LimitError { name, value, least, most });
            }
        }
        Ok(())
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
