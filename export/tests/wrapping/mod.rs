//! A bundle in one file: the files of the folder, killed and gone on with to the same bytes.

mod encrypted;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use daybook_export::verify::{self, Verdict};
use daybook_export::{
    Bundle, Keys, Progress, Request, SigningKey, Silent, VerifyingKey, diff, preview, restore, write,
};
use daybook_ledger::{Ledger, Report as _};

use super::common::files;
use super::{Notices, Place, Stops, ledger};

/// The members of an archive, read as any `tar` would: frames end to end, headers of 512 bytes.
fn members(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut bytes = Vec::new();
    zstd::Decoder::new(fs::File::open(archive).unwrap()).unwrap().read_to_end(&mut bytes).unwrap();
    let text = |field: &[u8]| String::from_utf8(field.iter().copied().take_while(|byte| *byte != 0).collect()).unwrap();
    let (mut found, mut at) = (BTreeMap::new(), 0);
    while bytes[at] != 0 {
        let header = &bytes[at..at + 512];
        let sum: u32 =
            header.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) }).sum();
        assert_eq!(u32::from_str_radix(&text(&header[148..154]), 8), Ok(sum));
        let length = usize::from_str_radix(&text(&header[124..136]), 8).unwrap();
        let name = text(&header[..100]).strip_prefix("bundle/").unwrap().to_owned();
        found.insert(name, bytes[at + 512..at + 512 + length].to_vec());
        at += 512 + length.div_ceil(512) * 512;
    }
    assert_eq!(bytes.len() - at, 1024);
    found
}

#[tokio::test]
async fn one_file_has_the_files_of_the_folder() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let request = |name: &str| Request { shard_bytes: 1 << 12, ..Request::new(place.path(name)) };
    write(&ledger, &request("folder"), &mut Silent).await.unwrap();
    let written = write(&ledger, &request("one.tar.zst"), &mut Silent).await.unwrap();
    assert!(members(&place.path("one.tar.zst")) == files(&place.path("folder")));
    assert!(!place.path("one.tar.zst.partial").exists());
    assert_eq!(preview(&ledger, &request("another.tar.zst"), &mut Silent).await.unwrap().files, written.files);
    let again = write(&ledger, &request("one.tar.zst"), &mut Silent).await.unwrap_err();
    assert_eq!(again.code(), "EXPORT-001", "nothing is overwritten");
}

#[tokio::test]
async fn one_file_that_was_stopped_anywhere_goes_on_to_the_same_bytes() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let request = |name: &str| Request { shard_bytes: 1, ..Request::new(place.path(name)) };
    write(&ledger, &request("whole.tar.zst"), &mut Silent).await.unwrap();
    let whole = fs::read(place.path("whole.tar.zst")).unwrap();
    let mut kept = 0;
    for stop in 0..6 {
        let name = format!("stopped-{stop}.tar.zst");
        let (stopped, request) = (ledger.clone(), request(&name));
        let again = request.clone();
        let run = tokio::spawn(async move { write(&stopped, &request, &mut Stops(stop)).await });
        assert!(run.await.is_err_and(|error| error.is_panic()));
        assert!(!place.path(&name).exists());
        // A kill in the middle of a member.
        let archive = place.path(&format!("{name}.partial/archive"));
        if archive.exists() {
            let cut = [fs::read(&archive).unwrap(), b"half a frame".to_vec()].concat();
            fs::write(&archive, cut).unwrap();
        }
        let mut notices = Notices::default();
        write(&ledger, &again, &mut notices).await.unwrap();
        kept += notices.0.iter().filter(|text| text.starts_with("going on from")).count();
        assert!(fs::read(place.path(&name)).unwrap() == whole, "stopped after {stop}");
    }
    assert!(kept > 0, "no run went on from another");
}

#[tokio::test]
async fn a_form_or_a_length_that_no_bundle_has_is_refused() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let refused = async |request: Request| write(&ledger, &request, &mut Silent).await.unwrap_err().code();
    assert_eq!(refused(Request::new(place.path("out.zip"))).await, "EXPORT-010");
    let long = |shard_bytes| Request { shard_bytes, ..Request::new(place.path("out.tar.zst")) };
    assert_eq!(refused(long((256 << 20) + 1)).await, "EXPORT-011");
    assert!(write(&ledger, &long(256 << 20), &mut Silent as &mut dyn Progress).await.is_ok());
}

#[tokio::test]
async fn one_file_is_checked_in_place_and_becomes_the_ledger_again() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let one = place.path("one.tar.zst");
    write(&ledger, &Request { shard_bytes: 1 << 12, ..Request::new(&one) }, &mut Silent).await.unwrap();
    let verdict = verify::bundle(&one, &mut Silent).unwrap();
    assert!(verdict.is_whole() && verdict.notes.is_empty(), "{:?}", verdict.differences);
    restore(&one, &place.address("new"), &mut Silent).await.unwrap();
    let rebuilt = Ledger::open(&place.address("new")).await.unwrap();
    assert_eq!(diff(&ledger, &rebuilt, &mut Silent).await.unwrap().differences, []);
}

#[tokio::test]
async fn whatever_byte_of_one_file_is_changed_or_missing_is_found() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let one = place.path("one.tar.zst");
    write(&ledger, &Request::new(&one), &mut Silent).await.unwrap();
    let genuine = fs::read(&one).unwrap();
    let is_whole = |bytes: &[u8]| {
        fs::write(&one, bytes).unwrap();
        verify::bundle(&one, &mut Silent).unwrap().is_whole()
    };
    assert!(is_whole(&genuine));
    let unpacked = members(&one);
    for at in (0..genuine.len()).step_by(genuine.len() / 60) {
        let mut bytes = genuine.clone();
        bytes[at] ^= 0x10;
        // zstd has a bit that means nothing, and windows may be wider than they need to.
        let is_the_same = is_whole(&bytes) && members(&one) == unpacked;
        assert!(is_the_same || !is_whole(&bytes), "byte {at} of {}", genuine.len());
        assert!(!is_whole(&genuine[..at]), "cut at {at}");
    }
    assert!(!is_whole(&[genuine.as_slice(), b"x"].concat()));
    // The sums at the ends of the last frames: manifests, and the end mark.
    let begins = |at: &usize| genuine[*at..].starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    let frames = (1..genuine.len()).filter(begins).chain([genuine.len()]);
    for end in frames.collect::<Vec<_>>().into_iter().rev().take(6) {
        let mut bytes = genuine.clone();
        bytes[end - 1] ^= 0x10;
        assert!(!is_whole(&bytes), "the sum before byte {end} of {}", genuine.len());
    }
    fs::write(&one, &genuine[..genuine.len() - 5]).unwrap();
    let cut = verify::bundle(&one, &mut Silent).unwrap().differences;
    assert_eq!(cut.len(), 1, "what is not known to be there is not said to be missing: {cut:?}");
    let told = format!("reading ended there: {} files before it were not checked, and none after it", unpacked.len());
    assert!(cut[0].found.ends_with(&told), "{}", cut[0].found);
    assert!(!is_whole(&[genuine.as_slice(), genuine.as_slice()].concat()));
}

/// A member as anybody may make it.
struct Forged<'a> {
    name: &'a str,
    kind: u8,
    says_bytes: u64,
    frame: Vec<u8>,
}

fn forged<'a>(name: &'a str, bytes: &[u8]) -> Forged<'a> {
    let padded = [bytes, &vec![0; bytes.len().next_multiple_of(512) - bytes.len()]].concat();
    Forged { name, kind: b'0', says_bytes: bytes.len() as u64, frame: zstd::encode_all(padded.as_slice(), 3).unwrap() }
}

/// A frame of `mib` MiB of zeros, in blocks of one byte that is repeated (RFC 8878, section 3.1.1.2.2).
fn bomb(mib: u32) -> Vec<u8> {
    let block =
        |is_last: bool| [&((128_u32 << 10) << 3 | 1 << 1 | u32::from(is_last)).to_le_bytes()[..3], &[0]].concat();
    let blocks = (1..=mib * 8).flat_map(|at| block(at == mib * 8));
    [0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3].into_iter().chain(blocks).collect()
}

fn archive(members: &[Forged<'_>]) -> Vec<u8> {
    let mut archive = Vec::new();
    for Forged { name, kind, says_bytes, frame } in members {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, field: &[u8]| header[at..at + field.len()].copy_from_slice(field);
        put(0, name.as_bytes());
        put(124, format!("{says_bytes:011o}").as_bytes());
        put(148, b"        ");
        put(156, &[*kind]);
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        archive.extend(zstd::encode_all(header.as_slice(), 3).unwrap());
        archive.extend(frame);
    }
    archive.extend(zstd::encode_all([0; 1024].as_slice(), 3).unwrap());
    archive
}

#[tokio::test]
async fn archives_made_to_harm_are_refused_and_write_nothing() {
    let place = Place::new();
    let one = place.path("one.tar.zst");
    let readme = || forged("bundle/data/README.md", b"x");
    let cases: [(Vec<u8>, &str); 14] = [
        (archive(&[forged("bundle/../../escaped", b"x")]), "no file of a bundle has such a name"),
        (archive(&[forged("/etc/escaped", b"x")]), "it is not in the folder `bundle`"),
        (archive(&[forged("bundle/data/\u{202e}gpj.exe", b"x")]), "no file of a bundle has such a name"),
        (archive(&[Forged { kind: b'2', ..readme() }]), "it is a symbolic link"),
        (archive(&[Forged { kind: b'1', ..readme() }]), "it is a hard link"),
        (archive(&[Forged { kind: b'5', ..readme() }]), "it is not a regular file"),
        (archive(&[readme(), readme()]), "it is there twice"),
        (archive(&[Forged { says_bytes: (1 << 33) - 1, ..readme() }]), "at most 1073741824 are read"),
        (archive(&[Forged { says_bytes: 600, ..readme() }]), "it is shorter than its header says"),
        (archive(&[Forged { says_bytes: 0, ..readme() }]), "it is longer than its header says"),
        (
            archive(&[
                Forged { says_bytes: 1 << 30, frame: bomb(1024), ..readme() },
                Forged { says_bytes: 1 << 30, frame: bomb(1024), ..forged("bundle/data/schema.md", b"") },
            ]),
            "it would unpack to more than 10000 times its length",
        ),
        (archive(&[Forged { says_bytes: 1, frame: bomb(1024), ..readme() }]), "it is longer than its header says"),
        (zstd::encode_all([b'x'; 4096].as_slice(), 3).unwrap(), "its members are not each in frames of their own"),
        (Vec::new(), "the archive ends before its end mark"),
    ];
    for (bytes, reason) in cases {
        fs::write(&one, bytes).unwrap();
        let verdict = verify::bundle(&one, &mut Silent).unwrap();
        let found: Vec<String> = verdict.differences.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|text| text.contains(reason)), "{reason}: {found:?}");
        let refused = restore(&one, &place.address("new"), &mut Silent).await.unwrap_err();
        assert_eq!(refused.code(), "EXPORT-007");
        let left: Vec<_> = fs::read_dir(place.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["one.tar.zst"]);
    }
}

#[tokio::test]
async fn signed_bundles_hold_for_the_keys_that_signed_them() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let pair = |_| minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let [own, other] = [0, 1].map(pair);
    let secret = own.sk.to_box(None).unwrap().into_string();
    let signed_by: Vec<_> = SigningKey::parse(&secret, None).unwrap().into_iter().collect();
    let [own, other] = [own, other].map(|pair| VerifyingKey::parse(&pair.pk.to_base64()).unwrap());
    let check = async |name: &str, keys: &[&VerifyingKey]| -> Verdict {
        let bundle = Bundle::open(&place.address(name), &Keys::default()).await.unwrap();
        let keys: Vec<VerifyingKey> = keys.iter().map(|key| (*key).clone()).collect();
        verify::opened(&bundle, &keys, &mut Silent).await.unwrap()
    };
    write(&ledger, &Request::new(place.path("unsigned")), &mut Silent).await.unwrap();
    for name in ["folder", "one.tar.zst"] {
        let request = Request { signed_by: signed_by.clone(), ..Request::new(place.path(name)) };
        let told = preview(&ledger, &request, &mut Silent).await.unwrap();
        assert_eq!(told.files, write(&ledger, &request, &mut Silent).await.unwrap().files);
        let verdict = check(name, &[&own]).await;
        assert!(verdict.is_whole() && verdict.notes.is_empty(), "{:?}", verdict.differences);
        assert_eq!(verdict.signed_by, [own.to_string()]);
        assert!(check(name, &[]).await.notes[0].found.starts_with("this signature was not checked"));
        assert_eq!(
            check(name, &[&own, &other]).await.differences_count,
            1,
            "every key that is given has to have signed"
        );
    }
    assert!(check("unsigned", &[&own]).await.differences[0].found.starts_with("there is no signature"));
}
