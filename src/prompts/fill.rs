//! Texts with placeholders, `{name}`: taken apart once, so that no value is ever read as a placeholder.

use super::{Values, spec::Argument};
use crate::tools::files::encode;

/// A text that is put together from its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fill(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(String),
}

impl Fill {
    /// Takes `text` apart; `{{` and `}}` are braces that are no placeholder.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str, arguments: &[Argument]) -> Result<Self, String> {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '{' | '}' if rest.next_if_eq(&c).is_some() => plain.push(c),
                '{' => {
                    let name: String =
                        std::iter::from_fn(|| rest.next_if(|c| !matches!(c, '{' | '}'))).collect();
                    if rest.next() != Some('}') {
                        return Err("has a { that no } ends; write {{ for a brace".into());
                    }
                    if !arguments.iter().any(|argument| argument.name == name) {
                        return Err(format!(
                            "names {{{name}}}, which is no argument; write {{{{ for a brace"
                        ));
                    }
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                    parts.push(Part::Value(name));
                }
                '}' => return Err("has a } that ends nothing; write }} for a brace".into()),
                c => plain.push(c),
            }
        }
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }

    /// The text with these values in it.
    pub(super) fn text(&self, values: &Values) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Value(name) => values.get(name).to_owned(),
        };
        self.0.iter().map(part).collect()
    }

    /// The URI with these values in it, percent-encoded.
    pub(super) fn uri(&self, values: &Values) -> String {
        let mut uri = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => uri.push_str(text),
                Part::Value(name) => encode(values.get(name), &mut uri),
            }
        }
        uri
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> [Argument; 2] {
        [Argument::required("a", "one"), Argument::required("b", "two")]
    }

    #[test]
    fn values_come_where_their_names_stand_and_are_not_looked_at_again() {
        let said = [("a".to_owned(), "{b} {{a}}".to_owned()), ("b".to_owned(), "{a}/x y".to_owned())];
        let values = Values::check(&arguments(), said).unwrap();
        let filled = |text: &str| Fill::parse(text, &arguments()).unwrap().text(&values);
        assert_eq!(filled("{a}-{b}."), "{b} {{a}}-{a}/x y.");
        assert_eq!(filled("{{a}} {{{a}}}"), "{a} {{b} {{a}}}");
        assert_eq!(filled(""), "");
        let uri = Fill::parse("file:///{b}", &arguments()).unwrap().uri(&values);
        assert_eq!(uri, "file:///%7Ba%7D/x%20y");
    }

    #[test]
    fn what_is_no_placeholder_is_named() {
        for (text, says) in [
            ("{c}", "names {c}, which is no argument"),
            ("{}", "names {}"),
            ("{a", "no } ends"),
            ("{a{b}}", "no } ends"),
            ("a}", "ends nothing"),
            ("{ a }", "names { a }"),
        ] {
            let error = Fill::parse(text, &arguments()).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
