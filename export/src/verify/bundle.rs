//! A bundle against its manifests, its descriptor and its summary.
//!
//! A bundle may come from anybody: text is read within bounds, and no number in it is believed before the files were counted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::migrations::{self, MIGRATIONS};
use super::rows::{Counted, add_file, count_rows};
use super::{TableRows, Verdict};
use crate::artifact;
use crate::describe::{
    BAG_INFO, BAGIT_TEXT, CROISSANT, DESCRIPTOR, FORMULA_SAFE, LAYOUT, LAYOUT_BEFORE, PAYLOAD_OXUM, PROGRAMS, README,
    SCHEMA, SUMMARY, table_schema,
};
use crate::digest::{Digests, Written};
use crate::manifest::{self, Algorithm, shown};
use crate::rates::RATES;
use crate::reader::{Bundle, TEXT_BYTES_MAX};
use crate::series::Series;
use crate::sign::{SIGNED, VerifyingKey, is_signature};
use crate::totals::{REPEATED_ROWS, Totals};
use crate::writer::BAGIT;
use crate::{Error, Format, Keys, Part, Progress};

/// A signature has a few hundred.
const SIGNATURE_BYTES_MAX: u64 = 64 << 10;
const READ_BYTES: usize = 1 << 20;

/// Checks the bundle at `path`, a folder or a file, with nothing but the bundle.
///
/// # Errors
/// As [`opened`], and [`Error::NotABundle`].
pub fn bundle(path: &Path, progress: &mut dyn Progress) -> Result<Verdict, Error> {
    check(&Bundle::open_path(path, &Keys::default())?, &[], progress)
}

/// Checks a bundle with nothing but the bundle, and that each of `keys` has signed it.
///
/// Files and digests (SHA-256 and SHA-512) are those of the manifests, and no others; lengths and rows those of
/// `bag-info.txt` and `datapackage.json`; counts and sums, taken again from every file of every format, those of
/// `summary.json`.
///
/// # Errors
/// [`Error::Unreadable`] if it cannot be read. What differs is in the verdict.
pub async fn opened(bundle: &Bundle, keys: &[VerifyingKey], progress: &mut dyn Progress) -> Result<Verdict, Error> {
    let (bundle, keys) = (bundle.clone(), keys.to_vec());
    let (told, mut hear) = unbounded_channel();
    let checking = tokio::task::spawn_blocking(move || check(&bundle, &keys, &mut Relay(told)));
    while let Some(event) = hear.recv().await {
        match event {
            Event::Start(bytes) => progress.start(bytes),
            Event::Advance(bytes) => progress.advance(bytes),
            Event::Notice(text) => progress.notice(&text),
        }
    }
    checking.await.map_err(Error::panicked)?
}

enum Event {
    Start(u64),
    Advance(u64),
    Notice(String),
}

/// Tells from the thread that checks; if nobody hears it any more, the check ends for nobody.
struct Relay(UnboundedSender<Event>);

impl Progress for Relay {
    fn start(&mut self, bytes: u64) {
        self.0.send(Event::Start(bytes)).ok();
    }

    fn advance(&mut self, bytes: u64) {
        self.0.send(Event::Advance(bytes)).ok();
    }

    fn notice(&mut self, text: &str) {
        self.0.send(Event::Notice(text.into())).ok();
    }
}

/// Reading blocks.
fn check(bundle: &Bundle, keys: &[VerifyingKey], progress: &mut dyn Progress) -> Result<Verdict, Error> {
    let mut check = Check { bundle, files: bundle.files(), verdict: Verdict::default() };
    for fault in bundle.faults() {
        check.verdict.differs(&fault.place, &fault.found);
    }
    if bundle.has_no_end() {
        return Ok(check.verdict);
    }
    check.bagit();
    let digests = check.digests(progress)?;
    check.manifests(&digests);
    check.signatures(keys);
    check.oxum();
    check.rows(&digests);
    Ok(check.verdict)
}

pub(super) struct Check<'a> {
    pub(super) bundle: &'a Bundle,
    /// Lengths of all regular files, by path with `/`.
    pub(super) files: &'a BTreeMap<String, u64>,
    pub(super) verdict: Verdict,
}

impl Check<'_> {
    /// The text of a file that a bundle must have.
    fn text(&mut self, name: &str) -> Option<String> {
        let length = match self.files.get(name) {
            None => {
                self.verdict.differs(name, "it is missing");
                return None;
            }
            Some(length) if *length > TEXT_BYTES_MAX => {
                self.verdict.differs(name, format!("it has {length} bytes, at most {TEXT_BYTES_MAX} are read"));
                return None;
            }
            Some(length) => *length,
        };
        let mut bytes = Vec::new();
        let read = self.bundle.open_file(name).and_then(|file| file.take(length).read_to_end(&mut bytes));
        let text = read.map_err(|error| error.to_string());
        match text.and_then(|_| String::from_utf8(bytes).map_err(|_| "it is not UTF-8".into())) {
            Ok(text) => Some(text),
            Err(reason) => {
                self.verdict.differs(name, reason);
                None
            }
        }
    }

    fn bagit(&mut self) {
        if self.text(BAGIT).is_some_and(|text| text != BAGIT_TEXT) {
            self.verdict.differs(BAGIT, "it does not declare BagIt 1.0 in UTF-8");
        }
    }

    /// The files that a manifest vouches for, but for texts longer than any: the others differ whatever they hold.
    fn listed(&self) -> Result<BTreeSet<String>, Error> {
        const TEXTS: [&str; 5] = [DESCRIPTOR, SUMMARY, SCHEMA, README, CROISSANT];
        let is_text = |name: &str| !name.starts_with("data/") || TEXTS.contains(&name);
        let is_read =
            |name: &String| self.files.get(name).is_some_and(|length| *length <= TEXT_BYTES_MAX || !is_text(name));
        let names = Algorithm::ALL
            .map(|algorithm| [algorithm.payload_manifest(), algorithm.tag_manifest()].map(|name| (algorithm, name)));
        let mut listed = BTreeSet::new();
        for (algorithm, name) in names.as_flattened() {
            let mut text = String::new();
            let read = self.bundle.open_file(name).and_then(|file| file.take(TEXT_BYTES_MAX).read_to_string(&mut text));
            match read {
                Ok(_) => listed.extend(manifest::parse(*algorithm, &text).0.into_keys().filter(is_read)),
                // What is wrong with a manifest is told where it is compared.
                Err(error) if error.kind() == ErrorKind::NotFound || is_of_the_bytes(&error) => {}
                Err(error) => return Err(Error::unreadable(&self.bundle.place().join(name), "read")(error)),
            }
        }
        Ok(listed)
    }

    /// Reads every file once that a manifest vouches for; all, if none vouches for any.
    fn digests(&mut self, progress: &mut dyn Progress) -> Result<BTreeMap<String, Written>, Error> {
        self.verdict.files = self.files.len() as u64;
        self.verdict.bytes = self.files.values().sum();
        let mut listed = self.listed()?;
        // What ended an archive early shows where its files are read.
        if listed.is_empty() {
            listed.extend(self.files.keys().cloned());
        }
        progress.start(listed.iter().filter_map(|name| self.files.get(name)).sum());
        let mut found = BTreeMap::new();
        for name in &listed {
            let path = self.bundle.place().join(name);
            let mut file = self.bundle.open_file(name).map_err(Error::unreadable(&path, "open"))?;
            let mut digests = Digests::default();
            loop {
                let mut chunk = Vec::with_capacity(READ_BYTES);
                let read = match (&mut file).take(READ_BYTES as u64).read_to_end(&mut chunk) {
                    Err(error) if is_of_the_bytes(&error) => {
                        self.verdict.differs(name, format!("it cannot be read: {}", shown(&error.to_string())));
                        break;
                    }
                    read => read.map_err(Error::unreadable(&path, "read"))?,
                };
                if read == 0 {
                    break;
                }
                digests.update(&chunk.into());
                progress.advance(read as u64);
            }
            found.insert(name.clone(), digests.finish(name.clone()));
        }
        Ok(found)
    }

    /// Every payload file is in every manifest with its digest, and nothing else is.
    fn manifests(&mut self, digests: &BTreeMap<String, Written>) {
        let payload: BTreeSet<&str> =
            self.files.keys().map(String::as_str).filter(|name| name.starts_with("data/")).collect();
        let mut tags: BTreeSet<&str> = [BAGIT, BAG_INFO].into();
        tags.extend(PROGRAMS.map(|(name, _)| name).into_iter().filter(|name| self.files.contains_key(*name)));
        tags.extend(Algorithm::ALL.map(Algorithm::payload_manifest));
        for algorithm in Algorithm::ALL {
            self.manifest(algorithm, algorithm.payload_manifest(), &payload, digests);
            self.manifest(algorithm, algorithm.tag_manifest(), &tags, digests);
        }
        tags.extend(Algorithm::ALL.map(Algorithm::tag_manifest));
        let is_listed = |name: &str| payload.contains(name) || tags.contains(name) || is_signature(name);
        for name in self.files.keys().filter(|name| !is_listed(name.as_str())) {
            self.verdict.note(name, "no manifest vouches for it");
        }
    }

    /// Each key has signed; a signature that no key was given for is a note.
    fn signatures(&mut self, keys: &[VerifyingKey]) {
        let names: Vec<&String> = self.files.keys().filter(|name| is_signature(name)).collect();
        if keys.is_empty() {
            for name in names {
                self.verdict.note(name, "this signature was not checked: give the public key with --key");
            }
            return;
        }
        let Some(message) = self.text(SIGNED) else { return };
        let mut signatures = Vec::new();
        for name in names {
            match self.files.get(name) {
                Some(length) if *length <= SIGNATURE_BYTES_MAX => {
                    signatures.extend(self.text(name).map(|text| (name, text)))
                }
                _ => self.verdict.differs(name, "no signature is that long"),
            }
        }
        let mut vouched = BTreeSet::new();
        for key in keys {
            let own = signatures.iter().filter(|(_, text)| key.has_signed(message.as_bytes(), text));
            let own: Vec<&&String> = own.map(|(name, _)| name).collect();
            match (own.is_empty(), signatures.len()) {
                (false, _) => self.verdict.signed_by.push(key.to_string()),
                (true, 0) => {
                    self.verdict.differs(SIGNED, format!("there is no signature, {key} should have signed it"))
                }
                (true, _) => self.verdict.differs(SIGNED, format!("no signature is by {key} over what it holds")),
            }
            vouched.extend(own.into_iter().copied());
        }
        for (name, _) in signatures.iter().filter(|(name, _)| !vouched.contains(name)) {
            self.verdict.note(name.as_str(), "no key that was given vouches for it");
        }
    }

    fn manifest(
        &mut self,
        algorithm: Algorithm,
        name: &str,
        required: &BTreeSet<&str>,
        digests: &BTreeMap<String, Written>,
    ) {
        let Some(text) = self.text(name) else { return };
        let (listed, faults) = manifest::parse(algorithm, &text);
        for fault in faults {
            self.verdict.differs(name, fault);
        }
        for (path, expected) in &listed {
            match digests.get(path).map(|file| algorithm.digest_of(file)) {
                None if self.files.contains_key(path) => {
                    self.verdict
                        .differs(path, format!("it is a text, of which at most {TEXT_BYTES_MAX} bytes are read"));
                }
                None => self.verdict.differs(path, format!("it is missing, {name} lists it")),
                Some(found) if found != expected => {
                    let digest = algorithm.name();
                    self.verdict.differs(path, format!("its {digest} is {found}, {name} says {expected}"));
                }
                Some(_) => {}
            }
        }
        for path in required.iter().filter(|path| !listed.contains_key(**path)) {
            self.verdict.differs(*path, format!("{name} does not list it"));
        }
    }

    fn oxum(&mut self) {
        let Some(info) = self.text(BAG_INFO) else { return };
        let declared = info.lines().find_map(|line| line.strip_prefix(PAYLOAD_OXUM)?.strip_prefix(':'));
        let payload = self.files.iter().filter(|(name, _)| name.starts_with("data/"));
        let (bytes, files) = payload.fold((0_u64, 0_u64), |(bytes, files), (_, length)| (bytes + length, files + 1));
        let found = format!("{bytes}.{files}");
        match declared.map(str::trim) {
            Some(declared) if declared == found => {}
            Some(declared) => {
                let declared = shown(declared);
                self.verdict.differs(BAG_INFO, format!("{PAYLOAD_OXUM} is {declared}, the payload is {found}"));
            }
            None => self.verdict.differs(BAG_INFO, format!("{PAYLOAD_OXUM} is missing")),
        }
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        match serde_json::from_str(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.verdict.differs(name, format!("it cannot be read: {error}"));
                None
            }
        }
    }

    /// Counts and sums every data file again.
    fn rows(&mut self, digests: &BTreeMap<String, Written>) {
        let package: Option<Package> = self.json(DESCRIPTOR);
        let summary: Option<Value> = self.json(SUMMARY);
        let layout = summary.as_ref().and_then(|summary| summary.get("layout"));
        if let Some(layout) = layout.filter(|layout| *layout != LAYOUT && *layout != LAYOUT_BEFORE) {
            let known = format!("{LAYOUT} and {LAYOUT_BEFORE}");
            self.verdict.differs(SUMMARY, format!("layout is {layout}, this program knows {known}"));
            return;
        }
        let is_before = layout.is_some_and(|layout| layout == LAYOUT_BEFORE);
        let parts = || Part::ALL.into_iter().filter(|part| !(is_before && *part == Part::ContentPartial));
        let resources: BTreeMap<String, Resource> = match package {
            Some(package) => self.resources(package),
            None => BTreeMap::new(),
        };
        let formats = self.formats(summary.as_ref());
        let is_formula_safe =
            summary.as_ref().is_some_and(|summary| summary.get(FORMULA_SAFE) == Some(&Value::Bool(true)));
        for part in parts() {
            let mut rows = None;
            for format in &formats {
                self.numbers(part, *format);
                let declared = summary.as_ref().and_then(|summary| summary.get(part.name()));
                let repeated = declared.and_then(|declared| declared.get(REPEATED_ROWS)?.as_u64()).unwrap_or_default();
                let counted = Counted::new(part, is_formula_safe);
                let totals = self.read(part, *format, counted, repeated, &resources, digests);
                if let Some(declared) = declared {
                    let pointer = part.name().to_owned();
                    let name = format!("data/{}/*.{}", part.name(), format.as_str());
                    compare(&mut self.verdict, &name, &pointer, declared, &totals.to_json());
                } else if summary.is_some() {
                    self.verdict.differs(SUMMARY, format!("{} is missing", part.name()));
                }
                rows = rows.or(Some(totals.rows()));
            }
            self.verdict.rows.push(TableRows { table: part.name().into(), rows: rows.unwrap_or_default() });
        }
        let counted = parts().zip(&self.verdict.rows).filter(|(part, _)| part.is_of_bodies());
        let bodies = counted.map(|(_, counted)| counted.rows).sum();
        self.migrations(summary.as_ref(), bodies, &resources, digests);
        self.rates(&resources, digests);
        self.artifacts(digests);
        self.strangers(&parts().collect::<Vec<_>>());
    }

    /// Every payload file is one that bundles have, which the others of these checks look at.
    fn strangers(&mut self, parts: &[Part]) {
        const ALONE: [&str; 6] = [DESCRIPTOR, SUMMARY, SCHEMA, README, CROISSANT, RATES];
        let is_known = |name: &str| {
            ALONE.contains(&name)
                || name.starts_with(artifact::FOLDER)
                || Series::of(name).is_some_and(|series| series.is_of(parts))
                || migrations::is_account(name)
        };
        for name in self.files.keys().filter(|name| name.starts_with("data/") && !is_known(name)) {
            self.verdict.differs(name, "no bundle has such a file");
        }
    }

    /// Data files are numbered from 0 on: a ledger is made from those up to the first that is missing.
    fn numbers(&mut self, part: Part, format: Format) {
        let names = self.data_files(part, format);
        let numbered: BTreeSet<String> =
            (0..names.len()).map(|index| Series::Table(part, format).file_name(index)).collect();
        for name in names.iter().filter(|name| !numbered.contains(*name)) {
            let count = names.len();
            self.verdict.differs(name, format!("its table has {count} such files, which are numbered from 0 on"));
        }
    }

    fn data_files(&self, part: Part, format: Format) -> Vec<String> {
        let (folder, extension) = (format!("data/{}/", part.name()), format!(".{}", format.as_str()));
        let of_table = |name: &&String| name.starts_with(&folder) && name.ends_with(&extension);
        self.files.keys().filter(of_table).cloned().collect()
    }

    fn rates(&mut self, resources: &BTreeMap<String, Resource>, digests: &BTreeMap<String, Written>) {
        if !self.files.contains_key(RATES) {
            return;
        }
        match count_rows(self.bundle, RATES, Format::Csv) {
            Ok(rows) => self.described(RATES, rows, resources.get(RATES), digests),
            Err(reason) => self.verdict.differs(RATES, format!("its rows cannot be read: {}", shown(&reason))),
        }
    }

    /// The formats there are files of, which must be those `summary.json` lists.
    fn formats(&mut self, summary: Option<&Value>) -> Vec<Format> {
        let of_format = |format: &Format| {
            let extension = format!(".{}", format.as_str());
            self.files.keys().any(|name| {
                name != RATES
                    && !name.starts_with(MIGRATIONS)
                    && !name.starts_with(artifact::FOLDER)
                    && name.ends_with(&extension)
            })
        };
        let found: Vec<Format> = Format::ALL.into_iter().filter(of_format).collect();
        let names = Value::from(found.iter().map(|format| format.as_str()).collect::<Vec<_>>());
        if let Some(declared) = summary.map(|summary| summary.get("formats").unwrap_or(&Value::Null)) {
            compare(&mut self.verdict, "data", "formats", declared, &names);
        }
        found
    }

    /// What the descriptor says of each file, by path; each data file is described once.
    fn resources(&mut self, package: Package) -> BTreeMap<String, Resource> {
        let mut resources = BTreeMap::new();
        for resource in package.resources {
            let path = format!("data/{}", resource.path);
            if !self.files.contains_key(&path) {
                self.verdict.differs(DESCRIPTOR, format!("it describes `{}`, which is not there", shown(&path)));
            } else if resources.insert(path.clone(), resource).is_some() {
                self.verdict.differs(DESCRIPTOR, format!("it describes {path} twice"));
            }
        }
        resources
    }

    /// The totals of one table from its files in one format, each compared with its description.
    fn read(
        &mut self,
        part: Part,
        format: Format,
        mut counted: Counted,
        repeated: u64,
        resources: &BTreeMap<String, Resource>,
        digests: &BTreeMap<String, Written>,
    ) -> Totals {
        for name in self.data_files(part, format) {
            let resource = resources.get(&name);
            let declared = resource.map(|resource| resource.row_count);
            let (read, result) = read_guarded(self.bundle, &name, part, format, declared, counted);
            counted = read;
            if resource.is_some_and(|resource| !resource.has_columns_of(part, format)) {
                self.verdict.differs(&name, format!("its columns in {DESCRIPTOR} are not those of the table"));
            }
            let rows = match result {
                Ok(rows) => rows,
                Err(reason) => {
                    self.verdict.differs(&name, format!("its rows cannot be read: {}", shown(&reason)));
                    continue;
                }
            };
            self.described(&name, rows, resource, digests);
        }
        counted.calls.report(&format!("data/{}/*.{}", part.name(), format.as_str()), repeated, &mut self.verdict);
        counted.totals
    }

    /// Compares a data file with its description.
    pub(super) fn described(
        &mut self,
        name: &str,
        rows: u64,
        declared: Option<&Resource>,
        digests: &BTreeMap<String, Written>,
    ) {
        let Some(declared) = declared else {
            return self.verdict.differs(name, format!("{DESCRIPTOR} does not describe it"));
        };
        if declared.row_count != rows {
            let declared = declared.row_count;
            self.verdict.differs(name, format!("it has {rows} rows, {DESCRIPTOR} says {declared}"));
        }
        let Some(file) = digests.get(name) else { return };
        if declared.bytes != file.bytes {
            let (found, declared) = (file.bytes, declared.bytes);
            self.verdict.differs(name, format!("it has {found} bytes, {DESCRIPTOR} says {declared}"));
        }
        if declared.hash.strip_prefix("sha256:") != Some(&file.sha256) {
            let declared = shown(&declared.hash);
            self.verdict.differs(name, format!("its sha256 is {}, {DESCRIPTOR} says {declared}", file.sha256));
        }
    }
}

/// Whether what was read is at fault, rather than reading.
fn is_of_the_bytes(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
}

/// On a thread of its own: a reader that panics on hostile bytes is a difference too.
fn read_guarded(
    bundle: &Bundle,
    name: &str,
    part: Part,
    format: Format,
    declared: Option<u64>,
    mut counted: Counted,
) -> (Counted, Result<u64, String>) {
    let (bundle, name) = (bundle.clone(), name.to_owned());
    let thread = std::thread::spawn(move || {
        let result = add_file(&bundle, &name, part, format, declared, &mut counted);
        (counted, result)
    });
    thread.join().unwrap_or_else(|_| (Counted::new(part, false), Err("the reader gave up".into())))
}

#[derive(Deserialize)]
struct Package {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
pub(super) struct Resource {
    path: String,
    bytes: u64,
    hash: String,
    #[serde(rename = "rowCount")]
    row_count: u64,
    #[serde(default)]
    schema: Value,
}

impl Resource {
    /// Whether names and types of its columns are those of a table; in what words they are described may change.
    fn has_columns_of(&self, part: Part, format: Format) -> bool {
        let columns = |schema: &Value| -> Vec<[Option<Value>; 2]> {
            let fields = schema.get("fields").and_then(Value::as_array).into_iter().flatten();
            fields.map(|field| ["name", "type"].map(|key| field.get(key).cloned())).collect()
        };
        columns(&self.schema) == columns(&table_schema(part, format))
    }
}

/// Names every value of `found` that `declared` has otherwise.
fn compare(verdict: &mut Verdict, name: &str, pointer: &str, declared: &Value, found: &Value) {
    match (declared, found) {
        (Value::Object(declared), Value::Object(found)) => {
            for (key, found) in found {
                let pointer = format!("{pointer}.{key}");
                compare(verdict, name, &pointer, declared.get(key).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(declared), Value::Array(found)) if declared.len() == found.len() => {
            for (at, (declared, found)) in declared.iter().zip(found).enumerate() {
                compare(verdict, name, &format!("{pointer}[{at}]"), declared, found);
            }
        }
        _ if declared == found => {}
        _ => {
            let declared = shown(&declared.to_string());
            verdict.differs(SUMMARY, format!("{pointer} is {declared}, {name} has {}", shown(&found.to_string())));
        }
    }
}
