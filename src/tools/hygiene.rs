//! What leaves a tool for a model is made harmless here: invisible characters, size, credentials.
//!
//! A model reads a result as text, and so does the person who looks over its shoulder in a terminal. Whatever
//! could steer that terminal, turn the reading direction or hide words from one of the two is written as an
//! escape of JSON: the value stays the very same, so nothing that is read and written back is damaged.
//! What looks like a credential is replaced, except in results of tools that must give back what they were
//! given ([`super::Tool::VERBATIM`]).

mod uri;

use std::{borrow::Cow, fmt::Write};

use serde_json::{Value, json};
use url::Url;

use super::{
    Content, Entry, Produced, ToolError,
    error::is_visible,
    secrets::{self, Kind, Search},
};
use crate::protocol::Tree;

/// Largest result, bytes of JSON: it travels twice, and a model that reads it all has room for nothing else.
pub const MAX_RESULT: usize = 4 * 1024 * 1024;
/// The same for tools that give back files as they are: the largest file that settings allow, in base64.
pub const MAX_VERBATIM: usize = 24 * 1024 * 1024;
/// Largest text of a failure, characters.
const MAX_FAILURE: usize = 4 * 1024;

/// How many credentials were replaced, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redacted {
    api_keys: u32,
    tokens: u32,
    private_keys: u32,
}

impl Redacted {
    /// How many in all.
    pub fn count(&self) -> u32 {
        self.api_keys + self.tokens + self.private_keys
    }

    /// As it stands in the audit record.
    pub fn detail(&self) -> Value {
        let Self { api_keys, tokens, private_keys } = self;
        json!({ "redacted": { "api_keys": api_keys, "tokens": tokens, "private_keys": private_keys } })
    }

    /// Adds those of `other`.
    pub fn merge(&mut self, other: Self) {
        self.api_keys += other.api_keys;
        self.tokens += other.tokens;
        self.private_keys += other.private_keys;
    }

    fn add(&mut self, kind: Kind) {
        *match kind {
            Kind::ApiKey => &mut self.api_keys,
            Kind::Token => &mut self.tokens,
            Kind::PrivateKey => &mut self.private_keys,
        } += 1;
    }
}

/// Makes the result of `entry`, JSON text that fits its schema, fit to be sent. It fits its schema afterwards too.
///
/// # Errors
/// [`ToolError::Refused`] if it is larger than [`MAX_RESULT`] (or [`MAX_VERBATIM`]), or if its schema leaves no room for a placeholder.
pub fn result(entry: &Entry, output: String) -> Result<(String, Redacted), ToolError> {
    let most = if entry.is_verbatim() { MAX_VERBATIM } else { MAX_RESULT };
    if output.len() > most {
        return Err(too_large(most));
    }
    let rewritten = rewrite(&output, Form::Json, !entry.is_verbatim(), most);
    let (harmless, redacted) = rewritten.ok_or_else(|| too_large(most))?;
    let Cow::Owned(harmless) = harmless else { return Ok((output, redacted)) };
    let fits =
        || Tree::of_text(&harmless).is_ok_and(|tree| entry.output().is_none_or(|schema| schema.fits(&tree)));
    if redacted.count() > 0 && !fits() {
        return Err(credential());
    }
    Ok((harmless, redacted))
}

fn credential() -> ToolError {
    ToolError::Refused("the result holds what looks like a credential, so it was not sent".into())
}

fn too_large(most: usize) -> ToolError {
    let text = format!(
        "the result is larger than {} MiB and was not sent; ask for a smaller part of it",
        most >> 20
    );
    ToolError::Refused(text)
}

/// Makes what `entry` gave fit to be sent: its structured result as [`result`] does; the texts that it shows
/// as they will be read, with line breaks and tabs, and everything else that is invisible written out; its URIs
/// with escapes of their own, so that they lead where they led.
///
/// # Errors
/// Those of [`result`].
pub fn produced(entry: &Entry, produced: Produced) -> Result<(Produced, Redacted), ToolError> {
    let (output, mut content) = produced.into_parts();
    let (output, mut redacted) = match output.map(|output| result(entry, output)).transpose()? {
        Some((output, redacted)) => (Some(output), redacted),
        None => (None, Redacted::default()),
    };
    for block in &mut content {
        for text in block.texts_mut() {
            redacted.merge(clean(text, Form::Plain, entry)?);
        }
        if let Some(uri) = block.uri_mut() {
            let found = clean(uri, Form::Uri, entry)?;
            // Where a placeholder stands in the place of a host, for example, none is left.
            if found.count() > 0 && Url::parse(uri).is_err() || !entry.is_verbatim() && uri::hides_one(uri) {
                return Err(credential());
            }
            redacted.merge(found);
            if let Some(spelled) = uri::spelled_out(uri) {
                *uri = spelled;
            }
        }
    }
    if content.iter().map(Content::size).sum::<usize>() > MAX_RESULT {
        return Err(too_large(MAX_RESULT));
    }
    Ok((Produced::from_parts(output, content), redacted))
}

/// Makes one text that `entry` shows harmless, where it stands.
fn clean(text: &mut String, form: Form, entry: &Entry) -> Result<Redacted, ToolError> {
    let rewritten = rewrite(text, form, !entry.is_verbatim(), MAX_RESULT);
    let (harmless, redacted) = rewritten.ok_or_else(|| too_large(MAX_RESULT))?;
    if let Cow::Owned(harmless) = harmless {
        *text = harmless;
    }
    Ok(redacted)
}

/// Makes `json`, text of whatever shape, fit to be sent; the values in it stay what they are, save what looks like a
/// credential where it is not `verbatim`.
///
/// # Errors
/// [`ToolError::Refused`] if it is larger than [`MAX_RESULT`], or [`MAX_VERBATIM`].
pub fn json(json: String, verbatim: bool) -> Result<(String, Redacted), ToolError> {
    let most = if verbatim { MAX_VERBATIM } else { MAX_RESULT };
    let rewritten = (json.len() <= most).then(|| rewrite(&json, Form::Json, !verbatim, most)).flatten();
    let (harmless, redacted) = rewritten.ok_or_else(|| too_large(most))?;
    let Cow::Owned(harmless) = harmless else { return Ok((json, redacted)) };
    Ok((harmless, redacted))
}

/// Makes the text of a failure fit to be shown: line breaks and tabs stay, at most 4096 characters.
pub fn failure(text: &str) -> (String, Redacted) {
    let near = beginning(text);
    let rewritten = rewrite(near, Form::Plain, true, usize::MAX);
    let (harmless, redacted) = rewritten.unwrap_or_default();
    let mut harmless = harmless.into_owned();
    let end = harmless.char_indices().nth(MAX_FAILURE).map(|(at, _)| at);
    if end.is_some() || near.len() < text.len() {
        harmless.truncate(end.unwrap_or(harmless.len()));
        harmless.push('…');
    }
    (harmless, redacted)
}

/// As much of `text` as can be shown of a failure, and some more for what is shorter once it is harmless. It ends
/// between two words, so that no credential is cut into something that does not look like one.
fn beginning(text: &str) -> &str {
    let Some(near) =
        text.get(..text.floor_char_boundary(4 * MAX_FAILURE)).filter(|near| near.len() < text.len())
    else {
        return text;
    };
    near.rfind(char::is_whitespace).and_then(|at| near.get(..at)).unwrap_or(near)
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// JSON, as `serde_json` writes it.
    Json,
    /// Text as people write it.
    Plain,
    /// A URI.
    Uri,
}

impl Form {
    /// Whether `c` may stand as it is.
    fn shows(self, c: char) -> bool {
        is_visible(c) || (self == Self::Plain && matches!(c, '\n' | '\t'))
    }

    /// Writes `c` so that it does nothing.
    fn escape(self, c: char, out: &mut String) {
        // Writing into a String cannot fail.
        match self {
            // Between values; within a string `serde_json` leaves none.
            Self::Json if c < ' ' => out.push(' '),
            Self::Json => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _written = write!(out, "\\u{unit:04x}");
            }),
            Self::Plain => out.extend(c.escape_unicode()),
            Self::Uri => uri::escape(c, out),
        }
    }

    /// Writes what stands in the place of a credential.
    fn replace(self, kind: Kind, out: &mut String) {
        match self {
            Self::Json | Self::Plain => out.push_str(kind.placeholder()),
            Self::Uri => kind
                .placeholder()
                .chars()
                .for_each(|c| if c.is_ascii_alphanumeric() { out.push(c) } else { uri::escape(c, out) }),
        }
    }
}

/// The bytes at which there may be something to do: beyond ASCII, controls, and where credentials show.
const MARKED: [bool; 256] = {
    let mut marked = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut rare = 0;
        // Out of range would not compile.
        #[expect(
            clippy::indexing_slicing,
            reason = "evaluated by the compiler, which refuses what is out of range"
        )]
        {
            marked[byte] = byte < 0x20 || byte >= 0x7f;
            while rare < secrets::RARE.len() {
                marked[byte] |= secrets::RARE[rare] as usize == byte;
                rare += 1;
            }
        }
        byte += 1;
    }
    marked
};

/// Rewrites what does harm; most texts are looked through once and come back as they are. `None` if a text that
/// has to be rewritten would become longer than `most` bytes.
fn rewrite(text: &str, form: Form, redacts: bool, most: usize) -> Option<(Cow<'_, str>, Redacted)> {
    let bytes = text.as_bytes();
    let marked = |from: usize| {
        let rest = bytes.get(from..)?;
        let at = rest.iter().position(|byte| MARKED.get(usize::from(*byte)).is_some_and(|marked| *marked))?;
        Some(from + at)
    };
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let (mut out, mut done, mut next, mut redacted) = (String::new(), 0, 0, Redacted::default());
    let mut search = Search::new(bytes, form == Form::Json);
    while let Some(at) = marked(next) {
        let c = text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or_default();
        next = at + c.len_utf8();
        if !c.is_ascii_graphic() {
            if !form.shows(c) {
                out.push_str(part(done, at));
                form.escape(c, &mut out);
                done = next;
            }
        } else if let Some((range, kind)) = redacts.then(|| search.around(at)).flatten() {
            // It may begin with what another one ended with.
            out.push_str(part(done, range.start));
            form.replace(kind, &mut out);
            redacted.add(kind);
            (done, next) = (range.end, range.end);
        }
        if out.len() > most {
            return None;
        }
    }
    if done == 0 {
        return Some((Cow::Borrowed(text), redacted));
    }
    out.push_str(part(done, text.len()));
    (out.len() <= most).then_some((Cow::Owned(out), redacted))
}

#[cfg(test)]
mod tests;
