//! BagIt manifests: which files a bundle has, and their digests (RFC 8493, section 2.1.3).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::digest::Written;

/// A digest algorithm of the manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    pub(crate) const fn payload_manifest(self) -> &'static str {
        match self {
            Self::Sha256 => "manifest-sha256.txt",
            Self::Sha512 => "manifest-sha512.txt",
        }
    }

    pub(crate) const fn tag_manifest(self) -> &'static str {
        match self {
            Self::Sha256 => "tagmanifest-sha256.txt",
            Self::Sha512 => "tagmanifest-sha512.txt",
        }
    }

    pub(crate) fn digest_of(self, file: &Written) -> &str {
        match self {
            Self::Sha256 => &file.sha256,
            Self::Sha512 => &file.sha512,
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// A manifest of `files`, by path; two spaces, so that `sha256sum -c` reads it too.
pub(crate) fn text(algorithm: Algorithm, files: &[Written]) -> String {
    let lines: BTreeMap<&str, &str> =
        files.iter().map(|file| (file.path.as_str(), algorithm.digest_of(file))).collect();
    lines.iter().fold(String::new(), |mut text, (path, digest)| {
        writeln!(text, "{digest}  {path}").ok();
        text
    })
}

/// Digests by path, and what is wrong with the manifest's lines.
pub(crate) fn parse(algorithm: Algorithm, text: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let mut digests = BTreeMap::new();
    let mut faults = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let parsed = line.split_once([' ', '\t']).map(|(digest, path)| (digest, path.trim_start_matches([' ', '*'])));
        let at = at + 1;
        match parsed {
            Some((digest, _))
                if digest.len() != algorithm.digits() || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
            {
                faults.push(format!("line {at} has no {} digest", algorithm.name()));
            }
            Some((_, path)) if !is_safe(path) => {
                faults.push(format!("line {at} names `{}`, which no bundle may contain", shown(path)));
            }
            Some((digest, path)) => {
                if digests.insert(path.to_owned(), digest.to_ascii_lowercase()).is_some() {
                    faults.push(format!("line {at} names {path} a second time"));
                }
            }
            None => faults.push(format!("line {at} is not a digest and a path")),
        }
    }
    (digests, faults)
}

/// A relative path that stays below the bundle, of the characters a bundle uses.
pub(crate) fn is_safe(path: &str) -> bool {
    path.len() <= 1_024 && path.split('/').all(is_safe_name)
}

/// A file name of a bundle: `[A-Za-z0-9._=-]`, and not a way up.
pub(crate) fn is_safe_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'=' | b'-'))
}

/// What a stranger wrote, fit for one line.
pub(crate) fn shown(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars().take(160) {
        match character {
            '"' | '\'' => line.push(character),
            other => line.extend(other.escape_debug()),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_back() {
        let file =
            |path: &str| Written { path: path.into(), bytes: 1, sha256: "a".repeat(64), sha512: "b".repeat(128) };
        let files = [file("data/b"), file("data/a")];
        let written = text(Algorithm::Sha256, &files);
        assert_eq!(written, format!("{0}  data/a\n{0}  data/b\n", "a".repeat(64)));
        let (digests, faults) = parse(Algorithm::Sha256, &written);
        assert_eq!((digests.len(), faults.len()), (2, 0));
    }

    #[test]
    fn paths_that_leave_the_bundle_are_faults() {
        for path in ["../x", "/etc/passwd", "data/../../x", "data//x", "data/./x", "", "data/a b", "data\\x", "~/x"] {
            let (digests, faults) = parse(Algorithm::Sha256, &format!("{}  {path}\n", "a".repeat(64)));
            assert!(digests.is_empty() && faults.len() == 1, "{path}: {faults:?}");
        }
    }

    #[test]
    fn lines_that_are_no_digest_are_faults() {
        let twice = format!("{0}  data/a\n{0}  data/a\n", "a".repeat(64));
        for text in ["x", "abc  data/a", &twice, &format!("{}  data/a", "g".repeat(64))] {
            assert_eq!(parse(Algorithm::Sha256, text).1.len(), 1, "{text}");
        }
    }
}
