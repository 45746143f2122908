//! A body with exactly these members, all of them text.

use std::borrow::Cow;

use crate::{
    error::{Code, Coded},
    protocol::{Kind, Node, Tree, WireError},
};

/// Why a body is not what belongs here. Repeats nothing of it: there are passwords in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    /// Not one JSON text.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Another object than the one that belongs here.
    #[error("the body must be an object with these members and no others, each a text: {0}")]
    Members(&'static str),
}

impl Coded for BodyError {
    fn code(&self) -> Code {
        match self {
            Self::Wire(e) => e.code(),
            Self::Members(_) => Code::InvalidRequest,
        }
    }
}

/// The members called `names` (`shown` to people) of a closed object.
///
/// # Errors
/// [`BodyError`]: also for a member that is doubled, unknown or no text.
pub(super) fn texts<const N: usize>(
    body: &[u8],
    names: [&str; N],
    shown: &'static str,
) -> Result<[String; N], BodyError> {
    let tree = Tree::of_body(body)?;
    let object = tree.root();
    // A tree holds each member once, so as many members as names that are all there are exactly those.
    if object.kind() != Kind::Object || object.len() != N {
        return Err(BodyError::Members(shown));
    }
    let found = names.map(|name| object.member(name).and_then(Node::string).map(Cow::into_owned));
    if found.iter().any(Option::is_none) {
        return Err(BodyError::Members(shown));
    }
    Ok(found.map(Option::unwrap_or_default))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<[String; 2], BodyError> {
        texts(body.as_bytes(), ["a", "b"], "a, b")
    }

    #[test]
    fn exactly_the_members_that_belong_there_are_read() {
        assert_eq!(read(r#"{"b":"2","a":"1"}"#), Ok(["1".into(), "2".into()]));
        for body in [
            r#"{"a":"1"}"#,
            r#"{"a":"1","b":"2","c":"3"}"#,
            r#"{"a":"1","c":"2"}"#,
            r#"{"a":"1","b":2}"#,
            r#"{"a":"1","b":null}"#,
            r#"["a","b"]"#,
            r#""a""#,
        ] {
            assert_eq!(read(body).unwrap_err().code(), Code::InvalidRequest, "{body}");
        }
        assert_eq!(read(r#"{"a":"1","b":"2","b":"3"}"#).unwrap_err().code(), Code::InvalidRequest);
        for body in ["", "{", r#"{"a":"1","b":"2"} x"#, "{\"a\":\"\\ud800\",\"b\":\"\"}"] {
            assert_eq!(read(body).unwrap_err().code(), Code::ParseError, "{body}");
        }
    }
}
