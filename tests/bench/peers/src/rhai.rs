//! A script in Rhai, whose state the host holds. Keys are strings, the only keys of Rhai's maps. Sessions are shared
//! bytes, so that the script passes them on without a copy.

use innkeeper_work::{Named, SESSION, Subject};
use rhai::{AST, Array, CallFnOptions, Dynamic, Engine, FuncArgs, Map, Scope};

use crate::sessions_max;

pub(crate) struct Script {
    engine: Engine,
    ast: AST,
    scope: Scope<'static>,
    cache: Dynamic,
}

#[derive(Clone)]
struct Session(std::rc::Rc<[u8]>);

impl Script {
    pub(crate) fn open(sessions: u32) -> Result<Self, Box<dyn std::error::Error>> {
        let mut engine = Engine::new();
        engine.set_max_operations(0).set_max_array_size(0).set_max_map_size(0);
        engine.register_type_with_name::<Session>("Session");
        let ast = engine.compile(include_str!("lru.rhai"))?;
        let mut script = Self { engine, ast, scope: Scope::new(), cache: Map::new().into() };
        let _ = script.call("init", (i64::from(sessions_max(sessions)),));
        Ok(script)
    }

    fn call(&mut self, function: &str, args: impl FuncArgs) -> Dynamic {
        let options = CallFnOptions::new().eval_ast(false).bind_this_ptr(&mut self.cache);
        let answer = self.engine.call_fn_with_options(options, &mut self.scope, &self.ast, function, args);
        answer.expect("the script answers")
    }

    fn found(answer: Dynamic) -> Option<usize> {
        answer.try_cast::<Session>().map(|Session(session)| session.to_vec().len())
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

impl Subject for Script {
    fn update(&mut self, name: &Named) {
        let _ = self.call("update", (text(&name.partial), text(&name.id), Session(SESSION.into())));
    }

    fn lookup(&mut self, name: &Named) -> Option<usize> {
        Self::found(self.call("lookup", (text(&name.partial), text(&name.id))))
    }

    fn take(&mut self, name: &Named) -> Option<usize> {
        Self::found(self.call("take", (text(&name.partial), text(&name.id))))
    }

    fn delete(&mut self, name: &Named) {
        let _ = self.call("take", (text(&name.partial), text(&name.id)));
    }

    fn select(&mut self, partial: &[u8]) -> usize {
        let found = self.call("select_session", (text(partial),)).cast::<Array>();
        found.into_iter().filter_map(Self::found).count()
    }

    fn foldl(&mut self) -> usize {
        let found = self.call("foldl", ()).cast::<Array>();
        found.into_iter().filter_map(Self::found).count()
    }
}
