//! Encryption of a bundle in one file, in the format of [age](https://age-encryption.org/v1), whose tools open it without Daybook.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read as _, Seek as _, Write};
use std::iter;
use std::path::Path;

use age::secrecy::SecretString;
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, EncryptError, Encryptor, scrypt, x25519};
use age_core::format::{FileKey, Stanza};

use crate::Error;
use crate::reader::open_file;

/// What a passphrase costs to try: 2^18 steps and 256 MiB, as with `age -p`.
const WORK_FACTOR: u8 = 18;
/// A stranger's file may ask for no more than 1 GiB.
const WORK_FACTOR_MAX: u8 = 20;
/// Parsing takes the square of it. Its recipients have about a hundred bytes each.
const HEADER_BYTES_MAX: u64 = 64 << 10;
const RECIPIENTS_MAX: usize = 500;
/// A line of the header of a rehearsal, which the next one removes without a key.
const REHEARSAL: &str = "daybook-rehearsal";
const ARMOR: &[u8] = b"-----BEGIN AGE";

/// Who can open a bundle that is written.
#[derive(Clone, Debug)]
pub struct Encryption(For);

#[derive(Clone, Debug)]
enum For {
    Recipients(Vec<Recipient>),
    Passphrase(Passphrase),
    /// A key that is gone with the process.
    Rehearsal(Recipient),
}

impl Encryption {
    /// Each of `recipients` can open it.
    ///
    /// # Errors
    /// If there are none, or more than 500.
    pub fn to(recipients: Vec<Recipient>) -> Result<Self, String> {
        match recipients.len() {
            0 => Err("no recipient is given".into()),
            1..=RECIPIENTS_MAX => Ok(Self(For::Recipients(recipients))),
            given => Err(format!("there are {given} recipients, at most {RECIPIENTS_MAX} can be")),
        }
    }

    /// Whoever knows `passphrase` can open it.
    pub fn with(passphrase: Passphrase) -> Self {
        Self(For::Passphrase(passphrase))
    }

    /// Of a bundle that is read back at once and then removed: for a key of its own if it is to recipients.
    pub(crate) fn of_rehearsal(&self) -> (Self, Keys) {
        match &self.0 {
            For::Passphrase(_) => (self.clone(), self.keys()),
            For::Recipients(_) | For::Rehearsal(_) => {
                let identity = x25519::Identity::generate();
                let to = For::Rehearsal(Recipient(identity.to_public()));
                (Self(to), Keys { identities: vec![Identity(identity)], passphrase: None })
            }
        }
    }

    /// What is known to open it.
    pub(crate) fn keys(&self) -> Keys {
        match &self.0 {
            For::Passphrase(passphrase) => Keys { passphrase: Some(passphrase.clone()), ..Keys::default() },
            For::Recipients(_) | For::Rehearsal(_) => Keys::default(),
        }
    }

    /// Begins an encrypted file.
    pub(crate) fn begin(&self, file: File) -> io::Result<Encrypting> {
        let encryptor = match &self.0 {
            For::Recipients(recipients) => Encryptor::with_recipients(recipients.iter().map(|to| &to.0 as _)),
            For::Rehearsal(to) => Encryptor::with_recipients([&to.0 as &dyn age::Recipient, &Mark].into_iter()),
            For::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(passphrase.0.clone());
                recipient.set_work_factor(WORK_FACTOR);
                Encryptor::with_recipients(iter::once(&recipient as _))
            }
        };
        Ok(Encrypting(encryptor.map_err(io::Error::other)?.wrap_output(file)?))
    }
}

/// Opens nothing: a line of the header that says what the file is. Readers pass over recipients they do not know.
struct Mark;

impl age::Recipient for Mark {
    fn wrap_file_key(&self, _key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let mark = Stanza { tag: REHEARSAL.into(), args: Vec::new(), body: Vec::new() };
        Ok((vec![mark], HashSet::new()))
    }
}

/// Whether the file at `path` is a rehearsal that was encrypted to a key of its own.
pub(crate) fn is_rehearsal(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEADER_BYTES_MAX).read_to_end(&mut head));
    let mark = format!("\n-> {REHEARSAL}\n");
    let end = head.windows(4).position(|window| window == b"\n---").unwrap_or(0);
    let (header, _) = head.split_at(end);
    read.is_ok() && no_header(&head).is_none() && header.windows(mark.len()).any(|line| line == mark.as_bytes())
}

/// Encrypts what is written to it.
pub(crate) struct Encrypting(StreamWriter<File>);

impl Encrypting {
    /// Writes the end, without which the file does not open.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.0.finish().map(drop)
    }
}

impl Write for Encrypting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl std::fmt::Debug for Encrypting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encrypting")
    }
}

/// Somebody a bundle is encrypted to: a public key of `age-keygen`.
#[derive(Clone, Debug)]
pub struct Recipient(x25519::Recipient);

impl Recipient {
    /// Reads `age1…`.
    ///
    /// # Errors
    /// What is wrong with it; `text` is not repeated, as it may be a secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_secret = text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-");
        text.parse().map(Self).map_err(|_| match text {
            _ if is_secret => "it is a secret key: `age-keygen -y` shows the recipient that goes with it".into(),
            _ if text.starts_with("ssh-") => "it is a key of OpenSSH, only age's own (`age1…`) are recipients".into(),
            _ => "it is no recipient of age (`age1…`, 62 characters)".into(),
        })
    }
}

/// What opens a bundle that was encrypted to its recipient: a secret key of `age-keygen`.
#[derive(Clone)]
pub struct Identity(x25519::Identity);

impl Identity {
    /// Reads `AGE-SECRET-KEY-1…`.
    ///
    /// # Errors
    /// What is wrong with it; `text` is not repeated.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| match text {
            _ if text.starts_with("age-encryption.org/") => {
                "it is itself encrypted: open it with `age -d` first".into()
            }
            _ if text.starts_with("-----BEGIN") => "it is of another kind, only age's own keys open a bundle".into(),
            _ => "a line of it is no secret key of age (`AGE-SECRET-KEY-1…`)".into(),
        })
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

/// A passphrase; printed, it is hidden.
#[derive(Clone, Debug)]
pub struct Passphrase(SecretString);

impl From<String> for Passphrase {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// What there is to open a bundle with.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Each is tried.
    pub identities: Vec<Identity>,
    /// Tried if the bundle asks for one.
    pub passphrase: Option<Passphrase>,
}

/// Whether the encrypted file at `path` opens with a passphrase.
pub(crate) fn asks_for_passphrase(path: &Path) -> Result<bool, Error> {
    Ok(decryptor(path)?.is_scrypt())
}

/// The bytes that the file at `path` was encrypted from. What stands in it is believed as it is read, 64 KiB at a time.
pub(crate) fn open(path: &Path, keys: &Keys) -> Result<StreamReader<BufReader<File>>, Error> {
    let decryptor = decryptor(path)?;
    let locked = |reason: &str| Error::Locked { path: path.into(), reason: reason.into() };
    let opened = match (decryptor.is_scrypt(), &keys.passphrase) {
        (true, None) => return Err(locked("it opens with a passphrase, and none is given")),
        (true, Some(passphrase)) => {
            let mut identity = scrypt::Identity::new(passphrase.0.clone());
            identity.set_max_work_factor(WORK_FACTOR_MAX);
            decryptor.decrypt(iter::once(&identity as _))
        }
        (false, _) if keys.identities.is_empty() => {
            return Err(locked("it is encrypted to recipients, and no identity is given"));
        }
        (false, _) => decryptor.decrypt(keys.identities.iter().map(|identity| &identity.0 as _)),
    };
    opened.map_err(|error| match error {
        DecryptError::NoMatchingKeys => locked("it is encrypted to others than the identities given"),
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => locked("the passphrase is another"),
        DecryptError::ExcessiveWork { required, .. } => locked(&format!(
            "to try a passphrase would take 2^{required} steps, and no more than 2^{WORK_FACTOR_MAX} are taken"
        )),
        error => unusable(path, error),
    })
}

/// Reads the header, within bounds.
fn decryptor(path: &Path) -> Result<Decryptor<BufReader<File>>, Error> {
    let mut file = open_file(path)?;
    let mut head = Vec::new();
    (&mut file).take(HEADER_BYTES_MAX).read_to_end(&mut head).map_err(Error::unreadable(path, "read"))?;
    if let Some(reason) = no_header(&head) {
        return Err(Error::NotABundle { path: path.into(), reason: reason.into() });
    }
    file.rewind().map_err(Error::unreadable(path, "read"))?;
    Decryptor::new_buffered(BufReader::new(file)).map_err(|error| unusable(path, error))
}

/// Why `head` cannot be the head of an encrypted bundle. A header is over after its line `---`.
fn no_header(head: &[u8]) -> Option<&'static str> {
    let end = head.windows(4).position(|window| window == b"\n---");
    let is_ended = end.and_then(|end| head.get(end + 1..)).is_some_and(|rest| rest.contains(&b'\n'));
    match () {
        () if head.starts_with(ARMOR) => Some("it is age's text form (armor), only the binary form is read"),
        () if !head.starts_with(b"age-encryption.org/") => Some("it is not a file that age encrypted"),
        () if !is_ended && (head.len() as u64) < HEADER_BYTES_MAX => Some("the header of its encryption is cut off"),
        () if !is_ended => Some("the header of its encryption has no end within 64 KiB"),
        () => None,
    }
}

fn unusable(path: &Path, error: DecryptError) -> Error {
    let reason = match error {
        DecryptError::Io(error) if error.kind() != ErrorKind::UnexpectedEof => {
            return Error::unreadable(path, "read")(error);
        }
        DecryptError::Io(_) => "the header of its encryption is cut off",
        DecryptError::InvalidMac => "the header of its encryption was altered",
        _ => "the header of its encryption is not one of age v1",
    };
    Error::NotABundle { path: path.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use age::secrecy::ExposeSecret as _;

    use super::*;

    /// A recipient and its secret, as text.
    fn pair() -> (String, String) {
        let identity = x25519::Identity::generate();
        (identity.to_public().to_string(), identity.to_string().expose_secret().to_owned())
    }

    /// A file of `bytes` that `passphrase` opens, at little work.
    fn with_passphrase(bytes: &[u8], passphrase: &str, log_n: u8) -> tempfile::NamedTempFile {
        let mut recipient = scrypt::Recipient::new(passphrase.to_owned().into());
        recipient.set_work_factor(log_n);
        let encryptor = Encryptor::with_recipients(iter::once(&recipient as _)).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut stream = encryptor.wrap_output(file.reopen().unwrap()).unwrap();
        stream.write_all(bytes).unwrap();
        stream.finish().unwrap();
        file
    }

    fn keys(passphrase: &str) -> Keys {
        Keys { passphrase: Some(passphrase.to_owned().into()), ..Keys::default() }
    }

    fn reason(file: &tempfile::NamedTempFile, keys: &Keys) -> String {
        open(file.path(), keys).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn a_rehearsal_to_recipients_is_told_by_its_header_and_opens_with_its_own_key() {
        let dir = tempfile::tempdir().unwrap();
        let recipient = Recipient(x25519::Identity::generate().to_public());
        let own = Encryption::to(vec![recipient]).unwrap();
        let (rehearsal, keys) = own.of_rehearsal();
        for (name, encryption, told) in [("rehearsal", &rehearsal, true), ("own", &own, false)] {
            let path = dir.path().join(name);
            let mut file = encryption.begin(File::create(&path).unwrap()).unwrap();
            file.write_all(b"\n-> daybook-rehearsal\n").unwrap();
            file.finish().unwrap();
            assert_eq!(is_rehearsal(&path), told, "{name}");
        }
        let mut text = String::new();
        open(&dir.path().join("rehearsal"), &keys).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "\n-> daybook-rehearsal\n");
        assert!(!is_rehearsal(&dir.path().join("none")));
    }

    #[test]
    fn keys_are_read_and_others_are_told_apart_without_being_repeated() {
        let (recipient, secret) = pair();
        Recipient::parse(&recipient).unwrap();
        Identity::parse(&secret).unwrap();
        let refused = Recipient::parse(&secret).unwrap_err();
        assert!(refused.contains("secret key") && !refused.contains(&secret), "{refused}");
        assert!(Recipient::parse("ssh-ed25519 AAAA").unwrap_err().contains("OpenSSH"));
        for text in ["", "age1", recipient.trim_start_matches('a'), &format!("{recipient}q")] {
            assert!(Recipient::parse(text).is_err(), "{text}");
        }
        assert!(Identity::parse(&recipient).is_err());
        assert!(!format!("{:?}{:?}", Identity::parse(&secret), keys("hunter2")).contains("hunter2"));
    }

    #[test]
    fn no_one_and_too_many_are_no_recipients() {
        let to = |count| Encryption::to(vec![Recipient::parse(&pair().0).unwrap(); count]);
        assert!(to(0).is_err() && to(RECIPIENTS_MAX + 1).is_err());
        let file = tempfile::NamedTempFile::new().unwrap();
        to(RECIPIENTS_MAX).unwrap().begin(file.reopen().unwrap()).unwrap().finish().unwrap();
        assert!(!asks_for_passphrase(file.path()).unwrap(), "what is written can be read");
    }

    #[test]
    fn a_passphrase_opens_what_it_closed_and_no_other_does() {
        let file = with_passphrase(b"rows", "correct horse", 4);
        let mut text = String::new();
        open(file.path(), &keys("correct horse")).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "rows");
        assert!(asks_for_passphrase(file.path()).unwrap());
        assert!(reason(&file, &keys("battery")).ends_with("the passphrase is another"));
        assert!(reason(&file, &Keys::default()).ends_with("it opens with a passphrase, and none is given"));
    }

    #[test]
    fn a_header_that_asks_for_too_much_is_refused_at_once() {
        let file = with_passphrase(b"rows", "x", 4);
        let genuine = std::fs::read(file.path()).unwrap();
        let text = String::from_utf8_lossy(&genuine).into_owned();
        let line = text.lines().nth(1).unwrap();
        let salt = line.strip_suffix(" 4").unwrap();
        for factor in ["21", "63"] {
            let head = format!("age-encryption.org/v1\n{salt} {factor}").into_bytes();
            std::fs::write(file.path(), [head.as_slice(), &genuine[22 + line.len()..]].concat()).unwrap();
            assert!(reason(&file, &keys("x")).contains(&format!("2^{factor} steps")));
        }
        let endless = [b"age-encryption.org/v1\n".to_vec(), b"-> X25519 a\n\n".repeat(1 << 16)].concat();
        for (bytes, expected) in [
            (endless.as_slice(), "no end within"),
            (b"-----BEGIN AGE ENCRYPTED FILE-----", "text form"),
            (b"age-encryption.org/v1\n-> X25519 a", "is cut off"),
            (b"PK", "not a file that age encrypted"),
            (b"", "not a file that age encrypted"),
            (b"age-encryption.org/v2\n--- x\n", "not one of age v1"),
            (b"age-encryption.org/v1\n--- x\n", "not one of age v1"),
        ] {
            std::fs::write(file.path(), bytes).unwrap();
            assert!(reason(&file, &keys("x")).contains(expected), "{}", reason(&file, &keys("x")));
        }
    }
}
