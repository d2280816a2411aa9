//! Session caches whose logic is untrusted: the guest decides, the host keeps.
//!
//! This crate is the host's side of the contract without WebAssembly, TLS or I/O. A [`Guest`] makes instances that
//! implement the eight [`Callbacks`] of OTP's `ssl_session_cache_api`; they see numbers only. The sessions lie in a
//! [`Vault`], which judges what a guest claims. [`Owners::open`] gives an [`Owner`], which alone updates and deletes, and
//! a [`Reader`], which any thread may clone and use.
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

mod scalar;
mod callbacks;
mod fault;
mod limits;
mod secret;
mod vault;
mod owner;
mod reader;
mod mailbox;
mod lru;
mod clock;
mod stats;
mod error;

mod breaker;
mod budget;
mod cache;
mod fingerprint;
mod journal;
mod keeper;
mod lane;
mod line;
mod moving;
mod order;
mod select;
mod solo;
mod sync;
mod turn;
mod upgrade;

/// What a [`Value`] promises, for those who implement it.
pub use zeroize::ZeroizeOnDrop;

pub use crate::{
    budget::Budget,
    callbacks::{Call, Callback, Callbacks, Guest, Host},
    clock::Clock,
    error::{FoldError, LimitError, OpenError, Refusal, UpgradeError},
    fault::{Fault, FaultKind, Misuse},
    journal::{FaultNote, LogLine, Recent},
    keeper::log_line,
    limits::{Grant, Limits, SizeClass},
    lru::NativeLru,
    mailbox::Mailbox,
    owner::{CacheConfig, Owner, Owners},
    reader::{Found, Reader, Size},
    scalar::{
        Acc, CacheRef, Claim, Element, FoldFun, InitArgs, Key, Level, PartialKey, Property, Role, SCALAR_END, Session,
        SessionId, SessionInfo,
    },
    secret::{Secret, Value},
    select::Picked,
    solo::{Outcome, Solo, Unopened},
    stats::{CacheState, CacheStats, CallTimes, Miss},
    upgrade::UpgradeReport,
    vault::{Held, Name, NotHeld, Overflow, OwnedName, Taken, TakenOut, Terms, Vault, VaultBounds},
};
