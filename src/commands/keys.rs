//! `daybook keys`: the key that signs a ledger's log, in a file that only its owner can read.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use daybook_ledger::Kind;
use daybook_ledger::seal::{Checkpoint, SigningKey, VerifierKey};
use rand::RngCore as _;

use crate::failure::Failure;
use crate::output;

/// Rights of others, in the mode of a file.
const OTHERS: u32 = 0o077;

/// Commands about keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key and print the verifier key, which is for everyone who checks.
    Generate(GenerateArgs),
    /// Print the verifier key of a key.
    Show(ShowArgs),
}

/// Flags of `daybook keys generate`.
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// The file to make, outside of every ledger.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The name of the key and of the log it signs, one for each ledger, for ever: `example.com/ai-usage`.
    #[arg(long, value_name = "NAME")]
    name: String,
}

/// Flags of `daybook keys show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The file that `daybook keys generate` made.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(crate) fn run(command: KeysCommand) -> Result<ExitCode, Failure> {
    let key = match command {
        KeysCommand::Generate(args) => generate(&args)?,
        KeysCommand::Show(args) => load(&args.file)?,
    };
    output::line(key.verifier())?;
    Ok(ExitCode::SUCCESS)
}

/// Random bytes that nobody can guess.
pub(super) fn random_bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

fn generate(args: &GenerateArgs) -> Result<SigningKey, Failure> {
    let key = SigningKey::new(&args.name, random_bytes()).map_err(|reason| {
        not_a_key(&format!("`{}`", args.name), reason, "use a name such as `example.com/ai-usage`")
    })?;
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => unusable(&args.file, "made", error)
            .with_hint("a key is never overwritten: name another file, or use this key"),
        _ => unusable(&args.file, "made", error),
    };
    refuse_in_ledger(&args.file)?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.file).map_err(failed)?;
    file.write_all(format!("{}\n", key.secret_text()).as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(key)
}

/// Reads a signing key, if nobody else can.
pub(super) fn load(path: &Path) -> Result<SigningKey, Failure> {
    refuse_in_ledger(path)?;
    let text = private_text(path)?;
    let place = path.display().to_string();
    SigningKey::parse(text.trim_end())
        .map_err(|reason| not_a_key(&place, reason, "name a file of `daybook keys generate`"))
}

/// The text of a file, if nobody else can read it.
pub(super) fn private_text(path: &Path) -> Result<String, Failure> {
    let failed = |error| unusable(path, "read", error);
    let mode = fs::metadata(path).map_err(failed)?.mode();
    if mode & OTHERS != 0 {
        let message = format!("the key file {} can be used by others (mode {:o})", path.display(), mode & 0o777);
        let hint = format!("chmod 600 {}; if others may have read it, make a new key", path.display());
        return Err(Failure::plain("CLI-052", Kind::Usage, message, Some(hint)));
    }
    fs::read_to_string(path).map_err(failed)
}

/// Whoever can alter a ledger could sign what they made of it.
fn refuse_in_ledger(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(|error| unusable(path, "placed in its folder", error))?;
    match folder.ancestors().find(|folder| folder.join("usage/_delta_log").is_dir()) {
        Some(ledger) => {
            let message = format!("the key file {} is inside the ledger {}", path.display(), ledger.display());
            let hint = "keep it where those who can write the ledger cannot read it".into();
            Err(Failure::plain("CLI-053", Kind::Usage, message, Some(hint)))
        }
        None => Ok(()),
    }
}

/// Reads a verifier key: its text, or the name of a file with it.
pub(super) fn verifier(text: &str) -> Result<VerifierKey, Failure> {
    let hint = "give the line that `daybook keys show` prints, or a file with it";
    let key = match fs::read_to_string(text) {
        Ok(content) => VerifierKey::parse(content.trim_end()),
        // A key has a `+`, the name of a file seldom.
        Err(error) if !text.contains('+') => {
            return Err(Failure::file(format_args!("the key file {text}"), "read", error));
        }
        Err(_) => VerifierKey::parse(text),
    };
    key.map_err(|reason| not_a_key(&format!("`{text}`"), reason, hint))
}

/// The last checkpoint signed with the key in `path`, kept beside it.
pub(super) fn load_last_signed(path: &Path) -> Result<Option<Checkpoint>, Failure> {
    let memory = memory_of(path);
    match fs::read(&memory) {
        Ok(note) => Ok(Some(Checkpoint::parse(&memory.display().to_string(), &note)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(&memory, "read", error)),
    }
}

/// Keeps `checkpoint` beside the key in `path`: whole, or the one before.
pub(super) fn keep_last_signed(path: &Path, checkpoint: &Checkpoint) -> Result<(), Failure> {
    let memory = memory_of(path);
    let failed = |error| unusable(&memory, "written", error);
    let mut staged = memory.clone().into_os_string();
    staged.push(".new");
    let mut file = fs::File::create(&staged).map_err(failed)?;
    file.write_all(checkpoint.to_string().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&staged, &memory).map_err(failed)
}

fn memory_of(path: &Path) -> PathBuf {
    let mut memory = path.as_os_str().to_owned();
    memory.push(".checkpoint");
    memory.into()
}

pub(super) fn unusable(path: &Path, action: &str, error: std::io::Error) -> Failure {
    let message = format!("the key file {} cannot be {action}", path.display());
    Failure::new("CLI-050", &message, error).with_hint("check the path and its permissions")
}

pub(super) fn not_a_key(place: &str, reason: &str, hint: &str) -> Failure {
    Failure::plain("CLI-051", Kind::Usage, format!("{place} is not a key: {reason}"), Some(hint.into()))
}
