//! A first look at a body as text: bounds that no later parser has.
//!
//! `serde_json`'s `RawValue` has no depth limit and lets lone surrogates pass (measured), and a parsed
//! `Value` takes eleven times the space of `[],[],…`. One pass over the bytes closes all of that.

use super::WireError;

/// Deepest nesting of arrays and objects, the whole body counted.
pub const MAX_DEPTH: usize = 128;
/// Most values in one body, containers included.
pub const MAX_NODES: usize = 10_000;

/// Checks encoding, nesting, count, escapes and numbers of a JSON text, not its grammar.
///
/// # Errors
/// [`WireError::Parse`] with the bound that is broken.
pub fn check_text(body: &[u8]) -> Result<&str, WireError> {
    let text = std::str::from_utf8(body).map_err(|_| WireError::Parse("the body is not UTF-8"))?;
    if text.starts_with('\u{feff}') {
        return Err(WireError::Parse("the body starts with a byte order mark"));
    }
    let (mut depth, mut nodes, mut at) = (0_usize, 0_usize, 0_usize);
    while let Some(byte) = body.get(at) {
        at += 1;
        match byte {
            b'"' => at = string_end(body, at)? + 1,
            b'{' | b'[' => {
                depth += 1;
                nodes += 1;
                if depth > MAX_DEPTH {
                    return Err(WireError::Parse("the body is nested too deeply"));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => nodes += 1,
            // As with strings: what was looked at is not looked at again, whatever stands in it.
            b'-' | b'0'..=b'9' => at = number_end(body, at - 1)?,
            _ => {}
        }
        if nodes > MAX_NODES {
            return Err(WireError::Parse("the body holds too many values"));
        }
    }
    Ok(text)
}

/// Where the string that begins at `from` (behind its quote) ends: the index of the closing quote.
fn string_end(body: &[u8], from: usize) -> Result<usize, WireError> {
    const OPEN: WireError = WireError::Parse("a string does not end");
    let mut at = from;
    loop {
        let rest = body.get(at..).ok_or(OPEN)?;
        at += rest.iter().position(|b| matches!(b, b'"' | b'\\')).ok_or(OPEN)?;
        if body.get(at) == Some(&b'"') {
            return Ok(at);
        }
        at += escape_length(body, at)?;
    }
}

/// How long the escape at `at` is. A surrogate must be half of a pair (RFC 8259 §8.2).
fn escape_length(body: &[u8], at: usize) -> Result<usize, WireError> {
    const LONE: WireError = WireError::Parse("a string holds half a surrogate pair");
    if body.get(at + 1) != Some(&b'u') {
        return Ok(2);
    }
    match unit(body, at) {
        Some(0xD800..=0xDBFF) => match unit(body, at + 6) {
            Some(0xDC00..=0xDFFF) => Ok(12),
            _ => Err(LONE),
        },
        Some(0xDC00..=0xDFFF) => Err(LONE),
        Some(_) => Ok(6),
        None => Err(WireError::Parse("a string holds a broken escape")),
    }
}

/// The UTF-16 unit of the `\uXXXX` at `at`.
fn unit(body: &[u8], at: usize) -> Option<u16> {
    let digits = body.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

/// Where the number that begins at `at` ends, one byte on at least. One with an exponent that no double can
/// hold is refused.
fn number_end(body: &[u8], at: usize) -> Result<usize, WireError> {
    let rest = body.get(at..).unwrap_or_default();
    let in_number = |b: &u8| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E');
    let length = rest.iter().position(|b| !in_number(b)).unwrap_or(rest.len());
    let number = rest.get(..length).filter(|number| number.iter().any(|b| matches!(b, b'e' | b'E')));
    let number = number.and_then(|number| std::str::from_utf8(number).ok()?.parse::<f64>().ok());
    if number.is_none_or(f64::is_finite) {
        Ok(at + length.max(1))
    } else {
        Err(WireError::Parse("a number is out of range"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &[u8]) -> bool {
        check_text(body).is_err()
    }

    #[test]
    fn the_deepest_nesting_passes_and_one_more_does_not() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n)).into_bytes();
        assert!(!refused(&nested(MAX_DEPTH)));
        assert!(refused(&nested(MAX_DEPTH + 1)));
        assert!(refused(&nested(2_000_000)));
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        let text = format!("\"{}\"", "[{,".repeat(20_000));
        assert!(!refused(text.as_bytes()));
        assert!(!refused(br#""\"[[\\""#));
    }

    #[test]
    fn too_many_values_are_refused() {
        assert!(!refused(format!("[{}]", vec!["1"; MAX_NODES].join(",")).as_bytes()));
        assert!(refused(format!("[{}]", vec!["1"; MAX_NODES + 1].join(",")).as_bytes()));
    }

    #[test]
    fn the_time_for_numbers_grows_with_their_length_and_not_with_its_square() {
        // Looked at once an `e`, each of these takes hours.
        for text in
            ["e".repeat(2_000_000), "1e1".repeat(700_000), "1e".repeat(1_000_000), "-".repeat(2_000_000)]
        {
            assert!(!refused(text.as_bytes()), "the grammar is not ours to check");
        }
        assert!(refused(format!("[1,{}]", "-1e999").as_bytes()));
    }

    #[test]
    fn encodings_and_escapes_that_no_reader_agrees_on_are_refused() {
        for body in [
            &b"\xff"[..],
            b"\"\xc0\xaf\"",
            b"\xef\xbb\xbf{}",
            b"{\0}\xfe",
            br#""\ud800""#,
            br#""\udc00x""#,
            br#""\ud800\u0041""#,
            br#""\u12g4""#,
            br#""\u""#,
            b"\"open",
            br#""\"#,
            b"1e400",
            b"[-1E999]",
        ] {
            assert!(refused(body), "{}", body.escape_ascii());
        }
        for body in
            [&br#""\ud83d\ude00""#[..], b"true", b"[false,1e3,-2.5E-3]", br#"{"e":"1e999"}"#, b"\"\"", b""]
        {
            assert!(!refused(body), "{}", body.escape_ascii());
        }
    }
}
