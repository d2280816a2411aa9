//! Guests that attack the host: each example is a component. C and hand-written WebAssembly, for what no Rust compiler
//! makes, lie beside them in `c` and `wat`.
//!
//! A [`Crook`] behaves save in what it overrides. A [`Striker`] behaves save in one callback, which the operator's
//! property `strike` names, `lookup` unless it says otherwise: it gets far enough to strike.

use std::{cell::Cell, hint::black_box};

use innkeeper_guest::{
    Fold, InitArgs, Key, KeyMap, PartialKey, Session, SessionCache,
    host::{Level, log},
};

/// Every session that a guest was told of and that has not been deleted.
pub type Known = KeyMap<Session>;

/// What a guest does otherwise than an honest one. Whatever is not overridden is honest.
pub trait Crook: Default + 'static {
    /// Reads the settings.
    fn init(&mut self, _: &InitArgs) {}

    /// Runs first in every callback, by its WIT name; in `init`, last.
    fn reach(&self, _: &Known, _callback: &str) {}

    /// Registers a session.
    fn update(&mut self, known: &mut Known, key: Key, session: Session) {
        known.insert(key, session);
    }

    /// Forgets a key.
    fn delete(&mut self, known: &mut Known, key: Key) {
        known.remove(&key);
    }

    /// Claims a session for a key.
    fn lookup(&mut self, known: &Known, key: Key) -> Option<Session> {
        known.get(&key).copied()
    }

    /// Claims sessions for a partial key: unless it is overridden, what `lookup` claims for each known key.
    fn select_session(&mut self, known: &Known, partial: PartialKey) -> Vec<Session> {
        let of_partial = known.keys().filter(|key| key.partial == partial);
        of_partial.filter_map(|key| self.lookup(known, *key)).collect()
    }

    /// Counts the sessions.
    fn size(&self, known: &Known) -> u64 {
        known.len() as u64
    }

    /// What a fold is shown, in order.
    fn shown<'a>(&self, known: &'a Known) -> Box<dyn Iterator<Item = (Key, Session)> + 'a> {
        Box::new(known.iter().map(|(key, session)| (*key, *session)))
    }
}

/// The guest that a crook makes.
#[derive(Default)]
pub struct Guest<C> {
    crook: C,
    known: Known,
}

impl<C: Crook> SessionCache for Guest<C> {
    fn init(args: InitArgs) -> Result<Self, String> {
        let mut guest = Self::default();
        guest.crook.init(&args);
        guest.crook.reach(&guest.known, "init");
        Ok(guest)
    }

    fn terminate(&mut self) {
        self.crook.reach(&self.known, "terminate");
    }

    fn update(&mut self, key: Key, session: Session) {
        self.crook.reach(&self.known, "update");
        self.crook.update(&mut self.known, key, session);
    }

    fn delete(&mut self, key: Key) {
        self.crook.reach(&self.known, "delete");
        self.crook.delete(&mut self.known, key);
    }

    fn lookup(&mut self, key: Key) -> Option<Session> {
        self.crook.reach(&self.known, "lookup");
        self.crook.lookup(&self.known, key)
    }

    fn select_session(&mut self, partial: PartialKey) -> Vec<Session> {
        self.crook.reach(&self.known, "select-session");
        self.crook.select_session(&self.known, partial)
    }

    fn size(&self) -> u64 {
        self.crook.reach(&self.known, "size");
        self.crook.size(&self.known)
    }

    fn foldl(&self, fold: &mut Fold) {
        self.crook.reach(&self.known, "foldl");
        self.crook.shown(&self.known).for_each(|(key, session)| fold.apply(key, session));
    }
}

/// What a striker does in the callback that it strikes in.
pub trait Attack: Default + 'static {
    /// Strikes. Where it returns, the callback goes on as an honest one.
    fn strike(&self, known: &Known);
}

/// The crook that strikes in one callback.
#[derive(Default)]
pub struct Strike<A> {
    callback: String,
    attack: A,
}

impl<A: Attack> Crook for Strike<A> {
    fn init(&mut self, args: &InitArgs) {
        self.callback = args.property("strike").unwrap_or("lookup").to_owned();
    }

    fn reach(&self, known: &Known, callback: &str) {
        if self.callback == callback {
            self.attack.strike(known);
        }
    }
}

/// A guest that remembers every session and strikes in one callback.
pub type Striker<A> = Guest<Strike<A>>;

/// Never returns. The compiler cannot tell, and compiles what comes after.
pub fn spin() {
    while black_box(true) {}
}

/// Traps in every `N`th of the callbacks that it strikes in. A new instance counts from zero.
#[derive(Default)]
pub struct TrapEvery<const N: u64>(Cell<u64>);

impl<const N: u64> Attack for TrapEvery<N> {
    fn strike(&self, _: &Known) {
        self.0.set(self.0.get() + 1);
        if self.0.get().is_multiple_of(N) {
            std::process::abort();
        }
    }
}

/// One of two tenants that work together. Each logs what it is told, for the other to read there, and claims the number
/// `STEP` beyond the true one: if two tenants were numbered from one counter, that would be the other's session.
#[derive(Default)]
pub struct Colluder<const STEP: i64>;

impl<const STEP: i64> Crook for Colluder<STEP> {
    fn update(&mut self, known: &mut Known, key: Key, session: Session) {
        log(Level::Info, &format!("{key:?} {session:?}"));
        known.insert(key, session);
    }

    fn lookup(&mut self, known: &Known, key: Key) -> Option<Session> {
        known.get(&key).map(|session| Session(session.0.wrapping_add_signed(STEP)))
    }
}
