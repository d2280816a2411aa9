//! The imports of a guest: the `host` interface of the WIT package.

use innkeeper_core::{Acc, Claim, Element, FoldFun, Key, Level, PartialKey, SessionId};

use crate::{
    bindings::innkeeper::session_cache::{host, types},
    instance::State,
};

/// The fuel for one host call, about the time that a plain one takes. WebAssembly's own fuel leaves it out.
pub(crate) const CALL_FUEL: u64 = 200;

impl types::Host for State {}

impl host::Host for State {
    fn describe(&mut self, session: u64) -> wasmtime::Result<Option<types::SessionInfo>> {
        self.spend(CALL_FUEL)?;
        let info = self.host.describe(Claim(session));
        Ok(info.map(|info| types::SessionInfo {
            stored_bytes: info.stored_bytes,
            created_ms: info.created_ms,
            expires_ms: info.expires_ms,
        }))
    }

    fn evict(&mut self, session: u64) -> wasmtime::Result<()> {
        self.spend(CALL_FUEL)?;
        Ok(self.call.evict(Claim(session))?)
    }

    fn apply(&mut self, fun: u64, elem: types::Element, acc: u64) -> wasmtime::Result<u64> {
        self.spend(CALL_FUEL)?;
        let key = Key { partial: PartialKey(elem.key.partial), id: SessionId(elem.key.id) };
        let element = Element { key, session: Claim(elem.session) };
        Ok(self.call.apply(FoldFun(fun), element, Acc(acc))?.0)
    }

    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.spend(CALL_FUEL)?;
        Ok(self.host.now_ms())
    }

    fn log(&mut self, level: host::Level, message: String) -> wasmtime::Result<()> {
        self.spend(CALL_FUEL + message.len() as u64)?;
        let level = match level {
            host::Level::Debug => Level::Debug,
            host::Level::Info => Level::Info,
            host::Level::Warn => Level::Warn,
            host::Level::Error => Level::Error,
        };
        self.host.log(level, &message);
        Ok(())
    }
}
