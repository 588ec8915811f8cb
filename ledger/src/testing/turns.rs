//! Several operations on one store, a few calls of each at a time: a schedule may put any of them between any two calls of
//! another, or stop one for good there.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::thread::ThreadId;

/// Whose turn it is. Calls outside of a turn pass, and so do those of other threads, for which an operation waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Mutex<Option<Turn>>>);

#[derive(Debug)]
struct Turn {
    thread: ThreadId,
    calls: u64,
    is_over: bool,
}

impl Turns {
    /// Lets `operation` make `calls` calls; its output, or `None` if it waits for its next turn.
    pub(super) async fn advance<F: Future + Unpin>(&self, operation: &mut F, calls: u64) -> Option<F::Output> {
        let mut turn = Some(Turn { thread: std::thread::current().id(), calls, is_over: false });
        poll_fn(|context| {
            *self.turn() = turn.take();
            let polled = Pin::new(&mut *operation).poll(context);
            turn = self.turn().take();
            match polled {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if turn.as_ref().is_some_and(|turn| turn.is_over) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Returns when the caller may make a call; true if it was in a turn.
    pub(super) async fn take(&self) -> bool {
        poll_fn(|context| match self.turn().as_mut() {
            Some(turn) if turn.thread == std::thread::current().id() => match turn.calls.checked_sub(1) {
                Some(left) => {
                    turn.calls = left;
                    Poll::Ready(true)
                }
                None => {
                    turn.is_over = true;
                    // To be asked again in the next turn, whatever stands between it and the operation.
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
            },
            _ => Poll::Ready(false),
        })
        .await
    }

    fn turn(&self) -> MutexGuard<'_, Option<Turn>> {
        self.0.lock().unwrap()
    }
}
