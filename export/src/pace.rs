//! How fast bytes may move, so that an export leaves room for others.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant as Moment, sleep_until};

/// At most so many bytes a second: who asks waits until all that was asked for has had its time. Clones share the limit;
/// the default is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace(Option<Arc<Limit>>);

#[derive(Debug)]
struct Limit {
    bucket: Mutex<Bucket>,
    /// Threads that write wait on the clock of the runtime that started them.
    runtime: Handle,
}

#[derive(Debug)]
struct Bucket {
    bytes_per_s: NonZeroU64,
    /// When everything asked for so far has had its time.
    free_at: Moment,
}

impl Pace {
    /// A limit of its own, or none; within a runtime.
    pub(crate) fn new(bytes_per_s: Option<NonZeroU64>) -> Self {
        let limit = |bytes_per_s| {
            let bucket = Mutex::new(Bucket { bytes_per_s, free_at: Moment::now() });
            Arc::new(Limit { bucket, runtime: Handle::current() })
        };
        Self(bytes_per_s.map(limit))
    }

    /// Waits until `bytes` more may move.
    pub(crate) async fn wait(&self, bytes: u64) {
        if let Some(limit) = &self.0 {
            sleep_until(limit.book(bytes)).await;
        }
    }

    /// As [`Pace::wait`], on a thread that is not the runtime's.
    pub(crate) fn block(&self, bytes: u64) {
        if let Some(limit) = &self.0 {
            let until = limit.book(bytes);
            limit.runtime.block_on(async { sleep_until(until).await });
        }
    }
}

impl Limit {
    fn book(&self, bytes: u64) -> Moment {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).book(Moment::now(), bytes)
    }
}

impl Bucket {
    /// When `bytes` asked for at `now` may move. Time not used is not made up for: no moment is faster than the limit.
    fn book(&mut self, now: Moment, bytes: u64) -> Moment {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_s.get());
        let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.free_at = self.free_at.max(now).checked_add(time).unwrap_or(self.free_at);
        self.free_at
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn bytes_take_their_time_to_the_nanosecond() {
        let now = Moment::now();
        let mut bucket = Bucket { bytes_per_s: NonZeroU64::new(1_000).unwrap(), free_at: now };
        assert_eq!(bucket.book(now, 500), now + Duration::from_millis(500));
        assert_eq!(bucket.book(now, 2_500), now + Duration::from_secs(3));
        // What was not used while nobody asked is not given later.
        let later = now + Duration::from_secs(60);
        assert_eq!(bucket.book(later, 1), later + Duration::from_millis(1));
    }

    #[tokio::test]
    async fn without_a_limit_nobody_waits() {
        let goes_on = |pace: Pace| pace.wait(u64::MAX).now_or_never().is_some();
        assert!(goes_on(Pace::new(None)));
        assert!(!goes_on(Pace::new(NonZeroU64::new(1))));
    }
}
