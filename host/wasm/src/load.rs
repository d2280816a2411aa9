//! From bytes to a guest: checked, compiled, linked.

use std::sync::Arc;

use innkeeper_core::{Callbacks, Fault, Guest, Host, Limits, log_line};
use wasmtime::component::{Component, HasSelf, Linker};

use crate::{
    Engine, LoadError, Wasi,
    bindings::{SessionCache, SessionCachePre},
    error::line,
    instance::{Instance, State},
    shape, walk, wasi,
};

/// The start of every WebAssembly file.
const MAGIC: &[u8] = b"\0asm";
/// The next bytes of a core module, and of a component.
const VERSION_MODULE: [u8; 4] = [1, 0, 0, 0];
const VERSION_COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];

/// Our own interfaces in a component's imports, without the patch version.
const OURS: [&str; 2] = ["innkeeper:session-cache/host@0.1.", "innkeeper:session-cache/types@0.1."];

/// Bytes that begin like a component and respect the size limit. They are still unparsed.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    bytes: &'a [u8],
    limits: &'a Limits,
}

impl<'a> Checked<'a> {
    /// Checks the size and the first bytes.
    ///
    /// # Errors
    /// If the file is too large, or is no component. Precompiled code is no component.
    pub fn new(bytes: &'a [u8], limits: &'a Limits) -> Result<Self, LoadError> {
        limits.check()?;
        if bytes.len() > limits.component_bytes {
            return Err(LoadError::TooLarge { bytes: bytes.len(), limit: limits.component_bytes });
        }
        let version = bytes.strip_prefix(MAGIC).and_then(|rest| rest.first_chunk::<4>()).ok_or(LoadError::NotWasm)?;
        match *version {
            VERSION_COMPONENT => walk::check(bytes, limits).map(|()| Self { bytes, limits }),
            VERSION_MODULE => Err(LoadError::CoreModule),
            other => Err(LoadError::UnknownVersion(other)),
        }
    }

    /// Compiles the component, and blocks for milliseconds up to its time limit. Call it away from serving threads.
    ///
    /// # Errors
    /// If the component is invalid, uses a disabled proposal, or takes too long.
    pub fn compile(self, engine: &Engine) -> Result<Compiled, LoadError> {
        let component = engine.compiler().compile(engine.wasmtime(), self.bytes, self.limits)?;
        Ok(Compiled { engine: engine.clone(), component })
    }
}

/// A component as machine code, with unchecked imports.
pub struct Compiled {
    engine: Engine,
    component: Component,
}

impl Compiled {
    /// Checks the imports and the exports, and binds the imports to the host.
    ///
    /// # Errors
    /// If an import is forbidden, or the exports differ from our world.
    pub fn link(self, wasi: Wasi) -> Result<Linked, LoadError> {
        let engine = self.engine.wasmtime();
        self.component.component_type().imports(engine).try_for_each(|(name, _)| check_import(name, wasi))?;
        let mut linker = Linker::new(engine);
        let ours = SessionCache::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state);
        ours.map_err(|error| LoadError::Engine(line(&error)))?;
        if wasi == Wasi::Closed {
            wasi::linked::add_to_linker(&mut linker).map_err(|error| LoadError::Engine(line(&error)))?;
        }
        let world_error = |error| LoadError::World(line(&error));
        let linked = linker.instantiate_pre(&self.component).map_err(world_error)?;
        shape::check(engine, &self.component)?;
        let pre = SessionCachePre::new(linked).map_err(world_error)?;
        Ok(Linked { engine: self.engine, pre, wasi })
    }
}

/// The longest name of an import in a message, in bytes.
const NAME_MAX: usize = 256;

fn check_import(name: &str, wasi: Wasi) -> Result<(), LoadError> {
    if OURS.iter().any(|ours| name.starts_with(ours)) {
        return Ok(());
    }
    let is_wasi = name.starts_with("wasi:");
    let hint = match (is_wasi, wasi) {
        (true, Wasi::Closed) if wasi::has(name) => return Ok(()),
        (true, Wasi::Closed) => "closed WASI does not have it",
        (true, Wasi::None) => "build a sealed guest, or have the operator allow closed WASI",
        (false, _) if name.starts_with("innkeeper:") => "build against innkeeper:session-cache@0.1.0",
        (false, _) => "a guest may import innkeeper:session-cache/host and nothing else",
    };
    Err(LoadError::Import { name: log_line(name, NAME_MAX), hint })
}

/// A guest that is ready to run: an [`innkeeper_core::Guest`] to open a cache with.
pub struct Linked {
    engine: Engine,
    pre: SessionCachePre<State>,
    wasi: Wasi,
}

impl Guest for Linked {
    fn instantiate(&self, host: Arc<dyn Host>, limits: &Limits) -> Result<Box<dyn Callbacks>, Fault> {
        let instance = Instance::new(&self.engine, &self.pre, self.wasi, limits, host)?;
        Ok(Box::new(instance))
    }
}

impl std::fmt::Debug for Linked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linked").field("wasi", &self.wasi).finish_non_exhaustive()
    }
}
