//! The limits of a cache: one table, of which struct, defaults, checks, configuration, reference and page are made.
//!
//! A new limit is one row of [`limits!`](crate::limits), and the code that enforces it.

use std::{ops::RangeInclusive, time::Duration};

use crate::contract::{callback::Callback, error::LimitError};

/// The room that a guest's language needs.
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

/// The bounds of one call of one kind of callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Fuel: roughly one unit for each WebAssembly instruction.
    pub fuel: u64,
    /// Time on a core, and the longest wait of a reader for a busy instance. A call whose thread does not get a core
    /// may take up to sixteen times as long on the wall clock.
    pub time: Duration,
}

/// The type of a limit, with the form in which a file has it.
pub trait Quantity: Copy {
    /// The form in a file: a whole number; milliseconds for a time.
    type Written;
    /// Reads the form in a file.
    fn from_written(written: Self::Written) -> Self;
    /// The limit as a number; milliseconds for a time.
    fn number(self) -> u64;
    /// The limit nearest to a number.
    fn from_number(number: u64) -> Self;
}

macro_rules! plain_quantity {
    ($($type:ty),*) => {$(
        impl Quantity for $type {
            type Written = Self;

            fn from_written(written: Self) -> Self {
                written
            }

            fn number(self) -> u64 {
                self as u64
            }

            fn from_number(number: u64) -> Self {
                Self::try_from(number).unwrap_or(Self::MAX)
            }
        }
    )*};
}

plain_quantity!(u32, u64, usize);

impl Quantity for Duration {
    type Written = u64;

    fn from_written(ms: u64) -> Self {
        Self::from_millis(ms)
    }

    fn number(self) -> u64 {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
    }

    fn from_number(number: u64) -> Self {
        Self::from_millis(number)
    }
}

/// The unit of a limit's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitUnit {
    /// Units of fuel.
    Fuel,
    /// Milliseconds.
    Ms,
    /// Bytes.
    Bytes,
    /// A count of the things that the name tells.
    Count,
}

/// One row of the table of limits.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limit {
    /// The name in errors, tables and the `limits` of a configuration. `lifetime_ms` is set elsewhere: as `lifetime_s`.
    pub name: &'static str,
    /// The meaning, in one paragraph.
    pub doc: &'static str,
    /// The unit of the number.
    pub unit: LimitUnit,
    /// The least value.
    pub least: u64,
    /// The largest value.
    pub most: u64,
    value: fn(&Limits) -> u64,
    set: fn(&mut Limits, u64),
}

impl Limit {
    /// The limit's number in `limits`.
    pub fn of(&self, limits: &Limits) -> u64 {
        (self.value)(limits)
    }

    /// Sets the limit's number in `limits`, or the nearest that the type has. [`Limits::check`] tells whether it is in
    /// its range.
    pub fn set(&self, limits: &mut Limits, number: u64) {
        (self.set)(limits, number);
    }
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
const FUEL: RangeInclusive<u64> = 1..=1 << 60;
/// Up to a day of any clock in here.
const MS: RangeInclusive<u64> = 1..=DAY_MS;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The most sessions that a cache can have: a session's number has 24 bits for its slot.
pub(crate) const SESSIONS_MAX: u32 = (1 << 24) - 2;

/// Calls the macro `$use` with every row of the table: of the grants, and of the other limits.
///
/// A grant is `doc field: callbacks, (fuel, ms) of small, (fuel, ms) of large;`. Another limit is `doc field as "name":
/// type, unit, default of small, default of large, range;`. The limits under `set_elsewhere` have a field of their own
/// in a configuration, outside its `limits`.
#[macro_export]
macro_rules! limits {
    ($use:path) => {
        $use! {
            grants {
                /// One `lookup`, `select-session` or `size`.
                read: [Lookup, SelectSession, Size], (200_000, 2), (20_000_000, 20);
                /// One `update` or `delete`.
                write: [Update, Delete], (2_000_000, 50), (50_000_000, 200);
                /// One `init`.
                init: [Init], (200_000_000, 2_000), (5_000_000_000, 10_000);
                /// One `foldl` or `terminate`.
                whole: [Foldl, Terminate], (200_000_000, 50), (5_000_000_000, 200);
            }
            limits {
                /// Fuel that the tenant may burn in a second, over all its calls.
                fuel_per_s as "fuel_per_s": u64, Fuel, 500_000_000, 5_000_000_000, FUEL;
                /// Fuel that the tenant may save up while it burns less. At least the largest grant.
                fuel_burst as "fuel_burst": u64, Fuel, 1_000_000_000, 10_000_000_000, FUEL;
                /// Time on a core that the tenant's guest may take in a second, in milliseconds, over the threads of
                /// its owner and of its readers.
                time_per_s as "time_ms_per_s": Duration, Ms, ms(200), ms(500), MS;
                /// Time that the tenant may save up while its guest takes less, in milliseconds.
                time_burst as "time_ms_burst": Duration, Ms, ms(400), ms(1_000), MS;
                /// Linear memory of an instance, all its memories together, in bytes.
                memory_bytes as "memory_bytes": usize, Bytes, 16 * MIB, 128 * MIB, 1..=4 << 30;
                /// Elements of an instance's tables, all together.
                table_elements as "table_elements": usize, Count, 10_000, 100_000, 0..=10_000_000;
                /// Size of the component file, in bytes.
                component_bytes as "component_bytes": usize, Bytes, 4 * MIB, 32 * MIB, 8..=1 << 30;
                /// The time that its compilation may take on a core, in milliseconds. By the clock on the wall it may
                /// take six times as long, since it gives way to what serves.
                compile as "compile_ms": Duration, Ms, ms(10_000), ms(120_000), MS;
                /// Memory that its compilation may take, in bytes, where a process of its own compiles.
                compile_memory_bytes as "compile_memory_bytes": usize, Bytes, 512 * MIB, 2_048 * MIB, 64 << 20..=1 << 40;
                /// The size of one host call or one list result, in bytes.
                host_call_bytes as "host_call_bytes": usize, Bytes, 64 * KIB, 64 * KIB, 1..=1 << 30;
                /// One log line, in bytes; the rest is cut.
                log_line_bytes as "log_line_bytes": usize, Bytes, KIB, KIB, 0..=64 << 10;
                /// Log lines in one second; more are dropped and counted.
                log_lines_per_s as "log_lines_per_s": u32, Count, 100, 100, 0..=1_000_000;
                /// Sessions in each of the tenant's vaults.
                sessions as "sessions": u32, Count, 10_000, 10_000, 1..=SESSIONS_MAX as u64;
                /// One session in the vault with its name, in bytes.
                session_bytes as "session_bytes": usize, Bytes, 16 * KIB, 16 * KIB, 1..=u32::MAX as u64;
                /// All sessions in one vault with their names, in bytes.
                vault_bytes as "vault_bytes": usize, Bytes, 32 * MIB, 32 * MIB, 1..=u64::MAX;
                /// Messages that wait for the owner thread; more are dropped and counted.
                mailbox as "mailbox": usize, Count, 1_024, 1_024, 1..=1 << 20;
            }
            set_elsewhere {
                /// The time that the vault keeps a session, in milliseconds. RFC 9846, section 4.7.1, gives no TLS 1.3
                /// session more than seven days.
                lifetime as "lifetime_ms": Duration, Ms, ms(DAY_MS), ms(DAY_MS), 1..=7 * DAY_MS;
            }
        }
    };
}

macro_rules! define_limits {
    (
        grants {$(
            $(#[doc = $grant_doc:literal])+
            $grant:ident: [$($callback:ident),+], ($small_fuel:literal, $small_ms:literal), ($large_fuel:literal, $large_ms:literal);
        )+}
        limits {$($limits:tt)+}
        set_elsewhere {$($elsewhere:tt)+}
    ) => {
        define_limits! {
            @rows [$($limits)+ $($elsewhere)+]
            {$($(#[doc = $grant_doc])+ $grant: [$($callback),+], ($small_fuel, $small_ms), ($large_fuel, $large_ms);)+}
        }
    };
    (
        @rows [$(
            $(#[doc = $doc:literal])+
            $field:ident as $name:literal: $type:ty, $unit:ident, $small:expr, $large:expr, $range:expr;
        )+]
        {$(
            $(#[doc = $grant_doc:literal])+
            $grant:ident: [$($callback:ident),+], ($small_fuel:literal, $small_ms:literal), ($large_fuel:literal, $large_ms:literal);
        )+}
    ) => {
        /// The bounds of one cache, set when it is opened.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $($(#[doc = $grant_doc])+ pub $grant: Grant,)+
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl Limits {
            /// Every limit, each grant as two.
            pub const ALL: &[Limit] = &[
                $(
                    Limit {
                        name: concat!(stringify!($grant), ".fuel"),
                        doc: concat!($($grant_doc),+),
                        unit: LimitUnit::Fuel,
                        least: *FUEL.start(),
                        most: *FUEL.end(),
                        value: |limits| limits.$grant.fuel.number(),
                        set: |limits, number| limits.$grant.fuel = Quantity::from_number(number),
                    },
                    Limit {
                        name: concat!(stringify!($grant), ".time_ms"),
                        doc: concat!($($grant_doc),+),
                        unit: LimitUnit::Ms,
                        least: *MS.start(),
                        most: *MS.end(),
                        value: |limits| limits.$grant.time.number(),
                        set: |limits, number| limits.$grant.time = Quantity::from_number(number),
                    },
                )+
                $({
                    let range: RangeInclusive<u64> = $range;
                    Limit {
                        name: $name,
                        doc: concat!($($doc),+),
                        unit: LimitUnit::$unit,
                        least: *range.start(),
                        most: *range.end(),
                        value: |limits| limits.$field.number(),
                        set: |limits, number| limits.$field = Quantity::from_number(number),
                    }
                },)+
            ];

            /// The defaults for a size class.
            pub fn new(class: SizeClass) -> Self {
                match class {
                    SizeClass::Small => Self {
                        $($grant: Grant { fuel: $small_fuel, time: ms($small_ms) },)+
                        $($field: $small,)+
                    },
                    SizeClass::Large => Self {
                        $($grant: Grant { fuel: $large_fuel, time: ms($large_ms) },)+
                        $($field: $large,)+
                    },
                }
            }

            /// The bounds of one call of `callback`.
            pub fn grant(&self, callback: Callback) -> Grant {
                match callback {
                    $($(Callback::$callback)|+ => self.$grant,)+
                }
            }

            fn grants(&self) -> impl Iterator<Item = Grant> {
                [$(self.$grant),+].into_iter()
            }
        }
    };
}

limits!(define_limits);

impl Limits {
    /// Checks every limit against its own range.
    ///
    /// # Errors
    /// The first that is out of it, by name.
    pub fn check(&self) -> Result<(), LimitError> {
        Self::ALL.iter().try_for_each(|limit| limit.check(self, limit.most))?;
        let least = self.grants().map(|grant| grant.fuel).max().unwrap_or(1);
        match self.fuel_burst >= least {
            true => Ok(()),
            // A call whose grant is never there would never be made.
            false => Err(LimitError { name: "fuel_burst", value: self.fuel_burst, least, most: *FUEL.end() }),
        }
    }

    /// Checks a tenant's own limits against the operator's.
    ///
    /// # Errors
    /// The first that is above the operator's, by name.
    pub fn check_within(&self, maxima: &Self) -> Result<(), LimitError> {
        let above = Self::ALL.iter().find(|limit| limit.of(self) > limit.of(maxima));
        above.map_or(Ok(()), |limit| limit.check(self, limit.of(maxima)))
    }

    /// The most evictions or fold elements that one call may name. A guest may briefly remember more sessions than the
    /// vault holds, since it is told late of those taken or expired.
    pub(crate) fn sessions_named(&self) -> usize {
        2 * self.sessions as usize + 1_024
    }
}

impl Limit {
    fn check(&self, limits: &Limits, most: u64) -> Result<(), LimitError> {
        let value = self.of(limits);
        match (self.least..=most).contains(&value) {
            true => Ok(()),
            false => Err(LimitError { name: self.name, value, least: self.least, most }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_set_read_and_checked_by_its_row() {
        for class in [SizeClass::Small, SizeClass::Large] {
            let default = Limits::new(class);
            assert_eq!(default.check(), Ok(()));
            for limit in Limits::ALL {
                let mut limits = default.clone();
                let number = (limit.of(&default) / 2).max(limit.least);
                limit.set(&mut limits, number);
                assert_eq!(limit.of(&limits), number, "{}", limit.name);
                let others = Limits::ALL.iter().filter(|other| other.name != limit.name);
                others.for_each(|other| assert_eq!(other.of(&limits), other.of(&default), "{}", other.name));
                limit.set(&mut limits, limit.most);
                assert_eq!(limits.check_within(&default).is_err(), limit.of(&limits) > limit.of(&default));
                if let Some(above) = limit.most.checked_add(1) {
                    limit.set(&mut limits, above);
                    let told = limits.check().err().map(|error| error.name);
                    assert!(limit.of(&limits) < above || told == Some(limit.name), "{}", limit.name);
                }
            }
        }
    }
}
