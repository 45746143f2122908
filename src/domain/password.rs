//! A password as it was typed, on its way to a digest.

use std::{fmt, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;

/// Shortest and longest password, bytes after normalisation.
const BYTES: std::ops::RangeInclusive<usize> = 12..=128;
/// Longest text that is normalised at all: no text of 128 bytes was ever longer in another form.
const MOST_TYPED: usize = 1_024;

/// A password, normalised (NFKC) so that every keyboard types the same one. `Debug` shows nothing; zeroed on
/// drop.
#[derive(Clone)]
pub struct Password(SecretString);

impl Password {
    /// The normalised bytes, for the digest alone.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl FromStr for Password {
    type Err = UnfitPassword;

    fn from_str(typed: &str) -> Result<Self, UnfitPassword> {
        if typed.len() > MOST_TYPED || typed.contains('\0') {
            return Err(UnfitPassword);
        }
        let normal = SecretString::from(typed.nfkc().collect::<String>());
        if BYTES.contains(&normal.expose_secret().len()) { Ok(Self(normal)) } else { Err(UnfitPassword) }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// The text is no password of ours, whoever's it would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a password has 12 to 128 bytes and no NUL")]
pub struct UnfitPassword;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_those_of_the_normalised_text() {
        for (typed, fits) in [
            ("x".repeat(11), false),
            ("x".repeat(12), true),
            ("x".repeat(128), true),
            ("x".repeat(129), false),
            // A full-width letter is three bytes, and one when normalised.
            ("ｘ".repeat(11), false),
            ("ｘ".repeat(128), true),
            ("ｘ".repeat(129), false),
            // One character that becomes eighteen.
            ("\u{fdfa}".repeat(4), false),
            ("x".repeat(1_000_000), false),
            ("long enough\0 but for the NUL".into(), false),
        ] {
            assert_eq!(typed.parse::<Password>().is_ok(), fits, "{} bytes", typed.len());
        }
    }

    #[test]
    fn every_keyboard_types_the_same_password() {
        let [composed, split]: [Password; 2] =
            ["p\u{e4}ssword-of-ann", "pa\u{308}ssword-of-ann"].map(|text| text.parse().unwrap());
        assert_eq!(composed.expose(), split.expose());
        assert_eq!(format!("{composed:?}"), "Password(..)");
    }
}
