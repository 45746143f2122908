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
    /// What follows the prefix.
    body: Body,
}

/// What follows a prefix, and so where a credential ends. None of it reaches over the quote that ends a string,
/// nor over an escape, except for an armoured key.
enum Body {
    /// A run of an alphabet, at least and at most so long; one that is longer is something else.
    Run(usize, usize, fn(u8) -> bool),
    /// Parts with dots between them.
    Token,
    /// Lines.
    Armour,
}

const fn rule(prefix: &'static str, rare: usize, kind: Kind, body: Body) -> Rule {
    Rule { prefix, rare, kind, body }
}

/// As long as the text goes on.
const ANY: usize = usize::MAX;

/// Every kind that we know: our own keys, those of the large code hosts, clouds and payment services, tokens,
/// and keys in PEM.
const RULES: [Rule; 14] = [
    // As long as those that are looked up at all, so that few names of files are taken for one.
    rule("mcp_", 3, Kind::ApiKey, Body::Run(36, 56, is_base64url)),
    rule("eyJ", 2, Kind::Token, Body::Token),
    rule("-----BEGIN ", 5, Kind::PrivateKey, Body::Armour),
    rule("AKIA", 2, Kind::ApiKey, Body::Run(16, 16, |b| b.is_ascii_uppercase() || b.is_ascii_digit())),
    rule("ASIA", 2, Kind::ApiKey, Body::Run(16, 16, |b| b.is_ascii_uppercase() || b.is_ascii_digit())),
    rule("ghp_", 3, Kind::ApiKey, Body::Run(36, ANY, is_alphanumeric)),
    rule("gho_", 3, Kind::ApiKey, Body::Run(36, ANY, is_alphanumeric)),
    rule("ghu_", 3, Kind::ApiKey, Body::Run(36, ANY, is_alphanumeric)),
    rule("ghs_", 3, Kind::ApiKey, Body::Run(36, ANY, is_alphanumeric)),
    rule("ghr_", 3, Kind::ApiKey, Body::Run(36, ANY, is_alphanumeric)),
    rule("github_pat_", 6, Kind::ApiKey, Body::Run(22, ANY, |b| is_alphanumeric(b) || b == b'_')),
    rule("sk_live_", 2, Kind::ApiKey, Body::Run(16, ANY, is_alphanumeric)),
    rule("xoxb-", 0, Kind::ApiKey, Body::Run(20, ANY, |b| is_alphanumeric(b) || b == b'-')),
    rule("xoxp-", 0, Kind::ApiKey, Body::Run(20, ANY, |b| is_alphanumeric(b) || b == b'-')),
];

/// The bytes at which [`Search::around`] has something to say.
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

/// A look through one text, from its start to its end. It takes time in proportion to the text: what was no
/// credential once is not gone through again from its middle.
pub(super) struct Search<'a> {
    text: &'a [u8],
    /// Whether the text is JSON, in which a string ends at a quote.
    is_quoted: bool,
    /// No token begins before this.
    no_token_before: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(text: &'a [u8], is_quoted: bool) -> Self {
        Self { text, is_quoted, no_token_before: 0 }
    }

    /// The credential whose rare byte stands at `at`; later calls ask for later places.
    pub(super) fn around(&mut self, at: usize) -> Option<(Range<usize>, Kind)> {
        let byte = *self.text.get(at)?;
        let rules = RARE.iter().zip(&RULES).filter(|(rare, _)| **rare == byte);
        for (_, rule) in rules {
            let start = at.checked_sub(rule.rare)?;
            let Some(rest) = self.text.get(start..)?.strip_prefix(rule.prefix.as_bytes()) else { continue };
            let from = start + rule.prefix.len();
            let length = match rule.body {
                // What stands within a word, or goes on, is no such key.
                Body::Run(_, most, _) if most != ANY && follows_word(self.text, start) => None,
                Body::Run(least, most, is_in) => run(rest, most, is_in)
                    .filter(|length| *length >= least && (most == ANY || !goes_on(rest, *length))),
                Body::Token => self.token(start, from),
                Body::Armour => armoured_key(rest, self.is_quoted),
            };
            if let Some(length) = length {
                return Some((start..from + length, rule.kind));
            }
        }
        None
    }

    fn token(&mut self, start: usize, from: usize) -> Option<usize> {
        if start < self.no_token_before {
            return None;
        }
        let rest = self.text.get(from..)?;
        let first = run(rest, ANY, is_base64url)?;
        let found = compact_token(rest, first);
        if found.is_none() {
            // One that began within this part would go on as this one does.
            self.no_token_before = from + first;
        }
        found
    }
}

/// How many bytes at the start of `rest` are of an alphabet, if they are not more than `most`.
fn run(rest: &[u8], most: usize, is_in: impl Fn(u8) -> bool) -> Option<usize> {
    let near = rest.get(..most.saturating_add(1)).unwrap_or(rest);
    let length = near.iter().position(|b| !is_in(*b)).unwrap_or(near.len());
    (length <= most).then_some(length)
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn goes_on(rest: &[u8], length: usize) -> bool {
    rest.get(length).is_some_and(|byte| is_base64url(*byte))
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// Shortest part of a token behind its `eyJ`, bytes.
const LEAST_PART: usize = 8;

/// Behind `eyJ` (`{"`), whose part goes on for `first` bytes: three parts or, if it is encrypted, five
/// (RFC 7515 §7.1, RFC 7516 §7.1). The second is empty where the key is agreed on, the third where nothing is
/// signed.
fn compact_token(rest: &[u8], first: usize) -> Option<usize> {
    let part = |dot: usize| {
        let next = rest.get(dot..)?.strip_prefix(b".")?;
        run(next, ANY, is_base64url)
    };
    if first < LEAST_PART {
        return None;
    }
    let (mut end, mut parts) = (first, 1);
    while let Some(length) = part(end).filter(|length| *length >= LEAST_PART || (*length == 0 && parts == 1))
    {
        end += 1 + length;
        parts += 1;
    }
    let has_claims = rest.get(first + 1..).is_some_and(|second| second.starts_with(b"eyJ"));
    let is_unsigned = parts == 2 && has_claims && part(end) == Some(0);
    if parts >= 3 { Some(end) } else { is_unsigned.then_some(end + 1) }
}

/// Longest label in an armour, such as `RSA PRIVATE KEY`, bytes.
const LONGEST_LABEL: usize = 64;

/// Behind `-----BEGIN `: to the end of its last line, or of the string if that is not there.
fn armoured_key(rest: &[u8], is_quoted: bool) -> Option<usize> {
    let label = run(rest, LONGEST_LABEL, |b| b.is_ascii_uppercase() || b == b' ')?;
    let name = std::str::from_utf8(rest.get(..label)?).ok()?;
    if !name.ends_with("PRIVATE KEY") && !name.ends_with("PRIVATE KEY BLOCK") {
        return None;
    }
    let last = [b"-----END ", name.as_bytes(), b"-----"].concat();
    let mut at = label;
    while let Some(byte) = rest.get(at) {
        match byte {
            b'"' if is_quoted => return Some(at),
            // Whatever is escaped ends nothing.
            b'\\' if is_quoted => at += 2,
            b'-' if rest.get(at..).is_some_and(|rest| rest.starts_with(&last)) => {
                return Some(at + last.len());
            }
            _ => at += 1,
        }
    }
    Some(rest.len())
}

/// Whether a letter, digit or `_` stands before `at` that is not the end of an escape such as `\n` or `\u001b`.
fn follows_word(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let escaped =
        matches!(before, [.., b'\\', b'b' | b'f' | b'n' | b'r' | b't'] | [.., b'\\', b'u', _, _, _, _]);
    before.last().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') && !escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in `text`, if anything.
    fn found(text: &str) -> Option<(&str, Kind)> {
        let bytes = text.as_bytes();
        let mut search = Search::new(bytes, false);
        (0..bytes.len()).find_map(|at| search.around(at)).map(|(range, kind)| (&text[range], kind))
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
        let late = format!("eyJ{}.x.{token}", part(17));
        assert_eq!(found(&late), Some((&*token, Kind::Token)), "behind what is none");
    }

    #[test]
    fn a_part_of_a_token_may_be_empty_where_its_kind_has_nothing_to_say() {
        let part = |length| of("", length);
        let agreed = format!("eyJ{}..{}.{}.{}", part(17), part(16), part(40), part(22));
        assert_eq!(found(&agreed), Some((&*agreed, Kind::Token)));
        let unsigned = format!("eyJ{}.eyJ{}.", part(17), part(30));
        assert_eq!(found(&format!("say {unsigned} so")), Some((&*unsigned, Kind::Token)));
        for none in [format!("eyJ{}.{}.", part(17), part(30)), format!("eyJ{}...", part(17))] {
            assert_eq!(found(&none), None, "{none}");
        }
    }

    #[test]
    fn a_key_of_ours_has_its_length_and_stands_by_itself() {
        for length in [36, 43, 56] {
            let key = of("mcp_", length);
            for (before, after) in [("", ""), ("/", "/"), ("=", "."), ("\\n", "\\n"), ("\"", "\"")] {
                let text = format!("{before}{key}{after}");
                assert_eq!(found(&text), Some((&*key, Kind::ApiKey)), "{text}");
            }
            for before in ["x", "7", "_"] {
                assert_eq!(found(&format!("{before}{key}")), None, "{before}");
            }
        }
        for length in [35, 57, 200] {
            assert_eq!(found(&of("mcp_", length)), None, "{length}");
        }
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
