//! Session caches whose logic is untrusted: the guest decides, the host keeps.
//!
//! This crate is the host's side of the contract without WebAssembly, TLS or I/O. A [`Guest`] makes instances that
//! implement the eight [`Callbacks`] of OTP's `ssl_session_cache_api`; they see numbers only. The sessions lie in a
//! [`Vault`], which judges what a guest claims. [`Owners::open`] gives an [`Owner`], which alone updates and deletes,
//! and a [`Reader`], which any thread may clone and use.
//!
//! ```
//! use std::sync::Arc;
//! use innkeeper_core::{CacheConfig, Limits, Name, NativeLru, Owners, Role, Secret, SizeClass};
//!
//! let owners = Owners::with_defaults();
//! let config = CacheConfig::new("example", Role::Server, Limits::new(SizeClass::Small));
//! let (mut owner, reader) = owners.open::<Secret>(config, Arc::new(NativeLru))?;
//!
//! let name = Name { partial: b"www.example.org", id: b"0123456789abcdef0123456789abcdef" };
//! owner.update(name, Secret::new(b"a serialized session".to_vec()))?;
//! assert!(reader.lookup(name).is_some());
//! assert!(reader.take(name).is_some());
//! assert!(reader.take(name).is_none(), "a session that was taken is gone");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Absent on purpose: any knowledge of WebAssembly, of TLS, and of where settings come from.

// The rooms, from the ground up: each sees those above it in this list, and none below.
mod clock;
mod sync;

mod contract;
mod vault;

mod guest;

mod cache;

mod owner;

/// The promise of a [`Value`], for those who implement it.
pub use zeroize::ZeroizeOnDrop;

pub use crate::{
    cache::{
        inbox::UpgradeReport,
        mailbox::Mailbox,
        reader::{Found, Reader, Size},
        recent::{FaultNote, LogLine, Recent},
        select::Picked,
        stats::{CacheState, CacheStats, Card, Shown, Statistic, StatisticKind, Unit},
    },
    clock::Clock,
    contract::{
        callback::Callback,
        callbacks::{Call, Callbacks, Guest, Host},
        error::{FoldError, LimitError, Miss, OpenError, Refusal, UpgradeError},
        fault::{Fault, FaultKind, Misuse},
        limits::{Grant, Limit, LimitUnit, Limits, Quantity, SizeClass},
        scalar::{
            Acc, CacheRef, Claim, Element, FoldFun, InitArgs, Key, Level, PartialKey, Property, Role, SCALAR_END,
            Session, SessionId, SessionInfo,
        },
        text::log_line,
    },
    guest::{
        budget::Budget,
        meter::CallTimes,
        native_lru::NativeLru,
        solo::{Outcome, Solo, Unopened},
    },
    owner::{open::CacheConfig, owner::Owner, threads::Owners},
    vault::{
        name::{Name, OwnedName},
        secret::{Secret, Value},
        vault::{Held, NotHeld, Overflow, Taken, TakenOut, Terms, Vault, VaultBounds},
    },
};
