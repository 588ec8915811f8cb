//! Reads a body within its limits and undoes its compression.

use std::io::Read;

use axum::body::{BodyDataStream, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use futures::StreamExt as _;

use super::budget::{Budget, Held};
use super::refusal::Refusal;

/// Held at first for a body that does not say how long it is.
const UNKNOWN_LENGTH_BYTES: usize = 64 << 10;
/// Unpacked in steps of this size, each checked against the limit: a zip bomb stops here.
const STEP_BYTES: usize = 64 << 10;
/// A body beyond this is unpacked and cut on another thread, so that it delays no other request.
pub(super) const HEAVY_BYTES: usize = 64 << 10;

/// A body's compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Zstd,
}

impl Encoding {
    /// The compression that the headers name.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(Self::Identity) };
        match value.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "zstd" => Ok(Self::Zstd),
            other => Err(Refusal::Encoding { encoding: other.chars().take(60).collect() }),
        }
    }
}

/// A body as sent, and the bytes held for it.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) bytes: Bytes,
    pub(super) held: Held,
}

/// Reads `body`, at most `bytes_max` of it. Room in the budget is taken before the first byte is read.
pub(super) async fn read(
    headers: &HeaderMap,
    body: &mut BodyDataStream,
    bytes_max: usize,
    budget: &Budget,
) -> Result<Sent, Refusal> {
    let too_large = Refusal::BodyTooLarge { bytes_max, unpacked: false };
    let stated = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if stated.is_some_and(|length| length > bytes_max) {
        return Err(too_large);
    }
    let mut held = budget.admit(stated.unwrap_or(UNKNOWN_LENGTH_BYTES)).await?;
    let mut bytes = Vec::with_capacity(stated.unwrap_or_default());
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| Refusal::Unreadable { reason: error.to_string() })?;
        if bytes.len() + chunk.len() > bytes_max {
            return Err(too_large);
        }
        held.grow_to(bytes.len() + chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    held.shrink_to(bytes.len());
    Ok(Sent { bytes: bytes.into(), held })
}

/// Undoes the compression of `sent`; at most `bytes_max` come out.
pub(super) fn unpack(sent: Sent, encoding: Encoding, bytes_max: usize) -> Result<Sent, Refusal> {
    let packed = sent.bytes.clone();
    let unreadable = |error: std::io::Error| Refusal::Unreadable { reason: error.to_string() };
    match encoding {
        Encoding::Identity => Ok(sent),
        Encoding::Gzip => unpack_with(sent, MultiGzDecoder::new(packed.as_ref()), bytes_max),
        Encoding::Deflate => unpack_with(sent, ZlibDecoder::new(packed.as_ref()), bytes_max),
        Encoding::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(packed.as_ref()).map_err(unreadable)?;
            unpack_with(sent, decoder, bytes_max)
        }
    }
}

fn unpack_with(mut sent: Sent, mut decoder: impl Read, bytes_max: usize) -> Result<Sent, Refusal> {
    let mut plain = Vec::new();
    loop {
        let before = plain.len();
        // While unpacking both forms are held.
        sent.held.grow_to(sent.bytes.len() + before + STEP_BYTES)?;
        let step = u64::try_from(STEP_BYTES).unwrap_or(u64::MAX);
        let read = decoder.by_ref().take(step).read_to_end(&mut plain);
        read.map_err(|error| Refusal::Unreadable { reason: error.to_string() })?;
        if plain.len() > bytes_max {
            return Err(Refusal::BodyTooLarge { bytes_max, unpacked: true });
        }
        if plain.len() == before {
            break;
        }
    }
    sent.held.shrink_to(plain.len());
    Ok(Sent { bytes: plain.into(), held: sent.held })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use axum::body::Body;

    use super::*;

    async fn sent(bytes: Vec<u8>, budget: &Budget) -> Sent {
        read(&HeaderMap::new(), &mut Body::from(bytes).into_data_stream(), 1 << 20, budget).await.unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn every_compression_gives_the_same_bytes_and_holds_what_it_gives() {
        let budget = Budget::new(8 << 20);
        let plain: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 7).to_le_bytes()).take(1 << 20).collect();
        let two_members = [gzip(&plain[..1000]), gzip(&plain[1000..])].concat();
        let packed = [
            (Encoding::Identity, plain.clone()),
            (Encoding::Gzip, gzip(&plain)),
            (Encoding::Gzip, two_members),
            (Encoding::Deflate, zlib(&plain)),
            (Encoding::Zstd, zstd::encode_all(plain.as_slice(), 3).unwrap()),
        ];
        for (encoding, bytes) in packed {
            let unpacked = unpack(sent(bytes, &budget).await, encoding, plain.len()).unwrap();
            assert!(unpacked.bytes == plain, "{encoding:?}");
            assert_eq!(budget.held_bytes(), plain.len(), "{encoding:?}");
        }
        assert_eq!(budget.held_bytes(), 0);
    }

    #[tokio::test]
    async fn one_byte_past_the_limit_is_too_large_packed_or_not() {
        let budget = Budget::new(8 << 20);
        let of_length = |length: usize| {
            let body = Body::from(vec![b'x'; length]).into_data_stream();
            let stated = HeaderMap::from_iter([(CONTENT_LENGTH, length.to_string().parse().unwrap())]);
            (body, stated)
        };
        for stated in [true, false] {
            for (length, fits) in [(1000, true), (1001, false)] {
                let (mut body, headers) = of_length(length);
                let headers = if stated { headers } else { HeaderMap::new() };
                assert_eq!(read(&headers, &mut body, 1000, &budget).await.is_ok(), fits, "{length} {stated}");
            }
        }
        let packed = gzip(&[0; 1000]);
        assert!(unpack(sent(packed.clone(), &budget).await, Encoding::Gzip, 1000).is_ok());
        let refusal = unpack(sent(packed, &budget).await, Encoding::Gzip, 999).unwrap_err();
        assert_eq!(refusal, Refusal::BodyTooLarge { bytes_max: 999, unpacked: true });
    }

    #[tokio::test]
    async fn a_zip_bomb_stops_at_the_limit() {
        let budget = Budget::new(8 << 20);
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 1 << 20);
        let refusal = unpack(sent(bomb, &budget).await, Encoding::Gzip, 1 << 20).unwrap_err();
        assert_eq!(refusal, Refusal::BodyTooLarge { bytes_max: 1 << 20, unpacked: true });
    }

    #[tokio::test]
    async fn broken_compression_is_unreadable() {
        let budget = Budget::new(8 << 20);
        let cut = gzip(b"{\"a\":1}")[..12].to_vec();
        for (encoding, bytes) in
            [(Encoding::Gzip, b"{}".to_vec()), (Encoding::Gzip, cut), (Encoding::Zstd, b"no".to_vec())]
        {
            let refusal = unpack(sent(bytes, &budget).await, encoding, 1000).unwrap_err();
            assert_eq!(refusal.code(), "RECEIVE-107", "{encoding:?}");
        }
    }

    #[test]
    fn an_unknown_compression_is_named() {
        let of = |value: &str| Encoding::of(&HeaderMap::from_iter([(CONTENT_ENCODING, value.parse().unwrap())]));
        assert_eq!(of(" GZIP "), Ok(Encoding::Gzip));
        assert_eq!(of("br"), Err(Refusal::Encoding { encoding: "br".into() }));
        assert!(of("gzip, gzip").is_err(), "compression upon compression is not undone");
        assert_eq!(Encoding::of(&HeaderMap::new()), Ok(Encoding::Identity));
    }
}
