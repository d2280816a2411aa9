//! The way to the owner: one bounded mailbox for each cache, open to any thread.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::BuildHasherDefault,
    sync::Arc,
};

use crate::{
    Guest, Key, Name, OwnedName, Refusal, Session, Terms, UpgradeError, UpgradeReport, Value,
    cache::{Cache, sleep},
    moving::Origin,
    sync::{atomic::Ordering, mpsc::SyncSender},
    vault::KeyHasher,
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
    /// A session that has been taken out of another cache.
    Adopt {
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

/// What waits for the owner, oldest first.
pub(crate) struct Messages<V> {
    queue: VecDeque<Message<V>>,
    posted_max: usize,
    is_closed: bool,
    /// Keys of updates that have been posted and not yet done, with how many of each.
    on_their_way: HashMap<Key, u32, BuildHasherDefault<KeyHasher>>,
}

impl<V> Messages<V> {
    pub(crate) fn new(posted_max: usize) -> Self {
        Self { queue: VecDeque::new(), posted_max, is_closed: false, on_their_way: HashMap::default() }
    }

    pub(crate) fn pop(&mut self) -> Option<Message<V>> {
        self.queue.pop_front()
    }

    fn push(&mut self, message: Message<V>) {
        if let Message::Update { key, .. } = &message {
            *self.on_their_way.entry(*key).or_default() += 1;
        }
        self.queue.push_back(message);
    }
}

/// Posts to the owner of a cache. Any thread; never blocks; what does not fit is dropped and counted, since a cache may
/// lose.
pub struct Mailbox<V> {
    cache: Arc<Cache<V>>,
}

impl<V> Clone for Mailbox<V> {
    fn clone(&self) -> Self {
        Self { cache: Arc::clone(&self.cache) }
    }
}

impl<V: Value> Mailbox<V> {
    pub(crate) fn new(cache: Arc<Cache<V>>) -> Self {
        Self { cache }
    }

    /// Posts an `update`. False when the mailbox is full or the cache has ended; the value is then wiped.
    pub fn update(&self, name: Name<'_>, value: V) -> bool {
        self.update_on(name, value, self.terms())
    }

    /// The terms of a session whose handshake begins now. One that is registered after a later [`Mailbox::revoke`] is
    /// refused.
    pub fn terms(&self) -> Terms {
        self.cache.keeper.vault().terms()
    }

    /// Posts an `update` of a session on its own terms.
    pub fn update_on(&self, name: Name<'_>, value: V, terms: Terms) -> bool {
        let key = self.cache.fingerprints.key(name);
        self.cache.post(Message::Update { key, name: name.into(), value, terms, reply: None })
    }

    /// Wipes every session at once, and refuses those whose handshake has begun by now. Says how many there were.
    ///
    /// For the operator; any thread. Waits for no guest: once it has returned, no reader finds a session that was there
    /// before. O(sessions).
    pub fn revoke(&self) -> usize {
        let keys = self.cache.keeper.vault_mut().revoke();
        let revoked = keys.len();
        self.cache.keeper.stats.revoked.add(revoked as u64);
        self.revoked(keys);
        revoked
    }

    /// Suspends the cache: its guest is asked nothing more until [`Mailbox::resume`]. Reads are misses of the kind
    /// [`Miss::Down`](crate::Miss::Down), and use nothing up; what is posted goes on in the vault. The owner thread drops the
    /// instances in its next turn. An upgrade can be made; the new guest is asked nothing either, but for what tries it.
    ///
    /// For the operator; any thread. Waits for no guest: a call or a replay that has begun may still end.
    pub fn suspend(&self) {
        self.cache.suspend();
    }

    /// Ends an operator's suspension, and one for too many faults. The owner thread builds new instances by replay at once.
    ///
    /// For the operator; any thread. Waits for no guest: reads are misses until an instance runs.
    pub fn resume(&self) {
        self.cache.resume();
    }

    /// Posts a `delete`. False when the mailbox is full or the cache has ended.
    pub fn delete(&self, name: Name<'_>) -> bool {
        self.cache.post(Message::Delete { name: name.into(), reply: None })
    }

    pub(crate) fn forget(&self, key: Key, session: Session) -> bool {
        self.cache.post(Message::Forget { key, session })
    }

    pub(crate) fn revoked(&self, keys: Vec<Key>) -> bool {
        self.cache.post(Message::Revoked { keys })
    }
}

impl<V: Value> Cache<V> {
    fn post(self: &Arc<Self>, message: Message<V>) -> bool {
        let mut messages = self.messages.lock();
        // What a reader has taken, its guest must hear of: there are no more of these than there were sessions.
        let is_bounded = !matches!(message, Message::Forget { .. } | Message::Revoked { .. });
        if messages.is_closed || is_bounded && messages.queue.len() >= messages.posted_max {
            drop(messages);
            self.keeper.stats.posts_dropped.add(1);
            return false;
        }
        self.push(&mut messages, message);
        // A thread that dozes comes before the mailbox is full.
        let is_half_full = messages.queue.len() == messages.posted_max / 2;
        drop(messages);
        match is_half_full {
            true => self.hurry(),
            false => self.schedule(),
        }
        true
    }

    /// Queues a message of the owner's handle, which waits for each reply: so there is at most one, past the bound.
    pub(crate) fn post_from_owner(self: &Arc<Self>, message: Message<V>) {
        let mut messages = self.messages.lock();
        if !messages.is_closed {
            self.push(&mut messages, message);
        }
        drop(messages);
        self.hurry();
    }

    fn push(&self, messages: &mut Messages<V>, message: Message<V>) {
        messages.push(message);
        self.on_their_way.store(messages.on_their_way.len(), Ordering::Release);
    }

    /// Puts a message before all others.
    pub(crate) fn put_first(&self, message: Message<V>) {
        self.messages.lock().queue.push_front(message);
    }

    /// Whether an update of a key has been posted and not yet done.
    pub(crate) fn is_on_its_way(&self, key: Key) -> bool {
        self.messages.lock().on_their_way.contains_key(&key)
    }

    /// Whether an update of any key has been posted and not yet done.
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

    /// Waits for an update of a key that is on its way, if there is one, for at most a read's time.
    ///
    /// A client may come back with a session before the owner thread has had its turn. What a stranger makes up is on
    /// no way, and waits for nothing.
    pub(crate) fn await_update(&self, key: Key) {
        let mut messages = self.messages.lock();
        let is_on_its_way = |messages: &mut Messages<V>| messages.on_their_way.contains_key(&key);
        if is_on_its_way(&mut messages) {
            // Its lock comes after that of the messages nowhere.
            drop(messages);
            self.lines.line().hurry();
            let messages = self.messages.lock();
            self.arrival.wait_while_for(messages, is_on_its_way, self.keeper.limits.read.time);
        }
    }

    /// Waits for an instance that is on its way, for at most a read's time. Says whether one runs.
    pub(crate) fn await_seat(&self) -> bool {
        let is_on_its_way =
            |messages: &mut Messages<V>| self.sleep.load(Ordering::SeqCst) == sleep::WAKING && !messages.is_closed;
        self.arrival.wait_while_for(self.messages.lock(), is_on_its_way, self.keeper.limits.read.time);
        !self.is_all_down()
    }

    /// Notes that an instance has been seated, or will not be soon, for readers that wait for one.
    pub(crate) fn end_waking(&self) {
        if self.sleep.load(Ordering::SeqCst) == sleep::WAKING {
            let messages = self.messages.lock();
            let is_over = self.go_over(sleep::WAKING, sleep::AWAKE);
            drop(messages);
            if is_over {
                self.arrival.notify_all();
            }
        }
    }

    /// Drops all that waits and takes nothing more.
    pub(crate) fn close_mailbox(&self) {
        let mut messages = self.messages.lock();
        messages.is_closed = true;
        messages.queue = VecDeque::new();
        messages.on_their_way = HashMap::default();
        self.on_their_way.store(0, Ordering::Release);
        drop(messages);
        self.arrival.notify_all();
    }
}
