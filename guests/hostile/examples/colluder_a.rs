//! One of two tenants that work together: claims what would lie just after its own sessions.

use innkeeper_guest_hostile::{Colluder, Guest};

innkeeper_guest::export!(Guest<Colluder<1>>);
