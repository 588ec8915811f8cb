//! What every bundle must come to, whatever its bytes: a verdict, or an error that is no bug; in time and memory that `run`
//! bounds; and no file anywhere but in the ledger it is read into.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use daybook_export::verify::{self, Verdict};
use daybook_export::{Bundle, Keys, Migration, Request, Silent, restore_verified, write};
use daybook_ledger::testing::{append, call, correct, quarantine};
use daybook_ledger::{Body, Entry, Kind, Ledger, Report as _, Usd};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::runtime::Runtime;

#[path = "../../../export/tests/common/mod.rs"]
mod common;

const ARCHIVE: &str = "bundle.tar.zst";
const DESCRIPTOR: &str = "data/datapackage.json";
const HEADER_BYTES: usize = 512;

/// A sound bundle, which each input changes in its own way.
struct Genuine {
    place: TempDir,
    runtime: Runtime,
    files: BTreeMap<String, Vec<u8>>,
    /// The frames of the same bundle in one file, unpacked.
    frames: Vec<Vec<u8>>,
    archive: Vec<u8>,
}

/// One input at a time: they share the folder.
fn genuine() -> &'static Mutex<Genuine> {
    static GENUINE: OnceLock<Mutex<Genuine>> = OnceLock::new();
    GENUINE.get_or_init(|| {
        tolerate_what_is_caught();
        Mutex::new(Genuine::new())
    })
}

/// Verifying has a thread that catches what readers of other makers do on bytes like these; that is no finding. Where it is not
/// caught it comes back as a bug, which is one.
fn tolerate_what_is_caught() {
    let abort = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_none_or(|place| !place.file().contains("/registry/src/")) {
            abort(panic);
        }
    }));
}

fn entry(id: &'static str, at: &str) -> Entry<'static> {
    let mut entry = call(id, "anthropic", "model-l", "search", at, (100, 10));
    entry.end_user = Some("ann".into());
    entry.tags = vec![("cost-centre".into(), "4711".into()), ("empty".into(), "".into())];
    entry.meters = vec![("web_search", Usd::parse("2").expect("a number"))];
    let said = r#"[{"role":"user","parts":[{"type":"text","content":"Hello"}]}]"#;
    entry.body =
        Some(Body { input_messages: Some(said.into()), output_messages: Some(said.into()), ..Body::default() });
    entry
}

impl Genuine {
    fn new() -> Self {
        let place = tempfile::tempdir().expect("a folder");
        let runtime = Runtime::new().expect("a runtime");
        let (folder, archive) = (place.path().join("bundle"), place.path().join(ARCHIVE));
        let made = async {
            let home = tempfile::tempdir().expect("a folder");
            let ledger = Ledger::open_or_create(home.path().to_str().expect("a name")).await?;
            let cost = Usd::parse("0.5").ok();
            let [first, second, late] = ["2026-11-19T10:00:00Z", "2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z"];
            append(&ledger, "batch-1", &[(entry("call-1", first), cost)]).await;
            quarantine(&ledger, "batch-1", 7, b"{\"user\":\"bob\"").await;
            append(&ledger, "batch-2", &[(entry("call-2", second), None), (entry("call-3", late), cost)]).await;
            correct(&ledger, "batch-3", &[(entry("call-3", late), cost)]).await;
            let migrations = ["anthropic", "chat-messages"].into_iter().flat_map(Migration::parse).collect();
            write(&ledger, &Request { migrations, ..Request::new(&folder) }, &mut Silent).await?;
            write(&ledger, &Request::new(&archive), &mut Silent).await
        };
        runtime.block_on(made).expect("a bundle");
        let (files, archive) = (common::files(&folder), fs::read(archive).expect("an archive"));
        Self { place, runtime, files, frames: frames(&archive), archive }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn file(&self, number: u8) -> (&String, &Vec<u8>) {
        self.files.iter().nth(usize::from(number) % self.files.len()).expect("a file")
    }

    /// Reads the bundle called `name` as `verify` and `import` do, which must not leave anything else in the folder.
    fn read(&self, name: &str, is_forged: bool) {
        let (path, new) = (self.path(name), self.path("new"));
        let outcome = self.runtime.block_on(async {
            let bundle = Bundle::open(path.to_str().expect("a name"), &Keys::default()).await?;
            let mut verdict = verify::opened(&bundle, &[], &mut Silent).await?;
            if is_forged {
                forgive(&mut verdict);
            }
            restore_verified(&bundle, &verdict, new.to_str().expect("a name")).await
        });
        if let Err(error) = &outcome {
            assert!(!matches!(error.kind(), Kind::Bug), "{error:?}");
            assert!(!error.to_string().is_empty(), "{error:?}");
        }
        fs::remove_dir_all(new).ok();
        let left =
            fs::read_dir(self.place.path()).expect("the folder").map(|entry| entry.expect("an entry").file_name());
        assert!(
            left.into_iter().all(|left| left == "bundle" || left == ARCHIVE),
            "something was written beside {name}"
        );
    }
}

/// Who forges the rows of a file forges the counts and sums that go with them.
fn forgive(verdict: &mut Verdict) {
    let is_count = |place: &str, found: &str| {
        place == "data/summary.json" && !found.starts_with("layout") || found.contains(&format!("{DESCRIPTOR} says"))
    };
    let forged = verdict.differences.extract_if(.., |found| is_count(&found.place, &found.found)).count();
    verdict.differences_count -= u64::try_from(forged).expect("a count");
}

fn frames(mut archive: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !archive.is_empty() {
        let length = zstd::zstd_safe::find_frame_compressed_size(archive).expect("a frame");
        let (frame, rest) = archive.split_at(length);
        frames.push(zstd::decode_all(frame).expect("a frame"));
        archive = rest;
    }
    frames
}

/// `data` is the number of a file and what is in it instead; lengths and digests fit.
pub fn check_file(data: &[u8]) {
    let Some((number, bytes)) = data.split_first() else { return };
    let genuine = genuine().lock().unwrap_or_else(PoisonError::into_inner);
    let (name, _) = genuine.file(*number);
    let folder = genuine.path("bundle");
    let put = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("written");
    put(name, bytes);
    if name != DESCRIPTOR {
        put(DESCRIPTOR, described(&genuine.files[DESCRIPTOR], name, bytes).as_bytes());
    }
    common::rewrite_manifests(&folder);
    // Signed by the last manifests, which are input themselves.
    if !name.starts_with("data/") {
        put(name, bytes);
    }
    genuine.read("bundle", name.ends_with(".parquet"));
    for name in [name.as_str(), DESCRIPTOR] {
        put(name, &genuine.files[name]);
    }
}

fn described(descriptor: &[u8], name: &str, bytes: &[u8]) -> String {
    let mut package: Value = serde_json::from_slice(descriptor).expect("JSON");
    let resources = package["resources"].as_array_mut().expect("a list");
    for resource in
        resources.iter_mut().filter(|own| own["path"].as_str().is_some_and(|path| name == format!("data/{path}")))
    {
        resource["bytes"] = json!(bytes.len());
        resource["hash"] = json!(format!("sha256:{}", daybook_ledger::file::hex(&Sha256::digest(bytes))));
    }
    package.to_string()
}

/// `data` is an archive: after an even byte as it is, after an odd one as frames that are still to be packed, each after its
/// length in two bytes. What is as long as a header of tar gets the sum that a header has.
pub fn check_archive(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let genuine = genuine().lock().unwrap_or_else(PoisonError::into_inner);
    let archive = if kind.is_multiple_of(2) { bytes.to_vec() } else { packed(bytes) };
    fs::write(genuine.path(ARCHIVE), archive).expect("written");
    genuine.read(ARCHIVE, false);
}

fn packed(mut bytes: &[u8]) -> Vec<u8> {
    let mut archive = Vec::new();
    while let Some(([low, high], rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let (frame, rest) = rest.split_at(length.min(rest.len()));
        let mut frame = frame.to_vec();
        if let Ok(header) = <&mut [u8; HEADER_BYTES]>::try_from(frame.as_mut_slice()) {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
        archive.extend(zstd::encode_all(frame.as_slice(), 1).expect("packed"));
        bytes = rest;
    }
    archive
}

/// An input to start from, for [`check_file`]: a file as it is.
pub fn genuine_file(seed: u32) -> Vec<u8> {
    let genuine = genuine().lock().unwrap_or_else(PoisonError::into_inner);
    let number = u8::try_from(seed as usize % genuine.files.len()).expect("few files");
    [&[number], genuine.file(number).1.as_slice()].concat()
}

/// An input to start from, for [`check_archive`]: the archive as it is, or its frames.
pub fn genuine_archive(seed: u32) -> Vec<u8> {
    let genuine = genuine().lock().unwrap_or_else(PoisonError::into_inner);
    if seed.is_multiple_of(2) {
        return [&[0], genuine.archive.as_slice()].concat();
    }
    let framed = |frame: &Vec<u8>| {
        let length = u16::try_from(frame.len()).unwrap_or(u16::MAX);
        [length.to_le_bytes().as_slice(), &frame[..usize::from(length)]].concat()
    };
    [vec![1], genuine.frames.iter().flat_map(framed).collect()].concat()
}

/// Puts an input to start from in the place of an empty one, and now and then of any other.
pub fn start_over(data: &mut [u8], size: usize, size_max: usize, seed: u32, genuine: fn(u32) -> Vec<u8>) -> usize {
    if size > 1 && !seed.is_multiple_of(256) {
        return size;
    }
    let start = genuine(seed / 256);
    let length = start.len().min(size_max);
    data[..length].copy_from_slice(&start[..length]);
    length
}
