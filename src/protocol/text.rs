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
        [b'u', a, b, c, d, behind @ ..] => {
            let unit_of = |digits| unit(digits).unwrap_or(u32::from(char::REPLACEMENT_CHARACTER));
            match (unit_of([*a, *b, *c, *d]), behind) {
                (high @ 0xD800..=0xDBFF, [b'\\', b'u', a, b, c, d, ..]) => {
                    let low = unit_of([*a, *b, *c, *d]);
                    (char_of(0x1_0000 + ((high & 0x3ff) << 10 | low & 0x3ff)), 11)
                }
                (unit, _) => (char_of(unit), 5),
            }
        }
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
    let mut string = String::with_capacity(inside.len());
    for piece in Pieces(inside) {
        match piece {
            Piece::Plain(text) => string.push_str(text),
            Piece::Escaped(c) => string.push(c),
        }
    }
    string
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

/// How many characters the string has whose inside is written so; beyond `most` some number above it.
pub(super) fn length_up_to(inside: &str, most: u64) -> u64 {
    let mut length = 0;
    for piece in Pieces(inside) {
        length += match piece {
            // Four bytes at most are a character.
            Piece::Plain(text) if text.len() as u64 / 4 > most => text.len() as u64 / 4,
            Piece::Plain(text) => text.chars().count() as u64,
            Piece::Escaped(_) => 1,
        };
        if length > most {
            break;
        }
    }
    length
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
