//! What is particular to URIs: escapes of their own, behind which a credential may stand too.

use std::fmt::Write;

use super::{Form, rewrite};

/// Writes `c` as a URI has it that may only hold visible characters (RFC 3986 §2.1).
pub(super) fn escape(c: char, out: &mut String) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        // Writing into a String cannot fail.
        let _written = write!(out, "%{byte:02X}");
    }
}

/// Whether what looks like a credential shows once the escapes of `uri` are read, as whoever follows it does.
pub(super) fn hides_one(uri: &str) -> bool {
    if !uri.contains('%') {
        return false;
    }
    let read = unescaped(uri);
    rewrite(&read, Form::Plain, true, usize::MAX).is_some_and(|(_, redacted)| redacted.count() > 0)
}

/// With every good escape read once; bytes that are no text then are some other character.
fn unescaped(uri: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(uri.len()), uri.as_bytes());
    while let [first, behind @ ..] = rest {
        let escaped = match (first, behind) {
            (b'%', [high, low, behind @ ..]) => {
                hex(*high).zip(hex(*low)).map(|(high, low)| (high << 4 | low, behind))
            }
            _ => None,
        };
        let (byte, behind) = escaped.unwrap_or((*first, behind));
        bytes.push(byte);
        rest = behind;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_once_and_broken_ones_stay() {
        assert_eq!(unescaped("a%20b%2541%C3%A9%zz%4"), "a b%41é%zz%4");
        assert_eq!(unescaped("%ff"), "\u{fffd}");
        let mut out = String::new();
        "\u{202e}\u{7f} ".chars().for_each(|c| escape(c, &mut out));
        assert_eq!(out, "%E2%80%AE%7F%20");
        assert_eq!(unescaped(&out), "\u{202e}\u{7f} ");
    }
}
