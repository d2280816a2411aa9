//! Components that the walk before the compiler refuses, with their messages, and components that pass.

use std::time::Duration;

use innkeeper_core::{Limits, SizeClass};
use innkeeper_corpus::{Stage, artifact, artifacts};
use innkeeper_wasm::{Checked, LoadError};

fn walk(bytes: &[u8]) -> Result<(), LoadError> {
    Checked::new(bytes, &Limits::new(SizeClass::Small)).map(drop)
}

/// A component with a core module, whose fields are given as text.
fn module(fields: &str) -> Vec<u8> {
    wat::parse_str(format!("(component (core module {fields}))")).expect("the text is WebAssembly")
}

#[track_caller]
fn check_passes(bytes: &[u8]) {
    walk(bytes).unwrap_or_else(|error| panic!("{error}"));
}

#[track_caller]
fn check_refused(bytes: &[u8], message: &str) {
    let error = walk(bytes).expect_err("the walk refuses it");
    assert_eq!(error.check(), "complexity", "{error}");
    assert!(error.to_string().contains(message), "{error}");
}

/// Passes with so much of something, and not with a little more.
#[track_caller]
fn check_limit(of: impl Fn(usize) -> Vec<u8>, passes: usize, refused: usize, message: &str) {
    check_passes(&of(passes));
    check_refused(&of(refused), message);
}

const MANY: usize = 1_000;

fn many(text: &str) -> String {
    text.repeat(MANY)
}

fn of_many() -> String {
    format!("(type $many (func (param{0}) (result{0})))", many(" i32"))
}

const CARRIED: &str = "MiB of memory for function 1 of core module 0, mostly for values that blocks and calls carry";

#[test]
fn blocks_that_carry_values_are_refused() {
    let of = |block: &'static str| {
        move |count: usize| {
            let (made, dropped) = (many("i32.const 0 "), many("drop "));
            module(&format!("{} (func) (func {made} {} {dropped})", of_many(), block.repeat(count)))
        }
    };
    check_limit(of("loop (type $many) end "), 60, 80, CARRIED);
    check_limit(of("block (type $many) end "), 100, 170, CARRIED);
    check_limit(of("i32.const 0 if (type $many) end "), 80, 120, CARRIED);
}

#[test]
fn calls_and_branches_that_carry_values_are_refused() {
    let calls = |count: usize| {
        let (made, calls) = (many("i32.const 0 "), "call 0 ".repeat(count));
        module(&format!("{} (func (type $many) unreachable) (func {made} {calls} unreachable)", of_many()))
    };
    check_limit(calls, 200, 260, CARRIED);
    let table = |targets: usize| {
        let blocks = format!("block (result{}) ", many(" i32")).repeat(targets);
        let numbers: String = (0..targets).map(|number| format!(" {number}")).collect();
        let (made, ends) = (many("i32.const 0 "), "end ".repeat(targets));
        module(&format!("(func) (func {blocks} {made} i32.const 0 br_table {numbers} {ends} unreachable)"))
    };
    check_limit(table, 100, 300, CARRIED);
}

#[test]
fn locals_over_many_blocks_are_refused() {
    let of = |(locals, blocks): (usize, usize)| {
        let declared = format!("(local{})", " i32".repeat(locals));
        let read: String = (0..locals).map(|number| format!("local.get {number} drop ")).collect();
        module(&format!("(func {declared} {} {read})", "i32.const 0 if end ".repeat(blocks)))
    };
    check_passes(&of((10_000, 100)));
    check_passes(&of((300, 10_000)));
    let refused = "MiB of memory for function 0 of core module 0, mostly for locals that may be alive in many blocks";
    check_refused(&of((10_000, 1_000)), refused);
}

#[test]
fn what_the_start_puts_in_place_is_refused() {
    let refused =
        "MiB of memory for the start of core module 0, mostly for table entries and data that code puts in place";
    let computed = "(offset (i32.add (i32.const 0) (i32.const 0)))";
    let functions = |offset: &str, count: usize| {
        module(&format!("(table 40000 funcref) (func) (elem {offset} func{})", " 0".repeat(count)))
    };
    check_passes(&functions("(i32.const 0)", 40_000));
    check_limit(|count| functions(computed, count), 33_000, 34_000, refused);
    let expressions = |count| {
        module(&format!("(table 1 funcref) (func) (elem (i32.const 0) funcref{})", " (ref.func 0)".repeat(count)))
    };
    check_limit(expressions, 33_000, 34_000, refused);
    let after_computed =
        format!("(table 40000 funcref) (func) (elem {computed} func) (elem (i32.const 0) func{})", " 0".repeat(34_000));
    check_refused(&module(&after_computed), refused);
    let data = |count| module(&format!("(memory 1) {}", "(data (i32.const 0) \"x\") ".repeat(count)));
    check_limit(data, 10_000, 10_500, refused);
}

#[test]
fn what_is_declared_in_masses_is_refused() {
    check_limit(|count| module(&"(func) ".repeat(count)), 41_000, 42_000, " functions: the limit is 41943");
    let types = |count: usize| module(&format!("(type (func (param{})))", many(" i32")).repeat(count));
    check_limit(types, 50, 51, "51000000 squares of the values that types and functions of core module 0 have");
    let nested = |levels: usize| {
        let text = format!("{}{}", "(component ".repeat(levels), ")".repeat(levels));
        wat::parse_str(text).expect("the text is WebAssembly")
    };
    check_limit(nested, 16, 17, "17 levels of components within each other: the limit is 16");
    let component = |text: String| wat::parse_str(format!("(component {text})")).expect("the text is WebAssembly");
    check_limit(
        |count| component("(core module) ".repeat(count)),
        255,
        256,
        "components and core modules in each other",
    );
    check_limit(|count| component("(core instance) ".repeat(count)), 1_000, 1_001, "1001 instances and bundles");
    check_limit(|count| component("(type u8) ".repeat(count)), 260_000, 263_000, "bytes of types of components");
    let imports = |count| component((0..count).map(|n| format!("(import \"i{n}\" (func))")).collect());
    check_limit(imports, 10_000, 10_001, "10001 imports, exports, aliases and functions between components");
}

#[test]
fn instances_that_multiply_are_refused() {
    let twice = |levels: usize| {
        let mut text = String::from("(component $c)");
        for _ in 1..levels {
            text = format!("(component $c {text} (instance (instantiate $c)) (instance (instantiate $c)))");
        }
        wat::parse_str(text).expect("the text is WebAssembly")
    };
    check_limit(twice, 11, 12, "177147 components that instantiating makes: the limit is 100000");
}

#[test]
fn every_guest_passes_that_loads() {
    for artifact in artifacts() {
        let Ok(component) = artifact.component else { continue };
        let walked = walk(component);
        let is_complex = walked.as_ref().is_err_and(|error| error.check() == "complexity");
        assert!(artifact.refused == Some(Stage::Load) || !is_complex, "{}: {walked:?}", artifact.name);
    }
}

/// The walk returns, whatever is wrong with the bytes.
#[test]
fn broken_bytes_are_walked_to_an_end() {
    let of = |name| artifact(name).and_then(|artifact| artifact.component.ok());
    for name in ["rust-lru", "loops-100", "segments-passive", "bulk-operations", "instances-multiply", "lifts-many"] {
        let whole = of(name).unwrap_or_else(|| panic!("{name} is among the artifacts"));
        let step = whole.len() / 300 + 1;
        for place in (8..whole.len()).step_by(step) {
            let _ = walk(&whole[..place]);
            let mut flipped = whole.to_vec();
            for bit in 0..8 {
                flipped[place] = whole[place] ^ 1 << bit;
                let _ = walk(&flipped);
            }
        }
    }
}

/// A number as WebAssembly has it.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn section(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number][..], &leb(content.len()), content].concat()
}

/// A component of one core module with one function, whose body is given.
fn with_body(code: &[u8]) -> Vec<u8> {
    let body = [&[0][..], code, &[0x0b]].concat();
    let code = [&[1][..], &leb(body.len()), &body].concat();
    let sections = [section(1, &[1, 0x60, 0, 0]), section(3, &[1, 0]), section(10, &code)].concat();
    [&b"\0asm\x0d\0\x01\0"[..], &section(1, &[&b"\0asm\x01\0\0\0"[..], &sections].concat())].concat()
}

#[test]
fn the_largest_file_is_walked_in_time() {
    let limits = Limits::new(SizeClass::Large);
    let bytes = with_body(&vec![0x01; limits.component_bytes - 100]);
    #[expect(clippy::disallowed_methods, reason = "measures the walk")]
    let start = std::time::Instant::now();
    Checked::new(&bytes, &limits).expect("it is 32 MiB of nothing");
    // A fraction of a second by itself; the machine may have more to do.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}
