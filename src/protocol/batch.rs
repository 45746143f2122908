//! Several messages in one body, as 2025-03-26 has them.

use super::{Envelope, Id, WireError, reader::Reader, text::blank_words};

/// Most messages in one body.
const MAX_MESSAGES: usize = 50;
/// By which a message says that it is a modern one.
const CLAIM: &str = "io.modelcontextprotocol/protocolVersion";

/// What one element of a batch is: a message, or what is wrong with it and the id that an answer can carry.
type Element<'a> = Result<Envelope<'a>, (WireError, Option<Id<'a>>)>;

/// The messages of one body, in their order.
#[derive(Debug)]
pub struct Batch<'a>(Vec<Element<'a>>);

/// Whether `body` is an array, if it is JSON at all.
#[inline]
pub fn begins(body: &[u8]) -> bool {
    let rest = body.get(blank_words(body)..).unwrap_or_default();
    rest.iter().find(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t')) == Some(&b'[')
}

impl<'a> Batch<'a> {
    /// Reads a body that is an array. Of elements that are no messages each is so alone.
    ///
    /// # Errors
    /// [`WireError`]: not JSON, over a bound, none or more than fifty; or one of a modern request, which never
    /// stands in a batch.
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body)?;
        let mut texts = Vec::new();
        reader.elements(|reader| {
            texts.push(reader.value()?.text());
            Ok(())
        })?;
        reader.end()?;
        if !(1..=MAX_MESSAGES).contains(&texts.len()) {
            return Err(WireError::Messages);
        }
        let elements: Vec<_> = texts.iter().map(|text| Envelope::parse(text.as_bytes())).collect();
        let is_modern = |(element, text): (&Element<'_>, &&str)| match element {
            Ok(envelope) => envelope.params.meta.claims_version(),
            // What no message of ours is may claim what it likes, but not beside one that is carried out.
            Err(_) => text.contains(CLAIM),
        };
        if elements.iter().zip(&texts).any(is_modern) {
            return Err(WireError::Batch);
        }
        Ok(Self(elements))
    }

    /// The elements, each with what is wrong with it, if anything is.
    pub fn into_elements(self) -> impl Iterator<Item = Element<'a>> {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

    fn of(elements: &[&str]) -> String {
        format!(" [{}] ", elements.join(", "))
    }

    #[test]
    fn one_to_fifty_messages_are_read_in_their_order() {
        for count in [1, 50] {
            let text = of(&vec![PING; count]);
            assert!(begins(text.as_bytes()));
            let batch = Batch::parse(text.as_bytes()).unwrap();
            assert_eq!(batch.into_elements().filter(Result::is_ok).count(), count);
        }
        for count in [0, 51] {
            let text = of(&vec![PING; count]);
            assert_eq!(Batch::parse(text.as_bytes()).unwrap_err(), WireError::Messages);
        }
    }

    #[test]
    fn an_element_that_is_no_message_spoils_no_other() {
        let text = of(&[PING, "7", "[]", r#"{"jsonrpc":"2.0","id":"x"}"#, PING]);
        let read: Vec<_> = Batch::parse(text.as_bytes()).unwrap().into_elements().collect();
        let good: Vec<_> = read.iter().map(Result::is_ok).collect();
        assert_eq!(good, [true, false, false, false, true]);
        assert_eq!(read[3].as_ref().unwrap_err().1.unwrap().as_json(), "\"x\"");
    }

    #[test]
    fn a_modern_request_stands_in_no_batch() {
        let modern = r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":7}}}"#;
        assert_eq!(Batch::parse(of(&[PING, modern]).as_bytes()).unwrap_err(), WireError::Batch);
        let broken = modern.replace(r#""method":"x","#, "");
        assert_eq!(Batch::parse(of(&[PING, &broken]).as_bytes()).unwrap_err(), WireError::Batch);
    }

    #[test]
    fn what_is_no_array_is_no_batch() {
        for text in ["", " ", "{}", "7", "\"[\""] {
            assert!(!begins(text.as_bytes()), "{text}");
        }
        for text in ["[", "[{]", "[1,]", "[1] 2"] {
            assert_eq!(Batch::parse(text.as_bytes()).unwrap_err(), WireError::Grammar, "{text}");
        }
    }
}
