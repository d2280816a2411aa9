//! Builds every guest that the demo does not have, and embeds them.

mod table;
mod text;
mod bombs;
mod explosions;
mod slow;
mod files;

use innkeeper_embed::{Fate::Honest, RustGuest, c_guest, cpp_guest, embed, rust_guests, top, wasi_guest};

/// Arguments of cargo that select every guest in Rust. `rust-lru` is among them since files are made of it.
const RUST_ARGS: [&str; 7] = [
    "--package=innkeeper-guest-lru",
    "--package=innkeeper-guest-quota",
    "--package=innkeeper-guest-lfu",
    "--package=innkeeper-guest-random",
    "--package=innkeeper-guest-hostile",
    "--lib",
    "--examples",
];

fn main() {
    let top = top(&["guests/rust", "guests/hostile", "guests/c", "guests/cpp"]);
    let honest = table::RUST.map(|(crate_name, name)| (crate_name.to_owned(), (name, "", Honest)));
    let hostile = table::RUST_HOSTILE.map(|row| (row.0.replace('-', "_"), row));
    let lru = ("innkeeper_guest_lru".to_owned(), ("rust-lru", "", Honest));
    let rust: Vec<RustGuest> = honest.into_iter().chain(hostile).chain([lru]).collect();
    let mut built = rust_guests(&top, &RUST_ARGS, rust);
    let lru = built.pop().and_then(|guest| guest.component.ok()).expect("the Rust guests are built");
    built.push(wasi_guest(&top, "innkeeper-guest-lru", "rust-lru-wasi"));
    built.extend(table::C.map(|(folder, row)| c_guest(&top, folder, row)));
    built.extend(table::CPP.map(|(folder, name)| cpp_guest(&top, folder, (name, "", Honest))));
    built.extend(text::guests(&top));
    built.extend(files::guests(&lru));
    embed(&built);
}
