//! A script in LuaJIT, as a proxy with session hooks in Lua runs it.

use innkeeper_work::{Named, SESSION, Subject};
use mlua::{Function, Lua, LuaString};

use crate::sessions_max;

pub(crate) struct Script {
    lua: Lua,
    update: Function,
    lookup: Function,
    take: Function,
    delete: Function,
    select: Function,
    foldl: Function,
}

impl Script {
    pub(crate) fn open(sessions: u32) -> mlua::Result<Self> {
        let lua = Lua::new();
        lua.load(include_str!("lru.lua")).exec()?;
        let globals = lua.globals();
        globals.get::<Function>("init")?.call::<()>(sessions_max(sessions))?;
        let function = |name: &str| globals.get::<Function>(name);
        Ok(Self {
            update: function("update")?,
            lookup: function("lookup")?,
            take: function("take")?,
            delete: function("delete")?,
            select: function("select_session")?,
            foldl: function("foldl")?,
            lua,
        })
    }

    fn bytes(&self, bytes: &[u8]) -> LuaString {
        self.lua.create_string(bytes).expect("there is memory")
    }

    fn find(&self, function: &Function, name: &Named) -> Option<usize> {
        let found: Option<LuaString> =
            function.call((self.bytes(&name.partial), self.bytes(&name.id))).expect("the script answers");
        found.map(|session| session.as_bytes().to_vec().len())
    }
}

impl Subject for Script {
    fn update(&mut self, name: &Named) {
        let args = (self.bytes(&name.partial), self.bytes(&name.id), self.bytes(&SESSION));
        self.update.call::<()>(args).expect("the script answers");
    }

    fn lookup(&mut self, name: &Named) -> Option<usize> {
        self.find(&self.lookup, name)
    }

    fn take(&mut self, name: &Named) -> Option<usize> {
        self.find(&self.take, name)
    }

    fn delete(&mut self, name: &Named) {
        self.delete.call::<()>((self.bytes(&name.partial), self.bytes(&name.id))).expect("the script answers");
    }

    fn select(&mut self, partial: &[u8]) -> usize {
        let found: Vec<LuaString> = self.select.call(self.bytes(partial)).expect("the script answers");
        found.iter().map(|session| session.as_bytes().to_vec()).filter(|session| !session.is_empty()).count()
    }

    fn foldl(&mut self) -> usize {
        let seen = std::rc::Rc::new(std::cell::Cell::new(0));
        let count = std::rc::Rc::clone(&seen);
        let see = self.lua.create_function(move |_, (_, _, session): (LuaString, LuaString, LuaString)| {
            count.set(count.get() + usize::from(!session.as_bytes().to_vec().is_empty()));
            Ok(())
        });
        self.foldl.call::<()>(see.expect("there is memory")).expect("the script answers");
        seen.get()
    }
}
