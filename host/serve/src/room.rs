//! The engines' room for instances, shared among installations. During an installation a tenant has its instances twice
//! and more. If the room is too small for all installations at a time, they run in steps that fit.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use innkeeper_proxy::{LoaderConfig, core::SizeClass};
use tokio::sync::Notify;

/// The room for instances of each size class.
pub(crate) struct Room {
    most: [usize; 2],
    used: Mutex<Used>,
    given_back: Notify,
}

#[derive(Default)]
struct Used {
    /// The instances of the guests that serve, by tenant.
    serving: HashMap<String, (SizeClass, usize)>,
    sums: [usize; 2],
    /// The instances reserved by installations.
    changing: [usize; 2],
}

/// The room of an installation, until it is dropped.
pub(crate) struct Taken {
    room: Arc<Room>,
    class: SizeClass,
    instances: usize,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.used().changing[self.class as usize] -= self.instances;
        self.room.given_back.notify_waiters();
    }
}

impl Room {
    pub(crate) fn new(loader: &LoaderConfig) -> Self {
        let most = [loader.instances_small as usize, loader.instances_large as usize];
        Self { most, used: Mutex::default(), given_back: Notify::new() }
    }

    /// Notes the instances of a tenant's guest that serves; None for a tenant without a guest.
    pub(crate) fn note(&self, tenant: &str, serving: Option<(SizeClass, usize)>) {
        let mut used = self.used();
        let before = match serving {
            Some(serving) => used.serving.insert(tenant.to_owned(), serving),
            None => used.serving.remove(tenant),
        };
        if let Some((class, instances)) = before {
            used.sums[class as usize] -= instances;
        }
        if let Some((class, instances)) = serving {
            used.sums[class as usize] += instances;
        }
        drop(used);
        self.given_back.notify_waiters();
    }

    /// Waits until the instances fit beside those that serve. A single installation always gets its room, so a guest
    /// that is too large fails instead of waiting.
    pub(crate) async fn take(self: &Arc<Self>, class: SizeClass, instances: usize) -> Taken {
        loop {
            let mut given_back = pin!(self.given_back.notified());
            given_back.as_mut().enable();
            if self.try_take(class, instances) {
                return Taken { room: Arc::clone(self), class, instances };
            }
            given_back.await;
        }
    }

    fn try_take(&self, class: SizeClass, instances: usize) -> bool {
        let mut used = self.used();
        let (sum, changing) = (used.sums[class as usize], used.changing[class as usize]);
        let does_fit = changing == 0 || sum + changing + instances <= self.most[class as usize];
        if does_fit {
            used.changing[class as usize] += instances;
        }
        does_fit
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use innkeeper_proxy::Compilation;

    use super::*;

    #[tokio::test]
    async fn changes_go_in_steps_that_fit_and_one_alone_always_goes() {
        let loader = LoaderConfig { instances_small: 10, ..LoaderConfig::new(Compilation::Trusted) };
        let room = Arc::new(Room::new(&loader));
        room.note("shop", Some((SizeClass::Small, 4)));
        let first = room.take(SizeClass::Small, 20).await;
        assert!(!room.try_take(SizeClass::Small, 1), "the first takes more than there is");
        assert!(room.try_take(SizeClass::Large, 1), "which the other class does not see");
        drop(first);
        let _two = [room.take(SizeClass::Small, 3).await, room.take(SizeClass::Small, 3).await];
        assert!(!room.try_take(SizeClass::Small, 1));
        room.note("shop", Some((SizeClass::Small, 3)));
        assert!(room.try_take(SizeClass::Small, 1));
        room.note("shop", None);
        assert!(room.try_take(SizeClass::Small, 3) && !room.try_take(SizeClass::Small, 1));
    }
}
