//! Handshakes that may block: a guest is asked on the thread that drives the handshake.

use std::{future::poll_fn, pin::Pin, task::Poll};

use tokio::{sync::Semaphore, task::block_in_place};

/// Polls a handshake where it may block: a tenant's guest is asked on the thread that drives the handshake, and may take its
/// time or be waited for. Its tenant has so many threads for that, and the runtime's other connections go on on others.
pub(crate) async fn step_by_step<F: Future>(threads: &Semaphore, mut handshake: Pin<&mut F>) -> F::Output {
    loop {
        {
            // Closed by nobody.
            let _thread = threads.acquire().await;
            let step = poll_fn(|context| Poll::Ready(block_in_place(|| handshake.as_mut().poll(context)))).await;
            if let Poll::Ready(done) = step {
                return done;
            }
        }
        let mut has_waited = false;
        // What the handshake waits for wakes this task.
        poll_fn(|_| if std::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}
