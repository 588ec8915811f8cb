//! A command that is told to stop says what stands, and the same command goes on.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::{daybook_in, files};

/// Starts `daybook` in `dir`.
fn start(dir: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
    command.args(args).env_clear().current_dir(dir).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(name: &str, child: &Child) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn an_export_that_is_told_to_stop_says_that_it_goes_on_and_does() {
    let dir = tempfile::tempdir().unwrap();
    let events = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events/anthropic");
    daybook_in(dir.path(), &["import", events]).done();
    daybook_in(dir.path(), &["export", "--out", "whole"]).done();
    for (stop, out) in [("-INT", "interrupted"), ("-TERM", "terminated")] {
        // At a byte a second it is under way for hours.
        let mut export = start(dir.path(), &["export", "--out", out, "--rate-limit", "1"]);
        while !dir.path().join(format!("{out}.partial/finished.jsonl")).exists() {
            assert_eq!(export.try_wait().unwrap(), None, "it ended before it was told to");
            std::thread::sleep(Duration::from_millis(10));
        }
        signal(stop, &export);
        let Output { status, stderr, .. } = export.wait_with_output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(4), "{stop}: {stderr}");
        assert!(stderr.contains("error[CLI-015]: stopped before the end, as asked"), "{stderr}");
        assert!(stderr.contains("hint: the same command goes on where it stopped"), "{stderr}");

        let verified = daybook_in(dir.path(), &["verify", &format!("{out}.partial")]);
        let said = ".partial: an export that did not finish: its command, given again, goes on with it\n1 difference: ";
        assert!(verified.code == 1 && verified.stdout.contains(said), "{}", verified.stdout);
        daybook_in(dir.path(), &["export", "--out", out]).done();
        assert!(files(&dir.path().join(out)) == files(&dir.path().join("whole")), "{stop}");
    }
}

#[test]
fn a_query_that_is_told_to_stop_ends() {
    let dir = tempfile::tempdir().unwrap();
    let events = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events/anthropic");
    daybook_in(dir.path(), &["import", events]).done();
    let endless = "SELECT * FROM generate_series(1, 1000000000000)";
    for (stop, code) in [("-INT", "QUERIES-018"), ("-TERM", "CLI-015")] {
        let mut query = start(dir.path(), &["query", "--format", "csv", "-c", endless]);
        query.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        signal(stop, &query);
        let Output { status, stderr, .. } = query.wait_with_output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(status.code() == Some(4) && stderr.contains(code), "{stop}: {status:?} {stderr}");
    }
}
