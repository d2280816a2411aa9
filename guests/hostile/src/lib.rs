//! Guests that attack the host: each example is a component. C and hand-written WebAssembly, for what no Rust compiler
//! makes, lie beside them in `c` and `wat`.
//!
//! A [`Crook`] is honest except in the methods that it overrides. A [`Striker`] is honest except in one callback, which
//! the operator's property `strike` names, `lookup` by default: so it lives long enough to strike.

use std::{cell::Cell, hint::black_box};

use innkeeper_guest::{
    Fold, InitArgs, Key, KeyMap, PartialKey, Session, SessionCache,
    host::{Level, log},
};

/// Every session that a guest was told of, without the deleted ones.
pub type Known = KeyMap<Session>;

/// A dishonest guest. Every method is honest until it is overridden.
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

    /// Claims sessions for a partial key: by default those that `lookup` claims for each known key.
    fn select_session(&mut self, known: &Known, partial: PartialKey) -> Vec<Session> {
        let of_partial = known.keys().filter(|key| key.partial == partial);
        of_partial.filter_map(|key| self.lookup(known, *key)).collect()
    }

    /// Counts the sessions.
    fn size(&self, known: &Known) -> u64 {
        known.len() as u64
    }

    /// The sessions that a fold sees, in order.
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

/// The strike of a [`Striker`].
pub trait Attack: Default + 'static {
    /// Strikes. Where it returns, the callback continues honestly.
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

/// Never returns. The compiler cannot know, and compiles the code after it.
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

/// One of two tenants that work together. Each logs its keys and sessions for the other to read, and claims the number
/// `STEP` beyond the true one: the other's session, if one counter numbered both tenants.
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
