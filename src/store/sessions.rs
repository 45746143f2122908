//! Sessions of older revisions that any server may serve: whose one is, what its client wants, what it was asked.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{StoreError, StoreFuture};
use crate::{
    domain::{Subject, Timestamp},
    protocol::{LogLevel, Revision},
};

/// What the store knows a session by: SHA-256 of its id. Whoever reads the store learns no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionDigest([u8; 32]);

impl SessionDigest {
    /// That of the session with this id.
    pub fn of(id: &[u8]) -> Self {
        Self(Sha256::digest(id).into())
    }

    /// Its one spelling: 43 of `[A-Za-z0-9_-]`.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl From<SessionDigest> for String {
    fn from(digest: SessionDigest) -> Self {
        digest.encode()
    }
}

impl TryFrom<String> for SessionDigest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("not the digest of a session")
    }
}

/// One session, as every server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// What the store knows it by.
    pub digest: SessionDigest,
    /// Whose it is.
    pub owner: Subject,
    /// What was agreed on.
    pub revision: Revision,
    /// What its client can be asked for, JSON text of an object.
    pub capabilities: Box<str>,
    /// The least grave log message that its client wants to see.
    pub level: LogLevel,
    /// The resources that it wants to be told of.
    pub uris: Vec<Box<str>>,
    /// When it was begun.
    pub born: Timestamp,
    /// How much longer it lives if nobody uses it.
    pub lives: Duration,
}

/// How many sessions there may be, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionRoom {
    /// Of one owner, at all servers together.
    pub of_one: u64,
    /// How long one lives at most.
    pub longest: Duration,
}

/// A session that was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionUse {
    /// Which.
    pub digest: SessionDigest,
    /// Whose.
    pub owner: Subject,
    /// How much longer it lives now if nobody uses it again.
    pub lives: Duration,
}

/// What the client of a session wants from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionWish {
    /// Log messages that are at least so grave.
    Level(LogLevel),
    /// To be told of this resource, if it is told of fewer than so many.
    Subscribe(Box<str>, usize),
    /// Not to be told of it any more.
    Unsubscribe(Box<str>),
}

/// What a wish came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wished {
    /// It holds.
    Done,
    /// It is told of too many resources.
    TooMany,
    /// There is no such session.
    Gone,
}

impl SessionRow {
    /// How old it is at `now`.
    pub fn age(&self, now: Timestamp) -> Duration {
        Duration::from_micros(now.micros().saturating_sub(self.born.micros()))
    }

    /// Takes in a wish; `None` if nothing changes by it.
    ///
    /// # Errors
    /// [`Wished::TooMany`], and nothing else.
    pub(super) fn wish(&mut self, wish: &SessionWish) -> Result<Option<()>, Wished> {
        let known = |uri: &str| self.uris.iter().position(|known| **known == *uri);
        match wish {
            SessionWish::Level(level) if *level == self.level => return Ok(None),
            SessionWish::Level(level) => self.level = *level,
            SessionWish::Subscribe(uri, most) => match known(uri) {
                Some(_) => return Ok(None),
                None if self.uris.len() >= *most => return Err(Wished::TooMany),
                None => self.uris.push(uri.clone()),
            },
            SessionWish::Unsubscribe(uri) => match known(uri) {
                Some(at) => _ = self.uris.remove(at),
                None => return Ok(None),
            },
        }
        Ok(Some(()))
    }
}

/// A question that was put in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionQuestion {
    /// The session.
    pub session: SessionDigest,
    /// Its id, which its answer has to have.
    pub id: Box<str>,
    /// The names of the permissions that whoever answers must have.
    pub needs: Vec<String>,
}

/// An answer to a question.
#[derive(Clone)]
pub struct SessionAnswer {
    /// The session.
    pub session: SessionDigest,
    /// The question.
    pub id: Box<str>,
    /// The names of the permissions that whoever answers has.
    pub has: Vec<String>,
    /// The answer, readable only with the session's id; `None` if whoever waits for it has it already.
    pub sealed: Option<Vec<u8>>,
}

/// What is known of one session: `None` if there is none, an error where nobody knows.
pub type SessionLook = Result<Option<SessionRow>, StoreError>;

/// Sessions that servers share. What is told of one to the feed names its digest.
pub trait SharedSessions: Send + Sync {
    /// Keeps `row`, whose digest nobody else has, unless its owner has as many as one may have; whether it does.
    ///
    /// # Errors
    /// [`StoreError`]: it is not known to be kept.
    fn open_session<'a>(&'a self, row: &'a SessionRow, room: SessionRoom) -> StoreFuture<'a, bool>;

    /// The sessions of those digests, in their order. One that does not read may be a newer program's, so it stays.
    ///
    /// # Errors
    /// [`StoreError`].
    fn find_sessions(&self, digests: Vec<SessionDigest>) -> StoreFuture<'_, Vec<SessionLook>>;

    /// Makes sessions live longer, never shorter. Which of them are there, in their order.
    ///
    /// # Errors
    /// [`StoreError`]; some may live longer already.
    fn use_sessions(&self, uses: Vec<SessionUse>) -> StoreFuture<'_, Vec<bool>>;

    /// Keeps a wish and tells the feed, in one transaction, if it changes anything.
    ///
    /// # Errors
    /// [`StoreError`].
    fn wish(&self, session: SessionDigest, wish: SessionWish) -> StoreFuture<'_, Wished>;

    /// Ends a session and tells the feed, in one transaction; nothing if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn end_session(&self, session: SessionDigest) -> StoreFuture<'_, ()>;

    /// Tells the feed that the call `id` (JSON text) of a session is to end.
    ///
    /// # Errors
    /// [`StoreError`].
    fn cancel_call<'a>(&'a self, session: SessionDigest, id: &'a str) -> StoreFuture<'a, ()>;

    /// Keeps questions, each for as long as `within`.
    ///
    /// # Errors
    /// [`StoreError`]; some may be kept.
    fn keep_questions(&self, questions: Vec<SessionQuestion>, within: Duration) -> StoreFuture<'_, ()>;

    /// Keeps an answer and tells the feed, in one transaction, if its question is open, nobody has answered it, and
    /// whoever answers has what it needs; whether it was taken. One that is at hand already takes its question away.
    ///
    /// # Errors
    /// [`StoreError`].
    fn answer_question(&self, answer: SessionAnswer) -> StoreFuture<'_, bool>;

    /// The sealed answer to a question; `None` if there is none. It stays until the question is taken away: whoever
    /// did not hear it asks again.
    ///
    /// # Errors
    /// [`StoreError`].
    fn find_answer<'a>(&'a self, session: SessionDigest, id: &'a str) -> StoreFuture<'a, Option<Vec<u8>>>;

    /// Takes away questions that nobody waits for any more, and what was answered to them.
    ///
    /// # Errors
    /// [`StoreError`].
    fn withdraw_questions(&self, session: SessionDigest, ids: Vec<Box<str>>) -> StoreFuture<'_, ()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_one_spelling() {
        let digest = SessionDigest::of(b"x");
        let text = digest.encode();
        assert_eq!(text.len(), 43);
        assert_eq!(SessionDigest::try_from(text.clone()), Ok(digest));
        for wrong in [String::new(), text[1..].to_owned(), format!("{text}="), format!("{text}A")] {
            assert!(SessionDigest::try_from(wrong).is_err());
        }
    }
}
