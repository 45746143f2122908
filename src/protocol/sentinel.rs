//! The values of mirrored headers: plain text, or base64 between `=?base64?` and `?=`.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};

/// The text of a mirrored header's value (specification, streamable HTTP, "header encoding").
///
/// `None` for bytes outside 0x20–0x7E and tab, and for a true sentinel whose inside is not canonical
/// base64 of UTF-8. A prefix without suffix, or another case, is literal.
pub fn decode(value: &[u8]) -> Option<Cow<'_, str>> {
    if !value.iter().all(|b| matches!(b, 0x20..=0x7e | b'\t')) {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    let Some(inside) = text.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Some(Cow::Borrowed(text));
    };
    let bytes = STANDARD.decode(inside).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values_are_trimmed_and_sentinels_decoded() {
        assert_eq!(decode(b" get_weather\t").unwrap(), "get_weather");
        assert_eq!(decode(b"=?base64?w6k=?=").unwrap(), "é");
        assert_eq!(decode(b"=?base64??=").unwrap(), "");
        assert_eq!(decode(b"").unwrap(), "");
    }

    #[test]
    fn half_sentinels_and_other_cases_are_literal() {
        for text in ["=?base64?w6k=", "w6k=?=", "=?BASE64?w6k=?=", "=?base64?="] {
            assert_eq!(decode(text.as_bytes()).unwrap(), text);
        }
    }

    #[test]
    fn bad_sentinels_and_bad_bytes_are_refused() {
        for value in [
            &b"=?base64?w6k?="[..],
            b"=?base64?w6k-?=",
            b"=?base64?/w==?=",
            b"=?base64?w6l=?= x?=",
            b"a\x00",
            b"\xc3\xa9",
            b"a\x7f",
        ] {
            assert_eq!(decode(value), None, "{}", value.escape_ascii());
        }
    }
}
