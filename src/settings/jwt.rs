//! `[jwt]`: how access tokens are signed, and for how long they hold.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

use super::KeySettings;
use super::{kind::Kind, problem::Report, schema::Key, signing, units};
use crate::domain::{Algorithm, SigningSecret, Timestamp};

const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);

/// The keys of `[jwt]`.
pub(super) const KEYS: &[Key] = &[
    Key::new(
        "jwt.algorithm",
        Kind::OneOf(&["HS256", "ES256", "EdDSA", "RS256"]),
        "Signature of new tokens: HS256 with the secret; ES256, EdDSA or RS256 with the first of keys.",
    ),
    Key::new(
        "jwt.secret",
        Kind::Optional,
        "Key of HS256, its UTF-8 bytes unchanged, at least 32 of them and random. Better: secret_file, or \
         the variable JWT_SECRET_KEY. Empty: development generates one.",
    ),
    Key::new(
        "jwt.secret_file",
        Kind::Optional,
        "File that holds the secret, readable by nobody else; one line break at its end is ignored. \
         Empty: secret counts.",
    ),
    Key::new(
        "jwt.keys",
        Kind::Tables(signing::FIELDS),
        "Private keys, each a section [[jwt.keys]] with kid (1 to 64 of A-Z a-z 0-9 . _ -), algorithm \
         (ES256, EdDSA or RS256), private_key_file (PEM, readable by nobody else) and, if it shall end, \
         retire_at (such as \"2027-01-31T12:00:00Z\"). The first signs, unless algorithm is HS256; every one \
         verifies what it signed until it retires; the public halves are at /oauth/jwks. Empty: development \
         generates one where algorithm asks for it.",
    ),
    Key::new(
        "jwt.access_ttl",
        Kind::Span(SECOND, DAY.saturating_mul(30)),
        "Life of an access token unless asked otherwise, 1s to max_ttl.",
    ),
    Key::new(
        "jwt.max_ttl",
        Kind::Span(SECOND, DAY.saturating_mul(30)),
        "Longest life of an access token, 1s to 30d; one that claims more is refused.",
    ),
    Key::new(
        "jwt.refresh_ttl",
        Kind::Span(SECOND, DAY.saturating_mul(366)),
        "Life of a refresh token, 1s to 366d; each exchange gives a new one.",
    ),
    Key::new(
        "jwt.refresh_grace",
        Kind::Span(Duration::ZERO, Duration::from_secs(10)),
        "Time after the first use of a refresh token in which it is given the same successors again, 0s to \
         10s; later it counts as stolen.",
    ),
    Key::new("jwt.issuer", Kind::Optional, "The claim iss; empty is server.public_url."),
    Key::new(
        "jwt.audience",
        Kind::Texts,
        "The claim aud of our tokens; whatever a token names must be in this list. An empty list is \
         server.public_url with /mcp after it.",
    ),
    Key::new(
        "jwt.leeway",
        Kind::Span(Duration::ZERO, Duration::from_secs(60)),
        "How far the clocks of issuer and server may differ, 0s to 60s.",
    ),
];

/// `[jwt]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtSettings {
    /// How new tokens are signed.
    pub algorithm: Algorithm,
    /// The key of HS256, from `jwt.secret` or the file; `None` where it is to be generated
    /// ([`generated::jwt_secret`](super::generated::jwt_secret)), or where another algorithm signs.
    #[serde(skip)]
    pub secret: Option<SigningSecret>,
    /// The file that the key was read from.
    #[serde(deserialize_with = "units::read_optional")]
    pub secret_file: Option<PathBuf>,
    /// Private keys, the active one first; at most 16.
    pub keys: Vec<KeySettings>,
    /// Life of an access token unless asked otherwise, at most `max_ttl`.
    #[serde(deserialize_with = "units::read_duration")]
    pub access_ttl: Duration,
    /// Longest life of an access token, at most 30 days.
    #[serde(deserialize_with = "units::read_duration")]
    pub max_ttl: Duration,
    /// Life of a refresh token, at most 366 days.
    #[serde(deserialize_with = "units::read_duration")]
    pub refresh_ttl: Duration,
    /// How long after its first use a refresh token is given the same successors again, at most 10 s.
    #[serde(deserialize_with = "units::read_duration")]
    pub refresh_grace: Duration,
    /// The claim `iss`, by default the public URL.
    pub issuer: String,
    /// The claim `aud`, never empty, by default the public URL with `/mcp` after it.
    pub audience: Vec<String>,
    /// How far clocks may differ, at most 60 s.
    #[serde(deserialize_with = "units::read_duration")]
    pub leeway: Duration,
}

impl JwtSettings {
    /// Puts what follows from the public URL where nothing is set.
    pub(super) fn complete(&mut self, public_url: &str) {
        if self.issuer.is_empty() {
            public_url.clone_into(&mut self.issuer);
        }
        if self.audience.is_empty() {
            self.audience = vec![format!("{public_url}/mcp")];
        }
    }

    pub(super) fn check(&self, report: &mut Report) {
        let fix = "lower access_ttl or raise max_ttl";
        report.require(self.access_ttl <= self.max_ttl, "jwt.access_ttl", ("is above jwt.max_ttl", fix));
        let plain = |text: &str| {
            (1..=512).contains(&text.len()) && !text.chars().any(|c| c.is_control() || c.is_whitespace())
        };
        let complaint = ("must be 1 to 512 bytes without spaces", "write a URL");
        report.require(plain(&self.issuer), "jwt.issuer", complaint);
        report.require(self.audience.iter().all(|entry| plain(entry)), "jwt.audience", complaint);
        signing::check(self, Timestamp::now(), report);
    }
}
