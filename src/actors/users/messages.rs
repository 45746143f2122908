//! What the actor of accounts is told.

use std::time::Duration;

use actix::Message;

use super::{
    accounts::Table,
    backoff::{Try, Who},
};
use crate::{actors::feed::Upto, domain::Subject};

/// Read these accounts again, because the feed says that they have changed; with none of them, only: the
/// feed was read to its end.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Refresh {
    /// Whose accounts.
    pub(super) names: Vec<Subject>,
    /// How far nothing is missing then.
    pub(super) upto: Upto,
}

/// Put all accounts, read anew, in the place of what is known.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Replace {
    /// All accounts.
    pub(super) table: Table,
    /// How far nothing is missing then.
    pub(super) upto: Upto,
}

/// Somebody is about to try a password: may they, or how long must they wait.
#[derive(Debug, Message)]
#[rtype(result = "Result<Try, Duration>")]
pub(super) struct Attempt(pub(super) Who);

/// The password of that try was right.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Succeed(pub(super) Try);

/// The password of that try was never looked at.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct TakeBack(pub(super) Try);
