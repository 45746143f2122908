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
        users::Users,
    },
    domain::{AccessClaims, Principal, PrincipalKind, Timestamp},
    error::{Code, Coded},
    policy::{Roles, Standing, standing},
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

/// What credentials are held against: handles to what the actors own, read without asking anybody.
#[derive(Clone, Copy)]
pub struct Against<'a> {
    /// Signatures and revocations.
    pub tokens: &'a Tokens,
    /// The accounts behind the subjects.
    pub users: &'a Users,
    /// What roles give.
    pub roles: &'a Roles,
    /// Moves whenever one of these may have changed.
    pub epoch: &'a Epoch,
}

/// A token that verified, as of an epoch.
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
/// and accounts be stale, and, only if the epoch has moved, was it revoked and what is its account worth now.
///
/// # Errors
/// Why it proves nothing, as an [`AuthError`]; nothing about the failure is kept.
pub fn authenticate(
    credential: Credential<'_>,
    against: Against<'_>,
    cache: &mut TokenCache,
    (now, clock): (Timestamp, Instant),
) -> Result<Authenticated, AuthError> {
    let token = match credential {
        Credential::Bearer(token) if !token.starts_with("mcp_") => token,
        Credential::Bearer(_) | Credential::ApiKey(_) => return Err(AuthError::ApiKey),
    };
    against.tokens.check_fresh(clock, against.users.staleness(clock))?;
    if token.len() > crate::actors::tokens::MAX_TOKEN_BYTES {
        return Err(TokenError::Malformed.into());
    }
    let place: Digest = *token.as_bytes().last_chunk().ok_or(TokenError::Malformed)?;
    if let Some(principal) = cache.known((&place, token), against, now)? {
        return Ok(Authenticated { principal, first_sight: None });
    }
    // Read before the check, so a revocation in between is seen at the next use.
    let epoch = against.epoch.now();
    let Verified { claims, until } = against.tokens.first_sight(token, now)?;
    let (principal, unknown) = principal(&claims, against)?;
    let principal = Arc::new(principal);
    let text = Zeroizing::new(token.into());
    cache.0.add(place, Seen { text, principal: Arc::clone(&principal), claims, until, epoch });
    Ok(Authenticated { principal, first_sight: Some(unknown) })
}

/// Who the token with these claims is at present, and what of the claims means nothing here.
fn principal(claims: &AccessClaims, against: Against<'_>) -> Result<(Principal, Vec<Box<str>>), TokenError> {
    let account = against.users.find(&claims.sub);
    let standing = standing(against.roles, account.as_deref(), (&claims.roles, &claims.permissions));
    let Standing { roles, permissions, reach, unknown } =
        standing.map_err(|_disabled| TokenError::Revoked)?;
    let principal = Principal {
        id: claims.sub.parse().map_err(|_| TokenError::Claims)?,
        kind: PrincipalKind::Jwt,
        client: claims.client_id.as_str().into(),
        credential: claims.jti.as_str().into(),
        roles,
        permissions,
        reach,
    };
    Ok((principal, unknown))
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
        against: Against<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Principal>>, TokenError> {
        let Some(seen) = self.0.find(place).filter(|seen| seen.is(token)) else { return Ok(None) };
        let epoch = against.epoch.now();
        let holds = if has_ended(seen.claims.exp, against.tokens.leeway(), now) {
            Err(TokenError::Expired)
        } else if seen.until.is_some_and(|until| until <= now) {
            Err(TokenError::UnknownKey)
        } else if seen.epoch == epoch {
            Ok(())
        } else {
            seen.renew(against, epoch)
        };
        match holds {
            Ok(()) => Ok(Some(Arc::clone(&seen.principal))),
            Err(failure) => {
                self.0.remove(place);
                Err(failure)
            }
        }
    }
}

impl Seen {
    /// Holds the token against what has changed since it was last looked at.
    fn renew(&mut self, against: Against<'_>, epoch: u64) -> Result<(), TokenError> {
        if against.tokens.is_revoked(&self.claims) {
            return Err(TokenError::Revoked);
        }
        let (principal, _) = principal(&self.claims, against)?;
        // Most changes are somebody else's: then everybody goes on with the same one.
        if principal != *self.principal {
            self.principal = Arc::new(principal);
        }
        self.epoch = epoch;
        Ok(())
    }
}
