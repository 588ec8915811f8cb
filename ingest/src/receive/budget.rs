//! How many bytes all requests together may hold until Kafka has them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::refusal::Refusal;

/// What a message costs beside its bytes, here and in librdkafka.
pub(super) const EVENT_OVERHEAD_BYTES: usize = 512;

/// A request waits this long for room before it is turned away. It holds nothing yet, so waiting cannot deadlock.
const ADMISSION_WAIT: Duration = Duration::from_millis(500);

/// One permit stands for this many bytes, so that 64 GiB fit the semaphore.
const UNIT: usize = 1024;

/// The one budget of a receiver.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    pool: Arc<Pool>,
    units: usize,
}

#[derive(Debug)]
struct Pool {
    free: Arc<Semaphore>,
    /// Told whenever something was given back.
    freed: Notify,
    /// Requests are let in in the order in which they came.
    queue: Mutex<()>,
}

/// What a request holds of the budget, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    pool: Arc<Pool>,
    permit: OwnedSemaphorePermit,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        let units = units(bytes).min(Semaphore::MAX_PERMITS);
        let pool = Pool { free: Arc::new(Semaphore::new(units)), freed: Notify::new(), queue: Mutex::new(()) };
        Self { pool: Arc::new(pool), units }
    }

    /// Bytes held at the moment, whole units.
    pub(super) fn held_bytes(&self) -> usize {
        (self.units - self.pool.free.available_permits().min(self.units)) * UNIT
    }

    /// Lets a request in with `bytes`.
    pub(super) async fn admit(&self, bytes: usize) -> Result<Held, Refusal> {
        let wanted = u32::try_from(units(bytes)).map_err(|_| Refusal::Busy)?;
        let permit = timeout(ADMISSION_WAIT, self.pool.wait_for(wanted)).await.map_err(|_| Refusal::Busy)?;
        Ok(Held { pool: Arc::clone(&self.pool), permit })
    }
}

impl Pool {
    /// Takes all or, as yet, nothing: a semaphore's own queue would keep what becomes free from requests that are in and
    /// have to grow.
    async fn wait_for(&self, wanted: u32) -> OwnedSemaphorePermit {
        let _turn = self.queue.lock().await;
        loop {
            match Arc::clone(&self.free).try_acquire_many_owned(wanted) {
                Ok(permit) => return permit,
                Err(_) => self.freed.notified().await,
            }
        }
    }
}

impl Held {
    /// Makes what is held at least `bytes`. Does not wait: two requests that wait for each other's bytes would for ever.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), Refusal> {
        let missing = units(bytes).saturating_sub(self.permit.num_permits());
        if missing == 0 {
            return Ok(());
        }
        let missing = u32::try_from(missing).map_err(|_| Refusal::Busy)?;
        let more = Arc::clone(&self.pool.free).try_acquire_many_owned(missing).map_err(|_| Refusal::Busy)?;
        self.permit.merge(more);
        Ok(())
    }

    /// Gives back what is beyond `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        let beyond = self.permit.num_permits().saturating_sub(units(bytes));
        self.give_back(beyond);
    }

    fn give_back(&mut self, units: usize) {
        drop(self.permit.split(units));
        self.pool.freed.notify_one();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back(self.permit.num_permits());
    }
}

const fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_are_held_until_dropped_and_one_more_is_busy() {
        let budget = Budget::new(10 * UNIT);
        let mut one = budget.admit(4 * UNIT).await.unwrap();
        let two = budget.admit(5 * UNIT).await.unwrap();
        assert_eq!(budget.held_bytes(), 9 * UNIT);
        assert_eq!(budget.admit(UNIT + 1).await.unwrap_err(), Refusal::Busy);
        one.grow_to(5 * UNIT).unwrap();
        assert_eq!(one.grow_to(5 * UNIT + 1).unwrap_err(), Refusal::Busy);
        drop(two);
        one.grow_to(10 * UNIT).unwrap();
        one.shrink_to(1);
        assert_eq!(budget.held_bytes(), UNIT);
        drop(one);
        assert_eq!(budget.held_bytes(), 0);
    }

    #[tokio::test]
    async fn a_request_that_waits_takes_nothing_from_one_that_is_in() {
        let budget = Budget::new(10 * UNIT);
        let mut one = budget.admit(4 * UNIT).await.unwrap();
        let mut waiting = std::pin::pin!(budget.admit(8 * UNIT));
        assert!(futures::poll!(&mut waiting).is_pending());
        one.grow_to(10 * UNIT).unwrap();
        one.shrink_to(3 * UNIT);
        assert!(futures::poll!(&mut waiting).is_pending());
        one.grow_to(9 * UNIT).unwrap();
        drop(one);
        assert_eq!(waiting.await.unwrap().permit.num_permits(), 8);
        assert_eq!(budget.held_bytes(), 0);
    }

    #[tokio::test]
    async fn a_request_waits_a_moment_for_room() {
        let budget = Budget::new(UNIT);
        let first = budget.admit(UNIT).await.unwrap();
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.admit(UNIT).await.map(drop) }
        });
        tokio::time::sleep(ADMISSION_WAIT / 2).await;
        drop(first);
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }
}
