//! Faults on purpose: a guest whose every callback but `init` fails now and then.

use std::sync::{Arc, Mutex, PoisonError};

use innkeeper_doubles::{before, intercepted};
use innkeeper_proxy::core::{Callback, Fault, Guest};

/// Wraps a guest so that one call in `one_in` fails before it reaches the guest. Every run fails the same calls.
pub fn flaky(guest: Arc<dyn Guest>, one_in: u64) -> Arc<dyn Guest> {
    let numbers = Arc::new(Mutex::new(1));
    intercepted(guest, move |_host| {
        let numbers = Arc::clone(&numbers);
        before(move |call| match call.callback() != Callback::Init && next(&numbers).is_multiple_of(one_in) {
            true => Err(Fault::Trap { reason: "injected".into() }),
            false => Ok(()),
        })
    })
}

fn next(numbers: &Mutex<u64>) -> u64 {
    let mut number = numbers.lock().unwrap_or_else(PoisonError::into_inner);
    // Numerical Recipes' generator; its upper bits are random enough for this.
    *number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *number >> 33
}
