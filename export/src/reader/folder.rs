//! A bundle in a folder.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{BAGIT, BundleReader, Found, Random};
use crate::Error;
use crate::describe::DESCRIPTOR;
use crate::manifest::{Algorithm, is_safe_name};

const DEPTH_MAX: usize = 16;

/// A folder with a `bagit.txt`, or what is left of one.
pub(super) fn is_bundle(path: &Path) -> bool {
    [BAGIT, Algorithm::Sha256.payload_manifest(), DESCRIPTOR].iter().any(|name| path.join(name).is_file())
}

pub(super) fn open(path: &Path) -> Result<(Found, Box<dyn BundleReader>), Error> {
    if !path.is_dir() {
        return Err(Error::NotABundle { path: path.into(), reason: "it is not a folder".into() });
    }
    let mut found = Found::default();
    walk(&mut found, path, "", 0)?;
    Ok((found, Box::new(Folder(path.into()))))
}

/// Finds the regular files; everything else is a fault and is not touched again.
fn walk(found: &mut Found, folder: &Path, prefix: &str, depth: usize) -> Result<(), Error> {
    let entries = fs::read_dir(folder).map_err(Error::unreadable(folder, "look into"))?;
    for entry in entries {
        let entry = entry.map_err(Error::unreadable(folder, "look into"))?;
        let name = entry.file_name();
        let place = format!("{prefix}{}", name.to_string_lossy());
        // Of the entry itself: a link is not followed.
        let kind = entry.metadata().map_err(Error::unreadable(folder, "look into"))?;
        match name.to_str().filter(|name| is_safe_name(name)) {
            None => found.fault(&place, "no file of a bundle has such a name"),
            Some(_) if kind.is_dir() && depth < DEPTH_MAX => {
                walk(found, &entry.path(), &format!("{place}/"), depth + 1)?;
            }
            Some(_) if kind.is_dir() => found.fault(&place, "folders are nested too deep"),
            Some(_) if kind.is_symlink() => found.fault(&place, "it is a symbolic link"),
            Some(_) if !kind.is_file() => found.fault(&place, "it is not a regular file"),
            Some(_) => {
                found.add(&place, kind.len());
            }
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Folder(PathBuf);

impl BundleReader for Folder {
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(self.0.join(name))?))
    }

    fn open_random(&self, name: &str) -> io::Result<Random> {
        Ok(Random::File(File::open(self.0.join(name))?))
    }
}
