//! Guests of a few KiB whose work, for a compiler, is the product of two numbers in them, or grows by powers of two.
//!
//! The host's walk refuses those that it knows. The others show that it lets harmless ones pass.

use innkeeper_embed::{
    Fate::{Load, Serves},
    Row,
};

/// Put into the module `quiet.wat`, as the attacks by hand are.
pub(crate) fn modules() -> Vec<(Row, String)> {
    vec![
        (("loops-100", "has 100 loops that carry 1000 values each", Load), loops(100)),
        (("loops-250", "has 250 loops that carry 1000 values each", Load), loops(250)),
        (("loops-500", "has 500 loops that carry 1000 values each", Load), loops(500)),
        (("ifs-carry", "has 500 branches of two arms that give 1000 values each", Load), ifs_carry()),
        (("branches-carry", "branches 1000 times with 1000 values", Serves), branches_carry()),
        (("table-carries", "has a branch table of 1000 targets with 1000 values each", Load), table_carries()),
        (("calls-carry", "makes 2000 calls of 1000 values each", Load), calls_carry()),
        (("locals-alive", "keeps 20 000 locals alive over 5000 blocks", Load), locals_alive()),
        (("operands-alive", "keeps 5000 operands alive over 5000 blocks", Serves), operands_alive()),
        (("calls-indirect", "calls through a table at 20 000 places of a function", Load), calls_indirect()),
        (("bulk-operations", "fills and copies memory and tables at 2000 places", Serves), bulk_operations()),
        (("segments-computed", "fills a table by 20 segments of 9900 functions, in code", Load), segments_computed()),
        (("segments-expressions", "fills a table by 50 000 expressions", Load), segments_expressions()),
        (("segments-passive", "has 20 000 functions in passive segments", Serves), segments_passive()),
        (("data-computed", "has 15 000 pieces of data at computed places", Load), data_computed()),
        (("globals-computed", "has a global that is a sum of 50 000 numbers", Serves), globals_computed()),
        (("types-of-many", "has 100 types of 1000 parameters", Load), types_of_many()),
        (("functions-of-many", "exports 20 functions of 1000 parameters and results", Load), functions_of_many()),
        (("functions-too-many", "has 45 000 functions", Load), functions_too_many()),
        (("tables-many", "has 90 tables", Load), tables_many()),
        (("sections-many", "has 50 000 custom sections", Serves), sections_many()),
    ]
}

/// Whole components. The work of refusing them is the attack.
pub(crate) fn components() -> Vec<(Row, String)> {
    vec![
        (("instances-multiply", "instantiates itself six times, 12 levels deep", Load), instances_multiply()),
        (("bundles-many", "has 2000 bundles of exports", Load), bundles_many()),
        (("aliases-many", "has 20 000 aliases of one export", Load), aliases_many()),
        (("imports-doubled", "imports a type that doubles 15 times, 100 times", Load), imports_doubled()),
        (("imports-many", "imports 20 000 functions", Load), imports_many()),
        (("types-component", "has 100 000 types of components", Load), types_component()),
        (("lifts-many", "lifts one function 20 000 times", Load), lifts_many()),
        (("modules-many", "has 900 core modules", Load), modules_many()),
    ]
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(|n| line(n) + "\n").collect()
}

/// So many types of a value, and so many instructions that make or drop one.
const MANY: usize = 1_000;

fn many(text: &str) -> String {
    text.repeat(MANY)
}

fn loops(count: usize) -> String {
    format!(
        "(type $many (func (param{0}) (result{0})))\n(func\n{1}{2}{3})",
        many(" i32"),
        many("i32.const 0\n"),
        "loop (type $many) end\n".repeat(count),
        many("drop\n")
    )
}

fn ifs_carry() -> String {
    format!(
        "(type $many (func (param{0}) (result{0})))\n(func (param i32)\n{1}{2}{3})",
        many(" i32"),
        many("i32.const 0\n"),
        "local.get 0 if (type $many) else end\n".repeat(500),
        many("drop\n")
    )
}

fn branches_carry() -> String {
    let branches = "local.get 0 br_if 0\n".repeat(1_000);
    let values = many("i32.const 0\n");
    format!("(func (param i32)\nblock (result{})\n{values}{branches}end\n{})", many(" i32"), many("drop\n"))
}

fn table_carries() -> String {
    let blocks = format!("block (result{})\n", many(" i32")).repeat(1_000);
    let targets: String = (0..1_000).map(|n| format!(" {n}")).collect();
    let values = many("i32.const 0\n");
    format!(
        "(func (param i32)\n{blocks}{values}local.get 0\nbr_table{targets}\n{}{})",
        "end\n".repeat(1_000),
        many("drop\n")
    )
}

fn calls_carry() -> String {
    let of_many = format!("(param{0}) (result{0})", many(" i32"));
    let calls = "call $many\n".repeat(2_000);
    format!(
        "(func $many {of_many} unreachable)\n(func {of_many}\n{}{calls})",
        lines(MANY, |n| format!("local.get {n}"))
    )
}

/// Every local is written before the blocks and read after them.
fn locals_alive() -> String {
    let declared = lines(20, |_| format!("(local{})", many(" i32")));
    let written = lines(20_000, |n| format!("local.get 0 local.set {}", n + 1));
    let read = lines(20_000, |n| format!("local.get {} drop", n + 1));
    format!("(func (param i32)\n{declared}{written}{}{read})", "local.get 0 if end\n".repeat(5_000))
}

fn operands_alive() -> String {
    let (made, dropped) = ("local.get 0\n".repeat(5_000), "drop\n".repeat(5_000));
    format!("(func (param i32)\n{made}{}{dropped})", "local.get 0 if end\n".repeat(5_000))
}

fn calls_indirect() -> String {
    let calls = "i32.const 0 call_indirect $called\n".repeat(20_000);
    format!("(table $called 1 funcref)\n(func\n{calls})")
}

fn segments_computed() -> String {
    let offset = "(offset (i32.add (i32.const 0) (i32.const 0)))";
    let segment = format!("(elem (table $filled) {offset} func{})\n", " $filler".repeat(9_900));
    format!("(table $filled 9900 funcref)\n(func $filler)\n{}", segment.repeat(20))
}

fn segments_expressions() -> String {
    let entries = " (ref.func $filler)".repeat(10_000);
    let segment = format!("(elem (table $filled) (i32.const 0) funcref{entries})\n");
    format!("(table $filled 10000 funcref)\n(func $filler)\n{}", segment.repeat(5))
}

fn segments_passive() -> String {
    format!("(func $filler)\n{}", format!("(elem func{})\n", " $filler".repeat(10_000)).repeat(2))
}

fn data_computed() -> String {
    "(data (offset (i32.add (i32.const 32) (i32.const 32))) \"x\")\n".repeat(15_000)
}

fn globals_computed() -> String {
    format!("(global i32 i32.const 0 {})", "i32.const 1 i32.add\n".repeat(50_000))
}

/// No two are alike.
fn types_of_many() -> String {
    lines(100, |n| {
        let bits = (0..9).map(|bit| if n >> bit & 1 == 0 { " i32" } else { " i64" });
        format!("(type (func (param{}{})))", bits.collect::<String>(), " i32".repeat(MANY - 9))
    })
}

fn functions_of_many() -> String {
    let of_many = format!("(type $many (func (param{0}) (result{0})))\n", many(" i32"));
    of_many + &lines(20, |n| format!("(func (export \"f{n}\") (type $many) unreachable)"))
}

fn functions_too_many() -> String {
    "(func)\n".repeat(45_000)
}

fn sections_many() -> String {
    "(@custom \"section\" \"x\")\n".repeat(50_000)
}

fn tables_many() -> String {
    "(table 1 funcref)\n".repeat(90)
}

fn bulk_operations() -> String {
    let three = "i32.const 0 i32.const 0 i32.const 0";
    let each = format!("{three} memory.fill {three} memory.copy {three} table.copy {three} table.init $some\n");
    format!("(table 10 funcref)\n(elem $some func $size)\n(func\n{})", each.repeat(500))
}

fn instances_multiply() -> String {
    let mut component = String::from("(component $c (core module $m) (core instance (instantiate $m)))");
    for _ in 0..12 {
        component = format!("(component $c {component} {})", "(instance (instantiate $c))".repeat(6));
    }
    component.replacen("(component $c", "(component", 1)
}

fn bundles_many() -> String {
    format!("(component\n{})", "(core instance)\n".repeat(2_000))
}

fn aliases_many() -> String {
    let alias = "(alias core export $i \"f\" (core func))\n".repeat(20_000);
    format!("(component (core module $m (func (export \"f\")))\n(core instance $i (instantiate $m))\n{alias})")
}

fn imports_doubled() -> String {
    let first = "(type $t0 (instance (type (func)) (export \"f\" (func (type 0)))))\n";
    let doubled = lines(15, |n| {
        let export = |name| format!("(export \"{name}\" (instance (type 0)))");
        format!("(type $t{} (instance (alias outer 1 $t{n} (type)) {} {}))", n + 1, export("a"), export("b"))
    });
    format!("(component\n{first}{doubled}{})", lines(100, |n| format!("(import \"i{n}\" (instance (type $t15)))")))
}

fn imports_many() -> String {
    format!("(component\n{})", lines(20_000, |n| format!("(import \"i{n}\" (func))")))
}

fn types_component() -> String {
    format!("(component\n{})", "(type (tuple u8 u8))\n".repeat(100_000))
}

fn lifts_many() -> String {
    let lift = "(func (canon lift (core func $i \"f\")))\n".repeat(20_000);
    format!("(component (core module $m (func (export \"f\")))\n(core instance $i (instantiate $m))\n{lift})")
}

fn modules_many() -> String {
    format!("(component\n{})", "(core module (func))\n".repeat(900))
}
