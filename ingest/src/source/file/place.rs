//! From addresses to the files and objects they name.

use std::collections::BTreeSet;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use daybook_ledger::{Instant, Root, seal};
use futures::TryStreamExt as _;
use glob::{MatchOptions, Pattern};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _};
use url::Url;

use super::fault::Fault;
use super::input::{Input, Object, Origin, of_the_store};

/// What addresses name.
#[derive(Debug, Default)]
pub struct Found {
    /// Files and objects, in the order of the addresses, by name within one.
    pub inputs: Vec<Input>,
    /// Addresses, or folders below them, that cannot be looked into.
    pub faults: Vec<Fault>,
}

const OF_A_LEDGER: &str = "it is of a ledger, and what a ledger wrote is left out";
const GLOB: &[char] = &['*', '?', '['];
/// `*` stays within a folder, `**` crosses them.
const MATCH: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Finds every file that `addresses` name: files, folders, patterns, `s3://bucket/prefix`.
///
/// Below a folder or prefix, names that start with `.` or `_` are left out, and so is what a ledger wrote.
pub async fn find(addresses: &[String]) -> Found {
    let mut found = Found::default();
    for address in addresses {
        match Url::parse(address) {
            Ok(url) if matches!(url.scheme(), "s3" | "s3a") => found.add_objects(address).await,
            Ok(url) if url.scheme() == "file" => match url.to_file_path() {
                Ok(path) => found.add_path(address, &path),
                Err(()) => found.nothing(address, "a file URL needs an absolute path"),
            },
            Ok(url) if address.contains("://") => {
                found.nothing(address, &format!("`{}` is not supported", url.scheme()));
            }
            _ => found.add_path(address, FsPath::new(address)),
        }
    }
    let mut seen = BTreeSet::new();
    found.inputs.retain(|input| seen.insert(input.name.clone()));
    found
}

impl Found {
    fn nothing(&mut self, address: &str, reason: &str) {
        self.faults.push(Fault::NothingThere { address: address.to_owned(), reason: reason.to_owned() });
    }

    fn add_path(&mut self, address: &str, path: &FsPath) {
        match std::fs::metadata(path) {
            Ok(about) if about.is_dir() => {
                let before = self.inputs.len();
                self.add_folder(path);
                if self.inputs.len() == before && self.faults.is_empty() {
                    let is_ledger = is_of_a_ledger(path) || has_usage(path);
                    self.nothing(address, if is_ledger { OF_A_LEDGER } else { "the folder holds no file" });
                }
            }
            Ok(_) => self.add_file(path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.add_matches(address),
            Err(source) => self.faults.push(Fault::Unreadable { file: address.to_owned(), source }),
        }
    }

    fn add_matches(&mut self, address: &str) {
        if !address.contains(GLOB) {
            return self.nothing(address, "there is no such file or folder");
        }
        let paths = match glob::glob_with(address, MATCH) {
            Ok(paths) => paths,
            Err(error) => return self.nothing(address, error.msg),
        };
        let before = self.inputs.len();
        // The paths come without it.
        let pattern = address.strip_prefix("./").unwrap_or(address);
        for path in paths {
            match path {
                Ok(path) if is_left_out(&path.to_string_lossy(), pattern) => {}
                Ok(path) if path.ancestors().skip(1).any(is_of_a_ledger) => {}
                Ok(path) if path.is_dir() => self.add_folder(&path),
                Ok(path) => self.add_file(&path),
                Err(error) => {
                    let file = error.path().display().to_string();
                    self.faults.push(Fault::Unreadable { file, source: error.into() });
                }
            }
        }
        if self.inputs.len() == before {
            self.nothing(address, "no file matches");
        }
    }

    fn add_folder(&mut self, folder: &FsPath) {
        if is_of_a_ledger(folder) {
            return;
        }
        let unreadable = |path: &FsPath, source| Fault::Unreadable { file: path.display().to_string(), source };
        let names = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = match names {
            Ok(entries) => entries,
            Err(source) => return self.faults.push(unreadable(folder, source)),
        };
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            if is_hidden(&entry.file_name().to_string_lossy()) {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.add_folder(&entry.path()),
                // A link to a folder could lead in a circle.
                Ok(kind) if kind.is_symlink() && entry.path().is_dir() => {}
                Ok(_) => self.add_file(&entry.path()),
                Err(source) => self.faults.push(unreadable(&entry.path(), source)),
            }
        }
    }

    fn add_file(&mut self, path: &FsPath) {
        let name = path.display().to_string();
        match std::fs::metadata(path) {
            Ok(about) => {
                let modified = about.modified().ok().and_then(|time| {
                    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
                    Some(Instant::from_micros(i64::try_from(since.as_micros()).ok()?))
                });
                let origin = Origin::File(PathBuf::from(path));
                self.inputs.push(Input { name, size: about.len(), modified, origin });
            }
            Err(source) => self.faults.push(Fault::Unreadable { file: name, source }),
        }
    }

    async fn add_objects(&mut self, address: &str) {
        let (_, place) = address.split_once("://").unwrap_or_default();
        let (bucket, key) = place.split_once('/').unwrap_or((place, ""));
        let root = match Root::open(&format!("s3://{bucket}"), false) {
            Ok(root) => root,
            Err(error) => return self.nothing(address, &error.to_string()),
        };
        let before = self.inputs.len();
        match list(&root.store, key).await {
            Ok(objects) => {
                let input = |about: ObjectMeta| Input {
                    name: format!("s3://{bucket}/{}", about.location),
                    size: about.size,
                    modified: Some(Instant::from_micros(about.last_modified.timestamp_micros())),
                    origin: Origin::Object(Object {
                        store: Arc::clone(&root.store),
                        path: about.location,
                        e_tag: about.e_tag,
                        size: about.size,
                    }),
                };
                self.inputs.extend(objects.into_iter().map(input));
                if self.inputs.len() == before {
                    self.nothing(address, "no object is there, or only those of a ledger, which are left out");
                }
            }
            Err(error) => {
                self.faults.push(Fault::Unreadable { file: address.to_owned(), source: of_the_store(error) });
            }
        }
    }
}

/// The objects under `key`: the object itself, those below it as a folder, or those that match it as a pattern.
async fn list(store: &Arc<dyn ObjectStore>, key: &str) -> Result<Vec<ObjectMeta>, object_store::Error> {
    let pattern = key.contains(GLOB).then(|| Pattern::new(key)).and_then(Result::ok);
    if pattern.is_none() && !key.is_empty() && !key.ends_with('/') {
        match store.head(&Path::from(key)).await {
            Ok(object) => return Ok(vec![object]),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let fixed = if pattern.is_some() { fixed_folder(key) } else { key };
    let folder = Path::from(fixed);
    let mut objects: Vec<ObjectMeta> = store.list(Some(&folder)).try_collect().await?;
    let tables: BTreeSet<String> = objects
        .iter()
        .filter_map(|object| object.location.as_ref().split_once("_delta_log/"))
        .map(|(table, _)| table.to_owned())
        .collect();
    let sealed = |name: &str| {
        let is_below =
            |ledger: &str| seal::FOLDERS.iter().any(|folder| name.starts_with(&format!("{ledger}{folder}/")));
        tables.iter().filter_map(|table| table.strip_suffix("usage/")).any(is_below)
    };
    objects.retain(|object| {
        let name = object.location.as_ref();
        let in_ledger = tables.iter().any(|table| name.starts_with(table.as_str())) || sealed(name);
        let matches = pattern.as_ref().is_none_or(|pattern| pattern.matches_with(name, MATCH));
        object.size > 0 && matches && !in_ledger && !is_left_out(name, key)
    });
    objects.sort_by(|one, other| one.location.cmp(&other.location));
    Ok(objects)
}

/// Whether `folder` is a table, or what a ledger keeps beside its tables.
fn is_of_a_ledger(folder: &FsPath) -> bool {
    let is_sealed =
        || seal::FOLDERS.iter().any(|name| folder.ends_with(name)) && folder.parent().is_some_and(has_usage);
    folder.join("_delta_log").is_dir() || is_sealed()
}

fn has_usage(folder: &FsPath) -> bool {
    folder.join("usage/_delta_log").is_dir()
}

/// The folder that a pattern names before its first sign.
fn fixed_folder(pattern: &str) -> &str {
    let head = pattern.find(GLOB).and_then(|at| pattern.get(..at)).unwrap_or(pattern);
    head.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Whether `name`, below the folder `of` or matched by the pattern `of`, is hidden, and a pattern does not name what is.
fn is_left_out(name: &str, of: &str) -> bool {
    let folder = if of.contains(GLOB) { fixed_folder(of) } else { of };
    let has_hidden = |path: &str| path.get(folder.len()..).unwrap_or_default().split('/').any(is_hidden);
    has_hidden(name) && !has_hidden(of)
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}
