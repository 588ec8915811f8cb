//! A bundle in a bucket: ranges of its objects, as they are asked for.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use daybook_ledger::{Error as LedgerError, Root};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt as _};
use tokio::runtime::Handle;

use super::{BAGIT, BundleReader, Found, Random};
use crate::Error;
use crate::manifest::Algorithm;

/// Asked for at a time when an object is read from its start.
const RANGE_BYTES: u64 = 8 << 20;

pub(super) async fn is_bundle(root: &Root) -> Result<bool, Error> {
    for name in [BAGIT, Algorithm::Sha256.payload_manifest()] {
        match root.store.head(&path(root, name)).await {
            Ok(_) => return Ok(true),
            Err(StoreError::NotFound { .. }) => {}
            Err(source) => return Err(failed(root, "look for a bundle", source)),
        }
    }
    Ok(false)
}

pub(super) async fn open(root: Root) -> Result<(Found, Box<dyn BundleReader>), Error> {
    let listed: Vec<ObjectMeta> = root
        .store
        .list(Some(&root.prefix))
        .try_collect()
        .await
        .map_err(|source| failed(&root, "list objects", source))?;
    if listed.is_empty() {
        let (path, reason) = (root.url.as_str().into(), "nothing is there".into());
        return Err(Error::NotABundle { path, reason });
    }
    let mut found = Found::default();
    for object in listed {
        let parts = object.location.prefix_match(&root.prefix);
        let name: Vec<_> = parts.into_iter().flatten().map(|part| part.as_ref().to_owned()).collect();
        found.add(&name.join("/"), object.size);
    }
    Ok((found, Box::new(Objects { root, runtime: Handle::current() })))
}

fn path(root: &Root, name: &str) -> Path {
    Path::from(format!("{}/{name}", root.prefix))
}

fn failed(root: &Root, action: &'static str, source: StoreError) -> Error {
    Error::Ledger(LedgerError::store(root.url.to_string(), action, source))
}

#[derive(Debug)]
struct Objects {
    root: Root,
    runtime: Handle,
}

impl Objects {
    fn object(&self, name: &str) -> io::Result<Object> {
        let (store, path, runtime) = (Arc::clone(&self.root.store), path(&self.root, name), self.runtime.clone());
        let bytes = runtime.block_on(store.head(&path)).map_err(io::Error::from)?.size;
        Ok(Object { store, path, runtime, bytes })
    }
}

impl BundleReader for Objects {
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.object(name)?.read_from(0)))
    }

    fn open_random(&self, name: &str) -> io::Result<Random> {
        Ok(Random::Object(self.object(name)?))
    }
}

/// One object.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    store: Arc<dyn ObjectStore>,
    path: Path,
    runtime: Handle,
    bytes: u64,
}

impl Object {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `length` bytes from `start`, or fewer at its end.
    pub(super) fn get(&self, start: u64, length: u64) -> io::Result<Bytes> {
        let range = start..start.saturating_add(length).min(self.bytes);
        match range.is_empty() {
            true => Ok(Bytes::new()),
            false => self.runtime.block_on(self.store.get_range(&self.path, range)).map_err(io::Error::from),
        }
    }

    pub(super) fn read_from(&self, at: u64) -> impl Read + Send + use<> {
        Reading { object: self.clone(), at, ahead: Bytes::new() }
    }
}

struct Reading {
    object: Object,
    at: u64,
    ahead: Bytes,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            self.ahead = self.object.get(self.at, RANGE_BYTES)?;
            self.at += self.ahead.len() as u64;
        }
        let length = self.ahead.len().min(buffer.len());
        let (now, _later) = buffer.split_at_mut(length);
        self.ahead.copy_to_slice(now);
        Ok(length)
    }
}
