//! Who is calling: one credential, held against what the house knows by the method that it calls for.

use std::{cell::RefCell, net::IpAddr, time::Instant};

use super::{
    api_key::{self, KeyCache},
    credential::Credential,
    jwt::{self, Against, AuthError, Authenticated, TokenCache},
};
use crate::domain::Timestamp;

/// Credentials that one worker thread has verified.
#[derive(Debug, Default)]
pub struct Caches {
    pub(super) tokens: TokenCache,
    pub(super) keys: KeyCache,
}

impl Caches {
    /// Whether this worker has verified `credential` and not found it ended since; nothing is verified, and
    /// nobody is asked.
    pub fn knows(&self, credential: Credential<'_>) -> bool {
        match credential {
            Credential::Bearer(token) => self.tokens.knows(token),
            Credential::ApiKey(text) => self.keys.knows(text),
        }
    }
}

/// When and from where a credential is shown.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// By the wall clock.
    pub now: Timestamp,
    /// By the clock that never jumps.
    pub clock: Instant,
    /// The client's address, as far as anybody knows it.
    pub address: Option<IpAddr>,
    /// Whether this is another look at the credential of the same request, which is no further use of it.
    pub again: bool,
}

/// Finds out who shows `credential`. Only an API key that this worker has not seen is waited for.
///
/// # Errors
/// Why it proves nothing; nothing about the failure is kept.
pub async fn authenticate(
    credential: Credential<'_>,
    against: Against<'_>,
    caches: &RefCell<Caches>,
    at: At,
) -> Result<Authenticated, AuthError> {
    match credential {
        Credential::Bearer(token) => {
            jwt::authenticate(token, against, &mut caches.borrow_mut().tokens, (at.now, at.clock))
        }
        Credential::ApiKey(text) => api_key::authenticate(text, against, caches, at).await,
    }
}
