//! Objects below `s3://bucket/prefix`, uploaded in parts, the manifests last.
//!
//! There is no rename: until its manifests are there, what stands below the prefix is no bundle, and `verify` says so. The journal is
//! the first object and the last to go. Each run replaces the version of it that it knows: of two exports to one prefix, the
//! later goes on and the earlier stops.

use std::io::{self, Write};
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use daybook_ledger::{Error as LedgerError, Root};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{
    Error as StoreError, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload,
    Result as StoreResult, UpdateVersion,
};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::journal::{self, JOURNAL};
use super::{BAGIT, BundleWriter, Finished, Line, Sink};
use crate::describe::BAGIT_TEXT;
use crate::digest::Written;
use crate::{Error, Progress};

/// A part of an upload; two are on their way at once.
const PART_BYTES: usize = 8 << 20;
const PARTS_AT_ONCE: usize = 2;

/// Writes objects below a prefix.
#[derive(Debug)]
pub(crate) struct Objects {
    root: Root,
    place: PathBuf,
    runtime: Handle,
    journal: Mutex<Journal>,
}

#[derive(Debug)]
struct Journal {
    text: String,
    version: UpdateVersion,
}

impl Objects {
    /// Starts the journal, or takes over what an interrupted run left there.
    pub(super) async fn claim(
        root: Root,
        identity: &str,
        progress: &mut dyn Progress,
    ) -> Result<(Self, Finished), Error> {
        let place = PathBuf::from(root.url.as_str());
        let found = list(&root).await?;
        let leftover = read_journal(&root).await?;
        if leftover.is_none() && !found.is_empty() {
            return Err(Error::OutTaken { path: place });
        }
        let is_leftover = leftover.is_some();
        let (lines, mode) = match leftover {
            None => (Vec::new(), PutMode::Create),
            Some((text, version)) => {
                let is_there = |line: &Line| {
                    let path = object(&root, &line.shard.file.path);
                    found.iter().any(|object| object.location == path && object.size == line.shard.file.bytes)
                };
                (journal::read(&text, identity, is_there), PutMode::Update(version))
            }
        };
        let mut text = format!("{identity}\n");
        for line in &lines {
            text.push_str(&line.text()?);
            text.push('\n');
        }
        let version = put_journal(&root, &text, mode).await?;
        let kept = lines.iter().map(|line| object(&root, &line.shard.file.path)).chain([object(&root, JOURNAL)]);
        let kept: Vec<Path> = kept.collect();
        for gone in found.iter().filter(|object| !kept.contains(&object.location)) {
            root.store.delete(&gone.location).await.map_err(failed(&root, "delete an object"))?;
        }
        let finished = journal::finished(&lines);
        if is_leftover {
            super::tell_leftover(&place, &finished, progress);
        }
        let mark = PutPayload::from_static(BAGIT_TEXT.as_bytes());
        root.store.put(&object(&root, BAGIT), mark).await.map_err(failed(&root, "write an object"))?;
        let journal = Mutex::new(Journal { text, version });
        Ok((Self { root, place, runtime: Handle::current(), journal }, finished))
    }

    /// What an interrupted run left may stand there already; anything else may not.
    pub(super) async fn refuse_if_taken(root: &Root) -> Result<(), Error> {
        match list(root).await?.is_empty() || read_journal(root).await?.is_some() {
            true => Ok(()),
            false => Err(Error::OutTaken { path: root.url.as_str().into() }),
        }
    }

    pub(super) async fn remove(root: &Root) -> Result<(), Error> {
        for object in list(root).await? {
            root.store.delete(&object.location).await.map_err(failed(root, "delete an object"))?;
        }
        Ok(())
    }

    async fn add_line(&self, line: &Line) -> Result<(), Error> {
        let mut journal = self.journal.lock().await;
        let text = format!("{}{}\n", journal.text, line.text()?);
        journal.version = put_journal(&self.root, &text, PutMode::Update(journal.version.clone())).await?;
        journal.text = text;
        Ok(())
    }
}

fn object(root: &Root, name: &str) -> Path {
    Path::from(format!("{}/{name}", root.prefix))
}

fn failed(root: &Root, action: &'static str) -> impl FnOnce(StoreError) -> Error {
    let place = root.url.to_string();
    move |source| Error::Ledger(LedgerError::store(place, action, source))
}

async fn list(root: &Root) -> Result<Vec<ObjectMeta>, Error> {
    root.store.list(Some(&root.prefix)).try_collect().await.map_err(failed(root, "list objects"))
}

async fn read_journal(root: &Root) -> Result<Option<(String, UpdateVersion)>, Error> {
    let read = failed(root, "read the journal");
    let found = match root.store.get(&object(root, JOURNAL)).await {
        Err(StoreError::NotFound { .. }) => return Ok(None),
        found => found.map_err(failed(root, "read the journal"))?,
    };
    let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
    let bytes = found.bytes().await.map_err(read)?;
    Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), version)))
}

/// Fails if the journal there is not the one `mode` knows.
async fn put_journal(root: &Root, text: &str, mode: PutMode) -> Result<UpdateVersion, Error> {
    let payload = PutPayload::from(text.as_bytes().to_vec());
    match root.store.put_opts(&object(root, JOURNAL), payload, mode.into()).await {
        Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {
            Err(Error::OutBusy { path: root.url.as_str().into() })
        }
        put => put.map(UpdateVersion::from).map_err(failed(root, "write the journal")),
    }
}

impl BundleWriter for Objects {
    fn place(&self) -> &FsPath {
        &self.place
    }

    fn create(&self, name: &str, _length: Option<u64>) -> Result<Box<dyn Sink>, Error> {
        let path = object(&self.root, name);
        let object = Object { store: Arc::clone(&self.root.store), path, ahead: Vec::new(), parts: None };
        Ok(Box::new(Upload { runtime: self.runtime.clone(), object }))
    }

    fn admit(&self, _file: &Written) -> Result<(), Error> {
        Ok(())
    }

    fn note(&self, line: Line) -> Result<(), Error> {
        self.runtime.block_on(self.add_line(&line))
    }

    fn publish(&self) -> Result<(), Error> {
        let journal = object(&self.root, JOURNAL);
        let gone = self.runtime.block_on(self.root.store.delete(&journal));
        gone.map_err(failed(&self.root, "delete the journal"))
    }
}

/// One object: in one request if it is short, else in parts, of which one that fails leaves none behind.
struct Upload {
    runtime: Handle,
    object: Object,
}

struct Object {
    store: Arc<dyn ObjectStore>,
    path: Path,
    ahead: Vec<u8>,
    parts: Option<Parts>,
}

struct Parts {
    upload: Box<dyn MultipartUpload>,
    sent: JoinSet<StoreResult<()>>,
}

impl Object {
    async fn send_part(&mut self) -> StoreResult<()> {
        let parts = match &mut self.parts {
            Some(parts) => parts,
            none => {
                let upload = self.store.put_multipart(&self.path).await?;
                none.insert(Parts { upload, sent: JoinSet::new() })
            }
        };
        parts.wait_until_at_most(PARTS_AT_ONCE - 1).await?;
        let part = std::mem::replace(&mut self.ahead, Vec::with_capacity(PART_BYTES));
        parts.sent.spawn(parts.upload.put_part(part.into()));
        Ok(())
    }

    async fn close(&mut self) -> StoreResult<()> {
        if self.parts.is_some() && !self.ahead.is_empty() {
            self.send_part().await?;
        }
        match &mut self.parts {
            None => self.store.put(&self.path, std::mem::take(&mut self.ahead).into()).await.map(drop),
            Some(parts) => {
                parts.wait_until_at_most(0).await?;
                parts.upload.complete().await?;
                self.parts = None;
                Ok(())
            }
        }
    }

    /// Parts that become no object are paid for all the same.
    async fn abort(&mut self) {
        if let Some(mut parts) = self.parts.take() {
            parts.sent.shutdown().await;
            // Best effort: a bucket that refuses parts may refuse this too.
            parts.upload.abort().await.ok();
        }
    }
}

impl Parts {
    /// Waits until no more than `most` are on their way.
    async fn wait_until_at_most(&mut self, most: usize) -> StoreResult<()> {
        while self.sent.len() > most {
            if let Some(sent) = self.sent.join_next().await {
                sent??;
            }
        }
        Ok(())
    }
}

impl Upload {
    /// What `result` is, with nothing left of the object if it is an error.
    fn or_abort(&mut self, result: StoreResult<()>) -> io::Result<()> {
        if result.is_err() {
            self.runtime.block_on(self.object.abort());
        }
        result.map_err(io::Error::from)
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.object.ahead.extend_from_slice(bytes);
        if self.object.ahead.len() >= PART_BYTES {
            let sent = self.runtime.block_on(self.object.send_part());
            self.or_abort(sent)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Upload {
    fn close(mut self: Box<Self>) -> io::Result<()> {
        let closed = self.runtime.block_on(self.object.close());
        self.or_abort(closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::DigestWriter;
    use crate::format::Shard;
    use crate::series::Series;
    use crate::{Format, Part, Silent};

    async fn names(root: &Root) -> Vec<String> {
        let mut names: Vec<_> = list(root).await.unwrap().iter().map(|found| found.location.to_string()).collect();
        names.sort();
        names
    }

    /// As a lane does, off the runtime.
    async fn write_file(objects: &Arc<Objects>, name: String, bytes: Vec<u8>) -> Written {
        let objects = Arc::clone(objects);
        let write = move || DigestWriter::write_whole(objects.as_ref(), &name, &bytes).unwrap();
        tokio::task::spawn_blocking(write).await.unwrap()
    }

    #[tokio::test]
    async fn an_interrupted_upload_goes_on_and_two_exports_to_one_prefix_exclude_each_other() {
        let root = Root::memory();
        let (first, _) = Objects::claim(root.clone(), "one", &mut Silent).await.unwrap();
        let first = Arc::new(first);
        let bytes = vec![7; 3 * PART_BYTES + 5];
        let file = write_file(&first, Series::Table(Part::Usage, Format::Csv).file_name(0), bytes.clone()).await;
        let line = Line::new(&Shard { file, rows: 3 });
        first.add_line(&line).await.unwrap();
        write_file(&first, "data/usage/usage-00001.csv".into(), b"not noted".to_vec()).await;

        let (second, finished) = Objects::claim(root.clone(), "one", &mut Silent).await.unwrap();
        assert_eq!(finished.shards[&Series::Table(Part::Usage, Format::Csv)].len(), 1);
        let kept = ["ledger/bagit.txt", "ledger/data/usage/usage-00000.csv", "ledger/finished.jsonl"];
        assert_eq!(names(&root).await, kept);
        let stored = root.store.get(&Path::from(kept[1])).await.unwrap().bytes().await.unwrap();
        assert!(stored == bytes);
        assert!(matches!(first.add_line(&line).await, Err(Error::OutBusy { .. })));

        tokio::task::spawn_blocking(move || second.publish()).await.unwrap().unwrap();
        assert_eq!(names(&root).await, kept[..2]);
        assert!(matches!(Objects::claim(root, "one", &mut Silent).await, Err(Error::OutTaken { .. })));
    }
}
