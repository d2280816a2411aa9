//! Messages for the owner, as plain values, and the inbox in which they wait.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::BuildHasherDefault,
    sync::Arc,
    time::Duration,
};

use crate::{
    cache::shared_state::Origin,
    contract::{
        callbacks::Guest,
        error::{Refusal, UpgradeError},
        scalar::{Key, Session},
    },
    sync::{
        Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::SyncSender,
    },
    vault::{
        name::{KeyHasher, OwnedName},
        vault::Terms,
    },
};

/// A message for the owner. Those of the owner's own handle carry a reply.
pub(crate) enum Message<V> {
    Update {
        key: Key,
        name: OwnedName,
        value: V,
        terms: Terms,
        reply: Option<SyncSender<Result<(), Refusal>>>,
    },
    Delete {
        name: OwnedName,
        reply: Option<SyncSender<bool>>,
    },
    /// A reader has taken the session: the guest is to forget it.
    Forget {
        key: Key,
        session: Session,
    },
    /// A session that another cache hands over.
    HandOver {
        key: Key,
        name: OwnedName,
        value: V,
        terms: Terms,
        origin: Origin<V>,
        reply: SyncSender<bool>,
    },
    /// These keys have been revoked or handed over: the guest is to forget them.
    Revoked {
        keys: Vec<Key>,
    },
    Sweep {
        reply: SyncSender<()>,
    },
    Upgrade {
        guest: Arc<dyn Guest>,
        reply: SyncSender<Result<UpgradeReport, UpgradeError>>,
    },
    UndoUpgrade {
        reply: SyncSender<bool>,
    },
    /// Everything before this has been done.
    Fence {
        reply: SyncSender<()>,
    },
}

impl<V> Message<V> {
    /// True if an idle cache needs its guest for this message.
    pub(crate) fn wants_guest(&self) -> bool {
        matches!(self, Self::Update { .. } | Self::HandOver { .. } | Self::Upgrade { .. })
    }

    /// True if the mailbox has room for this message however full it is. A guest must hear of the sessions that a
    /// reader has taken or the operator revoked: of those there are no more than there were sessions.
    fn is_always_taken(&self) -> bool {
        matches!(self, Self::Forget { .. } | Self::Revoked { .. })
    }
}

/// The result of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpgradeReport {
    /// Instances exchanged.
    pub instances: usize,
    /// Sessions in the vault after the exchange: all of those before it, except those evicted.
    pub sessions: usize,
    /// Sessions that the new guest evicted in the replay.
    pub evicted: usize,
    /// Sessions that the canary asked the new guest for, over all instances.
    pub asked: usize,
    /// Those among them that it gave.
    pub found: usize,
    /// Time from the request to the exchange, in milliseconds on the cache's clock.
    pub took_ms: u64,
}

/// The messages that wait for the owner, oldest first.
pub(crate) struct Inbox<V> {
    messages: Mutex<Messages<V>>,
    /// The number of keys that have an update on its way. Mirrors `messages`, and is written while that is locked.
    on_their_way: AtomicUsize,
    /// Signalled when an update has been done, and when readers need not wait for an instance any more.
    arrival: Condvar,
}

struct Messages<V> {
    queue: VecDeque<Message<V>>,
    posted_max: usize,
    is_closed: bool,
    /// Keys of updates that have been posted and not yet done, with how many of each.
    on_their_way: HashMap<Key, u32, BuildHasherDefault<KeyHasher>>,
}

/// The answer to a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Posted {
    /// It waits.
    Queued,
    /// It waits, and the mailbox is half full: the owner thread is to come at once.
    HalfFull,
    /// It has been dropped: the mailbox is full or closed.
    Dropped,
}

impl<V> Inbox<V> {
    pub(crate) fn new(posted_max: usize) -> Self {
        let messages =
            Messages { queue: VecDeque::new(), posted_max, is_closed: false, on_their_way: HashMap::default() };
        Self { messages: Mutex::new(messages), on_their_way: 0.into(), arrival: Condvar::default() }
    }

    /// Queues a message if there is room.
    pub(crate) fn post(&self, message: Message<V>) -> Posted {
        let mut messages = self.messages.lock();
        let is_full = messages.queue.len() >= messages.posted_max && !message.is_always_taken();
        if messages.is_closed || is_full {
            return Posted::Dropped;
        }
        self.push(&mut messages, message);
        match messages.queue.len() == messages.posted_max / 2 {
            true => Posted::HalfFull,
            false => Posted::Queued,
        }
    }

    /// Queues a message of the owner's handle, which waits for each reply: so there is at most one, past the bound.
    pub(crate) fn post_from_owner(&self, message: Message<V>) {
        let mut messages = self.messages.lock();
        if !messages.is_closed {
            self.push(&mut messages, message);
        }
    }

    fn push(&self, messages: &mut Messages<V>, message: Message<V>) {
        if let Message::Update { key, .. } = &message {
            *messages.on_their_way.entry(*key).or_default() += 1;
        }
        messages.queue.push_back(message);
        self.on_their_way.store(messages.on_their_way.len(), Ordering::Release);
    }

    /// Puts a message before all others.
    pub(crate) fn put_first(&self, message: Message<V>) {
        self.messages.lock().queue.push_front(message);
    }

    pub(crate) fn pop(&self) -> Option<Message<V>> {
        self.messages.lock().queue.pop_front()
    }

    /// True if an update of a key has been posted and not yet done.
    pub(crate) fn is_on_its_way(&self, key: Key) -> bool {
        self.messages.lock().on_their_way.contains_key(&key)
    }

    /// True if an update of any key has been posted and not yet done.
    #[inline(always)]
    pub(crate) fn is_anything_on_its_way(&self) -> bool {
        self.on_their_way.load(Ordering::Acquire) > 0
    }

    /// Notes that the owner has done an update, for readers that wait for it.
    pub(crate) fn arrived(&self, key: Key) {
        let mut messages = self.messages.lock();
        if let Entry::Occupied(mut n) = messages.on_their_way.entry(key) {
            *n.get_mut() -= 1;
            if *n.get() == 0 {
                n.remove();
            }
        }
        self.on_their_way.store(messages.on_their_way.len(), Ordering::Release);
        drop(messages);
        self.arrival.notify_all();
    }

    /// Waits while an update of a key is on its way, for at most `deadline`.
    pub(crate) fn await_update(&self, key: Key, deadline: Duration) {
        let is_on_its_way = |messages: &mut Messages<V>| messages.on_their_way.contains_key(&key);
        self.arrival.wait_while_for(self.messages.lock(), is_on_its_way, deadline);
    }

    /// Waits while `is_coming` says that an instance is, for at most `deadline`. [`Inbox::tell_waiting`] must follow
    /// each change of its answer.
    pub(crate) fn await_seat(&self, is_coming: impl Fn() -> bool, deadline: Duration) {
        let is_coming = |messages: &mut Messages<V>| !messages.is_closed && is_coming();
        self.arrival.wait_while_for(self.messages.lock(), is_coming, deadline);
    }

    /// Has everybody who waits look again.
    pub(crate) fn tell_waiting(&self) {
        // Whoever waits looks while it holds the lock: it has seen the change, or is waiting already.
        drop(self.messages.lock());
        self.arrival.notify_all();
    }

    /// Drops all messages and takes no more.
    pub(crate) fn close(&self) {
        let mut messages = self.messages.lock();
        messages.is_closed = true;
        messages.queue = VecDeque::new();
        messages.on_their_way = HashMap::default();
        self.on_their_way.store(0, Ordering::Release);
        drop(messages);
        self.arrival.notify_all();
    }
}

#[cfg(all(test, loom))]
mod models {
    use loom::thread;

    use super::*;
    use crate::{
        cache::shared_vault::models::small,
        contract::scalar::{PartialKey, SessionId},
        vault::{name::Name, secret::Secret},
    };

    /// A read that sees no update on its way finds the session that was posted before.
    #[test]
    fn an_update_that_is_no_longer_on_its_way_is_in_the_vault() {
        loom::model(|| {
            let (inbox, vault) = (Arc::new(Inbox::new(8)), Arc::new(small()));
            let (key, name) = (Key { partial: PartialKey(1), id: SessionId(1) }, Name { partial: b"a", id: b"1" });
            let terms = vault.read().terms();
            let value = Secret::new(vec![1]);
            inbox.post(Message::Update { key, name: name.into(), value, terms, reply: None });
            let owner = {
                let (inbox, vault) = (Arc::clone(&inbox), Arc::clone(&vault));
                thread::spawn(move || {
                    let Some(Message::Update { key, name, value, terms, .. }) = inbox.pop() else {
                        panic!("the update was posted before")
                    };
                    let session = vault.write().admit(key, name, value, terms, 1).expect("the vault has room");
                    vault.write().commit(session, &[]);
                    inbox.arrived(key);
                })
            };
            if !inbox.is_anything_on_its_way() {
                assert!(vault.read().probe(key, name, 1).is_ok());
            }
            owner.join().expect("the owner ends");
            assert!(!inbox.is_on_its_way(key));
        });
    }
}
