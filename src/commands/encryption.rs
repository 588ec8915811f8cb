//! Who can open an encrypted bundle: recipients and a passphrase to write one, identities and the passphrase to read it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use daybook_export::{Bundle, Encryption, Identity, Keys, Passphrase, Recipient};
use daybook_ledger::Kind;

use super::keys::{not_a_key, private_text, unusable};
use super::secret::secret;
use crate::failure::Failure;

/// The passphrase, for runs without a terminal.
const PASSPHRASE_VARIABLE: &str = "DAYBOOK_PASSPHRASE";
const RECIPIENT_HINT: &str =
    "a recipient is the public key `age1…` that `age-keygen` prints; a file of them goes with --recipients-file";
const IDENTITY_HINT: &str = "name a file that `age-keygen -o` wrote";

/// Flags of what encrypts.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct EncryptArgs {
    /// Encrypt the bundle, which is a file `NAME.tar.zst.age`, so that the holder of this public key of `age-keygen` can open it;
    /// repeatable.
    #[arg(long, value_name = "age1…")]
    encrypt_to: Vec<String>,
    /// Encrypt it to every public key in this file, one a line, as `age -R` reads it; repeatable.
    #[arg(long = "recipients-file", value_name = "FILE")]
    recipients_files: Vec<PathBuf>,
    /// Encrypt it with a passphrase, which is asked for [env: DAYBOOK_PASSPHRASE].
    #[arg(long, conflicts_with_all = ["encrypt_to", "recipients_files"])]
    passphrase: bool,
    /// Encrypt it with the passphrase in the first line of this file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["encrypt_to", "recipients_files"])]
    passphrase_file: Option<PathBuf>,
}

impl EncryptArgs {
    /// Who can open the bundle, if it is to be encrypted.
    pub(super) fn load(&self) -> Result<Option<Encryption>, Failure> {
        if self.passphrase || self.passphrase_file.is_some() {
            return Ok(Some(Encryption::with(passphrase(self.passphrase_file.as_deref(), ask_twice)?)));
        }
        let mut recipients = Vec::new();
        for (at, text) in (1..).zip(&self.encrypt_to) {
            let refused = |reason: String| not_a_key(&format!("value {at} of --encrypt-to"), &reason, RECIPIENT_HINT);
            recipients.push(Recipient::parse(text).map_err(refused)?);
        }
        for path in &self.recipients_files {
            let text = fs::read_to_string(path).map_err(|error| unusable(path, "read", error))?;
            recipients.extend(keys_in(path, &text, Recipient::parse, RECIPIENT_HINT)?);
        }
        if recipients.is_empty() {
            return Ok(None);
        }
        let encryption = Encryption::to(recipients);
        encryption.map(Some).map_err(|reason| not_a_key("what is given for recipients", &reason, RECIPIENT_HINT))
    }

    /// How those who can open the bundle at `place` check it.
    pub(super) fn print_checks(&self, place: &str, out: &mut dyn Write) -> io::Result<()> {
        let identity = if self.passphrase || self.passphrase_file.is_some() { "" } else { " -i KEYFILE" };
        writeln!(out, "    daybook verify {place}{identity}")?;
        writeln!(out, "    age -d{identity} {place} | tar --zstd -xf -")?;
        writeln!(out, "\nUnpacked, the README.md in it says how it is checked and read without Daybook.")
    }
}

/// Flags of what opens.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct UnlockArgs {
    /// Open an encrypted bundle with the secret keys in this file, as `age-keygen` writes it; repeatable.
    #[arg(short, long = "identity", value_name = "FILE")]
    identities: Vec<PathBuf>,
    /// A file with the passphrase of the bundle in its first line; without it, it is asked for [env: DAYBOOK_PASSPHRASE].
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl UnlockArgs {
    /// What there is to open the bundle at `address` with.
    pub(super) fn load(&self, address: &str) -> Result<Keys, Failure> {
        let mut keys = Keys { identities: identities(&self.identities)?, ..Keys::default() };
        if Bundle::asks_for_passphrase(address)? {
            let ask = || rpassword::prompt_password(format!("Passphrase of {address}: "));
            keys.passphrase = Some(passphrase(self.passphrase_file.as_deref(), ask)?);
        }
        Ok(keys)
    }
}

/// The secret keys in the files at `paths`.
pub(super) fn identities(paths: &[PathBuf]) -> Result<Vec<Identity>, Failure> {
    let mut identities = Vec::new();
    for path in paths {
        identities.extend(keys_in(path, &private_text(path)?, Identity::parse, IDENTITY_HINT)?);
    }
    Ok(identities)
}

/// One key a line; empty lines and comments are passed over, as age does.
fn keys_in<K>(path: &Path, text: &str, parse: fn(&str) -> Result<K, String>, hint: &str) -> Result<Vec<K>, Failure> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Result<Vec<K>, String> = lines.map(parse).collect();
    let place = path.display().to_string();
    match keys {
        Ok(keys) if keys.is_empty() => Err(not_a_key(&place, "there is none in it", hint)),
        keys => keys.map_err(|reason| not_a_key(&place, &reason, hint)),
    }
}

fn passphrase(file: Option<&Path>, ask: impl FnOnce() -> io::Result<String>) -> Result<Passphrase, Failure> {
    let missing = |reason: &str| {
        let hint = format!("set {PASSPHRASE_VARIABLE}, or give --passphrase-file");
        Failure::plain("CLI-055", Kind::Usage, format!("no passphrase is known: {reason}"), Some(hint))
    };
    match secret(file, PASSPHRASE_VARIABLE, ask)? {
        None => Err(missing("there is no terminal to ask for it")),
        Some(text) if text.is_empty() => Err(missing("what was given is empty")),
        Some(text) => Ok(text.into()),
    }
}

/// A slip of the finger would close a bundle for good.
fn ask_twice() -> io::Result<String> {
    loop {
        let first = rpassword::prompt_password("Passphrase of the new bundle: ")?;
        if first == rpassword::prompt_password("The same again: ")? {
            return Ok(first);
        }
        writeln!(io::stderr(), "these two differ")?;
    }
}
