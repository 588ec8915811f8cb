//! Compression, told by the first bytes and not by the name.

use std::io::{self, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Decompresses `raw` if its first bytes say so; every member of a gzip file and every frame of a zstd file is read.
pub(crate) fn decompressed(mut raw: Box<dyn Read + Send>) -> io::Result<(Box<dyn Read + Send>, Option<&'static str>)> {
    let mut head = Vec::new();
    raw.by_ref().take(4).read_to_end(&mut head)?;
    let (gzip, zstd) = (head.starts_with(GZIP), head.starts_with(ZSTD));
    let whole = Cursor::new(head).chain(raw);
    Ok(match () {
        () if gzip => (Box::new(MultiGzDecoder::new(BufReader::with_capacity(128 << 10, whole))), Some("gzip")),
        () if zstd => (Box::new(zstd::stream::read::Decoder::new(whole)?), Some("zstd")),
        () => (Box::new(whole), None),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn text_of(bytes: Vec<u8>) -> (io::Result<String>, Option<&'static str>) {
        let (mut reader, codec) = decompressed(Box::new(Cursor::new(bytes))).unwrap();
        let mut text = String::new();
        (reader.read_to_string(&mut text).map(|_| text), codec)
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_member_and_frame_is_read() {
        let (text, codec) = text_of([gzip("one\n"), gzip("two\n")].concat());
        assert_eq!((text.unwrap().as_str(), codec), ("one\ntwo\n", Some("gzip")));
        let frame = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
        let (text, codec) = text_of([frame("one\n"), frame("two\n")].concat());
        assert_eq!((text.unwrap().as_str(), codec), ("one\ntwo\n", Some("zstd")));
        let (text, codec) = text_of(b"{}".to_vec());
        assert_eq!((text.unwrap().as_str(), codec), ("{}", None));
        assert_eq!(text_of(Vec::new()).0.unwrap(), "");
    }

    #[test]
    fn a_stream_that_ends_early_is_an_error() {
        let mut bytes = gzip(&"abc ".repeat(1_000));
        bytes.truncate(bytes.len() - 6);
        assert!(text_of(bytes).0.is_err());
        let mut bytes = zstd::encode_all("abc ".repeat(1_000).as_bytes(), 1).unwrap();
        bytes.truncate(bytes.len() - 6);
        assert!(text_of(bytes).0.is_err());
    }
}
