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

/// How long the escapes are with which `bytes` begin, one behind the other. A surrogate must be half of a pair
/// (RFC 8259 §8.2).
pub(super) fn escapes(bytes: &[u8]) -> Result<usize, WireError> {
    let mut rest = bytes;
    loop {
        rest = match rest {
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', behind @ ..] => behind,
            [b'\\', b'u', a, b, c, d, behind @ ..] => match (unit([*a, *b, *c, *d]), behind) {
                (Some(0xD800..=0xDBFF), [b'\\', b'u', a, b, c, d, behind @ ..])
                    if matches!(unit([*a, *b, *c, *d]), Some(0xDC00..=0xDFFF)) =>
                {
                    behind
                }
                (Some(0xD800..=0xDFFF), _) => return Err(WireError::Surrogate),
                (Some(_), behind) => behind,
                (None, _) => return Err(WireError::Escape),
            },
            [b'\\', ..] => return Err(WireError::Escape),
            _ => return Ok(bytes.len() - rest.len()),
        };
    }
}

/// The UTF-16 unit of four hexadecimal digits.
fn unit(digits: [u8; 4]) -> Option<u32> {
    let [a, b, c, d] = digits.map(|digit| u32::from(digit_of(digit)));
    // What is no digit has a bit that no digit has.
    let unit = a << 12 | b << 8 | c << 4 | d;
    ((a | b | c | d) < 16).then_some(unit)
}

/// The value of a hexadecimal digit; 16 and more for anything else.
const fn digit_of(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        _ => u8::MAX,
    }
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
