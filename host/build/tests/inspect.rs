//! The output of `inspect`, and its safety with any file.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use innkeeper_build::{BuildError, Inspection, Interface, Memory, Origin, component_from_plain_module, inspect};

const QUIET: &str = include_str!("../../../guests/hostile/wat/quiet.wat");

fn quiet() -> Vec<u8> {
    component_from_plain_module(&wat::parse_str(QUIET).unwrap()).unwrap().bytes
}

#[track_caller]
fn inspect_wat(text: &str) -> Inspection {
    inspect(&wat::parse_str(text).unwrap()).unwrap()
}

#[track_caller]
fn check_error(bytes: &[u8], expect: &str) {
    let BuildError::NotAGuest(reason) = inspect(bytes).unwrap_err() else {
        panic!("another error");
    };
    assert!(reason.contains(expect), "{reason}");
}

#[test]
fn a_sealed_guest() {
    let bytes = quiet();
    let guest = inspect(&bytes).unwrap();
    assert_eq!(guest.world.as_deref(), Some("innkeeper:session-cache@0.1.0"));
    assert!(guest.is_guest && guest.is_sealed);
    assert_eq!(guest.bytes, bytes.len() as u64);
    assert_eq!(guest.refused, None);
    let host = guest.imports.iter().find(|import| import.name == "innkeeper:session-cache/host@0.1.0").unwrap();
    let mut functions = host.functions.clone();
    functions.sort();
    assert_eq!(functions, ["apply", "describe", "evict", "log", "now-ms"]);
    let callbacks = guest.exports.iter().find(|export| export.name == "innkeeper:session-cache/callbacks@0.1.0");
    assert_eq!(callbacks.unwrap().functions.len(), 8);
    assert_eq!(guest.memories, [Memory { initial_bytes: 2 << 16, maximum_bytes: None }]);
    assert_eq!(guest.memory_bytes, 2 << 16);
    assert!(guest.core_instances >= 1);
    let module = &guest.modules[0];
    assert_eq!(module.functions, 9);
    assert!(module.code_bytes > 0 && module.code_bytes < module.bytes && module.bytes < guest.bytes);
    assert!(module.has_names, "wat names functions");
    assert!(guest.modules.is_sorted_by(|a, b| a.bytes >= b.bytes));
    let encoder = guest.producers.iter().find(|tool| tool.role == "processed-by" && tool.name == "wit-component");
    assert!(encoder.is_some_and(|tool| !tool.version.is_empty()));
}

#[test]
fn the_digest_is_the_files() {
    let empty = inspect_wat("(component)");
    // printf '\0asm\r\0\1\0' | sha256sum
    assert_eq!(empty.digest, "sha256:24eaf3439a60c96764c4f2c92a0a81b52bd4fe5d5b91f090184a0f6486b1bf29");
    assert_eq!((empty.bytes, empty.world, empty.is_guest, empty.is_sealed), (8, None, false, true));
}

#[test]
fn imports_have_an_origin() {
    let inspection = inspect_wat(
        r#"(component
            (import "wasi:cli/exit@0.2.6" (instance (export "exit" (func)) (export "t" (type (sub resource)))))
            (import "innkeeper:session-cache/host@0.1.0" (instance (export "now-ms" (func (result u64)))))
            (import "somebody:else/secret" (instance))
            (import "plain" (func)))"#,
    );
    let import = |name: &str, origin, functions: &[&str]| Interface {
        name: name.into(),
        origin,
        functions: functions.iter().map(ToString::to_string).collect(),
    };
    let imports = [
        import("wasi:cli/exit@0.2.6", Origin::Wasi, &["exit"]),
        import("innkeeper:session-cache/host@0.1.0", Origin::Ours, &["now-ms"]),
        import("somebody:else/secret", Origin::Other, &[]),
        import("plain", Origin::Other, &[]),
    ];
    assert_eq!(inspection.imports, imports);
    assert_eq!(inspection.wasi().count(), 1);
    assert!(!inspection.is_sealed);
}

#[test]
fn another_version_of_the_world_is_no_guest() {
    let exports = r#"(component (instance $i) (export "innkeeper:session-cache/callbacks@0.2.0" (instance $i)))"#;
    let other = inspect_wat(exports);
    assert_eq!(other.world.as_deref(), Some("innkeeper:session-cache@0.2.0"));
    assert!(!other.is_guest);
}

#[test]
fn modules_memories_and_tables_are_counted_in_nested_components_too() {
    let inspection = inspect_wat(
        r#"(component
            (core module $small (memory 1 3) (table 5 funcref))
            (core instance (instantiate $small))
            (component
                (core module $large (func) (memory 2) (table 7 10 funcref) (data (i32.const 0) "some bytes of data"))
                (core instance (instantiate $large))
                (core instance (instantiate $large))
                (import "nested" (func))))"#,
    );
    let names: Vec<_> = inspection.modules.iter().map(|module| module.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["large", "small"]);
    assert!(inspection.modules[0].data_bytes >= 18 && inspection.modules[1].data_bytes == 0);
    assert_eq!(inspection.modules.iter().map(|module| module.functions).collect::<Vec<_>>(), [1, 0]);
    let memory = |initial: u64, maximum: Option<u64>| Memory {
        initial_bytes: initial << 16,
        maximum_bytes: maximum.map(|pages| pages << 16),
    };
    assert_eq!(inspection.memories, [memory(1, Some(3)), memory(2, None)]);
    assert_eq!(inspection.memory_bytes, 3 << 16);
    assert_eq!((inspection.tables, inspection.table_elements), (vec![5, 7], 12));
    assert_eq!(inspection.core_instances, 3);
    assert!(inspection.imports.is_empty(), "a nested component's imports are its own");
}

#[test]
fn features_that_the_host_has_off_are_told() {
    let relaxed = "(func (param v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))";
    let off = [
        ("(core module (memory i64 1))", "memory64"),
        ("(core module (memory 1 2 shared))", "threads"),
        ("(core module (type (struct (field i32))))", "gc"),
        ("(core module (tag))", "exceptions"),
        ("(core module (table 1 externref))", "gc"),
        (&format!("(core module {relaxed})"), "relaxed"),
        (r#"(import "f" (func async))"#, "async"),
    ];
    for (definition, word) in off {
        let refused = inspect_wat(&format!("(component {definition})")).refused.unwrap_or_default();
        assert!(refused.to_lowercase().contains(word), "{definition}: {refused}");
    }
    let on = [
        "(func (result v128) (v128.const i64x2 0 0))",
        "(func $f (return_call $f))",
        "(memory 1) (memory 1)",
        "(func (result i32 i32) i32.const 1 i32.const 2)",
        "(global i32 (i32.add (i32.const 1) (i32.const 2)))",
    ];
    for definition in on {
        assert_eq!(inspect_wat(&format!("(component (core module {definition}))")).refused, None, "{definition}");
    }
}

#[test]
fn what_an_author_says_has_no_control_characters() {
    let inspection = inspect_wat(
        r#"(component $tidy
            (@custom "description" "red:\1b[31m")
            (@custom "authors" "A. Guest")
            (@custom "version" "\ff\fe")
            (@custom "licenses" "MIT")
            (@custom "unknown" "no matter"))"#,
    );
    let metadata: Vec<_> = inspection.metadata.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let expect = [("authors", "A. Guest"), ("description", "red:\\u{1b}[31m"), ("licenses", "MIT"), ("name", "tidy")];
    assert_eq!(metadata, expect);
}

#[test]
fn malformed_custom_sections_are_passed_over() {
    let inspection = inspect_wat(
        r#"(component
            (@custom "producers" "\01\08language\01\04Rust\00")
            (@custom "producers" "\ff\ff\ff\ff\0f")
            (@custom "component-name" "\00\7f")
            (@custom "name" "\00\05\04none"))"#,
    );
    let producers: Vec<_> = inspection.producers.iter().map(|tool| (tool.role.as_str(), tool.name.as_str())).collect();
    assert_eq!(producers, [("language", "Rust")]);
    assert!(inspection.metadata.is_empty());
}

#[test]
fn what_is_no_component_is_refused_by_kind() {
    check_error(b"", "not a WebAssembly component");
    check_error(b"#!/bin/sh", "not a WebAssembly component");
    check_error(&wat::parse_str("(module)").unwrap(), "core module");
    check_error(b"\0asm\x0d\0\x01\0\xff\xff\xff", "not valid");
    check_error(&wat::parse_str("(component (core module (func (result i32))))").unwrap(), "not valid");
    let package = r#"(component
        (type $c (component (type $w (component)) (export "a:b/c" (component (type $w)))))
        (export "c" (type $c)))"#;
    check_error(&wat::parse_str(package).unwrap(), "WIT package");
}

#[test]
fn no_truncation_and_no_changed_byte_panics() {
    let bytes = quiet();
    for end in 0..bytes.len() {
        // Where a section ends, what is left may be a component.
        let _ = inspect(&bytes[..end]);
    }
    for at in 0..bytes.len() {
        for changed in [0xff, bytes[at] ^ 1] {
            let mut bytes = bytes.clone();
            bytes[at] = changed;
            let _ = inspect(&bytes);
        }
    }
}

#[test]
fn nesting_has_a_bound() {
    let nested = |depth: usize| (0..depth).fold(section(0, b"\x01x"), |bytes, _| section(4, &bytes));
    assert!(inspect(&nested(8)).is_ok());
    check_error(&nested(9), "nested deeper than 8");
    check_error(&nested(2_000), "nested deeper than 8");
    // Types of instances, one in another.
    let types = |depth: usize| section(7, &[vec![1], [0x42, 1, 1].repeat(depth), vec![0x42, 0]].concat());
    assert!(inspect(&types(20)).is_ok());
    check_error(&types(1_000_000), "not valid");
}

#[test]
fn lists_have_a_bound() {
    let many = |item: &dyn Fn(usize) -> String, count| {
        let items: String = (0..count).map(item).collect();
        wat::parse_str(format!("(component {items})")).unwrap()
    };
    let import = |at| format!(r#"(import "f{at}" (func))"#);
    assert_eq!(inspect(&many(&import, 1_000)).unwrap().imports.len(), 1_000);
    check_error(&many(&import, 1_001), "more than 1000 imports");
    let two_tables = |_| "(core module (table 1 funcref) (table 1 funcref))".to_string();
    check_error(&many(&two_tables, 501), "more than 1000 tables");
    let vast_memory = |_| "(core module (memory i64 0xffffffffffff))".to_string();
    assert_eq!(inspect(&many(&vast_memory, 2)).unwrap().memory_bytes, u64::MAX);
}

/// A component with one section.
fn section(id: u8, contents: &[u8]) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    bytes.push(id);
    let mut length = contents.len();
    while length > 0x7f {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(contents);
    bytes
}
