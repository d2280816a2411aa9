//! An Extism plug-in, which keeps the sessions in its own memory.

use extism::{Manifest, Plugin, Wasm};
use innkeeper_work::{Named, SESSION, Subject};

use crate::sessions_max;

pub(crate) struct Plugged {
    plugin: Plugin,
    input: Vec<u8>,
}

impl Plugged {
    pub(crate) fn open(file: &str, sessions: u32) -> Result<Self, extism::Error> {
        let mut plugin = Plugin::new(Manifest::new([Wasm::data(std::fs::read(file)?)]), [], false)?;
        plugin.call::<_, ()>("init", sessions_max(sessions).to_string())?;
        Ok(Self { plugin, input: Vec::new() })
    }

    fn call(&mut self, function: &str, name: &Named, session: &[u8]) -> &[u8] {
        self.input.clear();
        for part in [&*name.partial, &name.id] {
            self.input.extend_from_slice(&(part.len() as u16).to_be_bytes());
            self.input.extend_from_slice(part);
        }
        self.input.extend_from_slice(session);
        self.plugin.call(function, &*self.input).expect("the plug-in answers")
    }

    fn found(output: &[u8]) -> Option<usize> {
        // Copies the session out of the plug-in's memory, as a host would.
        (!output.is_empty()).then(|| output.to_vec().len())
    }
}

/// The parts of an answer.
fn parts(mut output: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    while let Some((length, rest)) = output.split_first_chunk::<2>() {
        let (part, rest) = rest.split_at(u16::from_be_bytes(*length).into());
        parts.push(part.to_vec());
        output = rest;
    }
    parts
}

impl Subject for Plugged {
    fn update(&mut self, name: &Named) {
        self.call("update", name, &SESSION);
    }

    fn lookup(&mut self, name: &Named) -> Option<usize> {
        Self::found(self.call("lookup", name, &[]))
    }

    fn take(&mut self, name: &Named) -> Option<usize> {
        Self::found(self.call("take", name, &[]))
    }

    fn delete(&mut self, name: &Named) {
        self.call("delete", name, &[]);
    }

    fn select(&mut self, partial: &[u8]) -> usize {
        parts(self.plugin.call("select_session", partial).expect("the plug-in answers")).len()
    }

    fn foldl(&mut self) -> usize {
        parts(self.plugin.call("foldl", "").expect("the plug-in answers")).len() / 3
    }
}
