//! The guest under check.

use std::sync::Arc;

use innkeeper_core::{Guest, Limits, Property};

/// A guest, and the limits and properties it is opened with.
#[derive(Clone)]
pub struct Subject {
    /// The guest.
    pub guest: Arc<dyn Guest>,
    /// Its limits. The check widens those of time, so that a busy machine fails no case.
    pub limits: Limits,
    /// The operator's settings for it.
    pub properties: Vec<Property>,
    /// Receives each call of an instance alone, as one line.
    pub trace: Option<fn(&str)>,
}

impl Subject {
    /// A guest without properties, not traced.
    pub fn new(guest: Arc<dyn Guest>, limits: Limits) -> Self {
        Self { guest, limits, properties: Vec::new(), trace: None }
    }
}
