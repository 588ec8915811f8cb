//! Promises tested end to end, through the command line as a process; a module per promise.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code outside test functions")]

mod artifacts;
mod billing;
mod bucket;
mod cli;
mod decode;
mod docs;
mod encryption;
mod evidence;
mod facts;
mod import;
mod leaving;
mod maintenance;
mod operate;
mod prices;
mod quarantine;
mod receive;
mod registry;
mod reports;
mod round_trip;
mod s3;
mod seal;
mod server;
mod simulate;
mod stop;
mod subject;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What a run of the command line left.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs `daybook` in an empty environment, in `dir`.
fn daybook_in(dir: &Path, args: &[&str]) -> Run {
    daybook_with(dir, args, &[], "")
}

/// As [`daybook_in`], with variables and standard input.
fn daybook_with(dir: &Path, args: &[&str], env: &[(&str, &str)], stdin: &str) -> Run {
    use std::io::Write as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_daybook"))
        .args(args)
        .env_clear()
        .env("RUST_LOG", "error")
        .envs(env.iter().copied())
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its input early closes the pipe.
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).ok();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    Run {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

/// A file, or every file of a folder, with its bytes.
fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![path.to_owned()];
    while let Some(next) = left.pop() {
        if next.is_dir() {
            left.extend(next.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = next.strip_prefix(path).unwrap().to_str().unwrap().to_owned();
            found.insert(name, std::fs::read(&next).unwrap());
        }
    }
    found
}

impl Run {
    /// The run failed with `code`, this first line and a hint.
    #[track_caller]
    fn refused(&self, code: i32, first_line: &str) {
        assert_eq!(self.stderr.lines().next(), Some(first_line), "{}", self.stderr);
        assert!(self.stderr.contains("\nhint: "), "{}", self.stderr);
        assert_eq!(self.code, code, "{}", self.stderr);
    }

    #[track_caller]
    fn done(&self) -> &str {
        assert_eq!(self.code, 0, "{}\n{}", self.stdout, self.stderr);
        &self.stdout
    }
}
