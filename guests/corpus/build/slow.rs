//! Guests that take time and next to no fuel: they follow pointers through most of their memory, and each step is a
//! cache miss and one unit.
//!
//! The time of a step depends on the machine and on the other users of its caches: 120 to 175 ns were measured. So the
//! times below are approximate, and stay within a call's limit.

use innkeeper_embed::{Fate::Serves, Row};

/// Put into the module `quiet.wat`, as the attacks by hand are.
pub(crate) fn modules() -> [(Row, String); 4] {
    [
        (("slow-updates", "takes 30 ms and more for each update, and next to no fuel", Serves), updates("")),
        (("slow-replay", "takes 30 ms for each update, and traps at each fiftieth", Serves), updates(TRAP_AT_FIFTIETH)),
        (("slow-lookups", "takes most of 2 ms for each lookup, and next to no fuel", Serves), lookups()),
        (("slow-init", "takes a second in `init`, and a tenth of its fuel", Serves), init()),
    ]
}

/// A read's grant is 2 ms, a write's 50 ms, and that of `init` 2 s.
const UPDATE_STEPS: u32 = 270_000;
const LOOKUP_STEPS: u32 = 11_000;
const INIT_STEPS: u32 = 8_000_000;

/// Steps in a row without a look at anything else.
const UNROLLED: u32 = 100;

const TRAP_AT_FIFTIETH: &str = "
    (global.set $updates (i32.add (global.get $updates) (i32.const 1)))
    (if (i32.eqz (i32.rem_u (global.get $updates) (i32.const 50))) (then (unreachable)))";

/// A ring through 15 MiB, made by the first call that walks: 2^18 places of 60 bytes, in an order that no cache
/// foresees.
fn ring() -> String {
    format!(
        "(memory $memory 243)
  (global $place (mut i32) (i32.const 0))
  (func $place_of (param $number i32) (result i32)
    (i32.add (i32.const 0x20000) (i32.mul (i32.and (local.get $number) (i32.const 0x3ffff)) (i32.const 60))))
  (func $link (local $number i32)
    (loop $next
      (i32.store
        (call $place_of (local.get $number))
        (call $place_of (i32.add (i32.mul (local.get $number) (i32.const 0x41c64e6d)) (i32.const 12345))))
      (local.set $number (i32.add (local.get $number) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $number) (i32.const 0x40000)))))
  (func $walk (param $rounds i32) (local $at i32)
    (if (i32.eqz (global.get $place)) (then (call $link) (global.set $place (i32.const 0x20000))))
    (local.set $at (global.get $place))
    (loop $again
      local.get $at
      {}
      local.set $at
      (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
      (br_if $again (local.get $rounds)))
    (global.set $place (local.get $at)))
",
        "i32.load ".repeat(UNROLLED as usize)
    )
}

fn walk(steps: u32) -> String {
    format!("(call $walk (i32.const {}))", steps / UNROLLED)
}

fn updates(also: &str) -> String {
    let (ring, walk) = (ring(), walk(UPDATE_STEPS));
    format!(
        "{ring}
  (global $updates (mut i32) (i32.const 0))
  (func $update (param $cache i64) (param $partial i64) (param $id i64) (param $session i64)
    {walk}{also})
  (func $delete (param $cache i64) (param $partial i64) (param $id i64)
    {walk})
{}",
        starts("")
    )
}

fn lookups() -> String {
    let (ring, walk) = (ring(), walk(LOOKUP_STEPS));
    format!(
        "{ring}
  (func $lookup (param $cache i64) (param $partial i64) (param $id i64) (result i32)
    {walk}
    (i32.store8 (i32.const 16) (i32.const 0))
    (i32.const 16))
{}",
        starts("")
    )
}

fn init() -> String {
    format!("{}\n{}", ring(), starts(&walk(INIT_STEPS)))
}

/// An `init` that makes the ring, so that no other call has to, and does something more.
fn starts(also: &str) -> String {
    format!(
        "(func $init (param $role i32) (param $max i32) (param $lifetime i64) (param $ptr i32) (param $len i32) (result i32)
    {}{also}
    (i32.store8 (i32.const 16) (i32.const 0))
    (i64.store (i32.const 24) (i64.const 7))
    (i32.const 16))",
        walk(UNROLLED)
    )
}
