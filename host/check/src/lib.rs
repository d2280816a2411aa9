//! Checks that a guest answers as a session cache must, and prices its calls.
//!
//! The cases look at a guest from two sides. *Alone*: one instance driven call by call, each answer compared with a
//! naive model before anything has judged it. *Served*: the guest in a real cache, seen through its
//! [`innkeeper_core::Owner`] and [`innkeeper_core::Reader`]s. The cases have the numbers of the behaviours of OTP's
//! `ssl_session_cache_api` that they hold a guest to; those with a letter hold it to what this host adds.
//!
//! ```
//! use std::sync::Arc;
//! use innkeeper_check::{Options, Subject, check};
//! use innkeeper_core::{Limits, NativeLru, SizeClass};
//!
//! let subject = Subject::new(Arc::new(NativeLru), Limits::new(SizeClass::Small));
//! let options = Options { only: vec!["03".into()], ..Options::default() };
//! let report = check(&subject, &options, &mut |_| {});
//! assert!(report.is_passed(), "{report:?}");
//! ```
//!
//! The model is exact. That takes one rule beside the contract: a guest that forgets a session of its own accord evicts
//! it. Otherwise the vault keeps it, and the next replay brings it back.
//!
//! Absent on purpose: engines, files, and the content of sessions.

mod subject;
mod failure;
mod model;
mod play;
mod alone;
mod random;
mod weight;
mod served;
mod case;

pub mod cost;

pub use crate::{
    case::{CASES, Case, CaseReport, Options, Report, check},
    failure::Failure,
    model::Numbers,
    subject::Subject,
};
