//! Keys of bundles: those that sign one, and those it has to be signed by.

use std::fs;
use std::path::{Path, PathBuf};

use daybook_export::{SigningKey, VerifyingKey};
use daybook_ledger::Kind;

use super::keys::{not_a_key, private_text};
use super::secret::secret;
use crate::failure::Failure;

/// The password of a key that signs, for runs without a terminal.
const PASSWORD_VARIABLE: &str = "DAYBOOK_SIGN_PASSWORD";

/// Flags of what signs.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SignArgs {
    /// Sign the bundle with this secret key of `minisign -G`, or private key of `ssh-keygen -t ed25519`; repeatable. The
    /// password of the key is asked for [env: DAYBOOK_SIGN_PASSWORD].
    #[arg(long, value_name = "KEYFILE")]
    sign: Vec<PathBuf>,
    /// A file with the password of the keys in its first line.
    #[arg(long, value_name = "FILE", requires = "sign")]
    sign_password_file: Option<PathBuf>,
}

impl SignArgs {
    /// The keys, opened.
    pub(super) fn load(&self) -> Result<Vec<SigningKey>, Failure> {
        self.sign.iter().map(|path| self.load_key(path)).collect()
    }

    fn load_key(&self, path: &Path) -> Result<SigningKey, Failure> {
        let text = private_text(path)?;
        let refused = |reason: String| {
            let hint = "make one with `minisign -G` or `ssh-keygen -t ed25519`";
            not_a_key(&path.display().to_string(), &reason, hint)
        };
        if let Some(key) = SigningKey::parse(&text, None).map_err(refused)? {
            return Ok(key);
        }
        let password = self.password(path)?;
        let key = SigningKey::parse(&text, Some(&password));
        key.ok().flatten().ok_or_else(|| locked(path, "the password is not that of the key"))
    }

    fn password(&self, key: &Path) -> Result<String, Failure> {
        let ask = || rpassword::prompt_password(format!("Password of {}: ", key.display()));
        let password = secret(self.sign_password_file.as_deref(), PASSWORD_VARIABLE, ask)?;
        password.ok_or_else(|| locked(key, "there is no terminal to ask for its password"))
    }
}

fn locked(path: &Path, reason: &str) -> Failure {
    let message = format!("the key {} cannot be opened: {reason}", path.display());
    let hint = format!("set {PASSWORD_VARIABLE}, or give --sign-password-file");
    Failure::plain("CLI-054", Kind::Usage, message, Some(hint))
}

/// Reads a public key: its text, or the name of a file with it.
pub(super) fn public_key(text: &str) -> Result<VerifyingKey, Failure> {
    let content = fs::read_to_string(text).unwrap_or_else(|_| text.into());
    VerifyingKey::parse(&content).map_err(|reason| {
        let hint = "a bundle is signed by keys of minisign and OpenSSH; give the public key, or a file with it";
        not_a_key(&format!("`{text}`"), &reason, hint)
    })
}
