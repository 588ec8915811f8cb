//! Checkpoints, segments and tiles as they lie beside the tables.

use std::collections::BTreeSet;

use daybook_ledger::seal::{Checkpoint, Error as SealError, Log, Object, Segment, VerifierKey};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::READS;
use crate::Error;
use crate::verify::Verdict;

/// What is found of an object that cannot be used is a difference; that nobody could look is an error.
pub(super) fn differing<T>(
    loaded: Result<T, SealError>,
    place: &str,
    verdict: &mut Verdict,
) -> Result<Option<T>, Error> {
    match loaded {
        Ok(loaded) => Ok(Some(loaded)),
        Err(SealError::Ledger(error)) => Err(error.into()),
        Err(error) => {
            verdict.differs(place, error.to_string());
            Ok(None)
        }
    }
}

/// Every checkpoint there is, in order, each signed by one of `keys`, and the published one among them; and the sizes that there
/// are some of.
pub(super) async fn load_checkpoints(
    log: &Log,
    keys: &[VerifierKey],
    verdict: &mut Verdict,
) -> Result<(Vec<Checkpoint>, BTreeSet<u64>), Error> {
    const PUBLISHED: &str = "log/checkpoint";
    // Before the others are listed: a seal that ends meanwhile publishes one that the list does not have.
    let mut published = differing(log.load_published().await, PUBLISHED, verdict)?;
    let mut checkpoints: Vec<Checkpoint> = Vec::new();
    let sizes: BTreeSet<u64> = log.list_checkpoints().await?.into_iter().collect();
    if matches!(published, Some(None)) && !sizes.is_empty() {
        published = differing(log.load_published().await, PUBLISHED, verdict)?;
    }
    for &size in &sizes {
        let place = format!("log/checkpoints/{size}");
        let Some(checkpoint) = differing(log.load_checkpoint(size).await, &place, verdict)?.flatten() else { continue };
        check_signature(&checkpoint, keys, &place, verdict);
        if checkpoint.head.size != size {
            verdict.differs(place, format!("it is of size {}", checkpoint.head.size));
        } else if checkpoints.first().is_some_and(|first| first.head.origin != checkpoint.head.origin) {
            verdict.differs(place, format!("it is of another log, `{}`", checkpoint.head.origin));
        } else {
            checkpoints.push(checkpoint);
        }
    }
    let is_missing = matches!(published, Some(None));
    match (published.flatten(), checkpoints.last()) {
        (None, None) => {}
        (None, Some(_)) if is_missing && sizes.len() == 1 => {
            verdict.note(PUBLISHED, "it is not there yet: the first seal did not end; the next puts it right");
        }
        (None, Some(_)) => verdict.differs(PUBLISHED, "it is missing or no checkpoint"),
        (Some(published), newest) => {
            check_signature(&published, keys, PUBLISHED, verdict);
            let head = &published.head;
            if !checkpoints.iter().any(|checkpoint| checkpoint.head == *head) {
                verdict.differs(PUBLISHED, format!("it is none of those in log/checkpoints, of size {}", head.size));
            } else if newest.is_some_and(|newest| newest.head != *head) {
                verdict.note(
                    PUBLISHED,
                    format!("it is not the newest, but that of size {}; the next seal puts it right", head.size),
                );
            }
        }
    }
    Ok((checkpoints, sizes))
}

fn check_signature(checkpoint: &Checkpoint, keys: &[VerifierKey], place: &str, verdict: &mut Verdict) {
    if !keys.is_empty() && !keys.iter().any(|key| checkpoint.is_signed_by(key)) {
        verdict.differs(place, format!("it is not signed by the key given, but names {}", checkpoint.signers()));
    }
}

pub(super) async fn load_segments(log: &Log, verdict: &mut Verdict) -> Result<Vec<Segment>, Error> {
    let starts = log.list_segments().await?;
    let mut loaded = std::pin::pin!(stream::iter(starts).map(|from| log.load_segment(from)).buffered(READS));
    let mut segments = Vec::new();
    while let Some(segment) = loaded.next().await {
        segments.extend(differing(segment, "seal/segments", verdict)?.flatten());
    }
    Ok(segments)
}

pub(super) async fn check_objects(log: &Log, objects: Vec<Object>, verdict: &mut Verdict) -> Result<(), Error> {
    let loads = objects.into_iter().map(|(path, expected)| async move {
        let found = log.load_object(&path).await?;
        // In place of a partial object there may be the full one it grew into.
        let same = found.as_ref().map(|found| found.starts_with(&expected));
        Ok::<_, Error>((path, same))
    });
    let mut loads = stream::iter(loads).buffered(READS);
    while let Some((path, same)) = loads.try_next().await? {
        match same {
            Some(true) => {}
            Some(false) => verdict.differs(format!("log/{path}"), "it is not what the leaves make it"),
            None => verdict.differs(format!("log/{path}"), "it is missing"),
        }
    }
    Ok(())
}
