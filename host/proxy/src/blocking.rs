//! Handshakes that may block: a guest is asked on the thread that drives the handshake.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{sync::Semaphore, task::block_in_place};

/// Steps of all tenants at a time. Each that blocks takes one of tokio's blocking threads, of which there are 512 unless the
/// runtime says otherwise; without one the runtime's other connections would stop. Look-ups of names have theirs besides.
static STEPS: Semaphore = Semaphore::const_new(384);

/// Polls a handshake once where it may block: a tenant's guest is asked on the thread that drives the handshake, and may take
/// its time or be waited for. Its tenant has so many threads for that, and the runtime's other connections go on on others.
///
/// What asks the guest has to be within the future: a call that makes one may ask it too.
pub(crate) async fn step<F: Future>(threads: &Semaphore, mut handshake: Pin<&mut F>) -> Poll<F::Output> {
    // Closed by nobody. The tenant's first, so that it has no more than those in the queue of all.
    let _thread = threads.acquire().await;
    let _step = STEPS.acquire().await;
    poll_fn(|context| Poll::Ready(block_in_place(|| handshake.as_mut().poll(context)))).await
}

/// Waits until what a future has waited for wakes this task. To be polled at once after the future.
pub(crate) async fn woken() {
    let mut has_waited = false;
    poll_fn(|_: &mut Context<'_>| match std::mem::replace(&mut has_waited, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// Does a handshake [`step`] by step.
pub(crate) async fn step_by_step<F: Future>(threads: &Semaphore, mut handshake: Pin<&mut F>) -> F::Output {
    loop {
        if let Poll::Ready(done) = step(threads, handshake.as_mut()).await {
            return done;
        }
        woken().await;
    }
}
