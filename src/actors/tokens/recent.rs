//! Tokens that some worker has just verified: of many first sights at once, one is computed.
//!
//! Every worker keeps what it has verified for itself (`auth::TokenCache`), so a new token is seen for the
//! first time once a worker. Where a signature costs far more than a digest, these sights share one look.

use std::{fmt, sync::Arc, time::Duration};

use moka::{policy::EvictionPolicy, sync::Cache};

use super::{TokenError, Verified, has_ended};
use crate::domain::Timestamp;

/// Most tokens kept, about 1 KiB each; the one that was not used for longest goes first.
const MOST: u64 = 8_192;
/// How long one is kept: until the last worker has seen it, not for good.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Tokens whose signature held lately, by the SHA-256 of their text. Failures are never kept.
pub(super) struct Recent(Cache<[u8; 32], Arc<Verified>>);

impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").field("entries", &self.0.entry_count()).finish()
    }
}

impl Default for Recent {
    fn default() -> Self {
        let built = Cache::builder()
            .max_capacity(MOST)
            .time_to_live(KEPT_FOR)
            // By default what is new may be turned away in favour of what is used often.
            .eviction_policy(EvictionPolicy::lru());
        Self(built.build())
    }
}

impl Recent {
    /// The token with this `digest`: as it was verified lately, or by `verify`. Whoever asks for the same one
    /// meanwhile waits for that, on its own thread and for no longer than one verification.
    ///
    /// What may have changed since is asked again: its end, and that of its key. Revocation is not this
    /// table's question at all.
    ///
    /// # Errors
    /// Why the token does not hold.
    pub(super) fn find_or(
        &self,
        digest: [u8; 32],
        (leeway, now): (Duration, Timestamp),
        verify: impl Fn() -> Result<Verified, TokenError>,
    ) -> Result<Arc<Verified>, TokenError> {
        match self.0.try_get_with(digest, || verify().map(Arc::new)) {
            Ok(verified) if has_ended(verified.claims.exp, leeway, now) => Err(TokenError::Expired),
            Ok(verified) if verified.until.is_some_and(|until| until <= now) => Err(TokenError::UnknownKey),
            Ok(verified) => Ok(verified),
            // Several waited for the failure, and none of them owns it: each finds its own.
            Err(shared) => Err(match Arc::into_inner(shared) {
                Some(failure) => failure,
                None => return verify().map(Arc::new),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::domain::{AccessClaims, Audience};

    const NOW: u64 = 1_800_000_000;

    fn verified(exp: u64, until: Option<u64>) -> Verified {
        let claims = AccessClaims {
            iss: "i".into(),
            sub: "ada".into(),
            aud: Audience::One("a".into()),
            jti: "j".into(),
            iat: NOW,
            nbf: NOW,
            exp,
            client_id: "c".into(),
            kind: "access".into(),
            username: "ada".into(),
            roles: Vec::new(),
            permissions: Vec::new(),
        };
        Verified { claims, until: until.map(Timestamp::from_secs) }
    }

    fn at(secs: u64) -> (Duration, Timestamp) {
        (Duration::ZERO, Timestamp::from_secs(secs))
    }

    #[test]
    fn a_failure_is_everybodys_own_and_is_not_kept() {
        let (recent, gate) = (Recent::default(), Barrier::new(16));
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    gate.wait();
                    let failed = recent.find_or([7; 32], at(NOW), || Err(TokenError::Signature));
                    assert!(matches!(failed, Err(TokenError::Signature)));
                });
            }
        });
        assert!(recent.find_or([7; 32], at(NOW), || Ok(verified(NOW + 60, None))).is_ok());
    }

    #[test]
    fn the_end_of_the_token_and_of_its_key_hold_for_what_is_kept() {
        let recent = Recent::default();
        let never = || -> Result<Verified, TokenError> { Err(TokenError::Signing) };
        for (digest, exp, until, expected) in
            [([1; 32], NOW + 60, None, "Expired"), ([2; 32], NOW + 90, Some(NOW + 60), "UnknownKey")]
        {
            recent.find_or(digest, at(NOW), || Ok(verified(exp, until))).unwrap();
            assert!(recent.find_or(digest, at(NOW + 59), never).is_ok());
            let ended = recent.find_or(digest, at(NOW + 60), never).unwrap_err();
            assert_eq!(format!("{ended:?}"), expected);
        }
    }

    #[test]
    fn it_never_outgrows_its_bound() {
        let recent = Recent::default();
        for n in 0..20_000_u32 {
            let mut digest = [0; 32];
            digest[..4].copy_from_slice(&n.to_le_bytes());
            recent.find_or(digest, at(NOW), || Ok(verified(NOW + 60, None))).unwrap();
        }
        recent.0.run_pending_tasks();
        assert!(recent.0.entry_count() <= MOST, "{recent:?}");
    }
}
