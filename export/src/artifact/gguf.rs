//! GGUF: magic, version, counts, then metadata and the places of the tensors, one after another.

use std::io::{BufRead, Seek};

use super::header::Header;

const VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;
const DIMENSIONS_MAX: u32 = 8;
const TEXT: u32 = 8;
const LIST: u32 = 9;
/// What a tensor's own description takes at least: a name's length, dimensions, type, place.
const TENSOR_BYTES_MIN: u64 = 24;
const ENTRY_BYTES_MIN: u64 = 13;

pub(super) fn read(header: &mut Header<impl BufRead + Seek>) -> Result<String, String> {
    if &header.array::<4>()? != b"GGUF" {
        return Err("it does not begin with GGUF".into());
    }
    let version = header.u32()?;
    if !VERSIONS.contains(&version) {
        return Err(format!("version {version} is not known"));
    }
    let (tensors, entries) = (header.u64()?, header.u64()?);
    for (count, least, what) in [(entries, ENTRY_BYTES_MIN, "entries"), (tensors, TENSOR_BYTES_MIN, "tensors")] {
        if count > header.left() / least {
            return Err(format!("it claims {count} {what}, for which it is too short"));
        }
    }
    for _ in 0..entries {
        text(header)?;
        let kind = header.u32()?;
        value(header, kind)?;
    }
    let mut last = 0;
    for _ in 0..tensors {
        text(header)?;
        let dimensions = header.u32()?;
        if dimensions > DIMENSIONS_MAX {
            return Err(format!("a tensor claims {dimensions} dimensions"));
        }
        header.skip(u64::from(dimensions) * 8 + 4)?;
        last = last.max(header.u64()?);
    }
    match header.at().checked_add(last) {
        Some(place) if place <= header.length() => Ok(format!("{tensors} tensors, {entries} entries of metadata")),
        _ => Err(format!("a tensor is said to be at {last}, beyond its end")),
    }
}

fn text(header: &mut Header<impl BufRead + Seek>) -> Result<(), String> {
    let length = header.u64()?;
    header.skip(length)
}

fn value(header: &mut Header<impl BufRead + Seek>, kind: u32) -> Result<(), String> {
    match kind {
        TEXT => text(header),
        LIST => {
            let (of, count) = (header.u32()?, header.u64()?);
            match (of, width(of)) {
                (_, Some(width)) => header.skip(count.checked_mul(width).ok_or("a list claims too much")?),
                (TEXT, None) => (0..count).try_for_each(|_| text(header)),
                _ => Err(format!("a list of type {of} is not known")),
            }
        }
        _ => header.skip(width(kind).ok_or_else(|| format!("a value of type {kind} is not known"))?),
    }
}

fn width(kind: u32) -> Option<u64> {
    Some(match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => return None,
    })
}
