//! npy: magic, version, and a header that is a Python dictionary in text.

use std::io::{BufRead, Seek};

use super::header::Header;

/// NumPy itself takes 10,000 unless told otherwise.
const HEADER_BYTES_MAX: u64 = 64 << 10;

pub(super) fn read(header: &mut Header<impl BufRead + Seek>) -> Result<String, String> {
    if &header.array::<6>()? != b"\x93NUMPY" {
        return Err("it does not begin with \\x93NUMPY".into());
    }
    let length = match header.array()? {
        [1, 0] => u64::from(u16::from_le_bytes(header.array()?)),
        [2 | 3, 0] => u64::from(header.u32()?),
        [major, minor] => return Err(format!("version {major}.{minor} is not known")),
    };
    let text = String::from_utf8(header.take(length, HEADER_BYTES_MAX)?).map_err(|_| "its header is no text")?;
    let after = |name: &str| text.split_once(name).map(|(_, rest)| rest.trim_start());
    let kind = after("'descr':").and_then(|rest| Some(rest.strip_prefix('\'')?.split_once('\'')?.0));
    let kind = kind.ok_or("its header names no type, or one made of several")?;
    let shape = after("'shape':").and_then(|rest| Some(rest.strip_prefix('(')?.split_once(')')?.0));
    let shape = shape.ok_or("its header says no shape")?;
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty()).map(str::parse::<u64>);
    let sizes: Vec<u64> = sizes.collect::<Result<_, _>>().map_err(|_| "its shape is not of numbers")?;
    let bytes = sizes.iter().try_fold(width(kind)?, |bytes, size| bytes.checked_mul(*size));
    match bytes == Some(header.left()) {
        true => Ok(format!("{kind} of shape ({shape})")),
        false => Err(format!("{kind} of shape ({shape}) does not take the {} bytes that follow", header.left())),
    }
}

/// Bytes of a value of the type `kind`, as `<f4` or `|b1`.
fn width(kind: &str) -> Result<u64, String> {
    let letters = kind.trim_start_matches(['<', '>', '|', '=']);
    let mut letters = letters.chars();
    let (letter, digits) = (letters.next(), letters.as_str());
    let digits = digits.split_once('[').map_or(digits, |(digits, _)| digits).parse::<u32>().map(u64::from);
    match (letter, digits) {
        (Some('O'), _) => Err("it holds pickled objects, which only Python reads and which may run code".into()),
        // Characters take four bytes each.
        (Some('U'), Ok(digits)) => Ok(digits * 4),
        (Some('b' | 'i' | 'u' | 'f' | 'c' | 'S' | 'V' | 'M' | 'm'), Ok(digits)) => Ok(digits),
        _ => Err(format!("its type {kind:?} is not known")),
    }
}
