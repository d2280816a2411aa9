//! The obvious component: sessions and keys cross as lists of bytes.

use std::cell::RefCell;

use innkeeper_peers_lru::Lru;

wit_bindgen::generate!({ path: "bytes.wit", world: "bytes" });

use exports::innkeeper_peers::bytes::cache::{Element, Guest, Key};

thread_local!(static CACHE: RefCell<Lru> = RefCell::new(Lru::new(0)));

struct Bytes;

export!(Bytes);

impl Guest for Bytes {
    fn init(max_sessions: u32) {
        CACHE.with_borrow_mut(|cache| *cache = Lru::new(max_sessions as usize));
    }

    fn update(key: Key, session: Vec<u8>) {
        CACHE.with_borrow_mut(|cache| cache.update((key.partial, key.id), session));
    }

    fn delete(key: Key) {
        CACHE.with_borrow_mut(|cache| cache.delete(&(key.partial, key.id)));
    }

    fn take(key: Key) -> Option<Vec<u8>> {
        CACHE.with_borrow_mut(|cache| cache.delete(&(key.partial, key.id)))
    }

    fn select_session(partial: Vec<u8>) -> Vec<Vec<u8>> {
        CACHE.with_borrow(|cache| cache.select(&partial).map(<[u8]>::to_vec).collect())
    }

    fn foldl() -> Vec<Element> {
        let element = |(key, session): (&innkeeper_peers_lru::Key, &[u8])| Element {
            key: Key { partial: key.0.clone(), id: key.1.clone() },
            session: session.to_vec(),
        };
        CACHE.with_borrow(|cache| cache.iter().map(element).collect())
    }

    fn lookup(key: Key) -> Option<Vec<u8>> {
        CACHE.with_borrow_mut(|cache| cache.lookup(&(key.partial, key.id)).map(<[u8]>::to_vec))
    }
}
