//! The obvious component, which keeps the sessions itself: the same engine settings, the same logic, another interface.

use innkeeper_work::{Named, SESSION, Subject};
use wasmtime::{
    Config, Engine, Store,
    component::{Component, Linker},
};
use wit_component::ComponentEncoder;

use crate::subject::sessions_max;

mod bindings {
    wasmtime::component::bindgen!({ path: "peers/bytes/bytes.wit", world: "bytes" });
}

use bindings::{
    Bytes,
    exports::innkeeper_peers::bytes::cache::{Guest, Key},
};

/// The fuel of a call.
const FUEL: u64 = 1 << 40;

pub(crate) struct BytesComponent {
    store: Store<()>,
    bytes: Bytes,
}

impl BytesComponent {
    /// Opens the component of the core module that cargo builds from `peers/bytes`.
    pub(crate) fn open(module: &[u8], sessions: u32) -> anyhow::Result<Self> {
        let encoded = ComponentEncoder::default().validate(true).module(module).and_then(ComponentEncoder::encode);
        Self::instantiate(&encoded?, sessions).map_err(|error| anyhow::anyhow!("{error:?}"))
    }

    fn instantiate(component: &[u8], sessions: u32) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config.consume_fuel(true).epoch_interruption(true).concurrency_support(false);
        let engine = Engine::new(&config)?;
        let component = Component::from_binary(&engine, component)?;
        let mut store = Store::new(&engine, ());
        store.set_fuel(FUEL)?;
        store.set_epoch_deadline(2);
        let bytes = Bytes::instantiate(&mut store, &component, &Linker::new(&engine))?;
        bytes.innkeeper_peers_bytes_cache().call_init(&mut store, sessions_max(sessions))?;
        Ok(Self { store, bytes })
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Store<()>, &Guest) -> wasmtime::Result<T>) -> T {
        self.store.set_fuel(FUEL).expect("fuel is on");
        self.store.set_epoch_deadline(2);
        // Enough for every answer here; the default is too small for a thousand sessions.
        self.store.set_hostcall_fuel(1 << 30);
        call(&mut self.store, self.bytes.innkeeper_peers_bytes_cache()).expect("the component answers")
    }
}

fn key(name: &Named) -> Key {
    Key { partial: name.partial.clone(), id: name.id.to_vec() }
}

impl Subject for BytesComponent {
    fn update(&mut self, name: &Named) {
        self.call(|store, guest| guest.call_update(store, &key(name), &SESSION));
    }

    fn lookup(&mut self, name: &Named) -> Option<usize> {
        self.call(|store, guest| guest.call_lookup(store, &key(name))).map(|session| session.len())
    }

    fn take(&mut self, name: &Named) -> Option<usize> {
        self.call(|store, guest| guest.call_take(store, &key(name))).map(|session| session.len())
    }

    fn delete(&mut self, name: &Named) {
        self.call(|store, guest| guest.call_delete(store, &key(name)));
    }

    fn select(&mut self, partial: &[u8]) -> usize {
        self.call(|store, guest| guest.call_select_session(store, partial)).len()
    }

    fn foldl(&mut self) -> usize {
        self.call(|store, guest| guest.call_foldl(store)).len()
    }
}
