//! Handshakes that may block. The thread that drives a handshake also asks the guest.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{sync::Semaphore, task::block_in_place};

/// Steps of all tenants at a time. Each that blocks takes one of tokio's blocking threads; by default there are 512.
/// Without a free one the runtime's other connections would stop. Look-ups of names have threads of their own.
static STEPS: Semaphore = Semaphore::const_new(384);

/// Polls a handshake once on a thread that may block. The handshake asks the tenant's guest on that thread, and may
/// wait for it. `threads` bounds the tenant's threads; the runtime's other connections go on on others.
///
/// Every question to the guest has to be inside the future. Mind that the call that creates a handshake may ask too.
pub(crate) async fn step<F: Future>(threads: &Semaphore, mut handshake: Pin<&mut F>) -> Poll<F::Output> {
    // Nobody closes these semaphores. The tenant's comes first, so that it never has more than its own in the queue of
    // all.
    let _thread = threads.acquire().await;
    let _step = STEPS.acquire().await;
    poll_fn(|context| Poll::Ready(block_in_place(|| handshake.as_mut().poll(context)))).await
}

/// Waits until the event that a future waits for wakes this task. Must be polled right after the future.
pub(crate) async fn woken() {
    let mut has_waited = false;
    poll_fn(|_: &mut Context<'_>| match std::mem::replace(&mut has_waited, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// Drives a handshake [`step`] by step.
pub(crate) async fn step_by_step<F: Future>(threads: &Semaphore, mut handshake: Pin<&mut F>) -> F::Output {
    loop {
        if let Poll::Ready(done) = step(threads, handshake.as_mut()).await {
            return done;
        }
        woken().await;
    }
}
