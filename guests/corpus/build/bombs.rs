//! Guests that are large in some way: a small file, and much work to check, to compile or to instantiate.
//!
//! Every one of `MODULES` behaves once it is compiled, unless the table says that the engine, or the walk before the
//! compiler, refuses it.

use innkeeper_embed::{
    Fate::{Load, Serves},
    Row,
};

/// Makes an attack's text.
type Text = fn() -> String;

/// Put into the module `quiet.wat`, as the attacks by hand are.
pub(crate) const MODULES: [(Row, Text); 13] = [
    (("bomb-functions", "has 20 000 functions", Serves), functions),
    (("bomb-locals", "has a function of 49 000 locals", Serves), locals),
    (("bomb-types", "has 30 000 types", Serves), types),
    (("bomb-blocks", "has 10 000 blocks within each other", Serves), blocks),
    (("bomb-straight", "has a function of 100 000 operations without a branch", Serves), straight),
    (("bomb-live", "has a function with 500 values alive at once", Serves), live),
    (("bomb-branches", "has a branch with 65 000 targets", Serves), branches),
    (("bomb-calls", "has a function of 50 000 calls", Serves), calls),
    (("bomb-exports", "has a module with 10 000 exports", Serves), exports),
    (("bomb-segments", "has 50 000 data segments", Load), segments),
    (("bomb-data", "has 3 MiB of data", Serves), data),
    (("bomb-name", "has a function whose name has 90 000 letters", Serves), name),
    (("bomb-globals", "has 100 000 globals", Load), globals),
];

/// Whole components. They export nothing, so the host refuses all; the work until then is the attack.
pub(crate) const COMPONENTS: [(Row, Text); 3] = [
    (("bomb-nested", "has 90 components within each other", Load), nested),
    (("bomb-type-size", "has a type whose size doubles sixty times", Load), type_size),
    (("bomb-instances", "has 4000 instances of one module", Load), instances),
];

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(|n| line(n) + "\n").collect()
}

fn functions() -> String {
    lines(20_000, |n| format!("(func (param i64) (result i64) (i64.add (local.get 0) (i64.const {n})))"))
}

/// Every local is read after all have been written, once.
fn locals() -> String {
    let declared = lines(49, |_| format!("(local{})", " i64".repeat(1_000)));
    let written = lines(1_000, |n| format!("(local.set {} (local.get 0))", n * 48 + 1));
    let read = lines(1_000, |n| format!("(i64.xor (local.get {}))", n * 48 + 1));
    format!("(func (param i64) (result i64)\n{declared}{written}local.get 0\n{read})")
}

/// All differ: each has the bits of its own number for its parameters.
fn types() -> String {
    lines(30_000, |n| {
        let bits = (0..15).map(|bit| if n >> bit & 1 == 0 { " i32" } else { " i64" });
        format!("(type (func (param{})))", bits.collect::<String>())
    })
}

/// Written flat: each block may be left for any around it.
fn blocks() -> String {
    let opened = lines(10_000, |n| format!("block local.get 0 br_if {}", n / 2));
    format!("(func (param i32)\n{opened}{})", "end\n".repeat(10_000))
}

fn straight() -> String {
    let operations = lines(50_000, |n| format!("i64.const {n} i64.mul local.get 0 i64.xor"));
    format!("(func (param i64) (result i64)\nlocal.get 0\n{operations})")
}

/// More values than any machine has registers, all of them needed again after a call in a loop.
fn live() -> String {
    let declared = format!("(local{})", " i64".repeat(500));
    let written = lines(500, |n| {
        format!(
            "local.get 0 i64.const {n} i64.mul call $live local.get {} i64.add local.set {}",
            (n * 7) % 500 + 1,
            n + 1
        )
    });
    let read = lines(500, |n| format!("local.get {} i64.xor", n + 1));
    format!(
        "(func $live (param i64) (result i64)\n{declared}\nloop $again\n{written}\
         local.get 1 i32.wrap_i64 br_if $again\nend\nlocal.get 0\n{read})"
    )
}

fn branches() -> String {
    let targets: String = (0..65_000).map(|n| format!(" {}", n % 100)).collect();
    format!("(func (param i32)\n{}local.get 0 br_table{targets}\n{})", "block\n".repeat(100), "end\n".repeat(100))
}

fn calls() -> String {
    format!("(func $callee)\n(func\n{})", "call $callee\n".repeat(50_000))
}

fn exports() -> String {
    lines(10_000, |n| format!("(func (export \"export-{n}\"))"))
}

/// All of one byte and at one place, so that each writes over the last.
fn segments() -> String {
    lines(50_000, |_| "(data (i32.const 64) \"x\")".into())
}

fn data() -> String {
    format!("(memory $memory 64)\n(data (i32.const 0x10000) \"{}\")", "x".repeat(3 << 20))
}

fn name() -> String {
    format!("(func $f (export \"{}\"))", "name".repeat(22_500))
}

/// More than an instance has room for.
fn globals() -> String {
    lines(100_000, |_| "(global (mut i64) (i64.const 1))".into())
}

fn nested() -> String {
    format!("{}{}", "(component ".repeat(91), ")".repeat(91))
}

fn type_size() -> String {
    let doubled = lines(60, |n| format!("(type $t{} (tuple $t{n} $t{n}))", n + 1));
    format!("(component\n(type $t0 (tuple u64 u64))\n{doubled})")
}

fn instances() -> String {
    format!("(component\n(core module $m (memory 1))\n{})", "(core instance (instantiate $m))\n".repeat(4_000))
}
