//! Where a ledger lives: a local folder, an S3-compatible bucket, or memory in tests.

use std::fmt;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    ClientOptions, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult,
    RetryConfig, UploadPart,
};
use url::Url;

use crate::{EntryId, Error};

/// A ledger's root: a store and the place in it.
#[derive(Clone, Debug)]
pub struct Root {
    /// The whole store (bucket, file system).
    pub store: Arc<dyn ObjectStore>,
    /// The ledger's folder in it.
    pub prefix: Path,
    /// The ledger's URL, with a slash at its end.
    pub url: Url,
}

impl Root {
    /// Opens the store behind `address`: `s3://bucket/prefix`, `file:///folder` or a plain path.
    ///
    /// S3 settings come from the `AWS_*` variables. Opening does no I/O on S3; a local folder is created if `create`.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::NotAFolder`], [`Error::UnsafeSetting`], [`Error::NotFound`] for a missing folder.
    pub fn open(address: &str, create: bool) -> Result<Self, Error> {
        match Url::parse(address) {
            Ok(url) if url.scheme() == "s3" || url.scheme() == "s3a" => Self::open_s3(address, &url),
            Ok(url) if url.scheme() == "file" => match url.to_file_path() {
                Ok(path) => Self::open_folder(&path, create),
                Err(()) => Err(address_error(address, "a file URL needs an absolute path")),
            },
            Ok(url) if address.contains("://") => {
                Err(address_error(address, &format!("`{}` is not supported", url.scheme())))
            }
            _ if address.is_empty() => Err(address_error(address, "it is empty")),
            _ => Self::open_folder(FsPath::new(address), create),
        }
    }

    /// A root in memory, gone with the process.
    pub fn memory() -> Self {
        let url = match Url::parse("memory:///ledger/") {
            Ok(url) => url,
            Err(_) => unreachable!("a constant URL parses"),
        };
        Self { store: Arc::new(object_store::memory::InMemory::new()), prefix: Path::from("ledger"), url }
    }

    fn open_folder(folder: &FsPath, create: bool) -> Result<Self, Error> {
        let path = || folder.display().to_string();
        if folder.is_file() {
            return Err(Error::NotAFolder { path: path() });
        }
        if create {
            make_folders(folder, &sync).map_err(|source| Error::StoreRefused {
                place: path(),
                action: "make the folder",
                source: source.into(),
            })?;
        } else if !folder.is_dir() {
            return Err(Error::NotFound { url: path() });
        }
        let absolute = folder.canonicalize().map_err(|source| Error::StoreRefused {
            place: path(),
            action: "open the folder",
            source: source.into(),
        })?;
        let url =
            Url::from_directory_path(&absolute).map_err(|()| address_error(&path(), "it is not an absolute path"))?;
        let prefix = Path::from_absolute_path(&absolute).map_err(|error| address_error(&path(), &error.to_string()))?;
        Ok(Self { store: Arc::new(DurableFolder::new()), prefix, url })
    }

    fn open_s3(address: &str, url: &Url) -> Result<Self, Error> {
        if std::env::var_os("AWS_S3_ALLOW_UNSAFE_RENAME").is_some() {
            return Err(Error::UnsafeSetting { name: "AWS_S3_ALLOW_UNSAFE_RENAME" });
        }
        let Some(bucket) = url.host_str() else { return Err(address_error(address, "it names no bucket")) };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_retry(RetryConfig {
                max_retries: 4,
                retry_timeout: Duration::from_secs(30),
                ..RetryConfig::default()
            })
            .with_client_options(
                ClientOptions::new()
                    .with_timeout(Duration::from_secs(120))
                    .with_connect_timeout(Duration::from_secs(5)),
            );
        if builder.get_config_value(&AmazonS3ConfigKey::Region).is_none() {
            builder = builder.with_region("us-east-1");
        }
        if let Some(endpoint) = builder.get_config_value(&AmazonS3ConfigKey::Endpoint) {
            check_endpoint(address, &endpoint)?;
            if endpoint.starts_with("http://") {
                builder = builder.with_allow_http(true);
            }
        }
        let store = builder.build().map_err(|error| address_error(address, &error.to_string()))?;
        let prefix = Path::from_url_path(url.path()).map_err(|error| address_error(address, &error.to_string()))?;
        let clean = format!("s3://{bucket}/{prefix}{}", if prefix.as_ref().is_empty() { "" } else { "/" });
        let url = Url::parse(&clean).map_err(|error| address_error(address, &error.to_string()))?;
        Ok(Self { store: Arc::new(store), prefix, url })
    }

    /// Makes sure, once for each place a ledger is opened at to write, that put-if-absent is atomic there.
    ///
    /// The outcome is remembered in an object beside the tables: a ledger that was copied to another store is raced there.
    ///
    /// # Errors
    /// [`Error::NotAtomic`] if two writers won, and the store's errors.
    pub(crate) async fn ensure_atomic(&self) -> Result<(), Error> {
        const RACES: usize = 3;
        const RACERS: usize = 8;
        let place = self.url.to_string();
        let endpoint = if self.url.scheme() == "s3" {
            std::env::var("AWS_ENDPOINT_URL").unwrap_or_default()
        } else {
            String::new()
        };
        let id = EntryId::derive(&endpoint, place.as_bytes());
        let record = self.prefix.clone().join("_checks").join(format!("put-if-absent-{id}.json"));
        match self.store.head(&record).await {
            Ok(_) => return Ok(()),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(source) => return Err(Error::store(place, "look for the outcome of a race", source)),
        }
        for _ in 0..RACES {
            self.check_put_if_absent("_race", RACERS).await?;
        }
        let outcome = serde_json::json!({ "place": place, "races": RACES, "racers": RACERS, "winners_of_each": 1 });
        let payload = PutPayload::from(format!("{outcome}\n").into_bytes());
        let remembered = self.store.put(&record, payload).await;
        remembered.map_err(|source| Error::store(place, "remember the outcome of a race", source)).map(drop)
    }

    /// Removes what writers that died left half written in `folder` of a local ledger, which listings do not show; answers
    /// with how many files that were. One that was written to in the last `age` may belong to a writer that lives.
    pub(crate) fn remove_leftovers(&self, folder: &str, age: Duration) -> Result<u64, Error> {
        // A path is not enough: `memory:///` has one too.
        let is_local = self.url.scheme() == "file";
        let Some(root) = self.url.to_file_path().ok().filter(|_| is_local) else { return Ok(0) };
        remove_staged(&root.join(folder), age).map_err(|source| Error::StoreRefused {
            place: self.url.to_string(),
            action: "remove a half written file",
            source: source.into(),
        })
    }

    /// Races `racers` conditional puts of one new object, whose name begins with `name`, and removes it if it may: exactly one
    /// may win.
    ///
    /// # Errors
    /// [`Error::NotAtomic`] if more than one won, or nobody in several races, and the store's errors.
    pub async fn check_put_if_absent(&self, name: &str, racers: usize) -> Result<(), Error> {
        // A client that repeats a put whose reply was lost is told that the object is there: nobody seems to have won.
        const RACES_MAX: usize = 3;
        let mut winners = 0;
        for _ in 0..RACES_MAX {
            winners = self.race(name, racers).await?;
            if winners > 0 {
                break;
            }
        }
        match winners {
            1 => Ok(()),
            _ => Err(Error::NotAtomic { place: self.url.to_string(), winners, racers }),
        }
    }

    async fn race(&self, name: &str, racers: usize) -> Result<usize, Error> {
        // Processes in containers share an id, and races must not meet.
        let path = self.prefix.clone().join(format!("{name}-{:032x}", rand::random::<u128>()));
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let attempts = (0..racers).map(|racer| {
            let payload = PutPayload::from(racer.to_string().into_bytes());
            self.store.put_opts(&path, payload, options.clone())
        });
        let outcomes = futures::future::join_all(attempts).await;
        let deleted = self.store.delete(&path).await;
        let mut winners = 0;
        for outcome in outcomes {
            match outcome {
                Ok(_) => winners += 1,
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {}
                Err(source) => {
                    return Err(Error::store(self.url.to_string(), "create an object only if it is absent", source));
                }
            }
        }
        match deleted {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            // Who only adds to a ledger need not be allowed to delete.
            Err(error) => {
                tracing::warn!(%path, %error, "an object of a race stays: it holds nothing, delete it by hand")
            }
        }
        Ok(winners)
    }
}

/// The client takes any text and panics at the first request.
fn check_endpoint(address: &str, endpoint: &str) -> Result<(), Error> {
    match Url::parse(endpoint) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => Ok(()),
        _ => {
            let reason =
                format!("AWS_ENDPOINT_URL is `{endpoint}`, not the URL of a server, such as `https://host:port`");
            Err(address_error(address, &reason))
        }
    }
}

fn address_error(url: &str, reason: &str) -> Error {
    Error::Address { url: url.into(), reason: reason.into() }
}

/// The local file system with what a commit needs: a written object is on the disk before it is reported, and an object
/// that exists under its name is whole.
///
/// `object_store` 0.13 links a file into place without syncing it; after a power loss a commit could be an empty file.
#[derive(Debug)]
struct DurableFolder {
    inner: LocalFileSystem,
}

impl DurableFolder {
    fn new() -> Self {
        Self { inner: LocalFileSystem::new() }
    }
}

impl fmt::Display for DurableFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurableFolder")
    }
}

/// Tells two writers of one process apart; the process id tells processes apart.
static STAGED: AtomicU64 = AtomicU64::new(0);

/// Makes `folder` and those above it; each that was missing is on the disk, in the folder it is in.
fn make_folders(folder: &FsPath, sync: &dyn Fn(&FsPath) -> std::io::Result<()>) -> std::io::Result<()> {
    // A path of one name lies in the current folder.
    let parent = folder.parent().map(|parent| if parent.as_os_str().is_empty() { FsPath::new(".") } else { parent });
    let Some(parent) = parent.filter(|_| !folder.is_dir()) else { return Ok(()) };
    make_folders(parent, sync)?;
    match std::fs::create_dir(folder) {
        // Whoever was first may not have synced it yet.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && folder.is_dir() => sync(parent),
        made => made.and_then(|()| sync(parent)),
    }
}

/// A file or a folder, whose entries it is then sure to have.
fn sync(path: &FsPath) -> std::io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}

/// Writes `payload` beside `target`, syncs it, moves it into place, syncs the folder.
///
/// A crash leaves either nothing under the name, or the whole object; a leftover ends in `#<number>`, which listings of
/// `object_store` skip.
fn write_durably(target: &FsPath, payload: &PutPayload, create: bool) -> std::io::Result<()> {
    use std::io::Write as _;
    let folder = target.parent().unwrap_or(FsPath::new("/"));
    make_folders(folder, &sync)?;
    let mut staged = target.as_os_str().to_owned();
    staged.push(format!("#{}{:06}", std::process::id(), STAGED.fetch_add(1, Ordering::Relaxed)));
    let staged = PathBuf::from(staged);
    let result = (|| {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&staged)?;
        for part in payload {
            file.write_all(part)?;
        }
        file.sync_all()?;
        if create { std::fs::hard_link(&staged, target) } else { std::fs::rename(&staged, target) }
    })();
    if create || result.is_err() {
        // Best effort: a leftover is skipped by listings.
        std::fs::remove_file(&staged).ok();
    }
    result?;
    sync(folder)
}

/// Removes files as [`write_durably`] stages them.
fn remove_staged(folder: &FsPath, age: Duration) -> std::io::Result<u64> {
    let mut removed = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.rsplit_once('#')).map(|(_, number)| number);
        if entry.file_type()?.is_dir() {
            removed += remove_staged(&entry.path(), age)?;
        } else if number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())) {
            match remove_if_old(&entry, age) {
                // Its writer has put it in place, or somebody else removed it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                done => removed += u64::from(done?),
            }
        }
    }
    Ok(removed)
}

fn remove_if_old(file: &std::fs::DirEntry, age: Duration) -> std::io::Result<bool> {
    let is_old = file.metadata()?.modified()?.elapsed().is_ok_and(|since| since >= age);
    if is_old {
        std::fs::remove_file(file.path())?;
    }
    Ok(is_old)
}

#[async_trait]
impl ObjectStore for DurableFolder {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> StoreResult<PutResult> {
        let create = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => return self.inner.put_opts(path, payload, options).await,
        };
        let target = self.inner.path_to_filesystem(path)?;
        let written = tokio::task::spawn_blocking(move || write_durably(&target, &payload, create)).await;
        match written.map_err(std::io::Error::other).and_then(|written| written) {
            Ok(()) => Ok(PutResult { e_tag: None, version: None }),
            Err(source) if source.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(object_store::Error::AlreadyExists { path: path.to_string(), source: source.into() })
            }
            Err(source) if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Err(object_store::Error::PermissionDenied { path: path.to_string(), source: source.into() })
            }
            Err(source) => Err(object_store::Error::Generic { store: "folder", source: source.into() }),
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        let target = self.inner.path_to_filesystem(path)?;
        let folder = target.parent().map(FsPath::to_owned).unwrap_or_default();
        in_background(move || make_folders(&folder, &sync)).await?;
        let inner = self.inner.put_multipart_opts(path, options).await?;
        Ok(Box::new(DurableUpload { inner, target }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, StoreResult<Path>>) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

async fn in_background(work: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> StoreResult<()> {
    let done = tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other).and_then(|done| done);
    done.map_err(|source| object_store::Error::Generic { store: "folder", source: source.into() })
}

/// A large object in parts; on the disk before its completion is reported.
#[derive(Debug)]
struct DurableUpload {
    inner: Box<dyn MultipartUpload>,
    target: PathBuf,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        self.inner.put_part(part)
    }

    async fn complete(&mut self) -> StoreResult<PutResult> {
        let done = self.inner.complete().await?;
        let target = self.target.clone();
        in_background(move || {
            sync(&target)?;
            sync(target.parent().unwrap_or(FsPath::new("/")))
        })
        .await?;
        Ok(done)
    }

    async fn abort(&mut self) -> StoreResult<()> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::testing::{Call, Fault, FaultyStore};

    #[tokio::test]
    async fn a_folder_lets_one_of_many_create_an_object() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path().to_str().unwrap(), true).unwrap();
        root.check_put_if_absent("race", 16).await.unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the race leaves nothing behind");
    }

    #[tokio::test]
    async fn races_never_meet_and_one_nobody_won_proves_nothing() {
        let store = FaultyStore::memory();
        for racer in 0..8 {
            store.fail_at(racer, Fault::FindItself);
        }
        store.fail_always(Call::Put, "race", Fault::Delay(Duration::ZERO));
        store.root().check_put_if_absent("race", 8).await.unwrap();
        let struck = store.struck();
        let raced: HashSet<_> = struck.iter().filter_map(|call| call.split(' ').nth(2)).collect();
        assert_eq!((struck.len(), raced.len()), (16, 2), "{struck:?}");

        store.heal();
        store.fail_always(Call::Put, "race", Fault::FindItself);
        let refused = store.root().check_put_if_absent("race", 8).await;
        assert!(matches!(refused, Err(Error::NotAtomic { winners: 0, .. })), "{refused:?}");
    }

    #[test]
    fn each_new_folder_is_synced_into_the_one_it_is_in() {
        let dir = tempfile::tempdir().unwrap();
        let synced = std::cell::RefCell::new(Vec::new());
        let note = |folder: &FsPath| {
            synced.borrow_mut().push(folder.to_owned());
            Ok(())
        };
        let day = dir.path().join("usage/event_date=2026-11-20");
        make_folders(&day, &note).unwrap();
        assert_eq!(*synced.borrow(), [dir.path().to_owned(), dir.path().join("usage")]);
        make_folders(&day, &note).unwrap();
        assert_eq!(synced.borrow().len(), 2, "a folder that is there costs nothing");
    }

    #[tokio::test]
    async fn an_overwritten_object_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path().to_str().unwrap(), true).unwrap();
        let path = root.prefix.clone().join("a").join("b");
        root.store.put(&path, "one".into()).await.unwrap();
        root.store.put(&path, "two!".into()).await.unwrap();
        assert_eq!(root.store.get(&path).await.unwrap().bytes().await.unwrap().as_ref(), b"two!");
    }

    #[test]
    fn what_a_dead_writer_left_half_written_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path().to_str().unwrap(), true).unwrap();
        let day = dir.path().join("content/event_date=2026-11-20");
        std::fs::create_dir_all(&day).unwrap();
        for name in ["b-0000.parquet#4711000001", "b-0000.parquet", "a#b"] {
            std::fs::write(day.join(name), "x").unwrap();
        }
        assert_eq!(root.remove_leftovers("content", Duration::from_secs(3600)).unwrap(), 0, "it may be in the making");
        assert_eq!(root.remove_leftovers("content", Duration::ZERO).unwrap(), 1);
        assert_eq!(std::fs::read_dir(&day).unwrap().count(), 2);
    }

    #[test]
    fn an_endpoint_is_the_url_of_a_server() {
        for endpoint in ["http://127.0.0.1:9000", "https://s3.example.com/"] {
            check_endpoint("s3://b", endpoint).unwrap();
        }
        for endpoint in ["", "localhost:9000", "s3.example.com", "ftp://s3.example.com", "/s3"] {
            let error = check_endpoint("s3://b", endpoint).unwrap_err();
            assert!(error.to_string().contains(&format!("AWS_ENDPOINT_URL is `{endpoint}`,")), "{error}");
        }
    }

    #[test]
    fn a_file_or_a_foreign_scheme_is_no_ledger() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let code = |address: &str| crate::Report::code(&Root::open(address, true).unwrap_err());
        assert_eq!(code(file.path().to_str().unwrap()), "LEDGER-002");
        assert_eq!(code("gs://bucket/x"), "LEDGER-001");
        assert_eq!(code(""), "LEDGER-001");
        assert_eq!(crate::Report::code(&Root::open("/no/such/folder", false).unwrap_err()), "LEDGER-003");
    }
}
