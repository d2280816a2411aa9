//! One guest at one number of sessions: the order of its rows, and the new instance after a row that fails.

use innkeeper_core::{Fault, Guest, Limits};

use super::{
    options::PriceOptions,
    populated::Populated,
    prices::{Churn, Memory, Population, Replay},
    row::{Bounds, Item, Price, Sample},
    stopwatch::{Deadline, Spread, Stopwatch},
};

/// A guest, a number of sessions, and the bounds of each row.
pub(super) struct Bench<'a> {
    pub(super) guest: &'a dyn Guest,
    pub(super) limits: &'a Limits,
    pub(super) options: &'a PriceOptions,
    pub(super) sessions: u32,
    pub(super) stopwatch: &'a Stopwatch,
    pub(super) bounds: Bounds,
}

/// The calls of an instance with sessions, in this order: a fold may be too much, and a full cache stays full.
const ROWS: [Item; 10] = [
    Item::LookupHit,
    Item::LookupMiss,
    Item::SelectOne,
    Item::SelectTen,
    Item::Size,
    Item::UpdateKnown,
    Item::Delete,
    Item::UpdateNew,
    Item::UpdateFull,
    Item::Foldl,
];

impl<'a> Bench<'a> {
    /// The prices at this number of sessions.
    pub(super) fn population(&self) -> Population {
        let mut population = Population { sessions: self.sessions, ..Population::default() };
        let mut populated = match self.open() {
            Ok((populated, _)) => populated,
            Err(fault) => return Population { fault: Some(fault.to_string()), ..population },
        };
        let open = || self.open().map(|(_, sample)| sample);
        population.prices.push(Price::of(Item::Init, self.limits, &self.bounds, open));
        let empty_bytes = self.empty_bytes();
        let filled = self.fill(&mut populated);
        population.held = u32::try_from(populated.held()).unwrap_or(u32::MAX);
        match filled {
            Ok(replay) => population.replay = Some(replay),
            Err(why) => return Population { fault: Some(why), ..population },
        }
        population.memory = empty_bytes.zip(populated.memory_bytes()).map(|(empty_bytes, full_bytes)| {
            let grown = full_bytes.saturating_sub(empty_bytes) as f64;
            Memory { empty_bytes, full_bytes, session_bytes: grown / f64::from(population.held.max(1)) }
        });
        let mut instance = Some(populated);
        for item in ROWS {
            population.prices.extend(self.price(item, &mut instance));
        }
        let foldl = population.prices.iter().find(|price| price.item == Item::Foldl && price.calls > 0);
        // The cache has been filled up since: a fold shows more than were registered at first.
        let shown = instance.as_ref().map_or(0, |populated| populated.held() as u64);
        population.foldl_fuel_per_session = foldl.and_then(|foldl| foldl.fuel.median.checked_div(shown));
        population.churn = self.whole(&mut instance).ok().map(|populated| self.churn(populated));
        population.prices.extend(self.price(Item::Terminate, &mut instance));
        population
    }

    /// The memory of a cache for one session: a guest may make room for all its sessions as it opens.
    fn empty_bytes(&self) -> Option<usize> {
        let limits = Limits { sessions: 1, ..self.limits.clone() };
        let (opened, _) = Populated::open(self.guest, &limits, self.options, self.stopwatch).ok()?;
        opened.memory_bytes()
    }

    fn open(&self) -> Result<(Populated<'a>, Sample), Fault> {
        Populated::open(self.guest, self.limits, self.options, self.stopwatch)
    }

    /// Registers the sessions, unless all of them would burn too much.
    fn fill(&self, populated: &mut Populated<'_>) -> Result<Replay, String> {
        let sessions = self.sessions;
        let mut replay = Replay::default();
        for done in 0..sessions {
            if self.bounds.deadline.is_past() {
                return Err(format!("no time was left after {done} of {sessions} updates"));
            }
            let sample =
                populated.register().map_err(|fault| format!("update {} of {sessions} failed: {fault}", done + 1))?;
            replay.ns += sample.ns;
            replay.fuel += sample.fuel;
            replay.fuel_max = replay.fuel_max.max(sample.fuel);
            let all = u128::from(replay.fuel) * u128::from(sessions) / u128::from(done + 1);
            if done >= REPLAY_TRIAL && all > self.bounds.replay_fuel.into() {
                return Err(format!("{sessions} updates would burn about {} million fuel", all / 1_000_000));
            }
        }
        Ok(replay)
    }

    /// The instance, or a new one with the sessions where a call has failed.
    fn whole<'b>(&self, instance: &'b mut Option<Populated<'a>>) -> Result<&'b mut Populated<'a>, String> {
        if instance.as_ref().is_none_or(Populated::is_broken) {
            let (mut populated, _) = self.open().map_err(|fault| fault.to_string())?;
            *instance = None;
            self.fill(&mut populated)?;
            *instance = Some(populated);
        }
        instance.as_mut().ok_or_else(|| "there is no instance".into())
    }

    /// One row, or none without anything to ask.
    fn price(&self, item: Item, instance: &mut Option<Populated<'a>>) -> Option<Price> {
        let populated = match self.whole(instance) {
            Ok(populated) => populated,
            Err(why) => return Some(Price::none(item, self.limits, Some(why))),
        };
        let partials = match item {
            Item::SelectOne => populated.partials_of(1),
            Item::SelectTen => populated.partials_of(10),
            _ => Vec::new(),
        };
        if matches!(item, Item::SelectOne | Item::SelectTen) && partials.is_empty() {
            return None;
        }
        if item == Item::UpdateFull
            && let Err(fault) = populated.fill_up()
        {
            return Some(Price::none(item, self.limits, Some(fault.to_string())));
        }
        Some(Price::of(item, self.limits, &self.bounds, || populated.ask(item, &partials)))
    }

    /// Replaces sessions for long, and compares fuel and memory.
    fn churn(&self, populated: &mut Populated<'_>) -> Churn {
        let cycles = u32::try_from(populated.held()).unwrap_or(u32::MAX).saturating_mul(CHURN_TIMES);
        let cycles = cycles.max(CHURN_CYCLES_MIN).min(self.bounds.cycles);
        let deadline = Deadline::after(self.bounds.row.saturating_mul(CHURN_ROWS)).or(self.bounds.deadline);
        let fuel_max = self.bounds.fuel.saturating_mul(CHURN_ROWS.into());
        let bytes = populated.memory_bytes();
        let (mut fuel, mut burned, mut fault) = (Vec::new(), 0_u64, None);
        while fuel.len() < cycles as usize && burned < fuel_max && !deadline.is_past() {
            match populated.cycle() {
                Ok(cycle) => {
                    burned = burned.saturating_add(cycle);
                    fuel.push(cycle);
                }
                Err(failed) => {
                    fault = Some(format!("cycle {}: {failed}", fuel.len() + 1));
                    break;
                }
            }
        }
        let tenth = fuel.len().div_ceil(10);
        Churn {
            cycles: u32::try_from(fuel.len()).unwrap_or(u32::MAX),
            grown_bytes: bytes.zip(populated.memory_bytes()).map(|(before, after)| after.saturating_sub(before)),
            fuel_first: Spread::of(fuel[..tenth].to_vec()).median,
            fuel_last: Spread::of(fuel[fuel.len() - tenth..].to_vec()).median,
            fault,
        }
    }
}

/// The updates after which the fuel of all is estimated.
const REPLAY_TRIAL: u32 = 1_000;

/// The cycles of a churn for each session, and the fewest.
const CHURN_TIMES: u32 = 3;
const CHURN_CYCLES_MIN: u32 = 20_000;
/// The rows whose fuel and time a churn may take.
const CHURN_ROWS: u32 = 4;
