//! What the threads that read files share with the one that takes their records.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

/// Files to read. Open until nothing can come back to be read again.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<(VecDeque<usize>, bool)>,
    changed: Condvar,
}

impl Queue {
    pub(crate) fn push(&self, file: usize) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0.push_back(file);
        self.changed.notify_one();
    }

    /// Ends every thread that waits for a file.
    pub(crate) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.changed.notify_all();
    }

    /// The next file; waits for one; `None` once closed.
    pub(crate) fn next(&self) -> Option<usize> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.1 {
                return None;
            }
            if let Some(file) = state.0.pop_front() {
                return Some(file);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Bytes that may be on their way between threads.
#[derive(Debug)]
pub(crate) struct Budget {
    state: Mutex<(usize, bool)>,
    freed: Condvar,
    bytes_max: usize,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), freed: Condvar::new(), bytes_max }
    }

    /// Waits until `bytes` more may be on their way: within the limit, or alone. False once closed.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.1 && state.0 > 0 && state.0 + bytes > self.bytes_max {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.0 += bytes;
        !state.1
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = state.0.saturating_sub(bytes);
        self.freed.notify_all();
    }

    pub(crate) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_limit_goes_alone_and_a_closed_budget_lets_nobody_wait() {
        let budget = Budget::new(10);
        assert!(budget.take(100));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.take(1));
            budget.give_back(100);
            assert!(waiting.join().unwrap());
            let waiting = scope.spawn(|| budget.take(10));
            budget.close();
            assert!(!waiting.join().unwrap());
        });
    }

    #[test]
    fn a_closed_queue_gives_no_file() {
        let queue = Queue::default();
        queue.push(1);
        assert_eq!(queue.next(), Some(1));
        queue.push(2);
        queue.close();
        assert_eq!(queue.next(), None);
    }
}
