//! Lookups for an instruction counter to measure: `innkeeper-counts hit|miss LOOKUPS`.
//!
//! The guest is native code, so the count is that of the way to a guest and back.

use std::{process::ExitCode, sync::Arc};

use innkeeper_core::{CacheConfig, Clock, Limits, Name, NativeLru, Owners, Role, Secret, SizeClass};
use innkeeper_work::{Named, SESSION};

const SESSIONS: u32 = 100;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (is_hit, lookups) = match args[..] {
        ["hit", lookups] => (true, lookups.parse()),
        ["miss", lookups] => (false, lookups.parse()),
        _ => return ExitCode::FAILURE,
    };
    let Ok(lookups) = lookups else { return ExitCode::FAILURE };
    let owners = Owners::new(1, Clock::system());
    let config = CacheConfig::new("counts", Role::Server, Limits::new(SizeClass::Small));
    let Ok((mut owner, reader)) = owners.open::<Secret>(config, Arc::new(NativeLru)) else { return ExitCode::FAILURE };
    let names = |first: u32| (first..first + SESSIONS).map(|number| Named::new(number, SESSIONS)).collect::<Vec<_>>();
    for Named { partial, id } in &names(0) {
        if owner.update(Name { partial, id }, Secret::new(SESSION.to_vec())).is_err() {
            return ExitCode::FAILURE;
        }
    }
    let asked = names(if is_hit { 0 } else { SESSIONS });
    let asked = asked.iter().cycle().take(lookups);
    let found = asked.filter(|Named { partial, id }| reader.lookup(Name { partial, id }).is_some()).count();
    if found == if is_hit { lookups } else { 0 } { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
