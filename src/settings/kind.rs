//! The kinds of value that a key can have: how one is written, checked and read from a variable.

use std::{net::IpAddr, time::Duration};

use config::{FileFormat, Format, Value, ValueKind};
use ipnet::IpNet;
use url::Url;

use super::{addresses, schema::Field, units};

/// What a value must be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A text that is not empty.
    Text,
    /// A text; the empty one means "not set".
    Optional,
    /// `true` or `false`.
    Flag,
    /// A whole number within these bounds.
    Whole(u64, u64),
    /// A number, whole or not, within these bounds.
    Number(f64, f64),
    /// A duration within these bounds.
    Span(Duration, Duration),
    /// A size in bytes within these bounds.
    Size(u64, u64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of texts, none of them empty.
    Texts,
    /// An IP address, or `localhost` for 127.0.0.1.
    Address,
    /// A list of IP addresses and networks.
    Networks,
    /// An absolute `http` or `https` URL.
    HttpUrl,
    /// A list of tables with these fields, each of another kind than this one.
    Tables(&'static [Field]),
    /// A text of a form of its own; the function tells what is wrong with one.
    Form(fn(&str) -> Option<Complaint>),
}

/// What is wrong with a value and what to do about it. Neither repeats the value.
pub(super) type Complaint = (&'static str, &'static str);

impl Kind {
    /// What is wrong with `value`, and the fix; `None` if it is of this kind.
    pub(super) fn fault(self, value: &Value) -> Option<(String, String)> {
        if let (Self::Form(fault), ValueKind::String(text)) = (self, &value.kind) {
            return fault(text).map(|(problem, fix)| (problem.into(), fix.into()));
        }
        (!self.accepts(value)).then(|| (format!("must be {}", self.expected()), self.example().into()))
    }

    /// Whether `value` is of this kind. Nothing is coerced: `"1"` is no number, `"yes"` no flag.
    fn accepts(self, value: &Value) -> bool {
        let text = || match &value.kind {
            ValueKind::String(text) => Some(text.as_str()),
            _ => None,
        };
        match self {
            Self::Text => text().is_some_and(|text| !text.trim().is_empty()),
            Self::Optional => text().is_some(),
            Self::Flag => matches!(value.kind, ValueKind::Boolean(_)),
            Self::Whole(least, most) => whole(value).is_some_and(|n| (least..=most).contains(&n)),
            Self::Number(least, most) => number(value).is_some_and(|n| (least..=most).contains(&n)),
            Self::Span(least, most) => {
                text().and_then(units::duration).is_some_and(|span| (least..=most).contains(&span))
            }
            Self::Size(least, most) => {
                text().and_then(units::size).is_some_and(|bytes| (least..=most).contains(&bytes))
            }
            Self::OneOf(words) => text().is_some_and(|text| words.contains(&text)),
            Self::Texts => every(value, |text| !text.trim().is_empty()),
            Self::Tables(_) => matches!(value.kind, ValueKind::Array(_)),
            Self::Address => text().is_some_and(|text| address(text).is_some()),
            Self::Networks => every(value, |text| network(text).is_some()),
            Self::HttpUrl => {
                text().and_then(|text| Url::parse(text).ok()).is_some_and(|url| addresses::is_http(&url))
            }
            Self::Form(fault) => text().is_some_and(|text| fault(text).is_none()),
        }
    }

    /// What is expected, after "must be".
    fn expected(self) -> String {
        match self {
            Self::Text => "a text that is not empty".into(),
            Self::Optional | Self::Form(_) => "a text".into(),
            Self::Flag => "true or false".into(),
            Self::Whole(least, most) => format!("a whole number from {least} to {most}"),
            Self::Number(least, most) => format!("a number from {least} to {most}"),
            Self::Span(least, most) => {
                format!("a duration from {} to {}", units::show_duration(least), units::show_duration(most))
            }
            Self::Size(least, most) => {
                format!("a size from {} to {}", units::show_size(least), units::show_size(most))
            }
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Texts => "a list of texts, none of them empty".into(),
            Self::Tables(_) => "a list of tables".into(),
            Self::Address => "an IP address".into(),
            Self::Networks => "a list of IP addresses and networks".into(),
            Self::HttpUrl => "an absolute http or https URL".into(),
        }
    }

    /// How to write one.
    fn example(self) -> &'static str {
        match self {
            Self::Text | Self::Optional | Self::Form(_) => "write it in double quotes",
            Self::Flag => "write true or false without quotes",
            Self::Whole(..) | Self::Number(..) => "write it in digits without quotes",
            Self::Span(..) => {
                "write a number and a unit, such as \"250ms\", \"30s\", \"15m\", \"24h\" or \"7d\""
            }
            Self::Size(..) => "write a number and a unit, such as \"512B\", \"16KiB\" or \"1MiB\"",
            Self::OneOf(_) => "choose one of these words, in double quotes",
            Self::Texts => "write it like [\"one\", \"two\"]",
            Self::Tables(_) => "write each as a section in double brackets",
            Self::Address => "write it like \"127.0.0.1\" or \"::1\"",
            Self::Networks => "write it like [\"10.0.0.7\", \"192.168.0.0/16\"]",
            Self::HttpUrl => "write it like \"https://example.org/path\"",
        }
    }

    /// Reads the text of a variable or of `--set`. What is not of this kind stays a text, which
    /// [`Kind::fault`] then names.
    pub(super) fn read(self, text: &str) -> ValueKind {
        let read = match self {
            Self::Flag => match text {
                "true" => Some(true.into()),
                "false" => Some(false.into()),
                _ => None,
            },
            Self::Whole(..) => digits(text).map(ValueKind::from),
            Self::Number(..) => text.parse::<f64>().ok().map(ValueKind::from),
            Self::Texts | Self::Networks => list(text),
            Self::Tables(_) => toml_list(text),
            _ => None,
        };
        read.unwrap_or_else(|| text.into())
    }
}

/// An IP address; `localhost` is 127.0.0.1.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    if text == "localhost" {
        return Some(IpAddr::from([127, 0, 0, 1]));
    }
    text.parse().ok()
}

/// A network, or an address as the network of itself alone. Bits after the prefix are cleared.
pub(super) fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().map(|net| net.trunc()).or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()
}

fn whole(value: &Value) -> Option<u64> {
    match value.kind {
        ValueKind::I64(n) => n.try_into().ok(),
        ValueKind::U64(n) => Some(n),
        _ => None,
    }
}

/// A whole number is one too. What is no number (`nan`) lies within no bounds.
fn number(value: &Value) -> Option<f64> {
    match value.kind {
        ValueKind::Float(n) => Some(n),
        _ => whole(value).map(|n| n as f64),
    }
}

fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn every(value: &Value, fits: impl Fn(&str) -> bool) -> bool {
    let ValueKind::Array(entries) = &value.kind else {
        return false;
    };
    entries.iter().all(|entry| matches!(&entry.kind, ValueKind::String(text) if fits(text)))
}

/// A TOML array, or words between commas: `[::1],example.org` are two words.
fn list(text: &str) -> Option<ValueKind> {
    let opened = text.trim_start().strip_prefix('[').map(str::trim_start);
    if !opened.is_some_and(|rest| rest.starts_with(['"', '\'', ']'])) {
        let words = text.split(',').map(str::trim).filter(|_| !text.trim().is_empty());
        return Some(words.map(Value::from).collect::<Vec<_>>().into());
    }
    toml_list(text)
}

/// A TOML array and nothing behind it.
fn toml_list(text: &str) -> Option<ValueKind> {
    let mut table = FileFormat::Toml.parse(None, &format!("list = {text}")).ok()?;
    let list = table.remove("list")?;
    // A line break in the variable could otherwise smuggle in more keys.
    table.is_empty().then_some(list.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> ValueKind {
        list.iter().map(|text| Value::from(*text)).collect::<Vec<_>>().into()
    }

    #[test]
    fn a_list_is_read_between_commas_or_as_toml() {
        assert_eq!(Kind::Texts.read(" a, b:c ,d"), texts(&["a", "b:c", "d"]));
        assert_eq!(Kind::Texts.read(""), texts(&[]));
        assert_eq!(Kind::Texts.read(r#"["a,b", "c"]"#), texts(&["a,b", "c"]));
        assert_eq!(Kind::Texts.read("[::1],b"), texts(&["[::1]", "b"]));
        assert_eq!(Kind::Texts.read("[\"a\""), ValueKind::from("[\"a\""), "not TOML, so refused later");
        assert_eq!(Kind::Texts.read("[]\nother = 1"), ValueKind::from("[]\nother = 1"));
    }

    #[test]
    fn a_variable_is_read_strictly_by_the_kind_of_its_key() {
        assert_eq!(Kind::Flag.read("true"), ValueKind::from(true));
        let most = Kind::Whole(0, 9);
        for (kind, text) in [
            (Kind::Flag, "yes"),
            (Kind::Flag, "1"),
            (Kind::Flag, "True"),
            (most, "+1"),
            (most, "1.0"),
            (most, ""),
            (most, "10"),
            (most, "-1"),
        ] {
            assert!(!kind.accepts(&kind.read(text).into()), "{text:?}");
        }
        assert!(most.accepts(&most.read("9").into()));
        assert_eq!(
            Kind::Optional.read("12345678901234567890123456789012345678"),
            ValueKind::from("12345678901234567890123456789012345678")
        );
    }
}
