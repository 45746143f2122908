//! One JSON value as it stands in a text: where, and how it is written.

use std::borrow::Cow;

use super::text;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Spelling {
    /// It is no string.
    #[default]
    Other,
    /// A string that says what stands between its quotes.
    Plain,
    /// A string with escapes, each of them a good one.
    Escaped,
}

/// One JSON value as it stands in the body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Raw<'a> {
    text: &'a str,
    spelling: Spelling,
}

impl<'a> Raw<'a> {
    /// The value that `text` is, which has been read and found to be of that spelling.
    #[inline]
    pub(super) fn new(text: &'a str, spelling: Spelling) -> Self {
        Self { text, spelling }
    }

    /// Its text, without white space around it.
    #[inline]
    pub fn text(self) -> &'a str {
        self.text
    }

    /// How it is written.
    #[inline]
    pub(super) fn spelling(self) -> Spelling {
        self.spelling
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.text.starts_with('{')
    }

    /// Whether it is a string.
    pub fn is_string(self) -> bool {
        self.spelling != Spelling::Other
    }

    /// The string that it is, `None` if it is something else.
    #[inline]
    pub fn string(self) -> Option<Cow<'a, str>> {
        match self.spelling {
            Spelling::Plain => Some(Cow::Borrowed(self.inside())),
            Spelling::Escaped => Some(Cow::Owned(text::unescape(self.inside()))),
            Spelling::Other => None,
        }
    }

    /// Whether it is the string `other`.
    #[inline]
    pub fn says(self, other: &str) -> bool {
        match self.spelling {
            Spelling::Plain => self.inside() == other,
            Spelling::Escaped => text::is_spelled(self.inside(), other),
            Spelling::Other => false,
        }
    }

    /// How many characters the string has that it is; beyond `most` some number above it, so that a long one
    /// need not be read to its end. `None` if it is something else.
    pub(super) fn length_up_to(self, most: u64) -> Option<u64> {
        let inside = self.inside();
        // Four bytes at most are a character, and twelve where it is written with escapes.
        let least = |bytes: u64| (inside.len() as u64).div_ceil(bytes);
        match self.spelling {
            Spelling::Plain if least(4) > most => Some(least(4)),
            Spelling::Plain => Some(inside.chars().count() as u64),
            Spelling::Escaped if least(12) > most => Some(least(12)),
            Spelling::Escaped => Some(text::length_up_to(inside, most)),
            Spelling::Other => None,
        }
    }

    /// What stands between the quotes of a string.
    #[inline]
    fn inside(self) -> &'a str {
        self.text.get(1..self.text.len().saturating_sub(1)).unwrap_or_default()
    }
}
