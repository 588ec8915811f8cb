//! Signatures over a bundle, in the formats of `minisign` and `ssh-keygen -Y`, which check them without Daybook.
//!
//! Signed is `tagmanifest-sha256.txt`: it has the digests of the manifests, and they have those of every file.

use std::io::Cursor;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use minisign::{PublicKeyBox, SecretKeyBox, SignatureBox};
use ssh_key::{Algorithm, HashAlg, LineEnding, SshSig};

use crate::manifest;

/// The file that is signed.
pub(crate) const SIGNED: &str = manifest::Algorithm::Sha256.tag_manifest();
/// The namespace of OpenSSH signatures: `ssh-keygen -Y verify -n daybook-bundle`.
pub const NAMESPACE: &str = "daybook-bundle";
/// Base64 of the 64 bytes of an Ed25519 signature.
const ED25519_BASE64_CHARS: usize = 88;

/// A key that signs bundles.
#[derive(Clone)]
pub struct SigningKey(Secret);

#[derive(Clone)]
enum Secret {
    Minisign(minisign::SecretKey),
    Ssh(Box<ssh_key::PrivateKey>),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.extension())
    }
}

impl SigningKey {
    /// Reads the secret key of `minisign -G`, or the private key of `ssh-keygen -t ed25519`; `None` if it is encrypted and no
    /// `password` is given.
    ///
    /// # Errors
    /// What is wrong with the key or the password.
    pub fn parse(text: &str, password: Option<&str>) -> Result<Option<Self>, String> {
        match text.lines().next().unwrap_or_default() {
            first if first.starts_with("untrusted comment:") => Self::parse_minisign(text, password),
            first if first.starts_with("-----BEGIN OPENSSH PRIVATE KEY") => Self::parse_ssh(text, password),
            first if first.starts_with("PRIVATE+KEY+") => Err("it seals ledgers, it does not sign bundles".into()),
            _ => Err("it is neither a secret key of minisign nor a private key of OpenSSH".into()),
        }
    }

    fn parse_minisign(text: &str, password: Option<&str>) -> Result<Option<Self>, String> {
        let line = text.lines().nth(1).unwrap_or_default().trim();
        let bytes = STANDARD.decode(line).map_err(|error| error.to_string())?;
        // Not as a box: the tool leaves out the checksum of a key without a password, which the library misses there.
        let mut key = minisign::SecretKey::from_bytes(&bytes).map_err(|error| error.to_string())?;
        if key.is_encrypted() {
            let Some(password) = password else { return Ok(None) };
            let locked = SecretKeyBox::from_string(text).map_err(|error| error.to_string())?;
            key = locked.into_secret_key(Some(password.into())).map_err(|error| error.to_string())?;
        }
        Ok(Some(Self(Secret::Minisign(key))))
    }

    fn parse_ssh(text: &str, password: Option<&str>) -> Result<Option<Self>, String> {
        let mut key = ssh_key::PrivateKey::from_openssh(text).map_err(|error| error.to_string())?;
        if key.algorithm() != Algorithm::Ed25519 {
            return Err(format!("it is of the kind {}, only ssh-ed25519 signs bundles", key.algorithm()));
        }
        if key.is_encrypted() {
            let Some(password) = password else { return Ok(None) };
            key = key.decrypt(password).map_err(|_| "the password is not that of the key")?;
        }
        Ok(Some(Self(Secret::Ssh(Box::new(key)))))
    }

    /// The extension of its signatures, as the tools look for them.
    fn extension(&self) -> &'static str {
        match self.0 {
            Secret::Minisign(_) => "minisig",
            Secret::Ssh(_) => "sig",
        }
    }

    fn sign(&self, message: &[u8]) -> Result<String, String> {
        match &self.0 {
            Secret::Minisign(key) => {
                let (trusted, untrusted) = (format!("file:{SIGNED}"), "signature from daybook");
                let signature = minisign::sign(None, key, Cursor::new(message), Some(&trusted), Some(untrusted));
                signature.map(|signature| signature.to_string()).map_err(|error| error.to_string())
            }
            Secret::Ssh(key) => {
                let signature = key.sign(NAMESPACE, HashAlg::Sha512, message);
                signature.and_then(|signature| signature.to_pem(LineEnding::LF)).map_err(|error| error.to_string())
            }
        }
    }
}

/// The signatures of `message` by each of `keys`, by file name: `….minisig`, `….sig`, then `….2.sig`.
pub(crate) fn sign(keys: &[SigningKey], message: &[u8]) -> Result<Vec<(String, String)>, crate::Error> {
    let mut signatures: Vec<(String, String)> = Vec::new();
    for key in keys {
        let extension = key.extension();
        let names = (1_usize..).map(|at| match at {
            1 => format!("{SIGNED}.{extension}"),
            at => format!("{SIGNED}.{at}.{extension}"),
        });
        let name = names.into_iter().find(|name| !signatures.iter().any(|(taken, _)| taken == name));
        let text = key
            .sign(message)
            .map_err(|found| crate::Error::Internal { invariant: "a key that was read signs", found })?;
        signatures.extend(name.map(|name| (name, text)));
    }
    Ok(signatures)
}

/// Whether a file called `name` is a signature over the bundle it is in.
pub(crate) fn is_signature(name: &str) -> bool {
    let rest = name.strip_prefix(SIGNED).and_then(|rest| rest.strip_prefix('.'));
    rest.and_then(|rest| rest.rsplit('.').next()).is_some_and(|end| matches!(end, "minisig" | "sig"))
}

/// A public key that a bundle has to be signed by.
#[derive(Clone, Debug)]
pub struct VerifyingKey(Public);

#[derive(Clone, Debug)]
enum Public {
    Minisign(minisign::PublicKey),
    Ssh(Box<ssh_key::PublicKey>),
}

impl VerifyingKey {
    /// Reads a public key of minisign (the file, or its line `RW…`) or of OpenSSH (`ssh-ed25519 …`).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with("ssh-") || text.starts_with("ecdsa-") {
            let key = ssh_key::PublicKey::from_openssh(text).map_err(|error| error.to_string())?;
            return match key.algorithm() {
                Algorithm::Ed25519 => Ok(Self(Public::Ssh(Box::new(key)))),
                other => Err(format!("it is of the kind {other}, only ssh-ed25519 signs bundles")),
            };
        }
        let key = match text.starts_with("untrusted comment:") {
            true => PublicKeyBox::from_string(text).and_then(PublicKeyBox::into_public_key),
            false => minisign::PublicKey::from_base64(text),
        };
        key.map(|key| Self(Public::Minisign(key)))
            .map_err(|_| "it is neither a public key of minisign (`RW…`) nor of OpenSSH (`ssh-ed25519 …`)".into())
    }

    /// Whether `signature`, the text of a file, is its own over `message`.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &str) -> bool {
        match &self.0 {
            Public::Minisign(key) => {
                // The library takes the second signature to be as long as one is.
                let is_long_enough =
                    signature.lines().nth(3).is_some_and(|line| line.trim().len() == ED25519_BASE64_CHARS);
                is_long_enough
                    && SignatureBox::from_string(signature).is_ok_and(|signature| {
                        minisign::verify(key, &signature, Cursor::new(message), true, false, true).is_ok()
                    })
            }
            Public::Ssh(key) => {
                SshSig::from_pem(signature).is_ok_and(|signature| key.verify(NAMESPACE, message, &signature).is_ok())
            }
        }
    }
}

impl std::fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Public::Minisign(key) => write!(f, "minisign {}", key.to_base64()),
            Public::Ssh(key) => write!(f, "ssh-ed25519 {}", key.fingerprint(HashAlg::Sha256)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minisign_pair() -> (SigningKey, VerifyingKey) {
        let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
        let text = pair.sk.to_box(None).unwrap().into_string();
        (SigningKey::parse(&text, None).unwrap().unwrap(), VerifyingKey::parse(&pair.pk.to_base64()).unwrap())
    }

    fn ssh_pair(seed: u8) -> (SigningKey, VerifyingKey) {
        let pair = ssh_key::private::Ed25519Keypair::from_seed(&[seed; 32]);
        let key = ssh_key::PrivateKey::from(pair);
        let text = key.to_openssh(LineEnding::LF).unwrap();
        let public = VerifyingKey::parse(&key.public_key().to_openssh().unwrap()).unwrap();
        (SigningKey::parse(&text, None).unwrap().unwrap(), public)
    }

    #[test]
    fn a_signature_holds_for_its_key_and_message_alone() {
        let pairs = [minisign_pair(), minisign_pair(), ssh_pair(1), ssh_pair(2)];
        let keys: Vec<SigningKey> = pairs.iter().map(|(secret, _)| secret.clone()).collect();
        let signatures = sign(&keys, b"message").unwrap();
        let names: Vec<&str> = signatures.iter().map(|(name, _)| name.strip_prefix(SIGNED).unwrap()).collect();
        assert_eq!(names, [".minisig", ".2.minisig", ".sig", ".2.sig"]);
        for (at, (_, public)) in pairs.iter().enumerate() {
            for (by, (name, text)) in signatures.iter().enumerate() {
                assert!(is_signature(name));
                assert_eq!(public.has_signed(b"message", text), at == by);
                assert!(!public.has_signed(b"massage", text));
            }
        }
    }

    #[test]
    fn a_signature_that_is_cut_anywhere_holds_no_more() {
        for (secret, public) in [minisign_pair(), ssh_pair(1)] {
            let text = secret.sign(b"message").unwrap();
            for length in 0..text.trim_end().len() {
                assert!(!public.has_signed(b"message", text.get(..length).unwrap()), "{length}");
            }
        }
    }

    #[test]
    fn an_encrypted_key_asks_for_its_password() {
        let pair = ssh_key::private::Ed25519Keypair::from_seed(&[1; 32]);
        let key = ssh_key::PrivateKey::from(pair);
        let key = key.encrypt_with(
            ssh_key::Cipher::Aes256Ctr,
            ssh_key::Kdf::Bcrypt { salt: vec![7; 16], rounds: 1 },
            7,
            "right",
        );
        let text = key.unwrap().to_openssh(LineEnding::LF).unwrap();
        assert!(SigningKey::parse(&text, None).unwrap().is_none());
        assert!(SigningKey::parse(&text, Some("wrong")).is_err());
        assert!(SigningKey::parse(&text, Some("right")).unwrap().is_some());
    }

    #[test]
    fn what_is_no_key_for_bundles_is_refused() {
        for text in ["", "PRIVATE+KEY+example.com/x+abc", "-----BEGIN OPENSSH PRIVATE KEY-----\nx", "x"] {
            assert!(SigningKey::parse(text, None).is_err(), "{text}");
        }
        for text in ["", "x", "ssh-ed25519 AAAA", "example.com/x+abc+AQ=="] {
            assert!(VerifyingKey::parse(text).is_err(), "{text}");
        }
    }
}
