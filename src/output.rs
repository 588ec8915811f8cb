//! The only code that prints: data to stdout, talk to stderr.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use daybook_queries::Drawing;
pub(crate) use daybook_queries::counted;
use serde::Serialize;

use crate::failure::Failure;

/// Text for people, JSON for programs.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Form {
    /// Lines and tables for people.
    #[default]
    #[value(alias = "table")]
    Text,
    /// One JSON object; amounts are strings.
    Json,
}

/// Writes `value` as JSON, a member a line.
pub(crate) fn json(value: &impl Serialize, mut out: impl Write) -> std::io::Result<()> {
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}

/// Where data goes.
pub(crate) fn data() -> std::io::Stdout {
    std::io::stdout()
}

/// Whether data goes to a person's screen.
pub(crate) fn data_is_shown() -> bool {
    std::io::stdout().is_terminal()
}

/// How data is drawn for people: as wide as their screen, any width elsewhere.
pub(crate) fn drawing() -> Drawing {
    let width = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    Drawing { width_max: width.unwrap_or(usize::MAX), ..Drawing::default() }
}

/// Writes one line of data.
///
/// # Errors
/// CLI-004.
pub(crate) fn line(text: impl Display) -> Result<(), Failure> {
    writeln!(data().lock(), "{text}").map_err(Failure::unprintable)
}

/// Says something beside the data. Nobody to hear it is no reason to stop.
pub(crate) fn say(text: impl Display) {
    writeln!(std::io::stderr().lock(), "{text}").ok();
}

/// Says what went wrong; nothing if it is only that the reader of the data left.
pub(crate) fn tell_failure(failure: &Failure) {
    if !failure.is_broken_pipe() {
        // Nothing is left to do when stderr is closed.
        write!(std::io::stderr().lock(), "{failure}").ok();
    }
}

/// A file that appears under its name once it is whole, over what was there.
pub(crate) struct OutFile {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
}

impl OutFile {
    /// # Errors
    /// CLI-031.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        Self::begin(path).map_err(|error| unwritable(path, error))
    }

    pub(crate) fn begin(path: &Path) -> std::io::Result<Self> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = BufWriter::new(File::create(&partial)?);
        Ok(Self { path: path.into(), partial, file, bytes: 0 })
    }

    /// Gives the file its name and says so.
    ///
    /// # Errors
    /// CLI-031.
    pub(crate) fn finish(mut self, quiet: bool) -> Result<(), Failure> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        let done = synced.and_then(|()| std::fs::rename(&self.partial, &self.path));
        done.map_err(|error| unwritable(&self.path, error))?;
        if !quiet {
            say(format_args!("{}: {} bytes", self.path.display(), self.bytes));
        }
        Ok(())
    }
}

impl Write for OutFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Drop for OutFile {
    /// After [`OutFile::finish`] there is nothing under that name.
    fn drop(&mut self) {
        std::fs::remove_file(&self.partial).ok();
    }
}

/// The failure to write `path`.
pub(crate) fn unwritable(path: &Path, error: std::io::Error) -> Failure {
    Failure::new("CLI-031", &format!("{} cannot be written", path.display()), error)
        .with_hint("name a file in a folder that exists; what stood under that name is unchanged")
}
