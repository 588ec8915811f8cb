//! Base64 (RFC 4648, section 4), for the few places where JSON carries bytes.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The bytes that `text` stands for; `None` if it is no base64. Padding may be missing, line breaks may be there.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end();
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 3);
    let (mut bits, mut held, mut count) = (0_u32, 0_u32, 0_usize);
    for digit in digits.bytes().filter(|digit| !matches!(digit, b'\r' | b'\n')) {
        bits = bits << 6 | value(digit)?;
        held += 6;
        count += 1;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
        bits &= (1 << held) - 1;
    }
    // One digit alone holds no byte, and what is left over has to be zero: anything else was cut or changed.
    let padding = text.len() - digits.len();
    let padded = padding == 0 || padding <= 2 && (count + padding).is_multiple_of(4);
    (count % 4 != 1 && bits == 0 && padded).then_some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    Some(u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    }))
}

/// `bytes` as base64.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4_usize {
            let digit = ALPHABET.get((bits >> (18 - 6 * at) & 63) as usize).copied().unwrap_or(b'=');
            text.push(if at > three.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_they_went() {
        let all = (0..=255).collect::<Vec<u8>>();
        for length in 0..=256 {
            let bytes = &all[..length];
            let text = encode(bytes);
            assert_eq!(decode(&text).as_deref(), Some(bytes), "{text}");
            assert_eq!(decode(text.trim_end_matches('=')).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!(encode(b"daybook"), "ZGF5Ym9vaw==");
        assert_eq!(decode("ZGF5\r\nYm9vaw==\n").unwrap(), b"daybook");
        assert_eq!(decode("-_8").unwrap(), decode("+/8=").unwrap());
    }

    #[test]
    fn what_is_cut_or_changed_is_refused() {
        for text in ["Z", "ZGF5Y", "ZGF5Ym9vax==", "ZGF5=Ym9v", "ZGF5Ym9vaw=", "ZGF5Ym9vaw===", "Z GF5", "Zü=="] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
