//! Strings that cannot break out of their line: JSON text in which whatever acts on a terminal, an editor
//! or a line splitter is spelled `\uXXXX`.

/// Bytes that are looked at together: what a vector register holds on every machine of today.
const CHUNK: usize = 16;
/// For each byte, whether a character that begins with it may have to be spelled otherwise in a JSON string.
const NEEDS_CARE: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest: &mut [bool] = &mut table;
    let mut byte = 0_u8;
    while let [first, others @ ..] = rest {
        // Of the lead bytes only those below which `acts` has a character: U+0080.., U+061C, U+2000..,
        // U+FEFF, U+E0000... A byte inside a character begins none.
        *first = !is_plain(byte) && matches!(byte, 0..=0x7f | 0xc2 | 0xd8 | 0xe2 | 0xef | 0xf3);
        byte = byte.wrapping_add(1);
        rest = others;
    }
    table
};
/// For each byte its two hexadecimal digits, lower case.
const HEX: [[u8; 2]; 256] = {
    let mut table = [[0; 2]; 256];
    let mut rest: &mut [[u8; 2]] = &mut table;
    let mut byte = 0_u8;
    while let [first, others @ ..] = rest {
        *first = [nibble(byte >> 4), nibble(byte & 15)];
        byte = byte.wrapping_add(1);
        rest = others;
    }
    table
};

/// Appends `text` as a JSON string.
pub(super) fn quote(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text, |out, char| match char {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        char => push_char(out, char),
    });
    out.push(b'"');
}

/// Appends JSON text that is already well formed, on one line and with the same characters escaped.
pub(super) fn push_json(out: &mut Vec<u8>, json: &str) {
    escape(out, json, |out, char| match char {
        // Between JSON's tokens these are white space; inside a string they cannot stand.
        '\n' | '\r' | '\t' => out.push(b' '),
        char => push_char(out, char),
    });
}

/// Appends `text`: runs that need no care as they are, each other character by `push`.
fn escape(out: &mut Vec<u8>, text: &str, push: impl Fn(&mut Vec<u8>, char)) {
    let mut rest = text;
    loop {
        let (run, special) = rest.split_at(run_of(rest.as_bytes()));
        out.extend_from_slice(run.as_bytes());
        let mut chars = special.chars();
        let Some(char) = chars.next() else { return };
        push(out, char);
        rest = chars.as_str();
    }
}

/// How many bytes at the start of `text` need no care; ends between two characters.
fn run_of(text: &[u8]) -> usize {
    let (chunks, _) = text.as_chunks::<CHUNK>();
    // Most texts are plain ASCII: that is one vector comparison a chunk.
    let plain = chunks.iter().take_while(|chunk| chunk.iter().fold(true, |all, &byte| all & is_plain(byte)));
    let at = plain.count() * CHUNK;
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|&byte| needs_care(byte)).unwrap_or(rest.len())
}

fn needs_care(byte: u8) -> bool {
    NEEDS_CARE.get(usize::from(byte)).copied().unwrap_or(true)
}

/// The longest beginning of `text` that has at most `max` bytes and ends between two characters.
pub(super) fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// Appends the hexadecimal digits of `bytes`, lower case.
pub(super) fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    // On the stack first: to grow `out` once is a fifth of the work of growing it for each byte.
    let mut digits = [[0; 2]; 32];
    for run in bytes.chunks(digits.len()) {
        for (pair, byte) in digits.iter_mut().zip(run) {
            *pair = HEX.get(usize::from(*byte)).copied().unwrap_or([b'0'; 2]);
        }
        out.extend_from_slice(digits.get(..run.len()).unwrap_or_default().as_flattened());
    }
}

/// Appends `number` in decimal.
pub(super) fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let (mut rest, mut used) = (number, 0);
    for place in digits.iter_mut().rev() {
        *place = digit(rest);
        used += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// The 32 bytes that 64 hexadecimal digits stand for.
pub(super) fn parse_hex32(text: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = <[u8; 2]>::try_from(pair).ok()?;
        *byte = hex_value(high)? << 4 | hex_value(low)?;
    }
    Some(bytes)
}

/// A last decimal digit of `number` as a character.
pub(super) const fn digit(number: u64) -> u8 {
    b'0' + (number % 10) as u8
}

const fn nibble(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

/// Only lower case: one hash has one spelling.
const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Printable ASCII that stands for itself in a JSON string.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'
}

fn push_char(out: &mut Vec<u8>, char: char) {
    if acts(char) {
        let mut units = [0; 2];
        for unit in char.encode_utf16(&mut units) {
            out.extend_from_slice(b"\\u");
            push_hex(out, &unit.to_be_bytes());
        }
    } else {
        let mut bytes = [0; 4];
        out.extend_from_slice(char.encode_utf8(&mut bytes).as_bytes());
    }
}

/// Whether a character does something instead of showing something: controls (C0, DEL, C1), line and
/// paragraph separators, direction marks and overrides, zero-width and tag characters.
const fn acts(char: char) -> bool {
    matches!(char,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str) -> String {
        let mut out = Vec::new();
        quote(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_that_acts_on_a_terminal_or_a_line_splitter_survives() {
        for (text, written) in [
            ("a\n{\"event\":\"fake\"}", r#""a\u000a{\"event\":\"fake\"}""#),
            ("\r\x1b[2J", r#""\u000d\u001b[2J""#),
            ("\u{7f}\u{85}\u{9b}", r#""\u007f\u0085\u009b""#),
            ("\u{2028}\u{2029}", r#""\u2028\u2029""#),
            ("\u{202e}evil\u{2066}", r#""\u202eevil\u2066""#),
            ("\u{200b}\u{200f}\u{61c}\u{feff}", r#""\u200b\u200f\u061c\ufeff""#),
            ("\u{e0041}", r#""\udb40\udc41""#),
            ("back\\slash", r#""back\\slash""#),
            ("Zürich 東京 🙂", "\"Zürich 東京 🙂\""),
        ] {
            assert_eq!(quoted(text), written);
            assert_eq!(serde_json::from_str::<String>(written).unwrap(), text);
        }
    }

    /// The plainest way to write a string; the fast one must say the same.
    fn slowly_quoted(text: &str) -> String {
        let mut out = String::from('"');
        for char in text.chars() {
            match char {
                '"' | '\\' => out.extend(['\\', char]),
                char if acts(char) => {
                    out.extend(char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
                }
                char => out.push(char),
            }
        }
        out.push('"');
        out
    }

    #[test]
    fn every_character_at_every_place_of_a_chunk_is_written_as_the_plainest_way_does() {
        // The planes between have neither characters that act nor bytes of their own.
        for char in ('\0'..='\u{ffff}').chain('\u{1f000}'..='\u{20100}').chain('\u{dff00}'..='\u{e0200}') {
            let text = format!("{char}{char}");
            assert_eq!(quoted(&text), slowly_quoted(&text), "{:x}", u32::from(char));
        }
        for special in
            ["\n", "\"", "\\", "\u{7f}", "\u{9b}", "\u{61c}", "\u{202e}", "\u{feff}", "\u{e0041}", "é", "東"]
        {
            for before in 0..40 {
                for after in [0, 1, 15, 16, 17] {
                    let text = format!("{}{special}{}", "a".repeat(before), "z".repeat(after));
                    assert_eq!(quoted(&text), slowly_quoted(&text));
                }
            }
        }
    }

    #[test]
    fn json_is_kept_on_one_line_and_means_the_same() {
        let mut out = Vec::new();
        push_json(&mut out, "{\n\t\"a\": \"\u{202e}x\\n\"\r\n}");
        assert_eq!(out, br#"{  "a": "\u202ex\n"  }"#);
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut("ab", 2), "ab");
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("🙂🙂", 7), "🙂");
        assert_eq!(cut("é", 0), "");
    }

    #[test]
    fn numbers_and_hex_are_written_and_read_back() {
        for (number, text) in [(0, "0"), (7, "7"), (1_002, "1002"), (u64::MAX, "18446744073709551615")] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(out, text.as_bytes());
        }
        let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 8).unwrap());
        let mut hex = Vec::new();
        push_hex(&mut hex, &bytes);
        assert_eq!(parse_hex32(&hex), Some(bytes));
        assert_eq!(parse_hex32(&hex.to_ascii_uppercase()), None);
        assert_eq!(parse_hex32(b"00"), None);
    }
}
