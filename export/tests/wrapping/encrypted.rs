//! A bundle that only some can open: the same archive inside, and nothing of it on the disk in clear.

use std::fs;
use std::io::Read as _;

use age::x25519;
use daybook_export::verify::{self, Verdict};
use daybook_export::{
    Bundle, Delivered, Encryption, Error, Identity, Keys, Recipient, Request, Silent, delivered, diff, write,
};
use daybook_export::{refuse_if_taken, restore_verified};
use daybook_ledger::{Instant, Ledger, Report as _};

use super::super::common::files;
use super::super::{Notices, Place, ledger};

struct Pair {
    own: x25519::Identity,
    keys: Keys,
    recipient: Recipient,
}

impl Pair {
    fn new() -> Self {
        use age::secrecy::ExposeSecret as _;
        let own = x25519::Identity::generate();
        let identity = Identity::parse(own.to_string().expose_secret()).unwrap();
        let recipient = Recipient::parse(&own.to_public().to_string()).unwrap();
        Self { own, keys: Keys { identities: vec![identity], passphrase: None }, recipient }
    }
}

fn encrypted_to(place: &Place, name: &str, pairs: &[&Pair]) -> Request {
    let recipients = pairs.iter().map(|pair| pair.recipient.clone()).collect();
    let encryption = Some(Encryption::to(recipients).unwrap());
    Request { shard_bytes: 1 << 12, encryption, ..Request::new(place.path(name)) }
}

async fn check(place: &Place, name: &str, keys: &Keys) -> Result<Verdict, Error> {
    let bundle = Bundle::open(&place.address(name), keys).await?;
    verify::opened(&bundle, &[], &mut Silent).await
}

#[tokio::test]
async fn each_recipient_opens_the_same_archive_and_nobody_else_does() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let [first, second, stranger] = [(); 3].map(|()| Pair::new());
    let plain = Request { shard_bytes: 1 << 12, ..Request::new(place.path("one.tar.zst")) };
    write(&ledger, &plain, &mut Silent).await.unwrap();
    let request = encrypted_to(&place, "one.tar.zst.age", &[&first, &second]);
    write(&ledger, &request, &mut Silent).await.unwrap();
    assert!(!place.path("one.tar.zst.age.partial").exists());

    for pair in [&first, &second] {
        let file = fs::File::open(place.path("one.tar.zst.age")).unwrap();
        let opened = age::Decryptor::new(file).unwrap().decrypt([&pair.own as _].into_iter());
        let mut archive = Vec::new();
        opened.unwrap().read_to_end(&mut archive).unwrap();
        assert!(archive == fs::read(place.path("one.tar.zst")).unwrap());
        let verdict = check(&place, "one.tar.zst.age", &pair.keys).await.unwrap();
        assert!(verdict.is_whole() && verdict.notes.is_empty(), "{:?}", verdict.differences);
    }
    let refused = async |keys: &Keys| check(&place, "one.tar.zst.age", keys).await.unwrap_err();
    assert!(refused(&stranger.keys).await.to_string().ends_with("it is encrypted to others than the identities given"));
    assert!(refused(&Keys::default()).await.to_string().ends_with("no identity is given"));
    assert_eq!(refused(&Keys::default()).await.code(), "EXPORT-022");

    let bundle = Bundle::open(&place.address("one.tar.zst.age"), &second.keys).await.unwrap();
    refuse_if_taken(&bundle, &place.address("new")).await.unwrap();
    let verdict = verify::opened(&bundle, &[], &mut Silent).await.unwrap();
    restore_verified(&bundle, &verdict, &place.address("new")).await.unwrap();
    let rebuilt = Ledger::open(&place.address("new")).await.unwrap();
    assert_eq!(diff(&ledger, &rebuilt, &mut Silent).await.unwrap().differences, []);
}

#[tokio::test]
async fn a_bundle_that_stands_encrypted_is_known_to_who_can_open_it() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let [own, stranger] = [(); 2].map(|()| Pair::new());
    let request = encrypted_to(&place, "one.tar.zst.age", &[&own]);
    let written = write(&ledger, &request, &mut Silent).await.unwrap();
    let found = delivered(&ledger, &request, Instant::from_micros(0), &own.keys.identities, &mut Silent).await.unwrap();
    assert_eq!(found, Some(Delivered::from(&written)));
    for identities in [&[][..], &stranger.keys.identities] {
        let error = delivered(&ledger, &request, Instant::from_micros(0), identities, &mut Silent).await.unwrap_err();
        assert_eq!(error.code(), "EXPORT-022");
    }
}

#[tokio::test]
async fn whatever_byte_of_an_encrypted_file_is_changed_or_missing_is_found() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let pair = Pair::new();
    // Long enough for more than one of age's chunks, which can be cut off between two.
    let request = encrypted_to(&place, "one.tar.zst.age", &[&pair]);
    write(&ledger, &Request { shard_bytes: 1, ..request }, &mut Silent).await.unwrap();
    let genuine = fs::read(place.path("one.tar.zst.age")).unwrap();
    let payload = genuine.windows(4).position(|window| window == b"\n---").unwrap() + 4 + 44 + 1 + 16;
    let chunk = (64 << 10) + 16;
    assert!(genuine.len() > payload + chunk, "{}", genuine.len());
    let is_whole = async |bytes: &[u8]| {
        fs::write(place.path("one.tar.zst.age"), bytes).unwrap();
        check(&place, "one.tar.zst.age", &pair.keys).await.is_ok_and(|verdict| verdict.is_whole())
    };
    assert!(is_whole(&genuine).await);
    let steps = (0..payload + 20).step_by(7).chain((payload..genuine.len()).step_by(genuine.len() / 30));
    for at in steps.chain([payload + chunk - 1, payload + chunk, genuine.len() - 1]) {
        let mut bytes = genuine.clone();
        bytes[at] ^= 0x10;
        assert!(!is_whole(&bytes).await, "byte {at} of {}", genuine.len());
        assert!(!is_whole(&genuine[..at]).await, "cut at {at}");
    }
    assert!(!is_whole(&[genuine.as_slice(), b"x"].concat()).await);
    assert!(!is_whole(&[genuine.as_slice(), genuine.as_slice()].concat()).await);
}

#[tokio::test]
async fn an_encrypted_export_that_was_killed_starts_over_and_never_shows_a_word() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let pair = Pair::new();
    let request = encrypted_to(&place, "one.tar.zst.age", &[&pair]);
    let left = place.path("one.tar.zst.age.partial");
    fs::create_dir(&left).unwrap();
    for name in ["bagit.txt", "archive", "finished.jsonl"] {
        fs::write(left.join(name), "of a run before").unwrap();
    }
    let mut seen = Snoop { left: left.clone(), names: Vec::new(), notices: Notices::default() };
    write(&ledger, &request, &mut seen).await.unwrap();
    assert!(!left.exists());
    seen.names.dedup();
    assert_eq!(seen.names, [["archive", "bagit.txt"]], "no list of what is in it lies beside it");
    assert!(
        seen.notices.0.iter().any(|text| text.starts_with("an encrypted bundle starts over")),
        "{:?}",
        seen.notices.0
    );
    assert!(check(&place, "one.tar.zst.age", &pair.keys).await.unwrap().is_whole());
}

/// Looks into the folder while it is written.
struct Snoop {
    left: std::path::PathBuf,
    names: Vec<[String; 2]>,
    notices: Notices,
}

impl daybook_export::Progress for Snoop {
    fn start(&mut self, _: u64) {}
    fn advance(&mut self, _: u64) {
        let found = files(&self.left);
        assert!(found["archive"].starts_with(b"age-encryption.org/v1\n"));
        self.names.push(found.into_keys().collect::<Vec<_>>().try_into().unwrap());
    }
    fn notice(&mut self, text: &str) {
        self.notices.notice(text);
    }
}

#[tokio::test]
async fn only_one_file_is_encrypted_and_its_name_says_so() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let pair = Pair::new();
    let refused = async |request: Request| write(&ledger, &request, &mut Silent).await.unwrap_err().code();
    for name in ["folder", "one.tar.zst"] {
        assert_eq!(refused(encrypted_to(&place, name, &[&pair])).await, "EXPORT-021");
    }
    assert_eq!(refused(Request::new(place.path("one.tar.zst.age"))).await, "EXPORT-020");
    assert_eq!(fs::read_dir(place.0.path()).unwrap().count(), 1, "nothing beside the ledger");
}

#[tokio::test]
async fn an_encrypted_export_is_rehearsed_without_the_secret_of_its_recipient() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let request = encrypted_to(&place, "one.tar.zst.age", &[&Pair::new()]);
    let now = Instant::from_micros(0);
    let done = daybook_export::rehearse(&ledger, &request, 100, now, &mut Silent).await.unwrap();
    assert!(done.rows() > 0);
    assert_eq!(fs::read_dir(place.0.path()).unwrap().count(), 1, "a rehearsal leaves nothing");
}
