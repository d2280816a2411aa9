//! Write an Innkeeper guest in Rust: implement [`SessionCache`] for a type of yours, and [`export!`] it.
//!
//! ```
//! use innkeeper_guest::{Fold, InitArgs, Key, KeyMap, PartialKey, Session, SessionCache};
//!
//! /// Remembers everything that the vault holds.
//! struct All(KeyMap<Session>);
//!
//! impl SessionCache for All {
//!     fn init(_: InitArgs) -> Result<Self, String> {
//!         Ok(Self(KeyMap::default()))
//!     }
//!     fn update(&mut self, key: Key, session: Session) {
//!         self.0.insert(key, session);
//!     }
//!     fn delete(&mut self, key: Key) {
//!         self.0.remove(&key);
//!     }
//!     fn lookup(&mut self, key: Key) -> Option<Session> {
//!         self.0.get(&key).copied()
//!     }
//!     fn select_session(&mut self, partial: PartialKey) -> Vec<Session> {
//!         let of_partial = self.0.iter().filter(|(key, _)| key.partial == partial);
//!         of_partial.map(|(_, session)| *session).collect()
//!     }
//!     fn size(&self) -> u64 {
//!         self.0.len() as u64
//!     }
//!     fn foldl(&self, fold: &mut Fold) {
//!         self.0.iter().for_each(|(key, session)| fold.apply(*key, *session));
//!     }
//! }
//!
//! innkeeper_guest::export!(All);
//! ```
//!
//! A guest decides and the host keeps: the numbers stand for sessions in the host's vault, which checks every answer. A
//! panic in a guest is a trap: the host drops the instance and builds a new one.
//!
//! Natively, as in a guest's own unit tests, the functions of [`host`] talk to a double in [`testing`]. [`index`] has
//! the indexes that most guests need.

mod contract;
mod cache;
pub mod host;
pub mod index;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
#[cfg(not(target_family = "wasm"))]
mod double;
mod exported;
#[doc(hidden)]
pub mod bindings;

pub use crate::{
    cache::{Fold, SELECTED_MAX, SessionCache},
    contract::{InitArgs, Key, PartialKey, Role, Session, SessionId},
    index::KeyMap,
};

#[doc(hidden)]
pub use crate::exported::Exported;

/// Exports a type that implements [`SessionCache`] as the component's eight callbacks. Once in a crate, whose
/// `crate-type` is `cdylib`. A native build only checks the type:
///
/// ```compile_fail,E0277
/// struct NotACache;
/// innkeeper_guest::export!(NotACache);
/// ```
#[macro_export]
macro_rules! export {
    ($cache:ty) => {
        const _: () = {
            type Component = $crate::Exported<$cache>;
            #[cfg(target_family = "wasm")]
    $crate::bindings::export_component!(Component with_types_in $crate::bindings);
            #[cfg(not(target_family = "wasm"))]
            const _: Component = $crate::Exported::NATIVE;
        };
    };
}
