//! Part of an export for real, to know how long the whole takes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daybook_ledger::{Instant, Ledger};
use tokio::time::Instant as Moment;

use crate::bundle::Order;
use crate::describe::SUMMARY;
use crate::source::{Holding, Plan, Sample};
use crate::writer::{self, Form};
use crate::{Bundle, Encryption, Error, Keys, Part, Progress, Request, Silent, Summary, encryption, verify};

/// What a rehearsal did, and what the whole will take.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// The bundle it wrote, checked and removed.
    pub written: Summary,
    /// Days it took, of all days there are.
    pub days: (usize, usize),
    /// Bytes of the ledger it read, of all the whole reads.
    pub read_bytes: (u64, u64),
    /// From the first read until the bundle stood under its name; the check is not in it.
    pub took: Duration,
    /// What the whole will be.
    pub predicted: Prediction,
}

/// What an export will be, if the rest is like the part that was rehearsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Until it is done.
    pub time: Duration,
}

impl Rehearsal {
    /// Rows of all tables it wrote.
    pub fn rows(&self) -> u64 {
        self.written.rows.iter().map(|(_, rows)| rows).sum()
    }
}

/// Exports `percent` of what `request` asks for to a place beside `out` called `….rehearsal`, in whole days spread evenly, checks the bundle and removes it.
///
/// It goes every step of [`crate::write()`], at the same place: what it measures is what the whole will meet.
///
/// # Errors
/// Those of [`crate::write()`]; [`Error::Differs`] if the bundle does not verify: it is left to be looked at.
pub async fn rehearse(
    ledger: &Ledger,
    request: &Request,
    percent: u8,
    at: Instant,
    progress: &mut dyn Progress,
) -> Result<Rehearsal, Error> {
    let out = rehearsal_place(&request.out)?;
    let (encryption, keys) = request.encryption.as_ref().map(Encryption::of_rehearsal).unzip();
    let keys = keys.unwrap_or_default();
    remove_rehearsed(&out, &keys).await?;
    let mut order = Order::load(ledger, &Request { out: out.clone(), encryption, ..request.clone() }).await?;
    let all = Measure::of(&order.plan);
    order.plan = order.plan.sampled(Sample { percent, at });
    let read = Measure::of(&order.plan);
    let began = Moment::now();
    let written = order.write(ledger, progress).await?;
    let took = began.elapsed();
    check(&out, &keys).await?;
    Ok(Rehearsal {
        days: (read.days, all.days),
        read_bytes: (read.bytes, all.bytes),
        predicted: predict(&written, took, &read, &all),
        written,
        took,
    })
}

/// What a plan reads.
struct Measure {
    days: usize,
    bytes: u64,
    by_part: BTreeMap<Part, Holding>,
}

impl Measure {
    fn of(plan: &Plan) -> Self {
        Self { days: plan.days().len(), bytes: plan.bytes(), by_part: plan.holdings() }
    }
}

/// Each table grows by its own rows: one may have had none on the days rehearsed, or all of them. Of a table that had none
/// nothing is known but what lies in the ledger: that is taken to go out whole, in each format as long as it is.
fn predict(written: &Summary, took: Duration, read: &Measure, all: &Measure) -> Prediction {
    let nanos = scaled(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), all.bytes, read.bytes);
    let mut whole = Prediction { rows: 0, bytes: written.bytes(), time: Duration::from_nanos(nanos) };
    for (part, rows) in &written.rows {
        let folder = format!("data/{}/", part.name());
        let files = || written.files.iter().filter(|file| file.path.starts_with(&folder));
        let bytes = files().map(|file| file.bytes).sum();
        let of = |measure: &Measure| measure.by_part.get(part).copied().unwrap_or_default();
        let (read, all) = (of(read), of(all));
        if read.rows == 0 {
            whole.rows += all.rows;
            whole.bytes += all.bytes * files().count() as u64;
        } else {
            whole.rows += scaled(*rows, all.rows, read.rows);
            whole.bytes += scaled(bytes, all.rows, read.rows).saturating_sub(bytes);
        }
    }
    whole
}

/// `part` of `read`, were it all; `part` itself if nothing was read.
fn scaled(part: u64, all: u64, read: u64) -> u64 {
    match read {
        0 => part,
        read => u64::try_from(u128::from(part) * u128::from(all) / u128::from(read)).unwrap_or(u64::MAX),
    }
}

/// Beside `out`, in the same form.
fn rehearsal_place(out: &Path) -> Result<PathBuf, Error> {
    let whole = out.to_string_lossy();
    let name = whole.trim_end_matches('/');
    Ok(match Form::of(out)? {
        Form::Directory => match out.file_name() {
            Some(_) => format!("{name}.rehearsal"),
            None => return Err(Error::OutTaken { path: out.into() }),
        },
        Form::Tar => format!("{}.rehearsal.tar.zst", name.trim_end_matches(".tar.zst")),
        Form::Encrypted => format!("{}.rehearsal.tar.zst.age", name.trim_end_matches(".tar.zst.age")),
        // A bucket has no name beside it that is ours.
        Form::Objects if name.matches('/').count() == 2 => format!("{name}/.rehearsal"),
        Form::Objects => format!("{name}.rehearsal"),
    }
    .into())
}

/// Removes what a rehearsal that was killed left under its name, and nothing that is not one.
async fn remove_rehearsed(out: &Path, keys: &Keys) -> Result<(), Error> {
    if Form::of(out)? == Form::Encrypted && encryption::is_rehearsal(out) {
        return writer::remove(out).await;
    }
    let Ok(bundle) = Bundle::open(&out.to_string_lossy(), keys).await else { return Ok(()) };
    // What cannot be read is nothing this may remove: the export that follows says what stands there.
    let summary = bundle.load(SUMMARY).await.ok();
    let summary = summary.and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    match summary.is_some_and(|summary| summary.get("rehearsal").is_some()) {
        true => writer::remove(out).await,
        false => Ok(()),
    }
}

async fn check(out: &Path, keys: &Keys) -> Result<(), Error> {
    let bundle = Bundle::open(&out.to_string_lossy(), keys).await?;
    let verdict = verify::opened(&bundle, &[], &mut Silent).await?;
    match verdict.differences.first() {
        None => writer::remove(out).await,
        Some(first) => {
            Err(Error::Differs { path: out.into(), differences: verdict.differences_count, first: first.to_string() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_nothing_is_itself() {
        assert_eq!(scaled(7, 300, 100), 21);
        assert_eq!(scaled(7, 300, 0), 7);
        assert_eq!(scaled(u64::MAX, u64::MAX, 1), u64::MAX);
    }

    #[tokio::test]
    async fn an_encrypted_rehearsal_that_was_left_goes_and_a_bundle_of_that_name_stays() {
        let dir = tempfile::tempdir().unwrap();
        let own = Encryption::with(String::from("a passphrase").into());
        let recipient = "age1strgyt0zv4642ja9pprxz3x7hezqwmamzctl4l23gyvn9m3t0azqd49r29";
        let to = Encryption::to(vec![crate::Recipient::parse(recipient).unwrap()]).unwrap();
        for (encryption, stays) in [(to.of_rehearsal().0, false), (to, true)] {
            let out = dir.path().join("out.rehearsal.tar.zst.age");
            encryption.begin(std::fs::File::create(&out).unwrap()).unwrap().finish().unwrap();
            remove_rehearsed(&out, &own.keys()).await.unwrap();
            assert_eq!(out.exists(), stays);
        }
    }

    #[test]
    fn a_rehearsal_has_the_form_of_the_whole() {
        let place = |out: &str| rehearsal_place(Path::new(out)).unwrap().to_string_lossy().into_owned();
        assert_eq!(place("a/out"), "a/out.rehearsal");
        assert_eq!(place("a/out.tar.zst"), "a/out.rehearsal.tar.zst");
        assert_eq!(place("a/out.tar.zst.age"), "a/out.rehearsal.tar.zst.age");
        assert_eq!(place("s3://bucket/prefix/"), "s3://bucket/prefix.rehearsal");
        assert_eq!(place("s3://bucket"), "s3://bucket/.rehearsal");
        assert!(rehearsal_place(Path::new("..")).is_err());
    }
}
