//! Builds the guests of the demo and embeds them.

use innkeeper_embed::{
    Fate::{Honest, Serves, Strikes},
    c_guest, embed, rust_guests, top,
};

fn main() {
    let top = top(&["guests/rust/lru", "guests/rust/ttl", "guests/hostile", "guests/c/kit", "guests/c/lru"]);
    let args = [
        "--package=innkeeper-guest-lru",
        "--package=innkeeper-guest-ttl",
        "--package=innkeeper-guest-hostile",
        "--lib",
        "--example=spin",
        "--example=trap",
        "--example=liar",
    ];
    let rust = [
        ("innkeeper_guest_lru", ("rust-lru", "", Honest)),
        ("innkeeper_guest_ttl", ("rust-ttl", "", Honest)),
        ("spin", ("spin", "never returns from the callback it strikes in", Strikes)),
        ("trap", ("trap", "traps in the callback it strikes in", Strikes)),
        ("liar", ("liar", "claims foreign, dead and made-up sessions in turn", Serves)),
    ];
    let rust = rust.map(|(crate_name, row)| (crate_name.to_owned(), row)).into();
    let mut built = rust_guests(&top, &args, rust);
    // In the order of the demo's tenants.
    built.insert(2, c_guest(&top, "c/lru", ("c-lru", "", Honest)));
    embed(&built);
}
