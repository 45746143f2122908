//! Access tokens: verified once per worker, afterwards a look at a handle.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

use super::{
    cache::{Cache, Digest},
    credential::Credential,
};
use crate::{
    actors::{
        epoch::Epoch,
        tokens::{TokenError, Tokens, Verified, has_ended},
    },
    domain::{AccessClaims, Principal, PrincipalKind, Timestamp},
    error::{Code, Coded},
    policy::Roles,
};

/// Half of the entries that one worker's cache may hold: 8 192 in all, about 2 KiB each.
const HALF: usize = 4_096;

/// Verified tokens of one worker thread. Bounded; failures are never kept.
///
/// A token is found by the end of its signature, which is as good as random and which nobody can choose who
/// cannot sign, and is the known one only if all of it is equal.
pub struct TokenCache(Cache<Seen>);

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenCache(..)")
    }
}

/// A token that verified, as of an epoch of the revocations.
struct Seen {
    /// The token itself: to compare it takes a twentieth of the time of a digest. Whoever can read it here
    /// can read the keys that mint such tokens, too.
    text: Zeroizing<Box<str>>,
    principal: Arc<Principal>,
    claims: AccessClaims,
    /// When the key that signed it retires.
    until: Option<Timestamp>,
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
    let place: Digest = *token.as_bytes().last_chunk().ok_or(TokenError::Malformed)?;
    if let Some(principal) = cache.known((&place, token), (tokens, epoch.now()), now)? {
        return Ok(Authenticated { principal, first_sight: None });
    }
    // Read before the check, so a revocation in between is seen at the next use.
    let epoch = epoch.now();
    let Verified { claims, until } = tokens.first_sight(token, now)?;
    let grant = roles.grant(&claims.roles, &claims.permissions);
    let principal = Arc::new(Principal {
        id: claims.sub.parse().map_err(|_| TokenError::Claims)?,
        kind: PrincipalKind::Jwt,
        client: claims.client_id.as_str().into(),
        credential: claims.jti.as_str().into(),
        roles: grant.roles,
        permissions: grant.permissions,
    });
    let text = Zeroizing::new(token.into());
    cache.0.add(place, Seen { text, principal: Arc::clone(&principal), claims, until, epoch });
    Ok(Authenticated { principal, first_sight: Some(grant.unknown) })
}

impl Seen {
    /// Whether it was this token, byte for byte.
    fn is(&self, token: &str) -> bool {
        verify_slices_are_equal(self.text.as_bytes(), token.as_bytes()).is_ok()
    }
}

impl TokenCache {
    /// Whether this worker has verified `credential` and not found it ended since; nothing is verified.
    pub fn knows(&self, credential: Credential<'_>) -> bool {
        let Credential::Bearer(token) = credential else { return false };
        let seen = token.as_bytes().last_chunk().and_then(|place| self.0.peek(place));
        seen.is_some_and(|seen| seen.is(token))
    }

    /// The principal of a token that this worker has verified before.
    fn known(
        &mut self,
        (place, token): (&Digest, &str),
        (tokens, epoch): (&Tokens, u64),
        now: Timestamp,
    ) -> Result<Option<Arc<Principal>>, TokenError> {
        let Some(seen) = self.0.find(place).filter(|seen| seen.is(token)) else { return Ok(None) };
        let failure = if has_ended(seen.claims.exp, tokens.leeway(), now) {
            Some(TokenError::Expired)
        } else if seen.until.is_some_and(|until| until <= now) {
            Some(TokenError::UnknownKey)
        } else if seen.epoch != epoch && tokens.is_revoked(&seen.claims) {
            Some(TokenError::Revoked)
        } else {
            None
        };
        match failure {
            Some(failure) => {
                self.0.remove(place);
                Err(failure)
            }
            None => {
                seen.epoch = epoch;
                Ok(Some(Arc::clone(&seen.principal)))
            }
        }
    }
}
