//! Secrets of which we check the strength before we rely on them.

use std::{collections::HashMap, fmt, str::FromStr};

use secrecy::{ExposeSecret, SecretString};

/// Words that stand in guides, samples and word lists; a secret built around one is refused.
const WELL_KNOWN: [&str; 14] = [
    "changeme",
    "change-me",
    "change_me",
    "password",
    "passw0rd",
    "secret",
    "default",
    "example",
    "letmein",
    "your-256-bit",
    "your_jwt",
    "jwt-key",
    "qwerty",
    "123456789",
];
/// Shortest key for HS256 (RFC 7518 §3.2).
const MIN_BYTES: usize = 32;
/// Least Shannon entropy of the whole text, bits: 32 random hex digits have about 110, 32 words of one letter 0.
const MIN_ENTROPY_BITS: f64 = 80.0;

/// The HS256 key: the UTF-8 bytes of a text that passed every check of [`WeakSecret`].
///
/// `Debug` shows nothing; there is no `Display`; zeroed on drop.
#[derive(Clone)]
pub struct SigningSecret(SecretString);

impl SigningSecret {
    /// The key itself.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl FromStr for SigningSecret {
    type Err = WeakSecret;

    fn from_str(text: &str) -> Result<Self, WeakSecret> {
        if text.len() < MIN_BYTES {
            return Err(WeakSecret::Short);
        }
        if is_repetition(text.as_bytes()) || is_sequence(text.as_bytes()) {
            return Err(WeakSecret::Repeated);
        }
        let lower = text.to_ascii_lowercase();
        let stem_bytes: usize = WELL_KNOWN.iter().map(|word| lower.matches(word).count() * word.len()).sum();
        if stem_bytes * 4 >= text.len() {
            return Err(WeakSecret::WellKnown);
        }
        if entropy_bits(text.as_bytes()) < MIN_ENTROPY_BITS {
            return Err(WeakSecret::LowEntropy);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(..)")
    }
}

/// Whether the text is some shorter text written several times.
fn is_repetition(text: &[u8]) -> bool {
    (1..=text.len() / 2).any(|period| text.iter().zip(text.iter().skip(period)).all(|(a, b)| a == b))
}

/// Whether most neighbours differ by the same step, as in `abcdef…` or `98765…`.
fn is_sequence(text: &[u8]) -> bool {
    let steps: Vec<i16> =
        text.windows(2).filter_map(|w| Some(i16::from(*w.get(1)?) - i16::from(*w.first()?))).collect();
    let even = steps.iter().filter(|step| step.abs() <= 1).count();
    even * 4 >= steps.len() * 3
}

/// Shannon entropy of the byte frequencies, times the length.
#[expect(clippy::cast_precision_loss, reason = "a secret is far shorter than 2^52 bytes")]
fn entropy_bits(text: &[u8]) -> f64 {
    let mut seen: HashMap<u8, usize> = HashMap::new();
    for byte in text {
        *seen.entry(*byte).or_default() += 1;
    }
    let length = text.len() as f64;
    seen.values().map(|&count| -(count as f64) * (count as f64 / length).log2()).sum()
}

/// Why a secret is not good enough. Says nothing of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakSecret {
    /// Fewer than 32 bytes.
    #[error("is shorter than {MIN_BYTES} bytes")]
    Short,
    /// One short text over and over, or a run of neighbours.
    #[error("repeats itself or counts up")]
    Repeated,
    /// Built around a word of every word list.
    #[error("is built around a well-known word")]
    WellKnown,
    /// Too few different characters for its length.
    #[error("has too little entropy")]
    LowEntropy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_secrets_are_told_apart() {
        for (text, why) in [
            ("k2J8fPq0Zr5LwXc7Yv1NbT4mHs9GdU3", WeakSecret::Short),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", WeakSecret::Repeated),
            ("Xk7Xk7Xk7Xk7Xk7Xk7Xk7Xk7Xk7Xk7Xk7Xk7", WeakSecret::Repeated),
            ("abcdefghijklmnopqrstuvwxyz0123456789", WeakSecret::Repeated),
            ("changeme-changeme-changeme-changeme!", WeakSecret::WellKnown),
            ("my-super-secret-password-for-jwt-2026", WeakSecret::WellKnown),
            ("zazzaazzaazazazzazaazzaqzqzazazzaqzaz", WeakSecret::LowEntropy),
        ] {
            assert_eq!(text.parse::<SigningSecret>().unwrap_err(), why, "{text}");
        }
    }

    #[test]
    fn random_secrets_pass_and_are_never_shown() {
        for text in [
            "f3b1c29a7d5e4806b2c8d1e0f7a9534c",
            "k2J8fPq0Zr5LwXc7Yv1NbT4mHs9GdU3eQ6oRiA",
            "Wm9-_x7QkR2vT8yL4nB6cD1fH3jP5sZ0aE9gU",
        ] {
            let secret: SigningSecret = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert!(!format!("{secret:?}").contains(text));
            assert_eq!(secret.expose(), text.as_bytes());
        }
    }
}
