//! Reading a JSON object of which we know some members, without a second opinion on any of them.
//!
//! Two readers that disagree about `Method` beside `method`, or about which of two `name`s counts,
//! are a bypass (GHSA-wvj2-96wp-fq3f, GHSA-4gph-2hhr-5mwg). So a doubled member, or one that differs
//! from a known one only by case or control characters, refuses the whole object.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// What our visitors can say; [`known_words`] finds it again in serde's error.
const NOT_AN_OBJECT: &str = "the body must be one JSON object";
const NO_MEMBERS: &str = "invalid type";
pub(super) const DOUBLED: &str = "a member stands twice";
const VARIANT: &str = "a member differs from a known one only by case or control characters";
/// Each with what is said of it.
const WORDS: [(&str, &str); 4] = [
    (NOT_AN_OBJECT, NOT_AN_OBJECT),
    (NO_MEMBERS, "params and _meta must be objects"),
    (DOUBLED, DOUBLED),
    (VARIANT, VARIANT),
];

/// The words of ours that go with serde's `message`.
pub(super) fn known_words(message: &str) -> &'static str {
    let known = WORDS.into_iter().find(|(begin, _)| message.starts_with(begin));
    known.map_or("the request is not well formed", |(_, words)| words)
}

/// An object of which some members are kept.
pub(super) trait Shape<'de>: Default {
    /// The names of the members that are kept, exactly as they must be written; at most 32.
    const NAMES: &'static [&'static str];

    /// Reads the value of the member `NAMES[at]`.
    fn read<A: MapAccess<'de>>(&mut self, at: usize, map: &mut A) -> Result<(), A::Error>;
}

/// Reads a text that is one object and nothing else.
pub(super) fn read<'de, T: Shape<'de>>(text: &'de str) -> Result<T, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    if !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
        // Valid JSON of another kind is a wrong request; anything else is no JSON at all.
        IgnoredAny::deserialize(&mut reader)?;
        reader.end()?;
        return Err(de::Error::custom(NOT_AN_OBJECT));
    }
    let object = Seed::new().deserialize(&mut reader)?;
    reader.end()?;
    Ok(object)
}

/// Reads an object in place, so that nested ones cost no second pass.
pub(super) struct Seed<T>(PhantomData<T>);

impl<T> Seed<T> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T: Shape<'de>> DeserializeSeed<'de> for Seed<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<T, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de, T: Shape<'de>> Visitor<'de> for Seed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let (mut object, mut seen) = (T::default(), 0_u32);
        while let Some(Name(name)) = map.next_key()? {
            match T::NAMES.iter().position(|known| *known == name) {
                Some(at) if seen & (1 << at) != 0 => return Err(de::Error::custom(DOUBLED)),
                Some(at) => {
                    seen |= 1 << at;
                    object.read(at, &mut map)?;
                }
                None if T::NAMES.iter().any(|known| is_variant(&name, known)) => {
                    return Err(de::Error::custom(VARIANT));
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(object)
    }
}

/// A member's name, borrowed where it holds no escape.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        text(reader).map(Self)
    }
}

/// Reads a string, borrowed where it holds no escape (`Cow` by itself never borrows in serde).
fn text<'de, D: Deserializer<'de>>(reader: D) -> Result<Cow<'de, str>, D::Error> {
    struct Text;
    impl<'de> Visitor<'de> for Text {
        type Value = Cow<'de, str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Cow::Borrowed(text))
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Cow::Owned(text.to_owned()))
        }
    }
    reader.deserialize_str(Text)
}

/// The string that `raw` is, `None` if it is something else.
pub(super) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    // It is one JSON value: between two quotes, without an escape, stands the string itself.
    let quoted = raw.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    if let Some(plain) = quoted.filter(|text| !text.contains('\\')) {
        return Some(Cow::Borrowed(plain));
    }
    text(&mut serde_json::Deserializer::from_str(raw.get())).ok()
}

/// Whether some other reader might take `name` for `known`.
fn is_variant(name: &str, known: &str) -> bool {
    let visible = name.trim_matches(|c: char| c.is_control() || c.is_whitespace());
    visible.eq_ignore_ascii_case(known)
}
