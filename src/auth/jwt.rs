//! Access tokens: verified once per worker, afterwards a look at a handle.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};

use super::{
    cache::{Cache, Digest},
    credential::Credential,
};
use crate::{
    actors::{
        epoch::Epoch,
        tokens::{TokenError, Tokens, has_ended},
    },
    domain::{AccessClaims, Principal, PrincipalKind, Timestamp},
    error::{Code, Coded},
    policy::Roles,
};

/// Half of the entries that one worker's cache may hold: 8 192 in all, about 1 KiB each.
const HALF: usize = 4_096;

/// Verified tokens of one worker thread. Bounded; failures are never kept.
#[derive(Debug)]
pub struct TokenCache(Cache<Seen>);

/// A token that verified, as of an epoch of the revocations.
#[derive(Debug)]
struct Seen {
    principal: Arc<Principal>,
    claims: AccessClaims,
    epoch: u64,
}

impl Default for TokenCache {
    fn default() -> Self {
        Self(Cache::new(HALF))
    }
}

/// Who is calling, and what of the credential was new.
#[derive(Debug)]
pub struct Authenticated {
    /// Who.
    pub principal: Arc<Principal>,
    /// Roles and permissions of a token seen for the first time that this server does not know.
    /// `None` if the token was known to this worker.
    pub first_sight: Option<Vec<Box<str>>>,
}

/// Why a credential proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A token that does not hold.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No such API key.
    #[error("the API key is not valid")]
    ApiKey,
}

impl Coded for AuthError {
    fn code(&self) -> Code {
        match self {
            Self::Token(e) => e.code(),
            Self::ApiKey => Code::InvalidApiKey,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Token(e) => e.retry_after(),
            Self::ApiKey => None,
        }
    }
}

/// Finds out who shows `credential`.
///
/// A known token still answers three questions each time: has it ended, may our knowledge of revocations
/// be stale, and, only if the epoch has moved, was it revoked.
///
/// # Errors
/// Why it proves nothing, as an [`AuthError`]; nothing about the failure is kept.
pub fn authenticate(
    credential: Credential<'_>,
    (tokens, roles, epoch): (&Tokens, &Roles, &Epoch),
    cache: &mut TokenCache,
    (now, clock): (Timestamp, Instant),
) -> Result<Authenticated, AuthError> {
    let token = match credential {
        Credential::Bearer(token) if !token.starts_with("mcp_") => token,
        Credential::Bearer(_) | Credential::ApiKey(_) => return Err(AuthError::ApiKey),
    };
    tokens.check_fresh(clock)?;
    if token.len() > crate::actors::tokens::MAX_TOKEN_BYTES {
        return Err(TokenError::Malformed.into());
    }
    let digest: Digest = Sha256::digest(token).into();
    if let Some(principal) = cache.known(&digest, (tokens, epoch.now()), now)? {
        return Ok(Authenticated { principal, first_sight: None });
    }
    // Read before the check, so a revocation in between is seen at the next use.
    let epoch = epoch.now();
    let claims = tokens.verify(token, now)?;
    let grant = roles.grant(&claims.roles, &claims.permissions);
    let principal = Arc::new(Principal {
        id: claims.sub.parse().map_err(|_| TokenError::Claims)?,
        kind: PrincipalKind::Jwt,
        client: claims.client_id.as_str().into(),
        credential: claims.jti.as_str().into(),
        roles: grant.roles,
        permissions: grant.permissions,
    });
    cache.0.add(digest, Seen { principal: Arc::clone(&principal), claims, epoch });
    Ok(Authenticated { principal, first_sight: Some(grant.unknown) })
}

impl TokenCache {
    /// Whether this worker has verified `credential` and not found it ended since; nothing is verified.
    pub fn knows(&self, credential: Credential<'_>) -> bool {
        let (Credential::Bearer(text) | Credential::ApiKey(text)) = credential;
        let is_short = text.len() <= crate::actors::tokens::MAX_TOKEN_BYTES;
        is_short && self.0.contains(&Sha256::digest(text).into())
    }

    /// The principal of a token that this worker has verified before.
    fn known(
        &mut self,
        digest: &Digest,
        (tokens, epoch): (&Tokens, u64),
        now: Timestamp,
    ) -> Result<Option<Arc<Principal>>, TokenError> {
        let Some(seen) = self.0.find(digest) else { return Ok(None) };
        let failure = if has_ended(seen.claims.exp, tokens.leeway(), now) {
            Some(TokenError::Expired)
        } else if seen.epoch != epoch && tokens.is_revoked(&seen.claims) {
            Some(TokenError::Revoked)
        } else {
            None
        };
        match failure {
            Some(failure) => {
                self.0.remove(digest);
                Err(failure)
            }
            None => {
                seen.epoch = epoch;
                Ok(Some(Arc::clone(&seen.principal)))
            }
        }
    }
}
