//! Access tokens: verified once per worker, afterwards a look at a handle.

use std::{
    fmt,
    hash::Hasher,
    sync::Arc,
    time::{Duration, Instant},
};

use siphasher::sip128::{Hasher128, SipHasher24};

use super::cache::Cache;
use crate::{
    actors::{
        api_keys::{ApiKeys, KeyError},
        epoch::Epoch,
        tokens::{TokenError, Tokens, Verified, has_ended},
        users::Users,
    },
    domain::{AccessClaims, Principal, PrincipalKind, Recorded, Rotated, Timestamp},
    error::{Code, Coded},
    policy::{Roles, Standing, standing},
};

/// The keyed digest of a token.
type Digest = [u8; 16];

/// Half of the entries that one worker's cache may hold: 8 192 in all, about 2 KiB each.
const HALF: usize = 4_096;

/// Verified tokens of one worker thread. Bounded; failures are never kept.
///
/// A token is known again by its keyed digest: SipHash-2-4 with 128 bits under a secret of this worker, of
/// which nothing is ever shown. That takes half the time of a SHA-256, and less than to compare texts that
/// lie in memory by the thousand (measured).
pub(super) struct TokenCache {
    seen: Cache<Seen, 16>,
    secret: [u8; 16],
}

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
    /// The API keys.
    pub keys: &'a ApiKeys,
    /// What roles give.
    pub roles: &'a Roles,
    /// Moves whenever one of these may have changed.
    pub epoch: &'a Epoch,
}

/// A token that verified, as of an epoch. What each request looks at lies together.
struct Seen {
    principal: Arc<Principal>,
    exp: u64,
    /// When the key that signed it retires.
    until: Option<Timestamp>,
    epoch: u64,
    claims: Box<AccessClaims>,
}

impl Default for TokenCache {
    fn default() -> Self {
        Self { seen: Cache::new(HALF), secret: rand::random() }
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
    /// The key that it showed has a successor.
    pub rotated: Option<Rotated>,
}

/// Why a credential proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A token that does not hold.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A key that does not hold.
    #[error(transparent)]
    ApiKey(#[from] KeyError),
}

impl AuthError {
    /// What the record says that the caller is not told, as a JSON object.
    pub fn detail(&self) -> Option<serde_json::Value> {
        match self {
            Self::ApiKey(KeyError::Refused { why, key }) => {
                Some(serde_json::json!({ "api_key": why.as_str(), "key_id": key }))
            }
            _ => None,
        }
    }
}

impl Coded for AuthError {
    fn code(&self) -> Code {
        match self {
            Self::Token(e) => e.code(),
            Self::ApiKey(e) => e.code(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Token(e) => e.retry_after(),
            Self::ApiKey(e) => e.retry_after(),
        }
    }
}

/// Finds out who shows `token`.
///
/// A known token still answers three questions each time: has it ended, may our knowledge of revocations
/// and accounts be stale, and, only if the epoch has moved, was it revoked and what is its account worth now.
///
/// # Errors
/// Why it proves nothing, as an [`AuthError`]; nothing about the failure is kept.
pub(super) fn authenticate(
    token: &str,
    against: Against<'_>,
    cache: &mut TokenCache,
    (now, clock): (Timestamp, Instant),
) -> Result<Authenticated, AuthError> {
    against.tokens.check_fresh(clock, against.users.staleness(clock))?;
    if token.len() > crate::actors::tokens::MAX_TOKEN_BYTES {
        return Err(TokenError::Malformed.into());
    }
    let digest = cache.digest(token);
    if let Some(principal) = cache.known(&digest, against, now)? {
        return Ok(Authenticated { principal, first_sight: None, rotated: None });
    }
    // Read before the check, so a revocation in between is seen at the next use.
    let epoch = against.epoch.now();
    let Verified { claims, until } = against.tokens.first_sight(token, now)?;
    let (principal, unknown) = principal(&claims, against)?;
    let principal = Arc::new(principal);
    let (exp, claims) = (claims.exp, Box::new(claims));
    cache.seen.add(digest, Seen { principal: Arc::clone(&principal), exp, until, epoch, claims });
    Ok(Authenticated { principal, first_sight: Some(unknown), rotated: None })
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
        recorded: Recorded::default(),
    };
    Ok((principal, unknown))
}

/// What is kept of a token to look at it again.
#[derive(Debug)]
pub(super) struct TokenProof {
    until: Option<Timestamp>,
    claims: Box<AccessClaims>,
}

impl TokenProof {
    /// Whether it has ended, or the key that signed it has retired.
    pub(super) fn is_over(&self, against: Against<'_>, now: Timestamp) -> bool {
        has_ended(self.claims.exp, against.tokens.leeway(), now)
            || self.until.is_some_and(|until| until <= now)
    }

    /// Who its subject is now.
    pub(super) fn renew(&self, against: Against<'_>) -> Result<Arc<Principal>, TokenError> {
        if against.tokens.is_revoked(&self.claims) {
            return Err(TokenError::Revoked);
        }
        principal(&self.claims, against).map(|(principal, _)| Arc::new(principal))
    }
}

impl TokenCache {
    /// What to keep of `token`, if this worker has verified it.
    pub(super) fn proof(&self, token: &str) -> Option<TokenProof> {
        let seen = self.seen.peek(&self.digest(token))?;
        Some(TokenProof { until: seen.until, claims: seen.claims.clone() })
    }

    /// Whether this worker has verified `token` and not found it ended since; nothing is verified.
    pub(super) fn knows(&self, token: &str) -> bool {
        self.seen.peek(&self.digest(token)).is_some()
    }

    fn digest(&self, token: &str) -> Digest {
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write(token.as_bytes());
        hasher.finish128().as_bytes()
    }

    /// The principal of a token that this worker has verified before.
    fn known(
        &mut self,
        digest: &Digest,
        against: Against<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Principal>>, TokenError> {
        let Some(seen) = self.seen.find(digest) else { return Ok(None) };
        let epoch = against.epoch.now();
        let holds = if has_ended(seen.exp, against.tokens.leeway(), now) {
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
                self.seen.remove(digest);
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
