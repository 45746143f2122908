//! Why a tool gave no result, in words that the model which called it can act on.

use std::time::Duration;

use crate::error::{Code, Coded};

/// Most characters that we pass on of a text that somebody else wrote.
const FOREIGN_TEXT_MAX: usize = 256;

/// Why a tool gave no result.
///
/// `Display` is what the caller reads as the text of an `isError` result, except for
/// [`ToolError::Output`], which is our fault and answered as such. Texts hold no secret and no value
/// of an argument; text from outside goes through [`clean`] first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// The arguments are not what the tool takes; says which and what would be right.
    #[error("{0}")]
    Arguments(String),
    /// What was asked for does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The tool will not do it, though the caller may call it.
    #[error("{0}")]
    Refused(String),
    /// A service that the tool relies on failed or answered nonsense.
    #[error("{0}")]
    Upstream(String),
    /// The tool did not finish within its deadline.
    #[error("the tool did not finish in time; try again later")]
    Timeout,
    /// Something that the tool relies on does not answer now.
    #[error("temporarily unavailable ({}); try again in {} s", .code.reason(), .retry_after.as_secs().max(1))]
    Unavailable {
        /// What is missing.
        code: Code,
        /// When another attempt may succeed.
        retry_after: Duration,
    },
    /// The client has not answered what the tool has asked with its [`Call`](super::Call). A tool passes this on.
    #[error("the tool has asked something that was not answered")]
    Unanswered,
    /// The call goes on as a task. A tool passes this on from [`Call::as_task`](super::Call::as_task).
    #[error("the call goes on as a task")]
    Deferred,
    /// The tool has to ask something that the client has not said it can answer. A tool passes this on, or asks
    /// only where [`Call::can_ask`](super::Call::can_ask).
    #[error("this tool has to ask first, and the client has not said that it can be asked ({})", .0.capability())]
    CannotAsk(super::Ask),
    /// The result does not fit the tool's own schema: a bug in the tool.
    #[error("the tool's result does not fit its schema")]
    Output,
}

impl Coded for ToolError {
    fn code(&self) -> Code {
        match self {
            Self::Arguments(_) => Code::InvalidParams,
            Self::NotFound(_) => Code::NotFound,
            Self::Refused(_) => Code::Forbidden,
            Self::Upstream(_) => Code::Overloaded,
            Self::Timeout => Code::RequestTimeout,
            Self::Unanswered | Self::Deferred => Code::InvalidRequest,
            Self::CannotAsk(_) => Code::MissingCapability,
            Self::Unavailable { code, .. } => *code,
            Self::Output => Code::Internal,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

/// `text` from outside, made fit to be shown: at most 256 characters, and whatever could steer a
/// terminal, break a line or turn the reading direction is written as an escape.
pub fn clean(text: &str) -> String {
    clean_to(text, FOREIGN_TEXT_MAX)
}

/// As [`clean`], for a name that a caller made up: at most 128 characters, as long as a tool's name may be.
pub fn clean_name(name: &str) -> String {
    clean_to(name, 128)
}

/// As [`clean`], at most `max` characters.
pub(crate) fn clean_to(text: &str, max: usize) -> String {
    let shown = text.chars().flat_map(|c| {
        let (plain, escaped) = if is_visible(c) { (Some(c), None) } else { (None, Some(c.escape_unicode())) };
        plain.into_iter().chain(escaped.into_iter().flatten())
    });
    let mut cut: String = shown.take(max + 1).collect();
    if cut.chars().count() > max {
        cut = cut.chars().take(max.saturating_sub(1)).chain(['…']).collect();
    }
    cut
}

/// Whether showing `c` does nothing but show it: no control, no line break, no bidirectional override.
///
/// U+200C and U+200D pass: Persian and Indic names are spelled with them.
pub(super) fn is_visible(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        // Whole alphabets that nobody sees, made for tags and for variants of glyphs.
        && !matches!(c, '\u{e0000}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_escaped_and_cut_at_its_limit() {
        assert_eq!(clean("São Paulo, 東京"), "São Paulo, 東京");
        assert_eq!(clean("a\u{1b}[31mb\nc\u{202e}d"), "a\\u{1b}[31mb\\u{a}c\\u{202e}d");
        assert_eq!(clean(&"x".repeat(256)), "x".repeat(256));
        assert_eq!(clean(&"x".repeat(257)), format!("{}…", "x".repeat(255)));
        assert_eq!(clean(&"\n".repeat(1_000)).chars().count(), 256);
        assert_eq!(clean(&"é".repeat(300)).chars().count(), 256);
    }

    #[test]
    fn only_our_own_bug_is_an_internal_failure() {
        let retry_after = Duration::from_secs(3);
        let unavailable = ToolError::Unavailable { code: Code::StoreUnavailable, retry_after };
        assert_eq!(unavailable.code(), Code::StoreUnavailable);
        assert_eq!(unavailable.retry_after(), Some(retry_after));
        assert_eq!(unavailable.to_string(), "temporarily unavailable (store_unavailable); try again in 3 s");
        assert_eq!(ToolError::Output.code(), Code::Internal);
        assert_eq!(ToolError::Timeout.code(), Code::RequestTimeout);
        assert_eq!(ToolError::Arguments("x".into()).code(), Code::InvalidParams);
    }
}
