//! What the tokens actor can be asked, and told.

use std::time::Duration;

use actix::Message;

use super::{MintRequest, Minted, MintedPair, TokenError};
use crate::{actors::feed::Upto, store::Revocation};

/// Mint an access token.
#[derive(Debug, Message)]
#[rtype(result = "Result<Minted, TokenError>")]
pub(super) struct Mint(pub(super) MintRequest);

/// Mint an access token and the refresh token that goes with it.
#[derive(Debug, Message)]
#[rtype(result = "Result<MintedPair, TokenError>")]
pub(super) struct MintPair {
    /// The access token.
    pub(super) access: MintRequest,
    /// The login that both descend from.
    pub(super) family: String,
    /// How long the refresh token lives.
    pub(super) refresh_ttl: Duration,
}

/// Put these revocations in force; with none of them, only: the feed was read to its end.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Apply {
    /// What the feed or a caller brought.
    pub(super) revocations: Vec<Revocation>,
    /// How far nothing is missing then; a caller's own revocation has none.
    pub(super) upto: Option<Upto>,
}
