//! The parts of both pages: a tenant's health, numbers for people, and rows of facts.

use std::time::{Duration, SystemTime};

use innkeeper_proxy::{
    TenantStats,
    core::{CacheState, CacheStats, Callback, Role},
};
use maud::{Markup, Render, html};

use crate::{history::Reading, state::State, tenants::Standing};

/// The level of health, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// A guest is suspended, or is not the wanted one.
    Bad,
    /// Something has failed, and may fail again.
    Watch,
    /// No problems.
    Good,
}

impl Level {
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Watch => "watch",
            Self::Good => "good",
        }
    }

    /// The sign of the level, for people who cannot tell its colour.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Bad => "✕",
            Self::Watch => "!",
            Self::Good => "✓",
        }
    }

    /// The page's icon, which shows the level on a tab in the background.
    pub(super) fn icon(self) -> String {
        let colour = match self {
            Self::Bad => "c8323c",
            Self::Watch => "b87400",
            Self::Good => "238152",
        };
        format!(
            "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
             %3Ccircle cx='8' cy='8' r='7' fill='%23{colour}'/%3E%3C/svg%3E"
        )
    }
}

/// A tenant's health in a word, with the reason unless it is obvious.
pub(super) struct Health {
    pub(super) level: Level,
    word: &'static str,
    why: String,
}

impl Health {
    pub(super) fn of(state: &State, tenant: &str, stats: &TenantStats, readings: &[Reading]) -> Self {
        let new = |level, word, why: String| Self { level, word, why };
        let trouble = state.trouble(tenant);
        if trouble.as_ref().is_some_and(|trouble| trouble.standing == Standing::WithoutGuest) {
            return new(Level::Bad, "without guest", "each handshake is a full one".into());
        }
        let in_state = |wanted: CacheState| stats.caches().find(|(_, cache)| cache.state == wanted);
        // The role `server` needs no mention: every tenant has it.
        let where_of = |role: Role| if role == Role::Client { " (upstream)" } else { "" };
        if let Some((role, cache)) = in_state(CacheState::Suspended) {
            let by = if cache.is_suspended_by_operator { "by an operator" } else { "after faults" };
            return new(Level::Bad, "suspended", format!("{by}{}", where_of(role)));
        }
        if let Some((role, _)) = in_state(CacheState::Ended) {
            return new(Level::Bad, "ended", format!("the guest is not asked{}", where_of(role)));
        }
        match trouble {
            Some(trouble) if trouble.is_upgrade => {
                return new(Level::Bad, "upgrade refused", "the old guest serves".into());
            }
            Some(_) => return new(Level::Bad, "change refused", "it is served as before".into()),
            None => {}
        }
        if let Some((role, _)) = in_state(CacheState::NoGuest) {
            let why = if state.is_pending(tenant) { "its guest is being opened" } else { "it has no guest" };
            return new(Level::Watch, "starting", format!("{why}{}", where_of(role)));
        }
        if let Some((role, _)) = in_state(CacheState::Restarting) {
            return new(Level::Watch, "restarting", format!("after a fault{}", where_of(role)));
        }
        let lately = |count: fn(&Reading) -> u32| readings.iter().map(|reading| u64::from(count(reading))).sum::<u64>();
        let (faults, false_claims) = (lately(|reading| reading.faults), lately(|reading| reading.false_claims));
        // Most recent connections to the upstream have failed.
        let upstream_fails = lately(|reading| reading.upstream_failed) * 2 > lately(|reading| reading.upstream);
        let why = match (faults, false_claims, upstream_fails) {
            (1.., ..) => counted(faults, "fault lately", "faults lately"),
            (_, 1.., _) => counted(false_claims, "false claim lately", "false claims lately"),
            (_, _, true) => "upstream fails".into(),
            _ if stats.cache.state == CacheState::Idle => return new(Level::Good, "idle", String::new()),
            _ => return new(Level::Good, "running", String::new()),
        };
        new(Level::Watch, "running", why)
    }

    /// The health of a tenant that is not served.
    pub(super) fn not_served() -> Self {
        Self { level: Level::Bad, word: "not served", why: "its server names are unknown".into() }
    }

    pub(super) fn word(&self) -> &'static str {
        self.word
    }

    pub(super) fn badge(&self) -> Markup {
        html! {
            span.state {
                span class={ "badge " (self.level.class()) } {
                    span aria-hidden="true" { (self.level.sign()) } " " (self.word)
                }
                @if !self.why.is_empty() { " " span.why { (self.why) } }
            }
        }
    }
}

/// A number with a noun.
pub(super) fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { more })
}

/// The share of handshakes that resumed.
pub(super) fn ratio(resumed: u64, handshakes: u64) -> String {
    match handshakes {
        0 => "–".into(),
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        _ => format!("{:.0} %", 100.0 * resumed as f64 / handshakes as f64),
    }
}

/// A number with its thousands separated.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join("\u{202f}")
}

/// A number of bytes.
pub(super) fn bytes(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    match bytes {
        0..KIB => format!("{bytes} B"),
        KIB..MIB => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", number(bytes >> 20)),
    }
}

/// A time in nanoseconds, with three digits or so.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(super) fn time(ns: u64) -> String {
    let (value, unit) = match ns {
        0..1_000_000 => (ns as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    let digits = if value < 9.95 { 1 } else { 0 };
    format!("{value:.digits$} {unit}")
}

/// The mean of `count` times with the sum `sum_ns`.
pub(super) fn mean(sum_ns: u64, count: u64) -> String {
    sum_ns.checked_div(count).map_or_else(|| "–".into(), time)
}

/// A time that has passed, in words.
pub(super) fn ago(passed: Duration) -> String {
    match passed.as_secs() {
        seconds @ 0..120 => format!("{seconds} s ago"),
        seconds @ 120..7_200 => format!("{} min ago", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h ago", seconds / 3_600),
        seconds => format!("{} days ago", number(seconds / 86_400)),
    }
}

pub(super) fn since(when: SystemTime) -> String {
    ago(when.elapsed().unwrap_or_default())
}

/// The mean fuel of a call of a callback.
pub(super) fn fuel_each(cache: &CacheStats, callback: Callback) -> String {
    cache.fuel(callback).checked_div(cache.calls(callback)).map_or_else(|| "–".into(), number)
}

/// A line of a list of facts.
pub(super) fn fact(label: impl Render, value: impl Render) -> Markup {
    html! { div { dt { (label) } dd { (value) } } }
}

/// A line with a count. A zero is dimmed.
pub(super) fn count(label: &str, count: u64) -> Markup {
    html! { div { dt { (label) } dd.zero[count == 0] { (number(count)) } } }
}

/// A line with a count of something unwanted.
pub(super) fn trouble(label: &str, count: u64) -> Markup {
    html! { div { dt { (label) } dd.zero[count == 0].watch[count > 0] { (number(count)) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_people_read_them() {
        assert_eq!((number(7), number(1_234_567)), ("7".into(), "1\u{202f}234\u{202f}567".into()));
        assert_eq!((ratio(0, 0), ratio(1, 3)), ("–".into(), "33 %".into()));
        assert_eq!((bytes(12), bytes(4_096), bytes(3 << 20)), ("12 B".into(), "4 KiB".into(), "3 MiB".into()));
        assert_eq!(ago(Duration::from_secs(7_300)), "2 h ago");
        assert_eq!(ago(Duration::from_secs(4 * 86_400)), "4 days ago");
        assert_eq!((time(940), time(48_900), time(1_250_000)), ("0.9 µs".into(), "49 µs".into(), "1.2 ms".into()));
        assert_eq!((mean(0, 0), mean(30_000, 3)), ("–".into(), "10 µs".into()));
        assert_eq!(
            (counted(1, "fault", "faults"), counted(2, "fault", "faults")),
            ("1 fault".into(), "2 faults".into())
        );
    }
}
