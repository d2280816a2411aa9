//! The same logic as an Extism plug-in: bytes in, bytes out. In a list each byte string follows its length in two
//! bytes.

use std::cell::RefCell;

use extism_pdk::{FnResult, plugin_fn};
use innkeeper_peers_lru::{Key, Lru};

thread_local!(static CACHE: RefCell<Lru> = RefCell::new(Lru::new(0)));

fn part<'a>(input: &mut &'a [u8]) -> &'a [u8] {
    let (length, rest) = input.split_at(2);
    let (part, rest) = rest.split_at(u16::from_be_bytes([length[0], length[1]]).into());
    *input = rest;
    part
}

fn key(input: &mut &[u8]) -> Key {
    (part(input).to_vec(), part(input).to_vec())
}

fn put(output: &mut Vec<u8>, part: &[u8]) {
    output.extend_from_slice(&(part.len() as u16).to_be_bytes());
    output.extend_from_slice(part);
}

#[plugin_fn]
pub fn init(max_sessions: String) -> FnResult<()> {
    let max_sessions = max_sessions.parse()?;
    CACHE.with_borrow_mut(|cache| *cache = Lru::new(max_sessions));
    Ok(())
}

#[plugin_fn]
pub fn update(input: Vec<u8>) -> FnResult<()> {
    let mut input = &*input;
    let key = key(&mut input);
    CACHE.with_borrow_mut(|cache| cache.update(key, input.to_vec()));
    Ok(())
}

#[plugin_fn]
pub fn delete(input: Vec<u8>) -> FnResult<()> {
    CACHE.with_borrow_mut(|cache| cache.delete(&key(&mut &*input)));
    Ok(())
}

/// Empty output means a miss: no session is empty.
#[plugin_fn]
pub fn take(input: Vec<u8>) -> FnResult<Vec<u8>> {
    Ok(CACHE.with_borrow_mut(|cache| cache.delete(&key(&mut &*input)).unwrap_or_default()))
}

#[plugin_fn]
pub fn select_session(partial: Vec<u8>) -> FnResult<Vec<u8>> {
    let mut output = Vec::new();
    CACHE.with_borrow(|cache| cache.select(&partial).for_each(|session| put(&mut output, session)));
    Ok(output)
}

#[plugin_fn]
pub fn foldl(_: ()) -> FnResult<Vec<u8>> {
    let mut output = Vec::new();
    CACHE.with_borrow(|cache| {
        for ((partial, id), session) in cache.iter() {
            [partial, id, session].into_iter().for_each(|part| put(&mut output, part));
        }
    });
    Ok(output)
}

/// Empty output means a miss: no session is empty.
#[plugin_fn]
pub fn lookup(input: Vec<u8>) -> FnResult<Vec<u8>> {
    Ok(CACHE.with_borrow_mut(|cache| cache.lookup(&key(&mut &*input)).map(<[u8]>::to_vec).unwrap_or_default()))
}
