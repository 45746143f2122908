//! Reading a JSON object of which we know some members, without a second opinion on any of them.
//!
//! Two readers that disagree about `Method` beside `method`, or about which of two `name`s counts,
//! are a bypass (GHSA-wvj2-96wp-fq3f, GHSA-4gph-2hhr-5mwg). So a doubled member, or one that differs
//! from a known one only by case or control characters, refuses the whole object.

use super::{WireError, reader::Reader};

/// An object of which some members are kept.
pub(super) trait Shape<'a> {
    /// The names of the members that are kept, exactly as they must be written; at most 32.
    const NAMES: &'static [&'static str];

    /// Reads the value of the member `NAMES[at]`.
    fn read(&mut self, at: usize, reader: &mut Reader<'a>) -> Result<(), WireError>;
}

/// Reads a text that is one object and nothing else.
pub(super) fn read_whole<'a, T: Shape<'a>>(reader: &mut Reader<'a>, object: &mut T) -> Result<(), WireError> {
    if reader.peek() != b'{' {
        // Valid JSON of another kind is a wrong request; anything else is no JSON at all.
        reader.skip()?;
        reader.end()?;
        return Err(WireError::Kind);
    }
    read(reader, object)?;
    reader.end()
}

/// Reads the object that begins here into `object`, where it stays: an empty one of some size is cheaper to fill
/// than a full one to move.
pub(super) fn read<'a, T: Shape<'a>>(reader: &mut Reader<'a>, object: &mut T) -> Result<(), WireError> {
    if reader.peek() != b'{' {
        return Err(WireError::Params);
    }
    let mut seen = 0_u32;
    reader.members(|reader, name| {
        // Once: a name of escapes as long as the body would be decoded for each of ours.
        let name = name.string().unwrap_or_default();
        match T::NAMES.iter().position(|known| *known == name) {
            Some(at) if seen & (1 << at) != 0 => Err(WireError::Doubled),
            Some(at) => {
                seen |= 1 << at;
                object.read(at, reader)
            }
            None if T::NAMES.iter().any(|known| is_variant(&name, known)) => Err(WireError::Variant),
            None => reader.skip(),
        }
    })
}

/// Whether some other reader might take `name` for `known`.
fn is_variant(name: &str, known: &str) -> bool {
    let visible = name.trim_matches(|c: char| c.is_control() || c.is_whitespace());
    visible.eq_ignore_ascii_case(known)
}
