//! One row: a kind of call, made over and over until a bound is met.

use std::{fmt, time::Duration};

use innkeeper_core::{Callback, Fault, Limits};
use serde::{Deserialize, Serialize};

use super::{
    options::PriceOptions,
    stopwatch::{Deadline, Spread},
};

/// A kind of call that has a price of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Item {
    /// `init`, with the instance it is called in.
    Init,
    /// `lookup` of a key that the guest knows.
    LookupHit,
    /// `lookup` of an unknown key.
    LookupMiss,
    /// `select-session` of a partial key with one session.
    SelectOne,
    /// `select-session` of a partial key with ten.
    SelectTen,
    /// `size`.
    Size,
    /// `update` of a key that the guest knows.
    UpdateKnown,
    /// `delete` of a key that the guest knows.
    Delete,
    /// `update` of a new key, where there is room.
    UpdateNew,
    /// `update` of a new key, where the cache is full.
    UpdateFull,
    /// `foldl`.
    Foldl,
    /// `terminate`.
    Terminate,
}

impl Item {
    /// All, in the order in which they are priced.
    pub const ALL: [Self; 12] = [
        Self::Init,
        Self::LookupHit,
        Self::LookupMiss,
        Self::SelectOne,
        Self::SelectTen,
        Self::Size,
        Self::UpdateKnown,
        Self::Delete,
        Self::UpdateNew,
        Self::UpdateFull,
        Self::Foldl,
        Self::Terminate,
    ];

    /// The item's name in tables and plots.
    pub fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::LookupHit => "lookup, hit",
            Self::LookupMiss => "lookup, miss",
            Self::SelectOne => "select of 1",
            Self::SelectTen => "select of 10",
            Self::Size => "size",
            Self::UpdateKnown => "update, known",
            Self::Delete => "delete",
            Self::UpdateNew => "update, new",
            Self::UpdateFull => "update, full",
            Self::Foldl => "foldl",
            Self::Terminate => "terminate",
        }
    }

    /// The callback that is called.
    pub fn callback(self) -> Callback {
        match self {
            Self::Init => Callback::Init,
            Self::LookupHit | Self::LookupMiss => Callback::Lookup,
            Self::SelectOne | Self::SelectTen => Callback::SelectSession,
            Self::Size => Callback::Size,
            Self::UpdateKnown | Self::UpdateNew | Self::UpdateFull => Callback::Update,
            Self::Delete => Callback::Delete,
            Self::Foldl => Callback::Foldl,
            Self::Terminate => Callback::Terminate,
        }
    }

    /// The calls of a row: fewer where one goes over all sessions.
    fn calls_max(self) -> u32 {
        match self {
            Self::Init | Self::Foldl => 50,
            Self::Terminate => 1,
            _ => u32::MAX,
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The price of one kind of call at one number of sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// The kind of call.
    pub item: Item,
    /// The calls that returned. With zero, the fields below mean nothing.
    pub calls: u32,
    /// Fuel of a call.
    pub fuel: Spread,
    /// Fuel that a call may burn under the guest's limits.
    pub fuel_grant: u64,
    /// Time of a call.
    pub ns: Spread,
    /// Median time of the same call of the native floor.
    pub native_ns: Option<u64>,
    /// The calls with a wrong answer: the price of a guest that is wrong means nothing.
    pub wrong: u32,
    /// The fault that ended the row early, or prevented it.
    pub fault: Option<String>,
}

/// The price of one call.
pub(super) struct Sample {
    pub(super) ns: u64,
    pub(super) fuel: u64,
    pub(super) is_right: bool,
}

/// The ends of a row, a replay and a churn.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) calls: u32,
    pub(super) fuel: u64,
    pub(super) row: Duration,
    pub(super) replay_fuel: u64,
    pub(super) cycles: u32,
    pub(super) deadline: Deadline,
}

impl Bounds {
    pub(super) fn of(options: &PriceOptions) -> Self {
        let PriceOptions { calls, fuel, row, replay_fuel, cycles, .. } = *options;
        Self { calls, fuel, row, replay_fuel, cycles, deadline: Deadline::after(options.population) }
    }
}

impl Price {
    /// Calls until a bound is met or the guest fails.
    pub(super) fn of(
        item: Item,
        limits: &Limits,
        bounds: &Bounds,
        mut ask: impl FnMut() -> Result<Sample, Fault>,
    ) -> Self {
        let deadline = Deadline::after(bounds.row).or(bounds.deadline);
        let mut price = Self::none(item, limits, None);
        let (mut fuel, mut ns, mut burned) = (Vec::new(), Vec::new(), 0_u64);
        while price.calls < bounds.calls.min(item.calls_max()) && burned < bounds.fuel {
            if deadline.is_past() {
                if price.calls == 0 {
                    price.fault = Some("no time was left".into());
                }
                break;
            }
            match ask() {
                Ok(sample) => {
                    price.calls += 1;
                    price.wrong += u32::from(!sample.is_right);
                    burned = burned.saturating_add(sample.fuel);
                    fuel.push(sample.fuel);
                    ns.push(sample.ns);
                }
                Err(fault) => {
                    price.fault = Some(format!("call {}: {fault}", price.calls + 1));
                    break;
                }
            }
        }
        (price.fuel, price.ns) = (Spread::of(fuel), Spread::of(ns));
        price
    }

    /// A row without a call.
    pub(super) fn none(item: Item, limits: &Limits, fault: Option<String>) -> Self {
        let fuel_grant = limits.grant(item.callback()).fuel;
        let (fuel, ns) = (Spread::default(), Spread::default());
        Self { item, calls: 0, fuel, fuel_grant, ns, native_ns: None, wrong: 0, fault }
    }
}
