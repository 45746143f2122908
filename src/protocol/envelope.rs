//! The JSON-RPC envelope of one client message, read in one pass with its params and their `_meta`.

use std::borrow::Cow;

use super::{
    Params, WireError,
    object::{self, Shape},
    raw::Raw,
    reader::Reader,
};

/// Largest integer id that every client can hold exactly: 2^53 − 1.
const MAX_ID: i64 = 9_007_199_254_740_991;
/// Longest string id, bytes as written, quotes included.
const MAX_ID_BYTES: usize = 130;

/// A request's id, kept as the client wrote it so that the answer carries the very same.
#[derive(Debug, Clone, Copy)]
pub struct Id<'a>(&'a str);

impl<'a> Id<'a> {
    /// The id as JSON text.
    pub fn as_json(&self) -> &'a str {
        self.0
    }

    /// The id that this JSON text is, if it is one.
    pub fn of_json(text: &'a str) -> Option<Self> {
        Self::fits(text).then_some(Self(text))
    }

    /// An integer within ±(2^53 − 1) or a string of at most 128 bytes; never null, a fraction or a container.
    fn parse(raw: Raw<'a>) -> Option<Self> {
        Self::of_json(raw.text())
    }

    fn fits(text: &str) -> bool {
        match text.as_bytes().first() {
            Some(b'"') => text.len() <= MAX_ID_BYTES,
            Some(b'-' | b'0'..=b'9') => text.parse::<i64>().is_ok_and(|n| (-MAX_ID..=MAX_ID).contains(&n)),
            _ => false,
        }
    }
}

/// One request or notification.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// The id; a notification has none.
    pub id: Option<Id<'a>>,
    /// The method.
    pub method: Cow<'a, str>,
    /// The members of its params that any method of ours reads.
    pub params: Params<'a>,
}

/// The members as they stand; with `SKIM` without the params.
#[derive(Default)]
struct Members<'a, const SKIM: bool> {
    version: Option<Raw<'a>>,
    id: Option<Raw<'a>>,
    method: Option<Raw<'a>>,
    params: Params<'a>,
    answers: bool,
}

impl<'a, const SKIM: bool> Shape<'a> for Members<'a, SKIM> {
    const NAMES: &'static [&'static str] = &["jsonrpc", "id", "method", "params", "result", "error"];

    fn read(&mut self, at: usize, reader: &mut Reader<'a>) -> Result<(), WireError> {
        match at {
            0 => self.version = Some(reader.value()?),
            1 => self.id = Some(reader.value()?),
            2 => self.method = Some(reader.value()?),
            3 if !SKIM => object::read(reader, &mut self.params)?,
            3 => reader.skip()?,
            _ => {
                reader.skip()?;
                self.answers = true;
            }
        }
        Ok(())
    }
}

impl<'a> Envelope<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`WireError`]: not JSON, or over a bound; or an array, a response, a wrong version, a bad id, no method,
    /// params that are no object. The id is given back beside the error where it could be read, so that the
    /// answer can carry it.
    pub fn parse(body: &'a [u8]) -> Result<Self, (WireError, Option<Id<'a>>)> {
        let mut reader = Reader::new(body).map_err(|error| (error, None))?;
        let mut members = Members::<'a, false>::default();
        object::read_whole(&mut reader, &mut members).map_err(|error| (error, id_of(reader.again())))?;
        let known_id = members.id.and_then(Id::parse);
        let refuse = |error| (error, known_id);
        if members.version.and_then(Raw::string).as_deref() != Some("2.0") {
            return Err(refuse(WireError::Version));
        }
        if members.id.is_some() && known_id.is_none() {
            return Err(refuse(WireError::Id));
        }
        if members.answers {
            return Err(refuse(WireError::Response));
        }
        let method = members.method.and_then(Raw::string);
        let method = method.ok_or_else(|| refuse(WireError::Method))?;
        Ok(Self { id: known_id, method, params: members.params })
    }
}

/// The id of a message whose params cannot be read.
fn id_of(mut reader: Reader<'_>) -> Option<Id<'_>> {
    let mut members = Members::<'_, true>::default();
    object::read_whole(&mut reader, &mut members).ok()?;
    members.id.and_then(Id::parse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Coded};

    fn refusal(text: &str) -> Code {
        Envelope::parse(text.as_bytes()).unwrap_err().0.code()
    }

    #[test]
    fn a_request_is_read_without_copying() {
        let text =
            r#" {"jsonrpc":"2.0","id":"a","method":"tools/list","params":{"x":1,"cursor":[1]},"extra":[1]} "#;
        let envelope = Envelope::parse(text.as_bytes()).unwrap();
        assert_eq!(envelope.id.unwrap().as_json(), "\"a\"");
        assert!(matches!(envelope.method, Cow::Borrowed("tools/list")));
        assert_eq!(envelope.params.cursor.unwrap().text(), "[1]");
    }

    #[test]
    fn what_is_not_json_is_a_parse_error() {
        for text in [
            "",
            "{",
            "{\"jsonrpc\":\"2.0\"",
            "{} {",
            "[1,",
            "nope",
            "{\"a\":NaN}",
            "// x\n{}",
            "{'a':1}",
            "{\"a\":1,}",
        ] {
            assert_eq!(refusal(text), Code::ParseError, "{text}");
        }
    }

    #[test]
    fn json_that_is_no_request_is_an_invalid_request() {
        for text in [
            "[]",
            "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]",
            "\"x\"",
            "null",
            "{}",
            r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":9007199254740992,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","error":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","method":"y"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","Method":"y"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","method\u0000":"y"}"#,
        ] {
            assert_eq!(refusal(text), Code::InvalidRequest, "{text}");
        }
    }

    #[test]
    fn ids_at_the_limit_pass_and_one_past_it_do_not() {
        let with = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"x"}}"#);
        for id in ["0", "-1", "9007199254740991", "-9007199254740991", &format!("\"{}\"", "x".repeat(128))] {
            assert!(Envelope::parse(with(id).as_bytes()).is_ok(), "{id}");
        }
        assert!(Envelope::parse(with(&format!("\"{}\"", "x".repeat(129))).as_bytes()).is_err());
    }

    #[test]
    fn the_id_comes_back_beside_the_error_where_it_was_read() {
        let (_, id) = Envelope::parse(br#"{"jsonrpc":"2.0","id":7}"#).unwrap_err();
        assert_eq!(id.unwrap().as_json(), "7");
        let (_, id) = Envelope::parse(br#"{"jsonrpc":"2.0","id":8,"method":"x","params":[1]}"#).unwrap_err();
        assert_eq!(id.unwrap().as_json(), "8");
    }
}
