//! Every subject by its name, in this process or in a separate one.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, bail};
use innkeeper_core::Owners;
use innkeeper_wasm::Engine;
use innkeeper_work::{Named, Round, Subject, Work, fill, parse_reply, request, round};
use tempfile::TempDir;

use crate::{
    bytes::BytesComponent,
    cache::{self, Cache},
    floors::{EmptyCall, LockedMap, Moka, RustlsStore},
};

/// A cache that several threads may look up in.
pub(crate) trait Shared: Send + Sync {
    /// Returns the number of bytes under a name.
    fn lookup(&self, name: &Named) -> Option<usize>;
}

/// A maximum above any number of sessions here, so that no eviction disturbs a measurement.
pub(crate) fn sessions_max(sessions: u32) -> u32 {
    sessions + 10_000
}

/// The subjects, floors first, in the order of the tables.
pub(crate) const SUBJECTS: [&str; 13] = [
    "empty-call",
    "locked-map",
    "moka",
    "rustls-store",
    "native",
    "rust-lru",
    "c-lru",
    "bytes-component",
    "otp-ets",
    "luajit",
    "rhai",
    "extism",
    "redis",
];

/// The builds of the peers.
pub(crate) struct Peers {
    pub(crate) program: PathBuf,
    pub(crate) plugin: PathBuf,
    pub(crate) bytes: PathBuf,
    pub(crate) ets: PathBuf,
}

/// The environment that subjects open in.
pub(crate) struct Stage<'a> {
    pub(crate) owners: &'a Owners,
    pub(crate) engine: &'a Engine,
    pub(crate) peers: &'a Peers,
}

/// A subject, filled.
pub(crate) enum Opened {
    Here(Box<dyn Subject>),
    There(Peer),
}

impl Opened {
    pub(crate) fn new(name: &str, sessions: u32, stage: &Stage<'_>) -> anyhow::Result<Self> {
        let Stage { owners, engine, peers } = stage;
        let of_program = |args: &[&str]| Peer::start(Command::new(&peers.program).args(args), None);
        let count = sessions.to_string();
        let mut here: Box<dyn Subject> = match name {
            "empty-call" => Box::new(EmptyCall(engine.empty_call()?)),
            "locked-map" => Box::new(LockedMap::default()),
            "moka" => Box::new(Moka::new(sessions_max(sessions))),
            "rustls-store" => Box::new(RustlsStore::new(sessions_max(sessions))),
            "bytes-component" => Box::new(BytesComponent::open(&std::fs::read(&peers.bytes)?, sessions)?),
            "otp-ets" => {
                return Peer::start(Command::new("escript").arg(&peers.ets).arg(&count), None).map(Self::There);
            }
            "luajit" => return of_program(&["lua", &count]).map(Self::There),
            "rhai" => return of_program(&["rhai", &count]).map(Self::There),
            "extism" => return of_program(&["extism", &count, path(&peers.plugin)?]).map(Self::There),
            "redis" => {
                let server = Redis::start()?;
                let socket = path(&server.socket)?.to_owned();
                let mut program = Command::new(&peers.program);
                return Peer::start(program.args(["redis", &count, &socket]), Some(server)).map(Self::There);
            }
            guest => Box::new(Cache::open(owners, cache::guest(engine, guest, sessions)?, sessions, 1)?),
        };
        if here.can(Work::Update) {
            fill(&mut *here, sessions);
        }
        Ok(Self::Here(here))
    }

    pub(crate) fn can(&self, work: Work) -> bool {
        match self {
            Self::Here(subject) => subject.can(work),
            Self::There(_) => true,
        }
    }

    pub(crate) fn round(&mut self, work: Work, numbers: &[u32], sessions: u32) -> anyhow::Result<Round> {
        match self {
            Self::Here(subject) => Ok(round(&mut **subject, work, numbers, sessions)),
            Self::There(peer) => peer.round(work, numbers),
        }
    }
}

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("the checkout has a plain name")
}

/// A subject in a separate process, which ends with it.
pub(crate) struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _server: Option<Redis>,
}

impl Peer {
    /// Waits until the subject has been filled.
    fn start(command: &mut Command, server: Option<Redis>) -> anyhow::Result<Self> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.with_context(|| format!("cannot run {command:?}"))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = input.zip(output).context("both are pipes")?;
        let mut peer = Self { child, input, output: BufReader::new(output), _server: server };
        match peer.line()?.as_str() {
            "ready" => Ok(peer),
            other => bail!("{command:?} says {other:?}"),
        }
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn round(&mut self, work: Work, numbers: &[u32]) -> anyhow::Result<Round> {
        writeln!(self.input, "{}", request(work, numbers))?;
        let line = self.line()?;
        parse_reply(&line).with_context(|| format!("a peer that was to do {} says {line:?}", work.name()))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Redis server of our own, which ends with it.
pub(crate) struct Redis {
    child: Child,
    socket: PathBuf,
    _folder: TempDir,
}

impl Redis {
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("redis.sock");
        let mut server = Command::new("redis-server");
        server.args(["--port", "0", "--save", "", "--maxmemory", "8gb", "--maxmemory-policy", "allkeys-lru"]);
        server.arg("--unixsocket").arg(&socket).arg("--dir").arg(folder.path()).stdout(Stdio::piped());
        let mut child = server.spawn().context("cannot run redis-server")?;
        let output = child.stdout.take().context("its output is a pipe")?;
        let mut server = Self { child, socket, _folder: folder };
        let mut lines = BufReader::new(output).lines();
        let is_ready = |line: &String| line.contains("ready to accept connections");
        if !lines.by_ref().map_while(Result::ok).any(|line| is_ready(&line)) {
            bail!("redis-server ends: {:?}", server.child.wait()?);
        }
        // Its later output is useless, but the pipe must be drained.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
