//! Guests that attack the host: each example is a component.
//!
//! Most strike in one callback, which the operator's property `strike` names, `lookup` unless it says otherwise. Apart
//! from that they behave, so that they get far enough to strike.

use innkeeper_guest::{Fold, InitArgs, Key, KeyMap, PartialKey, Session, SessionCache};

/// What an attack does in the callback that it strikes in.
pub trait Attack: 'static {
    /// Strikes. What it gives back, if anything, is as if it had behaved.
    fn strike();
}

/// A guest that remembers every session and strikes in one callback.
pub struct Striker<A> {
    strike: String,
    sessions: KeyMap<Session>,
    attack: std::marker::PhantomData<A>,
}

impl<A: Attack> Striker<A> {
    fn reach(&self, callback: &str) {
        if self.strike == callback {
            A::strike();
        }
    }
}

impl<A: Attack> SessionCache for Striker<A> {
    fn init(args: InitArgs) -> Result<Self, String> {
        let strike = args.property("strike").unwrap_or("lookup").to_owned();
        let striker = Self { strike, sessions: KeyMap::default(), attack: std::marker::PhantomData };
        striker.reach("init");
        Ok(striker)
    }

    fn terminate(&mut self) {
        self.reach("terminate");
    }

    fn update(&mut self, key: Key, session: Session) {
        self.reach("update");
        self.sessions.insert(key, session);
    }

    fn delete(&mut self, key: Key) {
        self.reach("delete");
        self.sessions.remove(&key);
    }

    fn lookup(&mut self, key: Key) -> Option<Session> {
        self.reach("lookup");
        self.sessions.get(&key).copied()
    }

    fn select_session(&mut self, partial: PartialKey) -> Vec<Session> {
        self.reach("select-session");
        let of_partial = self.sessions.iter().filter(|(key, _)| key.partial == partial);
        of_partial.map(|(_, session)| *session).collect()
    }

    fn size(&self) -> u64 {
        self.reach("size");
        self.sessions.len() as u64
    }

    fn foldl(&self, fold: &mut Fold) {
        self.reach("foldl");
        self.sessions.iter().for_each(|(key, session)| fold.apply(*key, *session));
    }
}
