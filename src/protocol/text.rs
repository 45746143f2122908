//! The inside of a JSON string, as bytes.

use super::WireError;

/// Bytes that are looked at together.
const WORD: usize = 8;
const LOW: u64 = u64::from_ne_bytes([0x01; WORD]);
const HIGH: u64 = u64::from_ne_bytes([0x80; WORD]);

/// How many bytes at the start of `bytes` are neither a quote nor a backslash nor a control character.
#[inline]
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<WORD>();
    let mut at = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        // In each of the three the lowest bit set is that of the first byte meant; what stands above may lie.
        let special = zeros(word ^ all(b'"')) | zeros(word ^ all(b'\\')) | below_space(word);
        if special != 0 {
            return at + special.trailing_zeros() as usize / WORD;
        }
        at += WORD;
    }
    at + rest.iter().position(|b| matches!(b, 0..=0x1f | b'"' | b'\\')).unwrap_or(rest.len())
}

const fn all(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; WORD])
}

const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word & HIGH
}

const fn below_space(word: u64) -> u64 {
    word.wrapping_sub(all(b' ')) & !word & HIGH
}

/// How long the escape is with which `bytes` begin. A surrogate must be half of a pair (RFC 8259 §8.2).
pub(super) fn escape_length(bytes: &[u8]) -> Result<usize, WireError> {
    match bytes.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => return Ok(2),
        Some(b'u') => {}
        _ => return Err(WireError::Escape),
    }
    match unit(bytes) {
        Some(0xD800..=0xDBFF) => match bytes.get(6..).and_then(unit) {
            Some(0xDC00..=0xDFFF) => Ok(12),
            _ => Err(WireError::Surrogate),
        },
        Some(0xDC00..=0xDFFF) => Err(WireError::Surrogate),
        Some(_) => Ok(6),
        None => Err(WireError::Escape),
    }
}

/// The UTF-16 unit of the `\uXXXX` with which `bytes` begin.
fn unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.get(..6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | u16::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_run_ends_where_looking_at_each_byte_would_end_it(bytes in any::<Vec<u8>>(), at in 0_usize..64) {
            let mut bytes = bytes;
            for special in [b'"', b'\\', 0x1f, 0x80, b' ', b'!'] {
                let place = at.min(bytes.len());
                bytes.insert(place, special);
                let expected = bytes.iter().position(|b| matches!(b, 0..=0x1f | b'"' | b'\\'));
                prop_assert_eq!(plain_run(&bytes), expected.unwrap_or(bytes.len()));
            }
        }
    }
}
