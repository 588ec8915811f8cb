//! A bundle that only some can open.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::{daybook_in, daybook_with};

/// A pair of `age-keygen` that opens nothing but what these tests write.
const RECIPIENT: &str = "age1strgyt0zv4642ja9pprxz3x7hezqwmamzctl4l23gyvn9m3t0azqd49r29";
const IDENTITY: &str = "AGE-SECRET-KEY-1UYGT2DYCU20MV3C5WVG48LG7QJJ8AXTKWXPYKAM4PMT58X6VCD0SDL9HWF";

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn an_encrypted_bundle_is_checked_and_read_by_its_recipient_alone() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| daybook_in(dir.path(), args);
    let events = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events/anthropic");
    run(&["import", events, "--ledger", "ledger"]);
    private(&dir.path().join("receiver.key"), &format!("# of the receiver\n\n{IDENTITY}\n"));
    fs::write(dir.path().join("receivers"), format!("# receivers\n{RECIPIENT}\n")).unwrap();

    let export = |out: &str, more: &[&str]| {
        run(&[&["export", "--ledger", "ledger", "--formats", "parquet", "--out", out], more].concat())
    };
    let said = export("out.tar.zst.age", &["--recipients-file", "receivers"]);
    assert!(said.done().contains("\n    daybook verify out.tar.zst.age -i KEYFILE\n"), "{}", said.stdout);
    run(&["verify", "out.tar.zst.age", "--identity", "receiver.key"]).done();
    run(&["import", "out.tar.zst.age", "--identity", "receiver.key", "--ledger", "rebuilt"]).done();
    run(&["diff", "ledger", "rebuilt"]).done();

    let unopened =
        "error[EXPORT-022]: out.tar.zst.age cannot be opened: it is encrypted to recipients, and no identity is given";
    run(&["verify", "out.tar.zst.age"]).refused(2, unopened);
    run(&["import", "out.tar.zst.age", "--ledger", "another"]).refused(2, unopened);
    assert!(!dir.path().join("another").exists());

    export("more.tar.zst.age", &[])
        .refused(2, "error[EXPORT-020]: more.tar.zst.age would not be encrypted: nothing says who can open it");
    export("folder", &["--encrypt-to", RECIPIENT]).refused(2, "error[EXPORT-021]: folder cannot be encrypted");
    let secret = export("more.tar.zst.age", &["--encrypt-to", IDENTITY]);
    secret.refused(
        2,
        "error[CLI-051]: value 1 of --encrypt-to is not a key: it is a secret key: `age-keygen -y` shows the recipient that goes with it",
    );
    assert!(!secret.stderr.contains(IDENTITY));
    let both = export("more.tar.zst.age", &["--encrypt-to", RECIPIENT, "--passphrase"]);
    assert!(both.code == 2 && both.stderr.contains("cannot be used with"), "{}", both.stderr);
    let empty = [("DAYBOOK_PASSPHRASE", "")];
    let args = ["export", "--ledger", "ledger", "--out", "more.tar.zst.age", "--passphrase"];
    daybook_with(dir.path(), &args, &empty, "")
        .refused(2, "error[CLI-055]: no passphrase is known: what was given is empty");
    assert!(!dir.path().join("more.tar.zst.age.partial").exists());
}

#[test]
fn a_target_that_is_not_there_is_said_to_be_no_bundle() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["gone.tar.zst", "gone.tar.zst.age"] {
        let line = format!("error[EXPORT-006]: {name} is not a bundle: there is no such file");
        daybook_in(dir.path(), &["verify", name]).refused(2, &line);
        daybook_in(dir.path(), &["import", name, "--ledger", "new"]).refused(2, &line);
    }
    daybook_in(dir.path(), &["verify", "gone"])
        .refused(2, "error[EXPORT-006]: gone is not a bundle: neither one nor a ledger is there");
}
