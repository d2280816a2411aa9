//! Prices compared with those of an older run.

use std::fmt;

use super::{
    prices::Prices,
    row::{Item, Price},
};

/// An invalid baseline.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// Some other text.
    #[error("not prices in JSON")]
    Json(#[from] serde_json::Error),
    /// The output of another version.
    #[error("format {found} instead of {}", Prices::FORMAT)]
    Format {
        /// The text's format.
        found: u32,
    },
}

/// A kind of call that costs more than before, or that has lost its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The number of sessions.
    pub sessions: u32,
    /// The kind of call.
    pub item: Item,
    /// Its median fuel in the baseline.
    pub before: u64,
    /// Its median fuel now, if it was priced.
    pub now: Option<u64>,
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sessions, item, before, now } = self;
        write!(f, "{item} at {sessions} sessions: ")?;
        match now {
            Some(now) if *before > 0 => {
                let percent = (*now as f64 / *before as f64 - 1.0) * 100.0;
                write!(f, "{now} fuel, {percent:.1} % more than {before}")
            }
            Some(now) => write!(f, "{now} fuel, where it was {before}"),
            None => write!(f, "not priced, where it was {before} fuel"),
        }
    }
}

impl Prices {
    /// Reads the JSON of an older run.
    ///
    /// # Errors
    /// When the text is invalid or of another format.
    pub fn from_json(text: &str) -> Result<Self, BaselineError> {
        /// Read first: another format has other fields.
        #[derive(serde::Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_str(text)?;
        match head.format {
            Self::FORMAT => Ok(serde_json::from_str(text)?),
            found => Err(BaselineError::Format { found }),
        }
    }

    fn price(&self, sessions: u32, item: Item) -> Option<&Price> {
        let population = self.populations.iter().find(|population| population.sessions == sessions)?;
        population.prices.iter().find(|price| price.item == item && price.is_whole())
    }
}

impl Price {
    /// True if all its calls returned.
    fn is_whole(&self) -> bool {
        self.calls > 0 && self.fault.is_none()
    }
}

/// The calls that have grown by more than `percent` in median fuel, or have lost their price. Every price of the
/// baseline counts, so that a gate with nothing to compare fails.
pub fn compare(now: &Prices, baseline: &Prices, percent: f64) -> Vec<Growth> {
    let mut growths = Vec::new();
    for population in &baseline.populations {
        let sessions = population.sessions;
        for before in population.prices.iter().filter(|price| price.is_whole()) {
            let (item, before) = (before.item, before.fuel.median);
            let now = now.price(sessions, item).map(|price| price.fuel.median);
            let most = before as f64 * (1.0 + percent / 100.0);
            if now.is_none_or(|now| now as f64 > most) {
                growths.push(Growth { sessions, item, before, now });
            }
        }
    }
    growths
}
