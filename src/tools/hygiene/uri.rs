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

/// `uri` with an escape for each character that no URI has (RFC 3986 §2), so that it leads where it led: clients that
/// hold what they read against the schema would refuse the whole result. `None` if it has no such character.
pub(super) fn spelled_out(uri: &str) -> Option<String> {
    // Only a host may stand in brackets (§3.2.2).
    let host = uri.find("://").map_or(0..0, |at| {
        let begins = at + 3;
        let ends = uri.get(begins..).and_then(|rest| rest.find(['/', '?', '#']));
        begins..ends.map_or(uri.len(), |ends| begins + ends)
    });
    let fragment = uri.find('#');
    let stays = |at: usize, c: char| match c {
        '%' => uri.as_bytes().get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)),
        '[' | ']' => host.contains(&at),
        '#' => fragment == Some(at),
        c => c.is_ascii_alphanumeric() || "-._~:/?@!$&'()*+,;=".contains(c),
    };
    if uri.char_indices().all(|(at, c)| stays(at, c)) {
        return None;
    }
    let mut out = String::with_capacity(uri.len() + 32);
    for (at, c) in uri.char_indices() {
        if stays(at, c) { out.push(c) } else { escape(c, &mut out) }
    }
    Some(out)
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
    fn what_no_uri_has_is_spelled_out_and_all_else_stays() {
        for uri in ["https://[::1]:8/a?b=%20#c", "urn:a:b", "file:///a/b.txt", "test://x/(a)*'~@!,;=+$&"] {
            assert_eq!(spelled_out(uri), None, "{uri}");
        }
        for (uri, shown) in [
            ("file:///São Paulo", "file:///S%C3%A3o%20Paulo"),
            ("test://x/%zz%4", "test://x/%25zz%254"),
            ("test://[a]/[b]?[c]", "test://[a]/%5Bb%5D?%5Bc%5D"),
            ("test://x#a#b", "test://x#a%23b"),
            ("test://x/<\"{|}\\^`>", "test://x/%3C%22%7B%7C%7D%5C%5E%60%3E"),
        ] {
            assert_eq!(spelled_out(uri).as_deref(), Some(shown));
            assert_eq!(spelled_out(shown), None, "once is enough");
        }
    }

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
