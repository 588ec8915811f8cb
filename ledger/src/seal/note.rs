//! Signed notes (C2SP signed-note) and the checkpoints they carry (C2SP tlog-checkpoint), with Ed25519 keys.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

use super::Error;
use super::tree::Hash;
use crate::file::hex;

const PRIVATE: &str = "PRIVATE+KEY+";
/// The type of plain Ed25519 signatures.
const ED25519_TYPE: u8 = 1;
/// A longer note is no checkpoint.
const NOTE_BYTES_MAX: usize = 64 << 10;

/// Names a key in a note, together with its name: the beginning of a hash over both.
type KeyId = [u8; 4];

fn key_id(name: &str, public: &[u8]) -> KeyId {
    let digest = Sha256::new().chain_update(name).chain_update([b'\n', ED25519_TYPE]).chain_update(public).finalize();
    let [a, b, c, d, ..] = <Hash>::from(digest);
    [a, b, c, d]
}

/// Why a text is not what it should be.
type Reason = &'static str;

fn check_name(name: &str) -> Result<(), Reason> {
    match name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+') {
        true => Err("a key's name is not empty and has no space and no `+`"),
        false => Ok(()),
    }
}

/// `name`, and the 32 bytes after the type in the last part of a key.
fn parse_key(text: &str) -> Result<(&str, KeyId, [u8; 32]), Reason> {
    let mut parts = text.trim_end().splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("a key has the form NAME+ID+KEY");
    };
    check_name(name)?;
    let id = u32::from_str_radix(id, 16).ok().filter(|_| id.len() == 8).ok_or("its id is not 8 hexadecimal digits")?;
    let key = STANDARD.decode(key).map_err(|_| "its last part is not base64")?;
    match key.split_first() {
        Some((&ED25519_TYPE, key)) => {
            let key = key.try_into().map_err(|_| "an Ed25519 key has 32 bytes")?;
            Ok((name, id.to_be_bytes(), key))
        }
        _ => Err("it is not an Ed25519 key"),
    }
}

/// A key that signs. Its text is that of Go's `sumdb/note`: `PRIVATE+KEY+name+id+base64`.
pub struct SigningKey {
    name: String,
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// The key called `name` of a seed that nobody can guess.
    ///
    /// # Errors
    /// Why `name` cannot be a key's name.
    pub fn new(name: &str, seed: [u8; 32]) -> Result<Self, Reason> {
        check_name(name)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| "it is not an Ed25519 key")?;
        Ok(Self { name: name.into(), seed, pair })
    }

    /// Reads the key's text.
    ///
    /// # Errors
    /// Why it is not one.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        let text = text.strip_prefix(PRIVATE).ok_or("a signing key starts with PRIVATE+KEY+")?;
        let (name, id, seed) = parse_key(text)?;
        let key = Self::new(name, seed)?;
        match key.verifier().id() == id {
            true => Ok(key),
            false => Err("its id is not that of its name and key: it was altered"),
        }
    }

    /// The key's text, which is a secret.
    pub fn secret_text(&self) -> String {
        let verifier = self.verifier();
        let key = STANDARD.encode([&[ED25519_TYPE][..], &self.seed].concat());
        format!("{PRIVATE}{}+{}+{key}", self.name, hex(&verifier.id()))
    }

    /// The key that checks its signatures.
    pub fn verifier(&self) -> VerifierKey {
        // An Ed25519 public key has 32 bytes.
        let public = self.pair.public_key().as_ref().try_into().unwrap_or_default();
        VerifierKey { name: self.name.clone(), public }
    }

    /// Its name, which is also the origin of the log it signs.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A key that checks signatures: `name+id+base64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public: [u8; 32],
}

impl VerifierKey {
    /// Reads the key's text.
    ///
    /// # Errors
    /// Why it is not one.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        if text.starts_with(PRIVATE) {
            return Err("it is the signing key, which only the signer needs");
        }
        let (name, id, public) = parse_key(text)?;
        let key = Self { name: name.into(), public };
        match key.id() == id {
            true => Ok(key),
            false => Err("its id is not that of its name and key: it was altered"),
        }
    }

    fn id(&self) -> KeyId {
        key_id(&self.name, &self.public)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[ED25519_TYPE][..], &self.public].concat());
        write!(f, "{}+{}+{key}", self.name, hex(&self.id()))
    }
}

#[derive(Clone, Debug)]
struct Signature {
    name: String,
    id: KeyId,
    bytes: Vec<u8>,
}

/// What a checkpoint says: the log, its size and its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The log's name.
    pub origin: String,
    /// Leaves in it.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root))
    }
}

/// A signed [`Head`]: the object `checkpoint` of a log.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// What it says. Nothing of it counts before [`Checkpoint::is_signed_by`].
    pub head: Head,
    text: String,
    signatures: Vec<Signature>,
}

impl Checkpoint {
    /// Signs `head`.
    pub fn sign(head: Head, key: &SigningKey) -> Self {
        let text = head.to_string();
        let bytes = key.pair.sign(text.as_bytes()).as_ref().to_vec();
        let signature = Signature { name: key.name.clone(), id: key.verifier().id(), bytes };
        Self { head, text, signatures: vec![signature] }
    }

    /// Reads a checkpoint; `place` is named if it is none.
    ///
    /// # Errors
    /// [`Error::NotACheckpoint`].
    pub fn parse(place: &str, note: &[u8]) -> Result<Self, Error> {
        Self::read(note).map_err(|reason| Error::NotACheckpoint { place: place.into(), reason })
    }

    fn read(note: &[u8]) -> Result<Self, Reason> {
        if note.len() > NOTE_BYTES_MAX {
            return Err("it is too long");
        }
        let note = std::str::from_utf8(note).map_err(|_| "it is not UTF-8")?;
        if note.contains(|c: char| c.is_ascii_control() && c != '\n') {
            return Err("it has control characters");
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or("no empty line is before its signatures")?;
        if !signatures.ends_with('\n') {
            return Err("its last line has no end");
        }
        let signatures = signatures.lines().map(read_signature).collect::<Result<_, _>>()?;
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err("it does not have the three lines origin, size and root");
        };
        let root = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok());
        let head = Head {
            origin: origin.into(),
            size: size.parse().ok().filter(|number: &u64| number.to_string() == size).ok_or("its size is no number")?,
            root: root.ok_or("its root is not base64 of 32 bytes")?,
        };
        match origin.is_empty() {
            true => Err("its origin is empty"),
            false => Ok(Self { head, text: format!("{text}\n"), signatures }),
        }
    }

    /// Whether `key` signed it.
    pub fn is_signed_by(&self, key: &VerifierKey) -> bool {
        let id = key.id();
        let public = UnparsedPublicKey::new(&ED25519, &key.public);
        let mut of_key = self.signatures.iter().filter(|signature| signature.name == key.name && signature.id == id);
        let is_valid = |signature: &Signature| public.verify(self.text.as_bytes(), &signature.bytes).is_ok();
        of_key.clone().next().is_some() && of_key.all(is_valid)
    }

    /// Names and ids of the keys it names, for messages.
    pub fn signers(&self) -> String {
        let signers: Vec<_> = self.signatures.iter().map(|s| format!("{}+{}", s.name, hex(&s.id))).collect();
        signers.join(", ")
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for Signature { name, id, bytes } in &self.signatures {
            writeln!(f, "\u{2014} {name} {}", STANDARD.encode([&id[..], bytes].concat()))?;
        }
        Ok(())
    }
}

fn read_signature(line: &str) -> Result<Signature, Reason> {
    let (name, signature) =
        line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' ')).ok_or("a signature line is malformed")?;
    check_name(name)?;
    let signature = STANDARD.decode(signature).map_err(|_| "a signature is not base64")?;
    let (id, bytes) = signature.split_first_chunk().ok_or("a signature is too short")?;
    Ok(Signature { name: name.into(), id: *id, bytes: bytes.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and the note of the specification's reference implementation (golang.org/x/mod/sumdb/note).
    const GO_KEY: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const GO_VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    fn head(size: u64) -> Head {
        Head { origin: "PeterNeumann".into(), size, root: [7; 32] }
    }

    #[test]
    fn keys_are_those_of_other_makers() {
        let key = SigningKey::parse(GO_KEY).unwrap();
        assert_eq!(key.secret_text(), GO_KEY);
        assert_eq!(key.verifier().to_string(), GO_VERIFIER);
        assert_eq!(VerifierKey::parse(GO_VERIFIER), Ok(key.verifier()));
        assert!(!format!("{key:?}").contains("AYEKFALV"), "a secret is never printed");
    }

    #[test]
    fn a_checkpoint_is_read_as_it_was_signed() {
        let key = SigningKey::parse(GO_KEY).unwrap();
        let text = Checkpoint::sign(head(300), &key).to_string();
        let read = Checkpoint::parse("x", text.as_bytes()).unwrap();
        assert_eq!((read.head.clone(), read.to_string()), (head(300), text.clone()));
        assert!(read.is_signed_by(&key.verifier()));

        let altered = Checkpoint::parse("x", text.replace("300", "301").as_bytes()).unwrap();
        assert!(!altered.is_signed_by(&key.verifier()), "another size");
        let other = SigningKey::new("PeterNeumann", [1; 32]).unwrap();
        assert!(!read.is_signed_by(&other.verifier()), "a key of the same name");
        assert_eq!(read.signers(), "PeterNeumann+c74f20a3");
    }

    #[test]
    fn what_is_no_key_or_checkpoint_is_refused_with_the_reason() {
        let reason = |text: &str| VerifierKey::parse(text).unwrap_err();
        assert_eq!(reason(GO_KEY), "it is the signing key, which only the signer needs");
        assert_eq!(reason("name"), "a key has the form NAME+ID+KEY");
        assert_eq!(
            reason(&GO_VERIFIER.replace("c74", "c75")),
            "its id is not that of its name and key: it was altered"
        );
        assert!(SigningKey::new("two words", [1; 32]).is_err());

        let note = Checkpoint::sign(head(3), &SigningKey::parse(GO_KEY).unwrap()).to_string();
        for broken in
            ["", "a\n1\n\n", &note.replace("\n3\n", "\n03\n"), &note.replace('\u{2014}', "-"), note.trim_end()]
        {
            assert!(Checkpoint::parse("x", broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
