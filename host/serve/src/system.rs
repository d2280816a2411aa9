//! The system's resources for this process, beside the needs of the configuration.

use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Settings;

/// The most that a configuration may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// File descriptors: two for each connection, and the process's others.
    pub files: u64,
    /// Memory of all guests and vaults, in bytes.
    pub memory_bytes: u64,
    /// The sum of the tenants' `connections.max`.
    pub connections: usize,
    /// The connections for all tenants.
    pub connections_there: usize,
    /// The sum of the tenants' reserves, as written.
    pub reserved: usize,
    /// The smallest reserve of a tenant.
    pub reserve_least: usize,
}

/// File descriptors for libraries, logs, the compile cache, and the admin listener's connections.
const FILES_BESIDES: u64 = 256;

impl Demand {
    /// The most that settings may need.
    pub fn of(settings: &Settings) -> Self {
        let files = (settings.limits.connections as u64).saturating_mul(2).saturating_add(FILES_BESIDES);
        let memory = settings.tenants.iter().map(|tenant| tenant.memory_bytes_max());
        let bounds = settings.tenants.iter().map(|tenant| &tenant.bounds);
        let reserves = settings.limits.reserves(bounds.clone());
        Self {
            files,
            memory_bytes: memory.fold(0, u64::saturating_add),
            connections: bounds.fold(0, |sum, own| sum.saturating_add(own.connections)),
            connections_there: reserves.all,
            reserved: reserves.wanted,
            reserve_least: reserves.each.iter().copied().min().unwrap_or(0),
        }
    }

    /// Raises the limit on file descriptors as far as needed and allowed. Returns a warning for each resource that may
    /// run short.
    pub fn prepare(self) -> Vec<String> {
        let mut warnings = Vec::new();
        let allowed = raise_files(self.files);
        if allowed < self.files {
            warnings.push(format!(
                "the process may open {} file descriptors, and `connections.max` may need {}\nhint: set `LimitNOFILE=` in \
                 the unit, or `ulimit -n`, or lower `connections.max`",
                allowed, self.files
            ));
        }
        if self.reserved > self.connections_there {
            warnings.push(format!(
                "the tenants' reserves add up to {} connections, but the tenants have {}: each gets less in proportion\n\
                 hint: lower `reserve` in `tenants.NAME.connections`, or raise `connections.max`",
                self.reserved, self.connections_there
            ));
        } else if self.reserve_least == 0 {
            warnings.push(
                "some tenant has no reserve: others can use up all connections\nhint: raise `connections.max`, or \
                 `reserve` in `tenants.NAME.connections`"
                    .into(),
            );
        }
        if let Some(there) = memory_bytes().filter(|there| *there < self.memory_bytes) {
            warnings.push(format!(
                "guests and vaults may take {} MiB, and the machine has {} MiB\nhint: lower `sessions`, `vault_bytes` \
                 or `memory_bytes` of large tenants, or watch `innkeeper_guest_memory_bytes` and `innkeeper_vault_bytes`",
                self.memory_bytes >> 20,
                there >> 20
            ));
        }
        warnings
    }
}

/// The connections that fit the limit on file descriptors beside the open ones, at most `wanted`. Further clients wait
/// to be accepted. Some descriptors stay free for the admin listener, for files and for name servers.
pub(crate) fn connections_max(wanted: usize) -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return wanted };
    let open = std::fs::read_dir("/proc/self/fd").map_or(FILES_BESIDES, |files| files.count() as u64);
    connections_within(limit, open).min(wanted)
}

fn connections_within(limit: u64, open: u64) -> usize {
    // Under a low limit each side gets its part.
    let left_over = FILES_BESIDES.min(limit / 4);
    let files = limit.saturating_sub(open).saturating_sub(left_over);
    usize::try_from(files / 2).unwrap_or(usize::MAX).max(CONNECTIONS_MIN)
}

/// The connections under any limit, however low: the listeners wait with some of them.
const CONNECTIONS_MIN: usize = 8;

/// Raises the limit on file descriptors, and returns the limit.
fn raise_files(needed: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None means no limit.
    let Some(now) = current else { return u64::MAX };
    let raised = needed.min(maximum.unwrap_or(u64::MAX));
    if raised <= now {
        return now;
    }
    let wanted = Rlimit { current: Some(raised), maximum };
    match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => raised,
        Err(_) => now,
    }
}

/// The memory that this process may use: the machine's, or less if its control group has a limit.
fn memory_bytes() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_of(&text));
    let group = std::fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| group_max(&text));
    machine.into_iter().chain(group).min()
}

fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

/// The memory limit of a control group of version 2: the least of its own and those above it.
fn group_max(cgroup: &str) -> Option<u64> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let top = Path::new("/sys/fs/cgroup");
    let groups = Path::new(path).ancestors().map(|own| top.join(own).join("memory.max"));
    groups.filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read() {
        assert_eq!(total_of("MemTotal:       24565832 kB\nMemFree: 1 kB\n"), Some(24_565_832 << 10));
        assert_eq!(total_of("nothing"), None);
        assert!(memory_bytes().is_some_and(|bytes| bytes > 1 << 20), "this machine has memory");
    }

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        assert_eq!(connections_within(1_000_000, 40), 499_852);
        assert_eq!(connections_within(1_024, 40), 364);
        assert_eq!(connections_within(256, 40), 76);
        assert_eq!(connections_within(20, 40), CONNECTIONS_MIN);
    }

    #[test]
    fn more_files_are_allowed_if_the_system_lets_them() {
        let before = raise_files(0);
        assert!(raise_files(before.saturating_add(1)) >= before);
    }
}
