//! Where the ledger stands, for a worker that is given partitions.

use std::sync::Arc;

use daybook_ledger::{Commit, Ledger, NextOffset, PositionChange, Snapshot};

use super::{Backoff, back_off};
use crate::Error;
use crate::metrics::Metrics;
use crate::partition::{Partition, Positions};

/// How often positions are asked for: a rebalance waits.
pub(super) const ATTEMPTS_MAX: u32 = 3;

/// Looks positions up and begins new ones. It keeps no state of the tables: a rebalance may come days after the last, and walking
/// the log since would hold the group up.
#[derive(Debug)]
pub struct LookUp {
    ledger: Ledger,
    cluster: String,
    metrics: Arc<Metrics>,
}

impl LookUp {
    /// Of positions in `cluster`; what it does is counted in `metrics`.
    pub fn new(ledger: Ledger, cluster: String, metrics: Arc<Metrics>) -> Self {
        Self { ledger, cluster, metrics }
    }

    /// Where the tables stand in `partitions`, newest state. A store that does not answer is asked again a few times.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn load(&self, partitions: &[Partition]) -> Result<Vec<(Partition, Positions)>, Error> {
        Ok(self.load_with_state(partitions).await?.1)
    }

    async fn load_with_state(
        &self,
        partitions: &[Partition],
    ) -> Result<(Snapshot, Vec<(Partition, Positions)>), Error> {
        for attempt in 1.. {
            let loaded = async {
                let mut usage = self.ledger.usage().load(None).await?;
                let mut quarantine = self.ledger.quarantine().load(None).await?;
                let tables = (&mut usage, &mut quarantine);
                let positions = positions(&self.ledger, &self.cluster, tables, partitions).await?;
                Ok((usage, positions))
            };
            match loaded.await {
                Err(error) if attempt < ATTEMPTS_MAX && Error::is_transient(&error) => {
                    self.back_off(attempt, &error).await;
                }
                done => return done,
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// Records that reading begins at `starts` in partitions that the ledger does not know; where it stands in them then,
    /// which is elsewhere if another worker was faster.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn begin_at(&self, starts: &[(Partition, NextOffset)]) -> Result<Vec<(Partition, Positions)>, Error> {
        if starts.is_empty() {
            return Ok(Vec::new());
        }
        let partitions: Vec<_> = starts.iter().map(|(partition, _)| partition.clone()).collect();
        // Workers number their batches from 1.
        let batch_id = format!("{:016x}-{:08x}", rand::random::<u64>(), 0);
        let mut attempt = 0;
        loop {
            let (mut usage, known) = self.load_with_state(&partitions).await?;
            let unknown = known.iter().zip(starts).filter(|((_, at), _)| at.usage.is_none());
            let positions: Vec<_> = unknown
                .map(|(_, (partition, to))| PositionChange {
                    app_id: partition.app_id(&self.cluster),
                    from: None,
                    to: *to,
                })
                .collect();
            if positions.is_empty() {
                return Ok(known);
            }
            let commit = Commit { batch_id: batch_id.clone(), files: Vec::new(), positions, counts: Vec::new() };
            attempt += 1;
            match self.ledger.usage().try_commit(&mut usage, &commit).await.map_err(Error::from) {
                Err(error) if attempt < ATTEMPTS_MAX && error.is_transient() => self.back_off(attempt, &error).await,
                // Whatever came of it, the newest positions tell.
                outcome => drop(outcome?),
            }
        }
    }

    async fn back_off(&self, attempt: u32, error: &Error) {
        back_off(Backoff::default(), &self.metrics, attempt, "positions", error).await;
    }
}

/// What the tables, in these states, say of `partitions`.
pub(super) async fn positions(
    ledger: &Ledger,
    cluster: &str,
    (usage, quarantine): (&mut Snapshot, &mut Snapshot),
    partitions: &[Partition],
) -> Result<Vec<(Partition, Positions)>, Error> {
    let app_ids: Vec<String> = partitions.iter().map(|partition| partition.app_id(cluster)).collect();
    let app_ids: Vec<&str> = app_ids.iter().map(String::as_str).collect();
    ledger.usage().load_positions(usage, &app_ids).await?;
    ledger.quarantine().load_positions(quarantine, &app_ids).await?;
    let positions = app_ids.iter().map(|app_id| Positions {
        usage: usage.position(app_id),
        quarantine: quarantine.position(app_id),
        mark: None,
    });
    Ok(partitions.iter().cloned().zip(positions).collect())
}
