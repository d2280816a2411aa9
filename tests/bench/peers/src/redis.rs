//! A Redis server over a Unix socket that evicts the least recently used. Sessions are strings under partial key and
//! id. Each partial key also has a set of its ids.

use innkeeper_work::{Named, SESSION, Subject};
use redis::{Commands as _, Connection, RedisResult, pipe};

pub(crate) struct Server(Connection);

impl Server {
    pub(crate) fn open(socket: &str) -> RedisResult<Self> {
        Ok(Self(redis::Client::open(format!("unix://{socket}"))?.get_connection()?))
    }
}

fn key(name: &Named) -> Vec<u8> {
    key_of(&name.partial, &name.id)
}

fn key_of(partial: &[u8], id: &[u8]) -> Vec<u8> {
    [b"session\0", partial, b"\0", id].concat()
}

fn set(partial: &[u8]) -> Vec<u8> {
    [b"ids\0", partial].concat()
}

impl Subject for Server {
    fn update(&mut self, name: &Named) {
        let mut commands = pipe();
        commands.set(key(name), &SESSION[..]).ignore().sadd(set(&name.partial), &name.id[..]).ignore();
        commands.query::<()>(&mut self.0).expect("the server answers");
    }

    fn lookup(&mut self, name: &Named) -> Option<usize> {
        let found: Option<Vec<u8>> = self.0.get(key(name)).expect("the server answers");
        found.map(|session| session.len())
    }

    fn take(&mut self, name: &Named) -> Option<usize> {
        let mut commands = pipe();
        commands.get_del(key(name)).srem(set(&name.partial), &name.id[..]).ignore();
        let (found,): (Option<Vec<u8>>,) = commands.query(&mut self.0).expect("the server answers");
        found.map(|session| session.len())
    }

    fn delete(&mut self, name: &Named) {
        let mut commands = pipe();
        commands.del(key(name)).ignore().srem(set(&name.partial), &name.id[..]).ignore();
        commands.query::<()>(&mut self.0).expect("the server answers");
    }

    fn select(&mut self, partial: &[u8]) -> usize {
        let ids: Vec<Vec<u8>> = self.0.smembers(set(partial)).expect("the server answers");
        let keys: Vec<Vec<u8>> = ids.iter().map(|id| key_of(partial, id)).collect();
        let found: Vec<Option<Vec<u8>>> = self.0.mget(keys).expect("the server answers");
        found.into_iter().flatten().count()
    }

    fn foldl(&mut self) -> usize {
        let (mut cursor, mut seen) = (0_u64, 0);
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg("session*").arg("COUNT").arg(1_000);
            let (next, keys): (u64, Vec<Vec<u8>>) = scan.query(&mut self.0).expect("the server answers");
            if !keys.is_empty() {
                let found: Vec<Option<Vec<u8>>> = self.0.mget(keys).expect("the server answers");
                seen += found.into_iter().flatten().count();
            }
            cursor = next;
            if cursor == 0 {
                return seen;
            }
        }
    }
}
