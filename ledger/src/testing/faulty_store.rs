//! A store that fails as told: at the n-th call, at calls of a kind, or by a seed.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Barrier;

use super::turns::Turns;
use crate::Root;

/// Another store, in front of which calls fail as told. Clones share the store, the script and the count of calls.
#[derive(Clone, Debug)]
pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    script: Arc<Mutex<Script>>,
    turns: Turns,
}

/// What goes wrong with a call.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing happens; the caller gets an error.
    Refuse,
    /// It happens; the caller gets an error.
    LoseReply,
    /// It happens; a put is told that the object was there before, as if a retry within the store had met its first attempt.
    FindItself,
    /// The caller of a put gets an error, and the put happens that many calls later.
    ArriveLate(u64),
    /// Half of it happens: an unconditional put leaves half an object, a read breaks off; the caller gets an error.
    Tear,
    /// It happens after a while.
    Delay(Duration),
    /// The process dies before the call: this call and all that follow fail, until [`FaultyStore::heal`].
    Die,
    /// The process dies after the call: it happens, this call and all that follow fail, until [`FaultyStore::heal`].
    DieAfter,
    /// A conditional put looks, waits until that many have looked, and writes: a store that is not atomic.
    CheckThenWrite(Arc<Barrier>),
}

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Reading an object, or its metadata.
    Get,
    /// Writing one.
    Put,
    /// Deleting one.
    Delete,
    /// Listing.
    List,
    /// Copying one.
    Copy,
}

#[derive(Debug, Default)]
struct Script {
    calls: u64,
    changes: u64,
    dead: bool,
    at: Vec<(u64, Fault)>,
    at_change: Vec<(u64, Fault)>,
    rules: Vec<Rule>,
    seeded: Option<Seeded>,
    late: Vec<Late>,
    struck: Vec<String>,
}

#[derive(Debug)]
struct Rule {
    call: Call,
    path_part: &'static str,
    fault: Fault,
    once: bool,
}

#[derive(Debug)]
struct Seeded {
    state: u64,
    per_mille: u64,
}

/// A put on its way.
#[derive(Debug)]
struct Late {
    due: u64,
    path: Path,
    payload: PutPayload,
    options: PutOptions,
}

impl FaultyStore {
    /// In front of `inner`; without faults so far.
    pub fn over(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, script: Arc::default(), turns: Turns::default() }
    }

    /// In front of an empty store in memory.
    pub fn memory() -> Self {
        Self::over(Arc::new(InMemory::new()))
    }

    /// A root in this store.
    pub fn root(&self) -> Root {
        Root { store: Arc::new(self.clone()), ..Root::memory() }
    }

    /// The store behind it, which never fails.
    pub fn inner(&self) -> &Arc<dyn ObjectStore> {
        &self.inner
    }

    /// Strikes the `n`-th call from now, counted from 0.
    pub fn fail_at(&self, n: u64, fault: Fault) {
        let mut script = self.script();
        let at = script.calls + n;
        script.at.push((at, fault));
    }

    /// Strikes the `n`-th call from now that changes something, counted from 0: between two of them a process may die
    /// anywhere and leaves the same.
    pub fn fail_at_change(&self, n: u64, fault: Fault) {
        let mut script = self.script();
        let at = script.changes + n;
        script.at_change.push((at, fault));
    }

    /// Strikes the next call of a kind whose path contains `path_part`.
    pub fn fail_once(&self, call: Call, path_part: &'static str, fault: Fault) {
        self.script().rules.push(Rule { call, path_part, fault, once: true });
    }

    /// Strikes every call of a kind whose path contains `path_part`.
    pub fn fail_always(&self, call: Call, path_part: &'static str, fault: Fault) {
        self.script().rules.push(Rule { call, path_part, fault, once: false });
    }

    /// Strikes so many of a thousand calls, which and how the seed decides. Deaths are not among the faults.
    pub fn fail_by_seed(&self, seed: u64, per_mille: u64) {
        self.script().seeded = Some(Seeded { state: seed, per_mille });
    }

    /// No fault from now on; puts that are on their way still arrive.
    pub fn heal(&self) {
        let mut script = self.script();
        script.dead = false;
        script.at.clear();
        script.at_change.clear();
        script.rules.clear();
        script.seeded = None;
    }

    /// Lets `operation` make `calls` calls, in which a delay takes no time; its output, or `None` if it waits for its next
    /// turn. What it does on other threads it does to the end.
    pub async fn advance<F: Future + Unpin>(&self, operation: &mut F, calls: u64) -> Option<F::Output> {
        self.turns.advance(operation, calls).await
    }

    /// Returns when the process has died by [`Fault::Die`] or [`Fault::DieAfter`].
    pub async fn death(&self) {
        while !self.script().dead {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.script().calls
    }

    /// The calls that were struck, in order: number, kind, path, fault.
    pub fn struck(&self) -> Vec<String> {
        self.script().struck.clone()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Counts a call, lets puts arrive that are due, and answers with the fault that meets the call.
    async fn strike(&self, call: Call, path: &Path) -> Option<Fault> {
        let in_turn = self.turns.take().await;
        let (fault, due) = self.script().strike(call, path);
        for put in due {
            // A late put may find its place taken, as any other.
            self.inner.put_opts(&put.path, put.payload, put.options).await.ok();
        }
        if let Some(Fault::Delay(pause)) = fault {
            if !in_turn {
                tokio::time::sleep(pause).await;
            }
            return None;
        }
        fault
    }
}

impl Script {
    fn strike(&mut self, call: Call, path: &Path) -> (Option<Fault>, Vec<Late>) {
        let number = self.calls;
        self.calls += 1;
        let (due, late) = std::mem::take(&mut self.late).into_iter().partition(|put| put.due <= number);
        self.late = late;
        if self.dead {
            return (Some(Fault::Refuse), due);
        }
        let change = self.changes;
        self.changes += u64::from(matches!(call, Call::Put | Call::Delete | Call::Copy));
        let fault = self.pick((number, change), call, path);
        self.dead = matches!(fault, Some(Fault::Die | Fault::DieAfter));
        if let Some(fault) = &fault {
            self.struck.push(format!("{number} {call:?} {path}: {fault:?}"));
        }
        (fault, due)
    }

    fn pick(&mut self, (number, change): (u64, u64), call: Call, path: &Path) -> Option<Fault> {
        if let Some(found) = self.at.iter().position(|(at, _)| *at == number) {
            return Some(self.at.swap_remove(found).1);
        }
        let changes = matches!(call, Call::Put | Call::Delete | Call::Copy);
        if let Some(found) = self.at_change.iter().position(|(at, _)| changes && *at == change) {
            return Some(self.at_change.swap_remove(found).1);
        }
        let meets = |rule: &Rule| rule.call == call && path.as_ref().contains(rule.path_part);
        if let Some(found) = self.rules.iter().position(meets) {
            return Some(match self.rules[found].once {
                true => self.rules.swap_remove(found).fault,
                false => self.rules[found].fault.clone(),
            });
        }
        self.seeded.as_mut().and_then(Seeded::pick)
    }
}

impl Seeded {
    fn pick(&mut self) -> Option<Fault> {
        (self.next() % 1_000 < self.per_mille).then(|| match self.next() % 6 {
            0 => Fault::Refuse,
            1 => Fault::LoseReply,
            2 => Fault::FindItself,
            3 => Fault::ArriveLate(self.next() % 8),
            4 => Fault::Tear,
            _ => Fault::Delay(Duration::from_millis(self.next() % 5)),
        })
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn failed(reason: &str) -> Error {
    Error::Generic { store: "faulty", source: reason.into() }
}

fn exists(path: &Path) -> Error {
    Error::AlreadyExists { path: path.to_string(), source: "it is there already".into() }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        match self.strike(Call::Put, path).await {
            None | Some(Fault::Delay(_)) => {}
            Some(Fault::Refuse | Fault::Die) => return Err(failed("refused")),
            Some(Fault::LoseReply | Fault::DieAfter) => {
                self.inner.put_opts(path, payload, options).await?;
                return Err(failed("the reply was lost"));
            }
            Some(Fault::FindItself) => {
                self.inner.put_opts(path, payload, options).await?;
                return Err(exists(path));
            }
            Some(Fault::ArriveLate(calls)) => {
                let mut script = self.script();
                let due = script.calls + calls;
                script.late.push(Late { due, path: path.clone(), payload, options });
                return Err(failed("no reply"));
            }
            Some(Fault::Tear) => {
                // That a conditional put makes a whole object or none is what a commit stands on.
                if matches!(options.mode, PutMode::Overwrite) {
                    let bytes: Bytes = payload.into();
                    self.inner.put_opts(path, bytes.slice(..bytes.len() / 2).into(), options).await?;
                }
                return Err(failed("the connection broke"));
            }
            Some(Fault::CheckThenWrite(barrier)) => {
                if matches!(options.mode, PutMode::Create) {
                    let absent = self.inner.head(path).await.is_err();
                    // If fewer come than expected, the test fails instead of hanging.
                    tokio::time::timeout(Duration::from_secs(5), barrier.wait()).await.ok();
                    if !absent {
                        return Err(exists(path));
                    }
                    options.mode = PutMode::Overwrite;
                }
            }
        }
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        match self.strike(Call::Put, path).await {
            None => self.inner.put_multipart_opts(path, options).await,
            Some(_) => Err(failed("refused")),
        }
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let is_head = options.head;
        match self.strike(Call::Get, path).await {
            None => self.inner.get_opts(path, options).await,
            Some(Fault::Tear) if !is_head => {
                let GetResult { meta, range, attributes, payload } = self.inner.get_opts(path, options).await?;
                let whole =
                    GetResult { meta: meta.clone(), range: range.clone(), attributes: attributes.clone(), payload };
                let bytes = whole.bytes().await?;
                let parts = [Ok(bytes.slice(..bytes.len() / 2)), Err(failed("the connection broke"))];
                let payload = GetResultPayload::Stream(futures::stream::iter(parts).boxed());
                Ok(GetResult { meta, range, attributes, payload })
            }
            Some(_) => Err(failed("no reply")),
        }
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |path: Path| {
            let store = store.clone();
            async move {
                match store.strike(Call::Delete, &path).await {
                    None => store.inner.delete(&path).await.map(|()| path),
                    Some(Fault::LoseReply | Fault::DieAfter | Fault::FindItself) => {
                        store.inner.delete(&path).await?;
                        Err(failed("the reply was lost"))
                    }
                    Some(_) => Err(failed("refused")),
                }
            }
        };
        paths.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned());
        let listing = async move {
            let path = prefix.clone().unwrap_or_default();
            match store.strike(Call::List, &path).await {
                None => Ok(store.inner.list(prefix.as_ref())),
                Some(_) => Err(failed("no reply")),
            }
        };
        futures::stream::once(listing).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        match self.strike(Call::List, &prefix.cloned().unwrap_or_default()).await {
            None => self.inner.list_with_delimiter(prefix).await,
            Some(_) => Err(failed("no reply")),
        }
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        match self.strike(Call::Copy, to).await {
            None => self.inner.copy_opts(from, to, options).await,
            Some(_) => Err(failed("refused")),
        }
    }
}
