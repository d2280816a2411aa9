//! The vault against a naive model, over random operations.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use innkeeper_core::{
    Claim, Key, Name, NotHeld, Overflow, OwnedName, PartialKey, Secret, Session, SessionId, Vault, VaultBounds,
};
use proptest::prelude::*;

const SESSIONS_MAX: usize = 6;
const LIFETIME_MS: u64 = 50;
const BYTES_MAX: usize = 60;

#[derive(Clone, Debug)]
enum Operation {
    /// Registers a value of a size, and evicts the session that was issued a number of sessions before.
    Update {
        id: u8,
        bytes: u8,
        evicts: Option<u8>,
    },
    Remove {
        id: u8,
    },
    Take {
        id: u8,
    },
    Redeem {
        id: u8,
        issued_before: u8,
    },
    Evict {
        issued_before: u8,
    },
    Wait {
        ms: u8,
    },
    Sweep {
        slots: u8,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let id = 0..10_u8;
    prop_oneof![
        4 => (id.clone(), 1..25_u8, prop::option::weighted(0.2, 0..8_u8))
            .prop_map(|(id, bytes, evicts)| Operation::Update { id, bytes, evicts }),
        1 => id.clone().prop_map(|id| Operation::Remove { id }),
        2 => id.clone().prop_map(|id| Operation::Take { id }),
        3 => (id, 0..8_u8).prop_map(|(id, issued_before)| Operation::Redeem { id, issued_before }),
        1 => (0..8_u8).prop_map(|issued_before| Operation::Evict { issued_before }),
        1 => (0..30_u8).prop_map(|ms| Operation::Wait { ms }),
        1 => (0..12_u8).prop_map(|slots| Operation::Sweep { slots }),
    ]
}

/// A live session of the model, in the order of registration.
#[derive(Clone)]
struct Entry {
    id: u8,
    session: Session,
    value: Vec<u8>,
    expires_ms: u64,
}

struct Model {
    overflow: Overflow,
    live: Vec<Entry>,
    issued: Vec<Session>,
    now_ms: u64,
}

impl Model {
    fn bytes(&self) -> usize {
        self.live.iter().map(|entry| entry.value.len() + 2).sum()
    }

    fn fresh(&self, id: u8) -> Result<&Entry, NotHeld> {
        let entry = self.live.iter().find(|entry| entry.id == id).ok_or(NotHeld::Absent)?;
        if entry.expires_ms > self.now_ms { Ok(entry) } else { Err(NotHeld::Expired) }
    }

    fn issued_before(&self, n: u8) -> Option<Session> {
        self.issued.iter().rev().nth(n.into()).copied()
    }

    fn drop_session(&mut self, session: Session) {
        self.live.retain(|entry| entry.session != session);
    }

    fn overflow(&mut self) {
        let is_over = |model: &Self| model.live.len() > SESSIONS_MAX || model.bytes() > BYTES_MAX;
        match self.overflow {
            Overflow::InvalidateAll if is_over(self) => drop(self.live.drain(..self.live.len() - 1)),
            _ => {
                while is_over(self) {
                    self.live.remove(0);
                }
            }
        }
    }
}

fn key(id: u8) -> Key {
    Key { partial: PartialKey(1), id: SessionId(id.into()) }
}

fn check(overflow: Overflow, operations: Vec<Operation>) {
    let bounds = VaultBounds {
        sessions: SESSIONS_MAX as u32,
        session_bytes: 30,
        bytes: BYTES_MAX,
        lifetime_ms: LIFETIME_MS,
        overflow,
    };
    let mut vault: Vault<Secret> = Vault::new(bounds);
    let mut model = Model { overflow, live: Vec::new(), issued: Vec::new(), now_ms: 1 };
    for operation in operations {
        step(&mut vault, &mut model, operation);
        assert_eq!((vault.len(), vault.bytes()), (model.live.len(), model.bytes()));
        let order: Vec<(Key, Session)> = vault.oldest_first().collect();
        let expected: Vec<(Key, Session)> = model.live.iter().map(|entry| (key(entry.id), entry.session)).collect();
        assert_eq!(order, expected, "oldest first, and nothing stale");
    }
}

fn step(vault: &mut Vault<Secret>, model: &mut Model, operation: Operation) {
    let now_ms = model.now_ms;
    let real = |id: &'static [u8; 1]| Name { partial: b"p", id };
    match operation {
        Operation::Update { id, bytes, evicts } => {
            let value = vec![id; bytes.into()];
            let name = OwnedName::from(real(ID[id as usize]));
            let session = vault.admit(key(id), name, Secret::new(value.clone()), vault.terms(), now_ms).unwrap();
            assert!(!model.issued.contains(&session), "no number is issued twice");
            assert!(vault.describe(session.into()).is_some(), "a guest may ask about what it is shown");
            assert_ne!(vault.probe(key(id), real(ID[id as usize]), now_ms), Ok(session), "no reader sees it yet");
            let evicted = evicts.and_then(|n| model.issued_before(n));
            vault.commit(session, &evicted.map(Claim::from).into_iter().collect::<Vec<_>>());
            model.live.retain(|entry| entry.id != id);
            model.live.push(Entry { id, session, value, expires_ms: now_ms + LIFETIME_MS });
            model.issued.push(session);
            evicted.into_iter().for_each(|session| model.drop_session(session));
            model.overflow();
        }
        Operation::Remove { id } => {
            let was_held = vault.remove(key(id), real(ID[id as usize]));
            assert_eq!(was_held, model.live.iter().any(|entry| entry.id == id));
            model.live.retain(|entry| entry.id != id);
        }
        Operation::Take { id } => {
            let taken = vault
                .take(key(id), real(ID[id as usize]), now_ms)
                .map(|taken| (taken.session, taken.value.expose().to_vec(), taken.expires_ms));
            let expected = model.fresh(id).map(|entry| (entry.session, entry.value.clone(), entry.expires_ms));
            assert_eq!(taken, expected);
            if let Ok((session, ..)) = taken {
                model.drop_session(session);
            }
        }
        Operation::Redeem { id, issued_before } => {
            let Some(session) = model.issued_before(issued_before) else { return };
            let redeemed = vault.redeem(session.into(), key(id), real(ID[id as usize]), now_ms);
            let expected = model.fresh(id).ok().filter(|entry| entry.session == session);
            assert_eq!(redeemed.map(Secret::expose), expected.map(|entry| entry.value.as_slice()));
            assert!(
                vault.redeem(session.into(), key(id), Name { partial: b"q", id: ID[id as usize] }, now_ms).is_none()
            );
        }
        Operation::Evict { issued_before } => {
            let Some(session) = model.issued_before(issued_before) else { return };
            let expected = model.live.iter().find(|entry| entry.session == session).map(|entry| key(entry.id));
            assert_eq!(vault.evict(session.into()), expected);
            model.drop_session(session);
        }
        Operation::Wait { ms } => model.now_ms += u64::from(ms),
        Operation::Sweep { slots } => {
            let swept = vault.sweep(now_ms, slots.into());
            let is_swept = |entry: &Entry| swept.contains(&key(entry.id));
            assert!(model.live.iter().filter(|entry| is_swept(entry)).all(|entry| entry.expires_ms <= now_ms));
            model.live.retain(|entry| !is_swept(entry));
            if usize::from(slots) >= SESSIONS_MAX + 2 {
                assert!(model.live.iter().all(|entry| entry.expires_ms > now_ms), "a whole round leaves none");
            }
        }
    }
}

/// Real ids that live as long as the program.
const ID: [&[u8; 1]; 10] = [&[0], &[1], &[2], &[3], &[4], &[5], &[6], &[7], &[8], &[9]];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_vault_that_evicts_the_oldest_is_the_model(operations in prop::collection::vec(operation(), 0..200)) {
        check(Overflow::EvictOldest, operations);
    }

    #[test]
    fn a_vault_that_invalidates_all_is_the_model(operations in prop::collection::vec(operation(), 0..200)) {
        check(Overflow::InvalidateAll, operations);
    }
}

#[test]
fn made_up_numbers_are_no_sessions() {
    let bounds =
        VaultBounds { sessions: 4, session_bytes: 99, bytes: 99, lifetime_ms: 9, overflow: Overflow::EvictOldest };
    let mut vault: Vault<Secret> = Vault::new(bounds);
    let name = Name { partial: b"p", id: b"i" };
    let session = vault.admit(key(1), name.into(), Secret::new(vec![1]), vault.terms(), 1).unwrap();
    vault.commit(session, &[]);
    let numbers = (0..64).map(|bit| session.number() ^ 1 << bit).chain([0, 1, u64::MAX]);
    for number in numbers {
        let claim = Claim(number);
        assert!(vault.redeem(claim, key(1), name, 1).is_none(), "{number:x}");
        assert!(vault.held(claim, 1).is_none() && vault.describe(claim).is_none() && vault.evict(claim).is_none());
    }
    assert!(vault.redeem(session.into(), key(1), name, 1).is_some());
    assert!(session.number() < 1 << 53);
}
