//! An empty call: the floor for the cost of every call.

use innkeeper_core::Limits;
use wasmtime::{
    Store, UpdateDeadline,
    component::{Component, Linker},
};

use crate::{Engine, LoadError, error::line};

/// The component
/// `(component (core module (func (export "empty"))) (core instance (instantiate 0))
/// (func (export "empty") (canon lift (core func 0 "empty"))))`.
const EMPTY: [u8; 92] = *b"\
    \x00\x61\x73\x6d\x0d\x00\x01\x00\
    \x01\x23\x00\x61\x73\x6d\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\
    \x03\x02\x01\x00\x07\x09\x01\x05\x65\x6d\x70\x74\x79\x00\x00\x0a\x04\x01\x02\x00\x0b\
    \x02\x04\x01\x00\x00\x00\
    \x07\x05\x01\x40\x00\x01\x00\
    \x06\x0b\x01\x00\x00\x01\x00\x05\x65\x6d\x70\x74\x79\
    \x08\x06\x01\x00\x00\x00\x00\x00\
    \x0b\x0b\x01\x00\x05\x65\x6d\x70\x74\x79\x01\x00\x00";

impl Engine {
    /// Returns a function that calls an empty component, metered like a guest's call.
    ///
    /// # Errors
    /// If the engine has no room for one more instance.
    pub fn empty_call(&self) -> Result<impl FnMut() + use<>, LoadError> {
        let engine_error = |error| LoadError::Engine(line(&error));
        let grant = Limits::new(innkeeper_core::SizeClass::Small).read;
        let component = Component::new(self.wasmtime(), EMPTY).map_err(engine_error)?;
        let mut store = Store::new(self.wasmtime(), ());
        store.set_fuel(grant.fuel).map_err(engine_error)?;
        store.set_epoch_deadline(Self::ticks(grant.time));
        // A busy machine must not end this call.
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Continue(1)));
        let instance = Linker::new(self.wasmtime()).instantiate(&mut store, &component).map_err(engine_error)?;
        let empty = instance.get_typed_func::<(), ()>(&mut store, "empty").map_err(engine_error)?;
        Ok(move || {
            store.set_fuel(grant.fuel).expect("fuel is on in every engine here");
            store.set_epoch_deadline(Self::ticks(grant.time));
            empty.call(&mut store, ()).expect("it does nothing");
        })
    }
}
