//! What is wrong with `[[jwt.keys]]`: their files, their names, their ends, and which of them signs.

use portcullis::{
    domain::{Timestamp, is_key_id},
    settings::Algorithm,
};
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};

use crate::{Desk, SECRET};

/// An RSA key of 1024 bits, which nothing makes any more.
const SHORT: &str = "\
-----BEGIN RSA PRIVATE KEY-----
MIICXAIBAAKBgQDbCPmkNIS5U8Ale/UR7ipbszKdcma7Cm5sS8iuVV+H4cX0Fu7+
GGHn0kr10RWXnQz5+VjVLen4fTopVgcF9bbw1NETCI8mu5y5X8rhO3M+9kbVwCIi
PVzZb38zgHboNNY6ZqZSTbrBq+SGiCwanY11DMg1LZEOb3YrYTrrrW5NVwIDAQAB
AoGBALa/zkoK55IZJoAf5GGJbR4FbX2gLcZw9aC1ukJ6SLJ+1ULKv6yRe16IPrLK
OFG/X0xRlqSHImeJVDWY6VM3p+HMyh4+UJ6R+A7HV01rg3uXH34lRvXPaqAmR0iN
Qr1AOtoQWIJBtFUXOcCXTBkFJ/SGzmL1TnBScKlbRk382jUBAkEA9VcgPuFHQMUf
nXLd4cm51rG0sWSnAYASd2YagVkUGLXktP6Q1jdm85Oo41Q9eCDUpmmuadaspaKd
X3LBZtpppwJBAOSNQraVNIbCUrYRWh5eKov19hM/i68R2hqiL49plji0FMVOhwce
kg+NZIygNI8A3Ntc3sPL4l1kQqFp4wXbFNECQHnZNL2mG0JS5NnI4+Qw0SiNB8YW
zE8VcZZ1UnKtcCq5pAY0bHDIAUy2KGoHO6Q/Af5IfIQ6R3LYKbru/pj7nv8CQA1d
FSGH5+JZSmzK5vIPn30/jHvjo09BQ/d6tD02d0opfW1sAgkwiGnQYqi2VVxnOIK7
E2tvaHT9f8fgYR3eiYECQE15oFIXMk47yg1yeeLJ05dNP/9hcbVObVtYVEmdlX+Q
t3Pc7cpFcGvP1PYENIaDEd1iF7VJm7TvMaqvNOKZEFA=
-----END RSA PRIVATE KEY-----
";

fn pem(algorithm: &'static rcgen::SignatureAlgorithm) -> String {
    rcgen::KeyPair::generate_for(algorithm).unwrap().serialize_pem()
}

/// A desk with one sound key file an algorithm: `ES256.pem`, `EdDSA.pem`, `RS256.pem`.
fn desk(profile: &str) -> Desk {
    Desk::new(profile)
        .file("ES256.pem", &pem(&PKCS_ECDSA_P256_SHA256))
        .file("EdDSA.pem", &pem(&PKCS_ED25519))
        .file("RS256.pem", &pem(&PKCS_RSA_SHA256))
}

/// A section of `local.toml` for the key `kid`.
fn key(desk: &Desk, kid: &str, algorithm: &str, more: &str) -> String {
    let file = desk.path(&format!("{algorithm}.pem")).display().to_string();
    format!("[[jwt.keys]]\nkid = {kid:?}\nalgorithm = {algorithm:?}\nprivate_key_file = {file:?}\n{more}\n")
}

/// The moment `offset` seconds from now, as it is written.
fn moment(offset: i64) -> String {
    let now = Timestamp::now().secs();
    Timestamp::from_secs(now.saturating_add_signed(offset)).to_string()
}

#[test]
fn every_algorithm_has_its_key_and_the_first_one_signs() {
    for (name, algorithm) in
        [("ES256", Algorithm::Es256), ("EdDSA", Algorithm::EdDsa), ("RS256", Algorithm::Rs256)]
    {
        let desk = desk("production");
        let text = format!("[jwt]\nalgorithm = {name:?}\n{}", key(&desk, "2026-a.b_c", name, ""));
        let loaded = desk.file("local.toml", &text).loaded();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let jwt = loaded.settings.jwt;
        assert_eq!((jwt.algorithm, jwt.keys[0].algorithm), (algorithm, algorithm));
        let read = jwt.keys[0].key.as_ref().unwrap();
        assert!(is_key_id(&read.public().thumbprint()) && jwt.secret.is_none());
    }
}

#[test]
fn keys_come_as_a_variable_too() {
    let desk = desk("production");
    let file = desk.path("ES256.pem").display().to_string();
    let list = format!("[{{ kid = \"k\", algorithm = \"ES256\", private_key_file = {file:?} }}]");
    let desk = desk.variable("PORTCULLIS__JWT__ALGORITHM", "ES256").variable("PORTCULLIS__JWT__KEYS", &list);
    assert_eq!(desk.loaded().settings.jwt.keys[0].kid, "k");
    let problem = desk.variable("PORTCULLIS__JWT__KEYS", "k").problem("jwt.keys");
    assert!(problem.problem.starts_with("must be a list of tables"), "{problem}");
}

#[test]
fn every_wrong_field_is_named_by_its_place() {
    let desk = desk("development");
    let good = key(&desk, "good", "ES256", "");
    let text = format!(
        "{good}{}[[jwt.keys]]\nkid = 1\nalgorithm = \"HS256\"\nprivate_key_file = \"\"\nretire_at = \"soon\"\n",
        key(&desk, "a/b", "ES256", "retires = \"\""),
    );
    let problems = desk.file("local.toml", &text).problems();
    let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "jwt.keys[1].kid",
            "jwt.keys[1].retires",
            "jwt.keys[2].algorithm",
            "jwt.keys[2].kid",
            "jwt.keys[2].private_key_file",
            "jwt.keys[2].retire_at",
        ]
    );
    assert!(problems[1].fix.contains("write retire_at"), "{}", problems[1]);
    assert!(problems.iter().all(|problem| problem.problem.contains("local.toml")), "{problems:#?}");

    let bare = Desk::new("development").file("local.toml", "[[jwt.keys]]\nkid = \"k\"\n");
    let missing: Vec<_> = bare.problems().into_iter().map(|problem| problem.key).collect();
    assert_eq!(missing, ["jwt.keys[0].algorithm", "jwt.keys[0].private_key_file"]);
    Desk::new("development").file("local.toml", "[jwt]\nkeys = [1]\n").problem("jwt.keys[0]");
    Desk::new("development").file("local.toml", "[jwt]\nkeys = 1\n").problem("jwt.keys");
}

#[test]
fn a_key_id_has_64_characters_at_most_and_stands_once() {
    let with = |kid: &str| {
        let desk = desk("development");
        let text = key(&desk, kid, "ES256", "");
        desk.file("local.toml", &text)
    };
    with(&"k".repeat(64)).loaded();
    with(&"k".repeat(65)).problem("jwt.keys[0].kid");
    with("").problem("jwt.keys[0].kid");
    let desk = desk("development");
    let text = key(&desk, "k", "ES256", "") + &key(&desk, "k", "EdDSA", "");
    desk.file("local.toml", &text).problem("jwt.keys[1].kid");
}

#[test]
fn a_file_without_a_fit_key_is_refused_with_the_way_to_make_one() {
    for (algorithm, text, words, recipe) in [
        ("ES256", pem(&PKCS_ECDSA_P384_SHA384), "no private key for ES256", "P-256"),
        ("ES256", pem(&PKCS_ED25519), "no private key for ES256", "P-256"),
        ("EdDSA", pem(&PKCS_ECDSA_P256_SHA256), "no private key for EdDSA", "ED25519"),
        ("RS256", SHORT.to_owned(), "RSA of 2048 to 8192 bits", "rsa_keygen_bits:3072"),
        ("RS256", SECRET.to_owned(), "no private key for RS256", "PKCS#8"),
    ] {
        let desk = Desk::new("development").file(&format!("{algorithm}.pem"), &text);
        let section = key(&desk, "k", algorithm, "");
        let problem = desk.file("local.toml", &section).problem("jwt.keys[0].private_key_file");
        assert!(problem.problem.contains(words) && problem.fix.contains(recipe), "{problem}");
        assert!(!text.lines().any(|line| problem.to_string().contains(line)), "{problem}");
    }
    let desk = Desk::new("development");
    let section = key(&desk, "k", "ES256", "");
    let problem = desk.file("local.toml", &section).problem("jwt.keys[0].private_key_file");
    assert!(problem.problem.starts_with("the file cannot be read"), "{problem}");
}

#[test]
fn a_key_file_that_others_can_reach_is_refused_off_development() {
    for (profile, mode) in [("production", 0o604), ("loadtest", 0o620), ("production", 0o602)] {
        let desk = desk(profile).file_with_mode("ES256.pem", &pem(&PKCS_ECDSA_P256_SHA256), mode);
        let text = format!("[jwt]\nalgorithm = \"ES256\"\n{}", key(&desk, "k", "ES256", ""));
        desk.file("local.toml", &text).problem("jwt.keys[0].private_key_file");
    }
}

#[test]
fn the_first_key_must_be_for_the_algorithm_that_signs() {
    let desk = desk("development");
    let text = format!("[jwt]\nalgorithm = \"EdDSA\"\n{}", key(&desk, "k", "ES256", ""));
    let problem = desk.file("local.toml", &text).problem("jwt.keys[0].algorithm");
    assert!(problem.fix.starts_with("put a key for EdDSA first"), "{problem}");
}

#[test]
fn production_makes_no_key_and_needs_no_secret_beside_one() {
    let problem = Desk::new("production").flag("jwt.algorithm", "ES256").problem("jwt.keys");
    assert!(problem.problem.contains("production generates no key for ES256"), "{problem}");
    assert!(problem.fix.contains("openssl genpkey"), "{problem}");
    for profile in ["development", "loadtest"] {
        assert!(Desk::new(profile).flag("jwt.algorithm", "ES256").loaded().warnings.is_empty());
    }
    let warnings = Desk::new("development")
        .flag("jwt.algorithm", "ES256")
        .variable("JWT_SECRET_KEY", SECRET)
        .loaded()
        .warnings;
    assert!(warnings.len() == 1 && warnings[0].key == "jwt.secret", "{warnings:?}");
}

#[test]
fn the_key_that_signs_must_not_have_retired_and_an_old_one_may() {
    let load = |algorithm: &str, first: i64, second: i64| {
        let desk = desk("development");
        let ends = |offset| format!("retire_at = \"{}\"", moment(offset));
        let text = format!(
            "[jwt]\nalgorithm = {algorithm:?}\n{}{}",
            key(&desk, "new", "ES256", &ends(first)),
            key(&desk, "old", "EdDSA", &ends(second)),
        );
        desk.file("local.toml", &text)
    };
    load("ES256", -1, 600).problem("jwt.keys[0].retire_at");
    let keys = |desk: &Desk| desk.loaded().warnings.into_iter().map(|warned| warned.key).collect::<Vec<_>>();
    assert_eq!(keys(&load("ES256", 600, -1)), ["jwt.keys[0].retire_at", "jwt.keys[1].retire_at"]);
    assert_eq!(keys(&load("ES256", 600, 600)), ["jwt.keys[0].retire_at"]);
    assert_eq!(keys(&load("HS256", -1, 600)), ["jwt.keys[0].retire_at"], "the secret signs");
    // TOML has moments of its own; both are read.
    let desk = desk("development");
    let text = key(&desk, "k", "ES256", "retire_at = 2030-01-31T12:00:00+02:00");
    let end = desk.file("local.toml", &text).loaded().settings.jwt.keys[0].retire_at;
    assert_eq!(end, Timestamp::from_rfc3339("2030-01-31T10:00:00Z"));
}

#[test]
fn there_are_16_keys_at_most() {
    let with = |count: usize| {
        let desk = desk("development");
        let text: String = (0..count).map(|n| key(&desk, &n.to_string(), "ES256", "")).collect();
        desk.file("local.toml", &text)
    };
    with(16).loaded();
    with(17).problem("jwt.keys");
}
