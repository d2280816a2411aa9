//! Files that are no component: an honest guest, damaged, or something else.

use innkeeper_embed::{
    Built,
    Fate::{Load, Serves},
};

/// The start of a component, and of a core module.
const COMPONENT: &[u8; 8] = b"\0asm\x0d\0\x01\0";
const CORE_MODULE: &[u8; 8] = b"\0asm\x01\0\0\0";

/// The beginning of code compiled ahead of time. The host must never run it: it would be machine code.
const ELF: &[u8; 20] = b"\x7fELF\x02\x01\x01\xc8\0\0\0\0\0\0\0\0\x01\0\x3e\0";

/// The most bytes of a component, under the default limits.
const COMPONENT_BYTES: usize = 4 << 20;

pub(crate) fn guests(honest: &[u8]) -> Vec<Built> {
    let rest = &honest[COMPONENT.len()..];
    let section_too_long = [&COMPONENT[..], b"\x01\xff\xff\xff\xff\x0f"].concat();
    let of_version = |version: &[u8; 4]| [b"\0asm", &version[..], rest].concat();
    let files = [
        ("empty", "is an empty file", Load, Vec::new()),
        ("plain-text", "is a text", Load, b"This is not WebAssembly.\n".to_vec()),
        ("precompiled", "begins as machine code does", Load, [&ELF[..], rest].concat()),
        ("core-module", "is a core module", Load, CORE_MODULE.to_vec()),
        ("no-exports", "is a component without exports", Load, COMPONENT.to_vec()),
        ("magic-only", "ends after the magic number", Load, COMPONENT[..4].to_vec()),
        ("unknown-version", "is of an unknown version", Load, of_version(b"\x0e\0\x01\0")),
        ("module-header", "is a component with the header of a core module", Load, of_version(b"\x01\0\0\0")),
        ("section-too-long", "claims a section of 4 GiB", Load, section_too_long),
        ("truncated", "ends in the middle", Load, honest[..honest.len() / 2].to_vec()),
        ("truncated-by-one", "lacks its last byte", Load, honest[..honest.len() - 1].to_vec()),
        ("twice", "is a guest and the same guest again", Load, [honest, honest].concat()),
        ("trailing-text", "is a guest and a text", Load, [honest, b"\xffand more"].concat()),
        ("too-large", "has 4 MiB and one byte", Load, padded(honest, COMPONENT_BYTES + 1)),
        ("flip-1", "is a guest with one bit flipped: may be refused or serve", Serves, flipped(honest, 1)),
        ("flip-2", "is a guest with one bit flipped: may be refused or serve", Serves, flipped(honest, 2)),
        ("flip-3", "is a guest with one bit flipped: may be refused or serve", Serves, flipped(honest, 3)),
    ];
    files
        .map(|(name, what, fate, bytes)| Built { row: (name, what, fate), language: "file", component: Ok(bytes) })
        .into()
}

/// One bit flipped at so many quarters of the file.
fn flipped(honest: &[u8], quarters: usize) -> Vec<u8> {
    let mut bytes = honest.to_vec();
    bytes[honest.len() * quarters / 4] ^= 1 << quarters;
    bytes
}

/// A valid guest of exactly so many bytes: nobody reads the last section.
fn padded(honest: &[u8], bytes: usize) -> Vec<u8> {
    // A custom section: its number, its length in four bytes of seven bits, the length of its name, and the name.
    let length = bytes - honest.len() - 5;
    let leb = [0, 7, 14, 21].map(|shift| (length >> shift) as u8 & 0x7f | if shift == 21 { 0 } else { 0x80 });
    let mut padded = [honest, &[0], &leb, b"\x03pad"].concat();
    padded.resize(bytes, 0);
    padded
}
