//! Safetensors: eight bytes for the length of a JSON header, the header, then the tensors without a gap.

use std::fmt;
use std::io::{BufRead, Seek};

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::header::Header;

/// The format's own bound.
const JSON_BYTES_MAX: u64 = 100_000_000;
const METADATA: &str = "__metadata__";

pub(super) fn read(header: &mut Header<impl BufRead + Seek>) -> Result<String, String> {
    let length = header.u64()?;
    let json = header.take(length, JSON_BYTES_MAX)?;
    let Tensors(mut places) = serde_json::from_slice(&json).map_err(|error| format!("its header: {error}"))?;
    places.sort_unstable();
    let mut end = 0;
    for (from, to) in &places {
        if *from != end {
            return Err(format!("a tensor begins at {from}, the one before it ends at {end}"));
        }
        end = *to;
    }
    match end == header.left() {
        true => Ok(format!("{} tensors", places.len())),
        false => Err(format!("its tensors take {end} bytes, {} follow the header", header.left())),
    }
}

/// Where each tensor lies: nothing else of a header is kept, so it takes little more memory than its text.
struct Tensors(Vec<(u64, u64)>);

#[derive(Deserialize)]
struct Tensor<'a> {
    #[serde(borrow)]
    dtype: &'a str,
    shape: Values,
    data_offsets: (u64, u64),
}

/// How many values a shape has, if that is a number.
struct Values(Option<u64>);

impl Tensor<'_> {
    fn fault(&self) -> Option<String> {
        let Some(bits) = bits(self.dtype) else { return Some(format!("has the type {:?}", self.dtype)) };
        let bytes = self.shape.0.and_then(|values| values.checked_mul(bits)).map(|bits| bits.div_ceil(8));
        let (from, to) = self.data_offsets;
        let is_whole = bytes.is_some() && to.checked_sub(from) == bytes;
        (!is_whole).then(|| format!("is said to be at {from} to {to}, which is not as long as it is"))
    }
}

impl<'de> Deserialize<'de> for Tensors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Tensors;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Tensors, A::Error> {
                let mut places = Vec::new();
                while let Some(name) = members.next_key::<String>()? {
                    if name == METADATA {
                        members.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let tensor: Tensor<'de> = members.next_value()?;
                    if let Some(fault) = tensor.fault() {
                        return Err(A::Error::custom(format!("tensor {name:?} {fault}")));
                    }
                    places.push(tensor.data_offsets);
                }
                Ok(Tensors(places))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes;
        impl<'de> Visitor<'de> for Sizes {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of sizes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sizes: A) -> Result<Values, A::Error> {
                let mut values = Some(1_u64);
                while let Some(size) = sizes.next_element::<u64>()? {
                    values = values.and_then(|values| values.checked_mul(size));
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_seq(Sizes)
    }
}

fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" => 8,
        "U16" | "I16" | "F16" | "BF16" => 16,
        "U32" | "I32" | "F32" => 32,
        "U64" | "I64" | "F64" | "C64" => 64,
        _ => return None,
    })
}
