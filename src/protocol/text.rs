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

/// How many bytes at the start of `bytes` are white space, as far as they fill whole words: a body may be nothing
/// else.
pub(super) fn blank_words(bytes: &[u8]) -> usize {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    let (words, _) = bytes.as_chunks::<16>();
    // Without an early end, so that sixteen are looked at together.
    let blank = words.iter().take_while(|word| word.iter().fold(true, |all, byte| all & is_blank(byte)));
    16 * blank.count()
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
    while let [b'\\', behind @ ..] = rest {
        rest = match behind {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', behind @ ..] => behind,
            [b'u', a, b, c, d, behind @ ..] => match unit([*a, *b, *c, *d]) {
                high @ 0xD800..=0xDFFF => low_half(high, behind)?,
                0..=0xFFFF => behind,
                _ => return Err(WireError::Escape),
            },
            _ => return Err(WireError::Escape),
        };
    }
    Ok(bytes.len() - rest.len())
}

/// What stands behind the second half of a surrogate pair whose first half is `high`.
fn low_half(high: u32, behind: &[u8]) -> Result<&[u8], WireError> {
    match behind {
        [b'\\', b'u', a, b, c, d, behind @ ..]
            if high < 0xDC00 && matches!(unit([*a, *b, *c, *d]), 0xDC00..=0xDFFF) =>
        {
            Ok(behind)
        }
        _ => Err(WireError::Surrogate),
    }
}

/// The UTF-16 unit of four hexadecimal digits; more than any unit if one of them is none.
#[inline]
fn unit(digits: [u8; 4]) -> u32 {
    let value = |digit: u8| DIGITS.get(usize::from(digit)).copied().unwrap_or(NO_DIGIT);
    // Not by `map`, which is not compiled into the loop that this stands in (measured).
    let [a, b, c, d] = digits;
    value(a) << 12 | value(b) << 8 | value(c) << 4 | value(d)
}

/// What a byte that is no hexadecimal digit counts as.
const NO_DIGIT: u32 = 0x1_0000;

/// The value of each hexadecimal digit.
const DIGITS: [u32; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        // Out of range would not compile.
        #[expect(
            clippy::indexing_slicing,
            reason = "evaluated by the compiler, which refuses what is out of range"
        )]
        {
            digits[b"0123456789abcdef"[value] as usize] = value as u32;
            digits[b"0123456789ABCDEF"[value] as usize] = value as u32;
        }
        value += 1;
    }
    digits
};

/// What the inside of a string is made of, one behind the other; its escapes have been found good.
struct Pieces<'a>(&'a str);

/// A part of a string.
enum Piece<'a> {
    /// As it stands there.
    Plain(&'a str),
    /// What one escape stands for, or a pair of surrogates.
    Escaped(char),
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    #[inline]
    fn next(&mut self) -> Option<Piece<'a>> {
        let (piece, length) = match self.0.as_bytes() {
            [] => return None,
            [b'\\', behind @ ..] => {
                let (escaped, length) = escaped(behind);
                (Piece::Escaped(escaped), 1 + length)
            }
            // At least one byte, so that it ends whatever it was given.
            bytes => {
                let run = plain_run(bytes).max(1);
                (Piece::Plain(self.0.get(..run).unwrap_or_default()), run)
            }
        };
        self.0 = self.0.get(length..).unwrap_or_default();
        Some(piece)
    }
}

/// What an escape stands for, and how long it is, the backslash left out.
#[inline]
fn escaped(behind: &[u8]) -> (char, usize) {
    match behind {
        [b'b', ..] => ('\u{8}', 1),
        [b'f', ..] => ('\u{c}', 1),
        [b'n', ..] => ('\n', 1),
        [b'r', ..] => ('\r', 1),
        [b't', ..] => ('\t', 1),
        [b'u', a, b, c, d, behind @ ..] => match (unit([*a, *b, *c, *d]), behind) {
            (high @ 0xD800..=0xDBFF, [b'\\', b'u', a, b, c, d, ..]) => {
                let low = unit([*a, *b, *c, *d]);
                (char_of(0x1_0000 + ((high & 0x3ff) << 10 | low & 0x3ff)), 11)
            }
            (unit, _) => (char_of(unit), 5),
        },
        // A quote, a backslash, a slash.
        [itself, ..] => (char::from(*itself), 1),
        [] => (char::REPLACEMENT_CHARACTER, 0),
    }
}

fn char_of(unit: u32) -> char {
    char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The string whose inside is written so.
pub(super) fn unescape(inside: &str) -> String {
    // No escape is shorter than what it stands for.
    let (mut rest, mut string) = (inside.as_bytes(), Vec::with_capacity(inside.len()));
    while !rest.is_empty() {
        let behind = match rest {
            [b'\\', behind @ ..] => {
                let (c, length) = escaped(behind);
                match u8::try_from(c) {
                    Ok(byte) if byte.is_ascii() => string.push(byte),
                    _ => string.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                }
                behind.get(length..)
            }
            _ => {
                let run = plain_run(rest).max(1);
                string.extend_from_slice(rest.get(..run).unwrap_or_default());
                rest.get(run..)
            }
        };
        rest = behind.unwrap_or_default();
    }
    String::from_utf8(string).unwrap_or_default()
}

/// Whether `inside` is one way to write `other`. Ends at the first difference.
pub(super) fn is_spelled(inside: &str, other: &str) -> bool {
    let mut left = other;
    for piece in Pieces(inside) {
        let behind = match piece {
            Piece::Plain(text) => left.strip_prefix(text),
            Piece::Escaped(c) => left.strip_prefix(c),
        };
        match behind {
            Some(behind) => left = behind,
            None => return false,
        }
    }
    left.is_empty()
}

/// How many characters the string has whose inside is written so; beyond `most` some number above it. Nothing is
/// decoded for it.
pub(super) fn length_up_to(inside: &str, most: u64) -> u64 {
    let (mut rest, mut length) = (inside.as_bytes(), 0);
    while length <= most && !rest.is_empty() {
        let (counted, behind) = match rest {
            [b'\\', behind @ ..] => (1, behind.get(escape_length(behind)..)),
            _ => {
                let run = plain_run(rest).max(1);
                (characters(rest.get(..run).unwrap_or_default()), rest.get(run..))
            }
        };
        length += counted;
        rest = behind.unwrap_or_default();
    }
    length
}

/// How many characters `text` has, which is UTF-8.
fn characters(text: &[u8]) -> u64 {
    // All but the first byte of each begin with the bits 10.
    text.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u64
}

/// How many bytes of an escape for one character are behind its backslash.
fn escape_length(behind: &[u8]) -> usize {
    match behind {
        [b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..] => 11,
        [b'u', ..] => 5,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ESCAPES: [&str; 13] = [
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
        "\\f",
        "\\n",
        "\\r",
        "\\t",
        "\\u0000",
        "\\u00e9",
        "\\uFFFf",
        "\\ud83d\\ude00",
        "\\uDBFF\\uDFFF",
    ];
    /// Insides of strings, and what `serde_json` takes each for.
    fn inside() -> impl Strategy<Value = (String, String)> {
        let piece = prop_oneof![
            prop::sample::select(&ESCAPES[..]).prop_map(str::to_owned),
            "[^\"\\\\\\p{Cc}]{0,12}",
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| {
            let inside = pieces.concat();
            let string = serde_json::from_str(&format!("\"{inside}\"")).unwrap();
            (inside, string)
        })
    }

    proptest! {
        #[test]
        fn a_string_is_what_serde_json_takes_it_for((inside, string) in inside()) {
            prop_assert_eq!(unescape(&inside), string);
        }

        #[test]
        fn it_is_spelled_so_if_and_only_if_it_is_that_string((inside, string) in inside(), (_, other) in inside()) {
            prop_assert!(is_spelled(&inside, &string));
            prop_assert_eq!(is_spelled(&inside, &other), other == string);
            let longer = format!("{string}x");
            prop_assert!(!is_spelled(&inside, &longer));
            if let Some((at, _)) = string.char_indices().next_back() {
                prop_assert!(!is_spelled(&inside, &string[..at]));
            }
        }

        #[test]
        fn its_length_is_that_of_the_string_unless_it_is_over_the_most((inside, string) in inside(), most in 0_u64..40) {
            let (length, counted) = (string.chars().count() as u64, length_up_to(&inside, most));
            let is_right = if length <= most { counted == length } else { counted > most };
            prop_assert!(is_right);
            prop_assert_eq!(length_up_to(&inside, u64::MAX), length);
        }
    }

    #[test]
    fn what_was_never_found_good_ends_all_the_same() {
        for inside in ["\\", "\\u", "\\u12", "\\ud800", "\\ud800\\u0041", "\\uzzzz\"", "\"\"", "\u{1}", "é\\"]
        {
            let string = unescape(inside);
            assert!(string.len() <= 3 * inside.len());
            assert!(length_up_to(inside, u64::MAX) <= inside.len() as u64);
        }
    }

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
