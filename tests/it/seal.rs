//! Tamper evidence: what was sealed is proven to strangers, and whatever is altered afterwards is named.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Run, daybook_in};

const NAME: &str = "example.com/ai-usage";

/// A folder with a ledger of some calls, sealed twice, the key and its verifier key.
struct Sealed {
    dir: tempfile::TempDir,
    vkey: String,
    /// The checkpoint of the first seal.
    old: String,
}

impl Sealed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let events = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events");
        import(dir.path(), &format!("{events}/litellm-standard"));
        let generated = daybook_in(dir.path(), &["keys", "generate", "seal.key", "--name", NAME]);
        let vkey = generated.done().trim_end().to_owned();
        let old = seal(dir.path()).done().to_owned();
        import(dir.path(), &format!("{events}/anthropic"));
        seal(dir.path()).done();
        fs::write(dir.path().join("old"), &old).unwrap();
        Self { dir, vkey, old }
    }

    fn run(&self, args: &[&str]) -> Run {
        daybook_in(self.dir.path(), args)
    }

    fn verify(&self) -> Run {
        self.run(&["verify", "ledger", "--key", &self.vkey])
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// An entry of the ledger.
    fn entry(&self) -> String {
        let sql = "SELECT encode(entry_id, 'hex') AS id FROM usage ORDER BY 1 LIMIT 1";
        let run = self.run(&["query", "--ledger", "ledger", "--format", "csv", "-c", sql]);
        run.done().lines().nth(1).unwrap().to_owned()
    }

    /// `verify` says no and names each of `found`.
    #[track_caller]
    fn differs(&self, found: &[&str]) {
        let run = self.verify();
        assert_eq!(run.code, 1, "{}\n{}", run.stdout, run.stderr);
        for text in found {
            assert!(run.stdout.contains(text), "{text} is not named in\n{}", run.stdout);
        }
    }
}

fn import(dir: &Path, place: &str) {
    daybook_in(dir, &["import", "--ledger", "ledger", place]);
}

fn seal(dir: &Path) -> Run {
    daybook_in(dir, &["seal", "--ledger", "ledger", "--key", "seal.key"])
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// The files below `folder` whose name ends in `suffix`, in order.
fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path, suffix)),
            false => found.extend(Some(path).filter(|path| path.to_str().unwrap().ends_with(suffix))),
        }
    }
    found.sort();
    found
}

#[test]
fn a_key_is_made_once_and_seals_one_ledger() {
    let sealed = Sealed::new();
    let again = sealed.run(&["keys", "generate", "seal.key", "--name", NAME]);
    again.refused(2, "error[CLI-050]: the key file seal.key cannot be made");
    assert!(again.stderr.contains("hint: a key is never overwritten"), "{}", again.stderr);

    let events = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events/anthropic");
    sealed.run(&["import", "--ledger", "other", events]).done();
    let other = sealed.run(&["seal", "--ledger", "other", "--key", "seal.key"]);
    assert!(other.stderr.starts_with("error[SEAL-006]") && other.code == 5, "{}", other.stderr);
    assert!(other.stderr.contains("or this key seals another ledger"), "{}", other.stderr);
}

#[test]
fn a_sealed_ledger_is_whole_and_says_by_whom_it_is_signed() {
    let sealed = Sealed::new();
    let run = sealed.verify();
    let line = run.done().lines().find(|line| line.starts_with("sealed: ")).unwrap().to_owned();
    assert!(
        line.contains("2 checkpoints") && line.contains(&sealed.vkey) && line.ends_with("; 0 rows since"),
        "{line}"
    );
    let unchecked = sealed.run(&["verify", "ledger"]);
    assert!(unchecked.done().contains("signatures were not checked"), "{}", unchecked.stdout);
    let again = seal(sealed.dir.path());
    assert_eq!(again.done(), fs::read_to_string(sealed.path("ledger/log/checkpoint")).unwrap(), "nothing came since");

    let growth = sealed.run(&["verify", "ledger", "--consistency", "old", "--key", &sealed.vkey]);
    assert!(growth.done().starts_with("proven: `example.com/ai-usage`"), "{}", growth.stdout);
}

#[test]
fn a_proof_is_checked_without_the_ledger_and_holds_for_one_entry_only() {
    let sealed = Sealed::new();
    let entry = sealed.entry();
    sealed.run(&["prove", &entry, "--ledger", "ledger", "--out", "x.tlog-proof"]).done();
    fs::rename(sealed.path("ledger"), sealed.path("gone")).unwrap();
    let check = || sealed.run(&["verify", "--proof", "x.tlog-proof", "--key", &sealed.vkey]);
    let run = check();
    assert!(run.done().contains(&format!("proven: entry {entry} of usage is leaf ")), "{}", run.stdout);
    assert!(run.stdout.contains(r#""list_cost":""#), "the row is shown: {}", run.stdout);
    let unsigned = sealed.run(&["verify", "--proof", "x.tlog-proof"]);
    assert!(unsigned.done().contains("consistent, and not proven by a signature: entry "), "{}", unsigned.stdout);

    let text = fs::read_to_string(sealed.path("x.tlog-proof")).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines.swap(3, 4);
    fs::write(sealed.path("x.tlog-proof"), lines.join("\n") + "\n").unwrap();
    let run = check();
    assert!(run.code == 1 && run.stdout.contains("the row is not in the log"), "{}\n{}", run.stdout, run.stderr);
    fs::write(sealed.path("x.tlog-proof"), text.replace("tlog-proof@v1", "tlog-proof@v2")).unwrap();
    check().refused(3, "error[SEAL-011]: x.tlog-proof is not a proof: its first line is not `c2sp.org/tlog-proof@v1`");
}

#[test]
fn whatever_is_altered_is_named() {
    let sealed = Sealed::new();
    let fresh = || sealed.path("fresh");
    let restore = || {
        fs::remove_dir_all(sealed.path("ledger")).ok();
        copy(&fresh(), &sealed.path("ledger"));
    };
    fs::rename(sealed.path("ledger"), fresh()).unwrap();

    restore();
    let data = files(&sealed.path("ledger/usage"), ".parquet");
    flip(&data[0], 300);
    sealed.differs(&[data[0].file_name().unwrap().to_str().unwrap(), "its SHA-256 is"]);

    restore();
    fs::remove_file(sealed.path("ledger/usage/_delta_log/00000000000000000001.json")).unwrap();
    sealed.differs(&["usage/_delta_log/00000000000000000001.json: the commit is missing, which was sealed"]);

    restore();
    let commit = sealed.path("ledger/usage/_delta_log/00000000000000000001.json");
    let text = fs::read_to_string(&commit).unwrap();
    fs::write(&commit, text.replacen("\"timestamp\":1", "\"timestamp\":2", 1)).unwrap();
    sealed.differs(&["usage version 1: its log entry is not what was sealed as leaf "]);

    restore();
    for tile in files(&sealed.path("ledger/log/tile"), "") {
        restore();
        flip(&tile, 20);
        let name = tile.strip_prefix(sealed.path("ledger")).unwrap().to_str().unwrap().to_owned();
        let named = if name.contains("entries") { "log" } else { name.as_str() };
        sealed.differs(&[named]);
    }

    restore();
    fs::write(sealed.path("ledger/log/checkpoint"), sealed.old.replacen("\n1", "\n2", 1)).unwrap();
    sealed.differs(&["log/checkpoint: it is not signed by the key given"]);

    restore();
    let size = sealed.old.lines().nth(1).unwrap();
    fs::remove_file(sealed.path("ledger/log/checkpoints").join(size)).unwrap();
    sealed.differs(&[&format!("log/checkpoints/{size}: it is missing")]);

    restore();
    let segment = files(&sealed.path("ledger/seal/segments"), ".json").pop().unwrap();
    let text = fs::read_to_string(&segment).unwrap();
    let (commits, versions) = text.split_once("\"sealed\":").unwrap();
    fs::write(&segment, format!("{commits}\"sealed\":{}", versions.replacen("\"usage\":", "\"usage\":1", 1))).unwrap();
    sealed.differs(&["the versions it says are sealed are not those of its commits and of those before"]);
    let run = seal(sealed.dir.path());
    assert!(run.code == 5 && run.stderr.starts_with("error[SEAL-004]: "), "nothing is signed: {}", run.stderr);

    restore();
    let other = sealed.run(&["keys", "generate", "other.key", "--name", NAME]).done().trim_end().to_owned();
    let run = sealed.run(&["verify", "ledger", "--key", &other]);
    assert!(run.code == 1 && run.stdout.contains("it is not signed by the key given"), "{}", run.stdout);
}

/// No seal tells of it yet: the commit itself has to.
#[test]
fn a_commit_altered_before_it_is_sealed_is_named() {
    let sealed = Sealed::new();
    import(sealed.dir.path(), concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events/openai-chat"));
    let commit = files(&sealed.path("ledger/usage/_delta_log"), ".json").pop().unwrap();
    let text = fs::read_to_string(&commit).unwrap();
    let line = |of: &str| text.lines().find(|line| line.contains(of)).unwrap().to_owned() + "\n";
    let adds = "\"add\":";
    assert!(line(adds).contains("\\\"provider\\\":\\\"openai\\\""), "{text}");
    for (altered, found) in [
        (String::new(), "it does not say when it was committed: it is empty, or was cut"),
        (line("commitInfo"), "it adds 0 rows and says "),
        (
            text.replacen("\\\"provider\\\":\\\"openai\\\"", "\\\"provider\\\":\\\"zed\\\"", 1),
            "its commit says minValues of `provider` are \"zed\"",
        ),
    ] {
        fs::write(&commit, altered).unwrap();
        sealed.differs(&[found]);
    }
    fs::write(&commit, &text).unwrap();
    sealed.verify().done();
}

#[test]
fn a_first_seal_that_was_killed_before_its_end_is_no_difference() {
    let sealed = Sealed::new();
    for folder in ["log", "seal"] {
        fs::remove_dir_all(sealed.path("ledger").join(folder)).unwrap();
    }
    fs::remove_file(sealed.path("seal.key.checkpoint")).unwrap();
    seal(sealed.dir.path()).done();
    fs::remove_file(sealed.path("ledger/log/checkpoint")).unwrap();
    assert!(sealed.verify().done().contains("log/checkpoint: it is not there yet"));
    seal(sealed.dir.path()).done();
    assert!(!sealed.verify().done().contains("log/checkpoint:"));
}

/// Rows of a bundle keep the batches that they had, and no commit of the new ledger has these.
#[test]
fn a_restored_ledger_is_sealed_and_proven_compacted_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| daybook_in(dir.path(), args);
    let calls = |name: &str| {
        let call = |at: usize| {
            format!(
                r#"{{"id":"{name}-{at}","call_type":"acompletion","status":"success","custom_llm_provider":"openai","model":"gpt-4o","startTime":1795170000.0,"endTime":1795170001.0,"prompt_tokens":9,"completion_tokens":1,"total_tokens":10,"response_cost":0.5,"messages":[],"metadata":{{}}}}"#
            )
        };
        fs::write(dir.path().join(name), (0..20).map(|at| call(at) + "\n").collect::<String>()).unwrap();
    };
    calls("early.jsonl");
    calls("later.jsonl");
    run(&["import", "--ledger", "first", "early.jsonl"]).done();
    run(&["export", "--ledger", "first", "--out", "bundle"]).done();
    let sql = "SELECT encode(entry_id, 'hex') AS id FROM usage LIMIT 1";
    let entry =
        run(&["query", "--ledger", "first", "--format", "csv", "-c", sql]).done().lines().nth(1).unwrap().to_owned();
    for (ledger, seal_first) in [("sealed-first", true), ("compacted-first", false)] {
        let key = format!("{ledger}.key");
        let vkey = run(&["keys", "generate", &key, "--name", NAME]).done().trim_end().to_owned();
        let seal = || run(&["seal", "--ledger", ledger, "--key", &key]).done().to_owned();
        let verify = || run(&["verify", ledger, "--key", &vkey]).done().to_owned();
        run(&["import", "--ledger", ledger, "bundle"]).done();
        if seal_first {
            seal();
            assert!(verify().contains("; 0 rows since"));
        }
        run(&["import", "--ledger", ledger, "later.jsonl"]).done();
        let compacted = run(&["maintain", "--ledger", ledger]);
        assert_eq!(files(&dir.path().join(ledger).join("usage"), ".parquet").len(), 3, "{}", compacted.done());
        if seal_first {
            assert!(verify().contains("; 20 rows since"));
        }
        seal();
        assert!(verify().contains("; 0 rows since"));
        run(&["prove", &entry, "--ledger", ledger, "--out", "x.tlog-proof"]).done();
        run(&["verify", "--proof", "x.tlog-proof", "--key", &vkey]).done();
    }
}

#[test]
fn a_history_written_anew_with_the_same_key_is_found_by_an_old_checkpoint() {
    let sealed = Sealed::new();
    fs::remove_dir_all(sealed.path("ledger")).unwrap();
    import(sealed.dir.path(), concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events/anthropic"));
    let run = seal(sealed.dir.path());
    assert!(run.code == 5 && run.stderr.starts_with("error[SEAL-006]: "), "the signer remembers: {}", run.stderr);
    fs::remove_file(sealed.path("seal.key.checkpoint")).unwrap();
    seal(sealed.dir.path()).done();
    sealed.verify().done();

    let run = sealed.run(&["verify", "ledger", "--consistency", "old", "--key", &sealed.vkey]);
    assert!(run.code == 1 && run.stdout.contains("not proven"), "{}", run.stdout);
}

#[test]
fn removing_the_whole_seal_is_a_difference_to_whoever_has_a_key_or_a_checkpoint() {
    let sealed = Sealed::new();
    fs::remove_dir_all(sealed.path("ledger/log")).unwrap();
    let run = sealed.run(&["verify", "ledger", "--consistency", "old", "--key", &sealed.vkey]);
    assert_eq!(run.code, 1, "{}\n{}", run.stdout, run.stderr);
    assert!(run.stdout.starts_with("log: it is gone, of which old has "), "{}", run.stdout);

    fs::remove_dir_all(sealed.path("ledger/seal")).unwrap();
    sealed.differs(&["log: it is missing, so nothing can be checked with the key given"]);
    let unchecked = sealed.run(&["verify", "ledger"]);
    assert!(unchecked.done().starts_with("note: log: the ledger is not sealed"), "{}", unchecked.stdout);
}

#[test]
fn a_key_that_others_can_read_or_that_lies_in_the_ledger_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let sealed = Sealed::new();
    assert_eq!(fs::metadata(sealed.path("seal.key")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(sealed.run(&["keys", "show", "seal.key"]).done().trim_end(), sealed.vkey);

    let inside = sealed.run(&["keys", "generate", "ledger/log/seal.key", "--name", NAME]);
    assert!(inside.code == 2 && inside.stderr.starts_with("error[CLI-053]: "), "{}", inside.stderr);
    let taken = sealed.run(&["keys", "generate", "seal.key", "--name", NAME]);
    assert!(taken.code == 2 && taken.stderr.starts_with("error[CLI-050]: "), "{}", taken.stderr);
    sealed
        .run(&["keys", "generate", "new.key", "--name", "two words"])
        .refused(2, "error[CLI-051]: `two words` is not a key: a key's name is not empty and has no space and no `+`");
    sealed
        .run(&["verify", "ledger", "--key", "none.vkey"])
        .refused(2, "error[CLI-006]: the key file none.vkey cannot be read");
    fs::set_permissions(sealed.path("seal.key"), fs::Permissions::from_mode(0o644)).unwrap();
    seal(sealed.dir.path()).refused(2, "error[CLI-052]: the key file seal.key can be used by others (mode 644)");
}

#[test]
fn what_is_asked_of_a_ledger_that_was_never_sealed_is_refused_with_what_to_do() {
    let sealed = Sealed::new();
    let entry = sealed.entry();
    fs::remove_dir_all(sealed.path("ledger/log")).unwrap();
    let run = sealed.run(&["prove", &entry, "--ledger", "ledger"]);
    assert!(run.code == 2 && run.stderr.starts_with("error[SEAL-007]: "), "{}", run.stderr);
    sealed.differs(&["log: its checkpoints or its secret are missing"]);
    let run = sealed.run(&["prove", &"0".repeat(32), "--ledger", "ledger"]);
    assert!(run.code == 2 && run.stderr.starts_with("error[SEAL-008]: "), "{}", run.stderr);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}
