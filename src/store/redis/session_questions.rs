//! Questions that were put in sessions, and their answers: short-lived records of their own.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use deadpool_redis::redis;
use serde::{Deserialize, Serialize};

use super::{db::Db, plan::Plan, records, sessions::millis};
use crate::store::{ChangeKind, SessionAnswer, SessionDigest, SessionQuestion, StoreError};

/// What a record that does not read is.
const WHAT: &str = "a question of a session";

/// A question as it is kept.
#[derive(Serialize, Deserialize)]
struct QuestionRecord {
    needs: Vec<String>,
    /// The sealed answer in Base64, once there is one.
    sealed: Option<String>,
}

/// Keeps questions, each for as long as `within`.
///
/// # Errors
/// [`StoreError`]; some may be kept.
pub(super) async fn keep(db: &Db, questions: &[SessionQuestion], within: Duration) -> Result<(), StoreError> {
    let mut commands = redis::pipe();
    for SessionQuestion { session, id, needs } in questions {
        let record = QuestionRecord { needs: needs.clone(), sealed: None };
        let key = db.names.session_question(session, id);
        commands.cmd("SET").arg(key).arg(records::write(&record, WHAT)?).arg("PX").arg(millis(within));
        commands.ignore();
    }
    if questions.is_empty() { Ok(()) } else { db.together(&commands).await }
}

/// Answers a question; whether the answer was taken.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn answer<'a>(
    mut plan: Plan<'a>,
    answer: &SessionAnswer,
) -> Result<(Plan<'a>, bool), StoreError> {
    let key = plan.names().session_question(&answer.session, &answer.id);
    let open =
        plan.get(&key).await?.and_then(|text| record_of(&text)).filter(|record| record.sealed.is_none());
    let Some(mut record) = open.filter(|record| record.needs.iter().all(|need| answer.has.contains(need)))
    else {
        return Ok((plan, false));
    };
    match &answer.sealed {
        Some(sealed) => {
            record.sealed = Some(STANDARD.encode(sealed));
            plan.then(["SET", &key, &records::write(&record, WHAT)?, "KEEPTTL"]);
            let (session, question) = (answer.session, answer.id.clone());
            plan.tell(&ChangeKind::SessionAnswer { session, question })?;
        }
        None => plan.delete(key),
    }
    Ok((plan, true))
}

/// The answer to a question, which stays until the question is taken away: a reply that is lost is asked for again.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn find(db: &Db, session: SessionDigest, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let text = db.get(&db.names.session_question(&session, id)).await?;
    let sealed = text.and_then(|text| record_of(&text)?.sealed);
    Ok(sealed.and_then(|sealed| STANDARD.decode(sealed).ok()))
}

/// Takes questions away.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn withdraw(db: &Db, session: SessionDigest, ids: &[Box<str>]) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut command = redis::cmd("DEL");
    for id in ids {
        command.arg(db.names.session_question(&session, id));
    }
    let _gone: u64 = db.ask(&command).await?;
    Ok(())
}

/// One that does not read is none.
fn record_of(text: &str) -> Option<QuestionRecord> {
    records::read(text, WHAT).ok()
}
