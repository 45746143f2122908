//! `[[jwt.keys]]`: private keys, the first of which signs.

use std::{collections::BTreeSet, path::PathBuf};

use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{
    JwtSettings, guard,
    kind::{Complaint, Kind},
    problem::Report,
    schema::Field,
    units,
};
use crate::domain::{Algorithm, PrivateKey, Timestamp, is_key_id};

/// Most keys: an old one stays for as long as its tokens live, so a few are many.
const MOST_KEYS: usize = 16;

/// The fields of one key.
pub(super) const FIELDS: &[Field] = &[
    Field { name: "kid", kind: Kind::Form(kid_fault), is_required: true },
    Field { name: "algorithm", kind: Kind::OneOf(&["ES256", "EdDSA", "RS256"]), is_required: true },
    Field { name: "private_key_file", kind: Kind::Text, is_required: true },
    Field { name: "retire_at", kind: Kind::Form(moment_fault), is_required: false },
];

/// One of `[[jwt.keys]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySettings {
    /// The name that tokens say they were signed with: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub kid: String,
    /// The one algorithm that the key is for.
    pub algorithm: Algorithm,
    /// The PEM file that the key was read from.
    pub private_key_file: PathBuf,
    /// From when on the key is good for nothing; `None` for never.
    #[serde(default, deserialize_with = "units::read_moment")]
    pub retire_at: Option<Timestamp>,
    /// The key in the file. An embedder who fills in these settings reads it too
    /// ([`PrivateKey::from_pem`]).
    #[serde(skip)]
    pub key: Option<PrivateKey>,
}

fn kid_fault(text: &str) -> Option<Complaint> {
    (!is_key_id(text)).then_some(("must be 1 to 64 of A-Z a-z 0-9 . _ -", "choose another name"))
}

fn moment_fault(text: &str) -> Option<Complaint> {
    let fault = ("must be a moment with its zone (RFC 3339)", "write it like \"2027-01-31T12:00:00Z\"");
    Timestamp::from_rfc3339(text).is_none().then_some(fault)
}

/// Reads the file of each key; reports what is wrong with one, never the key.
pub(super) fn read(keys: &mut [KeySettings], report: &mut Report) {
    for (n, key) in keys.iter_mut().enumerate() {
        let at = format!("jwt.keys[{n}].private_key_file");
        let Some(text) = guard::read_secret_file(&at, &key.private_key_file, report) else { continue };
        match PrivateKey::from_pem(key.algorithm, text.expose_secret().as_bytes()) {
            Ok(read) => key.key = Some(read),
            Err(why) => report.refuse(&at, why, format!("write one in PKCS#8: {}", recipe(key.algorithm))),
        }
    }
}

/// Every rule that joins the keys, or one of them with the rest of `[jwt]`.
pub(super) fn check(jwt: &JwtSettings, now: Timestamp, report: &mut Report) {
    let few = jwt.keys.len() <= MOST_KEYS;
    report.require(few, "jwt.keys", ("must be at most 16", "take out those that have retired"));
    let mut kids = BTreeSet::new();
    for (n, key) in jwt.keys.iter().enumerate() {
        let is_new = kids.insert(key.kid.as_str());
        let complaint = ("is the kid of an earlier key", "give each key a name of its own");
        report.require(is_new, &format!("jwt.keys[{n}].kid"), complaint);
        let signs = n == 0 && jwt.algorithm != Algorithm::Hs256;
        if let Some(moment) = key.retire_at {
            check_end(&format!("jwt.keys[{n}].retire_at"), (signs, moment <= now), report);
        }
    }
    if jwt.algorithm != Algorithm::Hs256 {
        check_active(jwt, report);
    }
}

/// The key that signs: there, and for the algorithm that is asked for.
fn check_active(jwt: &JwtSettings, report: &mut Report) {
    let wanted = jwt.algorithm.name();
    match jwt.keys.first() {
        Some(first) if first.algorithm != jwt.algorithm => {
            let fix = format!("put a key for {wanted} first, or change jwt.algorithm");
            report.refuse("jwt.keys[0].algorithm", "is not jwt.algorithm, though the first key signs", fix);
        }
        None if report.is_production() && !report.is_refused("jwt.keys") => {
            let problem = format!("is empty, and production generates no key for {wanted}");
            report.refuse("jwt.keys", problem, format!("write [[jwt.keys]]; {}", recipe(jwt.algorithm)));
        }
        _ => {}
    }
    if jwt.secret.is_some() {
        let problem = "is set, so tokens that it signs hold, though new ones are signed otherwise";
        report.warn("jwt.secret", problem, "take it out once the last of its tokens has ended");
    }
}

/// A key with an end: whether it `signs`, and whether the end `has_passed`.
fn check_end(at: &str, (signs, has_passed): (bool, bool), report: &mut Report) {
    let fix = "put a new key before it";
    match (signs, has_passed) {
        (true, true) => report.refuse(at, "has passed, and this is the key that signs", fix),
        (true, false) => report.warn(at, "ends the key that signs: from then on nobody gets a token", fix),
        (false, true) => report.warn(at, "has passed, so the key is good for nothing", "take the key out"),
        (false, false) => {}
    }
}

/// How to make a key.
fn recipe(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Hs256 => "openssl rand -base64 48 prints a good secret",
        Algorithm::Es256 => {
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE makes a good one"
        }
        Algorithm::EdDsa => "openssl genpkey -algorithm ED25519 -out FILE makes a good one",
        Algorithm::Rs256 => {
            "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out FILE makes a good one"
        }
    }
}
