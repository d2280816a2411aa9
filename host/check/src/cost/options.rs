//! The options of a pricing.

use std::time::Duration;

use innkeeper_core::{Property, Role};

/// The numbers of sessions to price, and the bounds.
#[derive(Clone, Debug)]
pub struct PriceOptions {
    /// The numbers of sessions.
    pub sessions: Vec<u32>,
    /// The cache's role.
    pub role: Role,
    /// The operator's settings for the guest.
    pub properties: Vec<Property>,
    /// Calls of a row at most.
    pub calls: u32,
    /// Fuel of a row's calls at most, the last one apart.
    pub fuel: u64,
    /// Fuel of a replay at most: a number of sessions that would take more is not priced.
    pub replay_fuel: u64,
    /// Cycles of a churn at most. Otherwise there are three times as many as sessions, and 20 000 at least.
    pub cycles: u32,
    /// Time for a row at most.
    pub row: Duration,
    /// Time for one number of sessions at most.
    pub population: Duration,
    /// Called with each number of sessions before it is priced.
    pub progress: fn(u32),
}

impl Default for PriceOptions {
    fn default() -> Self {
        Self {
            sessions: vec![100, 10_000, 100_000],
            role: Role::Server,
            properties: Vec::new(),
            calls: 20_000,
            fuel: 500_000_000,
            replay_fuel: 20_000_000_000,
            cycles: 300_000,
            row: Duration::from_secs(10),
            population: Duration::from_secs(120),
            progress: |_| {},
        }
    }
}
