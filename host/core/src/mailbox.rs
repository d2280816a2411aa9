//! The way to the owner: one bounded mailbox for each cache, open to any thread.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc::SyncSender},
};

use crate::{Key, Name, OwnedName, Refusal, Session, Value, cache::Cache};

/// A message for the owner. Those of the owner's own handle carry a reply.
pub(crate) enum Message<V> {
    Update {
        name: OwnedName,
        value: V,
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
    Sweep {
        reply: SyncSender<()>,
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
}

impl<V> Messages<V> {
    pub(crate) fn new(posted_max: usize) -> Self {
        Self { queue: VecDeque::new(), posted_max, is_closed: false }
    }

    pub(crate) fn pop(&mut self) -> Option<Message<V>> {
        self.queue.pop_front()
    }

    /// Drops all that waits and takes nothing more.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.queue = VecDeque::new();
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
        self.cache.post(Message::Update { name: name.into(), value, reply: None })
    }

    /// Posts a `delete`. False when the mailbox is full or the cache has ended.
    pub fn delete(&self, name: Name<'_>) -> bool {
        self.cache.post(Message::Delete { name: name.into(), reply: None })
    }

    pub(crate) fn forget(&self, key: Key, session: Session) -> bool {
        self.cache.post(Message::Forget { key, session })
    }
}

impl<V: Value> Cache<V> {
    fn post(self: &Arc<Self>, message: Message<V>) -> bool {
        let mut messages = self.messages.lock();
        if messages.is_closed || messages.queue.len() >= messages.posted_max {
            drop(messages);
            self.keeper.stats.posts_dropped.add(1);
            return false;
        }
        messages.queue.push_back(message);
        drop(messages);
        self.schedule();
        true
    }

    /// Queues a message of the owner's handle, which waits for each reply: so there is at most one, past the bound.
    pub(crate) fn post_from_owner(self: &Arc<Self>, message: Message<V>) {
        let mut messages = self.messages.lock();
        if !messages.is_closed {
            messages.queue.push_back(message);
        }
        drop(messages);
        self.schedule();
    }
}
