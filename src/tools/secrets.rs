//! Finds what looks like a credential in a text. Pure; knows credentials by how they begin.

use std::ops::Range;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something that opens a service by itself, ours or another one.
    ApiKey,
    /// A signed or encrypted token in its compact form.
    Token,
    /// A private key in its armour.
    PrivateKey,
}

impl Kind {
    /// What stands in the place of one. Shorter than any credential, and plain within JSON.
    pub(super) const fn placeholder(self) -> &'static str {
        match self {
            Self::ApiKey => "[redacted: api key]",
            Self::Token => "[redacted: token]",
            Self::PrivateKey => "[redacted: private key]",
        }
    }
}

/// How one kind of credential begins and goes on.
struct Rule {
    prefix: &'static str,
    /// Which byte of the prefix is rare in other texts: only there anybody looks closer.
    rare: usize,
    kind: Kind,
    /// Where it ends, given the text from behind the prefix to the end of the string.
    end: fn(&[u8]) -> Option<usize>,
}

const fn rule(prefix: &'static str, rare: usize, kind: Kind, end: fn(&[u8]) -> Option<usize>) -> Rule {
    Rule { prefix, rare, kind, end }
}

/// Every kind that we know: our own keys, those of the large code hosts, clouds and payment services, tokens,
/// and keys in PEM.
const RULES: [Rule; 14] = [
    rule("mcp_", 3, Kind::ApiKey, |rest| run(rest, 36, is_base64url)),
    rule("eyJ", 2, Kind::Token, compact_token),
    rule("-----BEGIN ", 5, Kind::PrivateKey, armoured_key),
    rule("AKIA", 2, Kind::ApiKey, aws_key),
    rule("ASIA", 2, Kind::ApiKey, aws_key),
    rule("ghp_", 3, Kind::ApiKey, github_token),
    rule("gho_", 3, Kind::ApiKey, github_token),
    rule("ghu_", 3, Kind::ApiKey, github_token),
    rule("ghs_", 3, Kind::ApiKey, github_token),
    rule("ghr_", 3, Kind::ApiKey, github_token),
    rule("github_pat_", 6, Kind::ApiKey, |rest| run(rest, 22, |b| b.is_ascii_alphanumeric() || b == b'_')),
    rule("sk_live_", 2, Kind::ApiKey, |rest| run(rest, 16, |b| b.is_ascii_alphanumeric())),
    rule("xoxb-", 0, Kind::ApiKey, slack_token),
    rule("xoxp-", 0, Kind::ApiKey, slack_token),
];

/// The bytes at which [`around`] has something to say.
pub(super) const RARE: [u8; RULES.len()] = {
    let mut rare = [0; RULES.len()];
    let mut at = 0;
    while at < RULES.len() {
        // Both are in range: `at` by the loop, and a rule without its rare byte does not compile.
        #[expect(
            clippy::indexing_slicing,
            reason = "evaluated by the compiler, which refuses what is out of range"
        )]
        {
            rare[at] = RULES[at].prefix.as_bytes()[RULES[at].rare];
        }
        at += 1;
    }
    rare
};

/// The credential whose rare byte stands at `at`. `until` says where the string ends that holds this place.
pub(super) fn around(text: &[u8], at: usize, until: impl Fn(usize) -> usize) -> Option<(Range<usize>, Kind)> {
    RULES.iter().find_map(|rule| {
        let start = at.checked_sub(rule.rare)?;
        let rest = text.get(start..)?.strip_prefix(rule.prefix.as_bytes())?;
        let from = text.len() - rest.len();
        let length = (rule.end)(text.get(from..until(from))?)?;
        // Capitals alone stand in the middle of many words and encodings.
        let is_plain = rule.prefix.bytes().all(|b| b.is_ascii_uppercase());
        let is_whole = !is_plain || !follows_word(text, start);
        is_whole.then_some((start..from + length, rule.kind))
    })
}

/// How many bytes at the start of `rest` are of an alphabet, if they are enough.
fn run(rest: &[u8], least: usize, is_in: impl Fn(u8) -> bool) -> Option<usize> {
    let length = rest.iter().position(|b| !is_in(*b)).unwrap_or(rest.len());
    (length >= least).then_some(length)
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Behind `eyJ` (`{"`): three parts or, if it is encrypted, five (RFC 7515 §7.1, RFC 7516 §7.1).
fn compact_token(rest: &[u8]) -> Option<usize> {
    let mut end = run(rest, 8, is_base64url)?;
    let mut parts = 1;
    while let Some(next) = rest.get(end..).and_then(|rest| rest.strip_prefix(b".")) {
        let Some(length) = run(next, 8, is_base64url) else { break };
        end += 1 + length;
        parts += 1;
    }
    (parts >= 3).then_some(end)
}

/// Behind `-----BEGIN `: to the end of its last line, or of the string if that is not there.
fn armoured_key(rest: &[u8]) -> Option<usize> {
    let label = run(rest, 11, |b| b.is_ascii_uppercase() || b == b' ')?;
    let name = std::str::from_utf8(rest.get(..label)?).ok()?;
    if !name.ends_with("PRIVATE KEY") && !name.ends_with("PRIVATE KEY BLOCK") {
        return None;
    }
    let last = [b"-----END ", name.as_bytes(), b"-----"].concat();
    let end = rest.windows(last.len()).position(|window| window == last);
    Some(end.map_or(rest.len(), |at| at + last.len()))
}

/// Exactly 16 more.
fn aws_key(rest: &[u8]) -> Option<usize> {
    let length = run(rest, 16, |b| b.is_ascii_uppercase() || b.is_ascii_digit())?;
    let ends = !rest.get(length).is_some_and(|b| is_base64url(*b));
    (length == 16 && ends).then_some(length)
}

fn github_token(rest: &[u8]) -> Option<usize> {
    run(rest, 36, |b| b.is_ascii_alphanumeric())
}

fn slack_token(rest: &[u8]) -> Option<usize> {
    run(rest, 20, |b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Whether a letter or digit stands before `at` that is not the end of an escape such as `\n` or `\u001b`.
fn follows_word(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let escaped =
        matches!(before, [.., b'\\', b'b' | b'f' | b'n' | b'r' | b't'] | [.., b'\\', b'u', _, _, _, _]);
    before.last().is_some_and(u8::is_ascii_alphanumeric) && !escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in `text`, if anything.
    fn found(text: &str) -> Option<(&str, Kind)> {
        let bytes = text.as_bytes();
        let at = (0..bytes.len()).find_map(|at| around(bytes, at, |_| bytes.len()));
        at.map(|(range, kind)| (&text[range], kind))
    }

    /// Put together here, so that no search for secrets finds this file.
    fn of(prefix: &str, length: usize) -> String {
        format!("{prefix}{}", "A1b2C3d4".repeat(length.div_ceil(8)).get(..length).unwrap())
    }

    #[test]
    fn each_kind_is_found_from_its_least_length_on_and_to_its_end() {
        for (prefix, least) in [
            ("mcp_", 36),
            ("ghp_", 36),
            ("gho_", 36),
            ("ghu_", 36),
            ("ghs_", 36),
            ("ghr_", 36),
            ("github_pat_", 22),
            ("sk_live_", 16),
            ("xoxb-", 20),
            ("xoxp-", 20),
        ] {
            let key = of(prefix, least);
            assert_eq!(found(&format!("say {key}, please")), Some((&*key, Kind::ApiKey)), "{prefix}");
            assert_eq!(found(&of(prefix, least - 1)), None, "{prefix}");
        }
        let key = format!("AKIA{}", "Z2".repeat(8));
        assert_eq!(found(&format!("\\n{key}\"")), Some((&*key, Kind::ApiKey)));
        assert_eq!(found(&format!("\\u001b{key}")), Some((&*key, Kind::ApiKey)));
        for other in [format!("x{key}"), format!("{key}x"), format!("{key}Z"), "AKIAZ".into()] {
            assert_eq!(found(&other), None, "{other}");
        }
    }

    #[test]
    fn tokens_have_three_parts_or_more() {
        let part = |length| of("", length);
        let token = format!("eyJ{}.{}.{}", part(17), part(30), part(43));
        assert_eq!(found(&format!("Bearer {token}.")), Some((&*token, Kind::Token)));
        let sealed = format!("{token}.{}.{}", part(16), part(22));
        assert_eq!(found(&sealed), Some((&*sealed, Kind::Token)));
        assert_eq!(found(&format!("eyJ{}.{}", part(17), part(30))), None);
        assert_eq!(found("eyJa.b.c"), None);
    }

    #[test]
    fn a_private_key_is_found_whole_or_to_the_end_of_its_string() {
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"] {
            let key = format!("-----BEGIN {label}-----\\nMC4CAQ\\n-----END {label}-----");
            assert_eq!(found(&format!("a{key}b")), Some((&*key, Kind::PrivateKey)));
            let cut = &key[..key.len() - 3];
            assert_eq!(found(cut), Some((cut, Kind::PrivateKey)));
        }
        assert_eq!(found("-----BEGIN CERTIFICATE-----\\nMC4CAQ\\n-----END CERTIFICATE-----"), None);
        assert_eq!(found("-----BEGIN PUBLIC KEY-----"), None);
    }
}
