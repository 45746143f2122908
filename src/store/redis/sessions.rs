//! The port [`SharedSessions`] on Redis: a record with an end of its own for each session, and an index of each
//! owner's, by which they are counted.

use std::{sync::LazyLock, time::Duration};

use deadpool_redis::redis::{self, Script};
use serde::{Deserialize, Serialize};

use super::{Redis, db::Db, names::Names, plan::Plan, records, session_questions as questions};
use crate::{
    domain::{Subject, Timestamp},
    protocol::{LogLevel, Revision},
    store::{
        ChangeKind, SessionAnswer, SessionDigest, SessionLook, SessionQuestion, SessionRoom, SessionRow,
        SessionUse, SessionWish, SharedSessions, StoreError, StoreFuture, Wished,
    },
};

/// What a record that does not read is.
const WHAT: &str = "a session";
/// How many are read or renewed by one script.
const STEP: usize = 128;

static LOOK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("look_sessions.lua")));
static USE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("use_sessions.lua")));

/// A session as it is kept.
#[derive(Serialize, Deserialize)]
struct SessionRecord {
    owner: Subject,
    revision: String,
    capabilities: Box<str>,
    level: String,
    uris: Vec<Box<str>>,
    born: Timestamp,
}

impl SessionRecord {
    fn new(row: &SessionRow) -> Self {
        Self {
            owner: row.owner.clone(),
            revision: row.revision.name().to_owned(),
            capabilities: row.capabilities.clone(),
            level: row.level.name().to_owned(),
            uris: row.uris.clone(),
            born: row.born,
        }
    }

    /// The text of the record of `row`.
    fn text_of(row: &SessionRow) -> Result<String, StoreError> {
        records::write(&Self::new(row), WHAT)
    }

    /// The session of that text.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: it does not read. It may be a newer program's.
    fn row_of(
        db: &Db,
        text: &str,
        (digest, lives): (SessionDigest, Duration),
    ) -> Result<SessionRow, StoreError> {
        let row = || {
            let Self { owner, revision, capabilities, level, uris, born } = records::read(text, WHAT).ok()?;
            let (revision, level) = (Revision::legacy(&revision)?, LogLevel::named(&level)?);
            Some(SessionRow { digest, owner, revision, capabilities, level, uris, born, lives })
        };
        row().ok_or_else(|| {
            db.unreadable(WHAT);
            StoreError::Corrupt(WHAT)
        })
    }
}

impl SharedSessions for Redis {
    fn open_session<'a>(&'a self, row: &'a SessionRow, room: SessionRoom) -> StoreFuture<'a, bool> {
        let row = row.clone();
        self.ask(async move |db| db.settle(async |plan| open(plan, &row, room).await).await)
    }

    fn find_sessions(&self, digests: Vec<SessionDigest>) -> StoreFuture<'_, Vec<SessionLook>> {
        self.ask(async move |db| {
            let mut found = Vec::with_capacity(digests.len());
            for some in digests.chunks(STEP) {
                found.extend(find(&db, some).await?);
            }
            Ok(found)
        })
    }

    fn use_sessions(&self, uses: Vec<SessionUse>) -> StoreFuture<'_, Vec<bool>> {
        self.ask(async move |db| {
            let mut there = Vec::with_capacity(uses.len());
            for some in uses.chunks(STEP) {
                there.extend(renew(&db, some).await?);
            }
            Ok(there)
        })
    }

    fn wish(&self, session: SessionDigest, wish: SessionWish) -> StoreFuture<'_, Wished> {
        self.ask(async move |db| db.settle(async |plan| change(plan, session, &wish).await).await)
    }

    fn end_session(&self, session: SessionDigest) -> StoreFuture<'_, ()> {
        self.ask(async move |db| db.settle(async |plan| end(plan, session).await).await)
    }

    fn cancel_call<'a>(&'a self, session: SessionDigest, id: &'a str) -> StoreFuture<'a, ()> {
        let what = ChangeKind::SessionCall { session, call: id.into() };
        self.ask(async move |db| db.settle(async |plan| tell(plan, &what).await).await)
    }

    fn keep_questions(&self, questions: Vec<SessionQuestion>, within: Duration) -> StoreFuture<'_, ()> {
        self.ask(async move |db| questions::keep(&db, &questions, within).await)
    }

    fn answer_question(&self, answer: SessionAnswer) -> StoreFuture<'_, bool> {
        self.ask(async move |db| db.settle(async |plan| questions::answer(plan, &answer).await).await)
    }

    fn find_answer<'a>(&'a self, session: SessionDigest, id: &'a str) -> StoreFuture<'a, Option<Vec<u8>>> {
        let id = id.to_owned();
        self.ask(async move |db| questions::find(&db, session, &id).await)
    }

    fn withdraw_questions(&self, session: SessionDigest, ids: Vec<Box<str>>) -> StoreFuture<'_, ()> {
        self.ask(async move |db| questions::withdraw(&db, session, &ids).await)
    }
}

async fn open<'a>(
    mut plan: Plan<'a>,
    row: &SessionRow,
    room: SessionRoom,
) -> Result<(Plan<'a>, bool), StoreError> {
    let (names, now) = (plan.names(), Timestamp::now());
    let index = names.sessions_of_owner(&row.owner);
    let version = Names::version_of(&index);
    // Whoever opens another one of the same owner meanwhile takes its place: then it is counted anew.
    plan.get(&version).await?;
    let mut count = redis::cmd("ZCOUNT");
    count.arg(&index).arg(format!("({}", now.millis())).arg("+inf");
    let own: u64 = plan.db().ask(&count).await?;
    if own >= room.of_one {
        return Ok((plan, false));
    }
    let (lives, longest) = (millis(row.lives), millis(room.longest));
    let ends = now.plus(row.lives).millis().to_string();
    let record = SessionRecord::text_of(row)?;
    plan.then(["SET", &names.session(&row.digest), &record, "PX", &lives]);
    plan.then(["ZREMRANGEBYSCORE", &index, "-inf", &now.millis().to_string()]);
    plan.then(["ZADD", &index, &ends, &row.digest.encode()]);
    plan.then(["INCR", &version]);
    // None of them lives longer than this one may.
    plan.then(["PEXPIRE", &index, &longest]);
    plan.then(["PEXPIRE", &version, &longest]);
    Ok((plan, true))
}

async fn find(db: &Db, digests: &[SessionDigest]) -> Result<Vec<SessionLook>, StoreError> {
    let mut script = LOOK.prepare_invoke();
    for digest in digests {
        script.key(db.names.session(digest));
    }
    let texts: Vec<String> = db.run(&script).await?;
    let mut found = Vec::with_capacity(digests.len());
    for (digest, pair) in digests.iter().zip(texts.chunks_exact(2)) {
        let (text, lives) = match pair {
            [text, lives] if !text.is_empty() => (text, lives.parse().unwrap_or_default()),
            _ => {
                found.push(Ok(None));
                continue;
            }
        };
        let row = SessionRecord::row_of(db, text, (*digest, Duration::from_millis(lives)));
        found.push(row.map(Some));
    }
    Ok(found)
}

async fn renew(db: &Db, uses: &[SessionUse]) -> Result<Vec<bool>, StoreError> {
    let (mut script, now) = (USE.prepare_invoke(), Timestamp::now());
    for one in uses {
        script.key(db.names.session(&one.digest)).key(db.names.sessions_of_owner(&one.owner));
        script.arg(millis(one.lives)).arg(now.plus(one.lives).millis()).arg(one.digest.encode());
    }
    let there: Vec<u8> = db.run(&script).await?;
    Ok(there.into_iter().map(|there| there == 1).collect())
}

async fn change<'a>(
    mut plan: Plan<'a>,
    session: SessionDigest,
    wish: &SessionWish,
) -> Result<(Plan<'a>, Wished), StoreError> {
    let key = plan.names().session(&session);
    let Some(text) = plan.get(&key).await? else { return Ok((plan, Wished::Gone)) };
    let mut row = SessionRecord::row_of(plan.db(), &text, (session, Duration::ZERO))?;
    match row.wish(wish) {
        Ok(Some(())) => {
            plan.then(["SET", &key, &SessionRecord::text_of(&row)?, "KEEPTTL"]);
            plan.tell(&ChangeKind::Session(session))?;
            Ok((plan, Wished::Done))
        }
        Ok(None) => Ok((plan, Wished::Done)),
        Err(refused) => Ok((plan, refused)),
    }
}

async fn end(mut plan: Plan<'_>, session: SessionDigest) -> Result<(Plan<'_>, ()), StoreError> {
    let names = plan.names();
    let key = names.session(&session);
    let Some(text) = plan.get(&key).await? else { return Ok((plan, ())) };
    if let Ok(row) = SessionRecord::row_of(plan.db(), &text, (session, Duration::ZERO)) {
        plan.then(["ZREM", &names.sessions_of_owner(&row.owner), &session.encode()]);
    }
    plan.delete(key);
    plan.tell(&ChangeKind::Session(session))?;
    Ok((plan, ()))
}

async fn tell<'a>(mut plan: Plan<'a>, what: &ChangeKind) -> Result<(Plan<'a>, ()), StoreError> {
    plan.tell(what)?;
    Ok((plan, ()))
}

/// As a command says it: none has no end, so it is one at least.
pub(super) fn millis(span: Duration) -> String {
    span.as_millis().max(1).to_string()
}
