//! Reading a JSON object of which we know some members, without a second opinion on any of them.
//!
//! Two readers that disagree about `Method` beside `method`, or about which of two `name`s counts,
//! are a bypass (GHSA-wvj2-96wp-fq3f, GHSA-4gph-2hhr-5mwg). So a doubled member, or one that differs
//! from a known one only by case or control characters, refuses the whole object.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// What our visitors can say; [`known_words`] finds it again in serde's error.
pub(super) const NOT_AN_OBJECT: &str = "the body must be one JSON object";
pub(super) const DOUBLED: &str = "a member stands twice";
pub(super) const VARIANT: &str = "a member differs from a known one only by case or control characters";
const WORDS: [&str; 3] = [NOT_AN_OBJECT, DOUBLED, VARIANT];

/// The words of ours that `message` begins with.
pub(super) fn known_words(message: &str) -> &'static str {
    WORDS.into_iter().find(|words| message.starts_with(words)).unwrap_or("the request is not well formed")
}

/// An object of which the members named in `N` are kept, each as it stands.
#[derive(Debug)]
pub(super) struct Members<'a, const N: usize> {
    /// One place a known member, in the order of their names.
    pub(super) values: [Option<&'a RawValue>; N],
}

/// The names of the members that a [`Members`] keeps.
pub(super) trait Known<const N: usize> {
    /// The names, exactly as they must be written.
    const NAMES: [&'static str; N];
}

/// Reads an object, keeping the members of `K`.
pub(super) fn read<K: Known<N>, const N: usize>(
    text: &str,
) -> Result<[Option<&RawValue>; N], serde_json::Error> {
    struct Reader<K>(std::marker::PhantomData<K>);
    impl<'de, K: Known<N>, const N: usize> Visitor<'de> for Bound<K, N> {
        type Value = Members<'de, N>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut values = [None; N];
            while let Some(Name(name)) = map.next_key()? {
                let known = K::NAMES.iter().zip(values.iter_mut()).find(|(known, _)| **known == name);
                match known {
                    Some((_, Some(_))) => return Err(de::Error::custom(DOUBLED)),
                    Some((_, place)) => *place = Some(map.next_value()?),
                    None if K::NAMES.iter().any(|known| is_variant(&name, known)) => {
                        return Err(de::Error::custom(VARIANT));
                    }
                    None => drop(map.next_value::<IgnoredAny>()?),
                }
            }
            Ok(Members { values })
        }
    }
    struct Bound<K, const N: usize>(Reader<K>);
    let mut reader = serde_json::Deserializer::from_str(text);
    if !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
        // Valid JSON of another kind is a wrong request; anything else is no JSON at all.
        IgnoredAny::deserialize(&mut reader)?;
        reader.end()?;
        return Err(de::Error::custom(NOT_AN_OBJECT));
    }
    let members = reader.deserialize_map(Bound::<K, N>(Reader(std::marker::PhantomData)))?;
    reader.end()?;
    Ok(members.values)
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
    text(&mut serde_json::Deserializer::from_str(raw.get())).ok()
}

/// Whether some other reader might take `name` for `known`.
fn is_variant(name: &str, known: &str) -> bool {
    let visible = name.trim_matches(|c: char| c.is_control() || c.is_whitespace());
    visible.eq_ignore_ascii_case(known)
}
