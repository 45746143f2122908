//! The JWT manager as a whole: pairs, first sights, revocation, retired keys, a clock that is put back.

use std::sync::{
    Barrier,
    atomic::{AtomicU32, Ordering},
};

use actix::Arbiter;
use sha2::{Digest, Sha256};

use super::*;
use crate::{domain::Algorithm, settings::generated, store};

const WEEK: Duration = Duration::from_secs(7 * 86_400);
const HOUR: Duration = Duration::from_secs(3_600);

/// A ring whose one key is for `algorithm` and retires at `retires`.
fn ring(algorithm: Algorithm, retires: Option<Timestamp>) -> Keyring {
    let folder = tempfile::tempdir().unwrap();
    let key = generated::private_key(folder.path(), algorithm).unwrap();
    let rules = TokenRules {
        issuer: "https://a.example".into(),
        audience: vec!["https://a.example/mcp".into()],
        leeway: Duration::from_secs(5),
        max_ttl: HOUR,
    };
    Keyring::new(SigningKey::named("k", &key, retires).unwrap(), [], rules).unwrap()
}

fn request() -> MintRequest {
    MintRequest {
        subject: "ada".parse().unwrap(),
        client: "cli".into(),
        roles: Vec::new(),
        permissions: Vec::new(),
        ttl: HOUR,
    }
}

async fn manager(keyring: Keyring) -> Tokens {
    let stores = store::open("memory:").unwrap();
    let epoch = Epoch::default();
    Tokens::start(&Arbiter::new().handle(), keyring, (&stores, 0), (OnStale::Deny, &epoch)).await.unwrap()
}

fn sight(tokens: &Tokens, token: &str) -> Result<Verified, TokenError> {
    tokens.first_sight(token, Timestamp::now())
}

#[actix::test]
async fn a_pair_is_minted_at_one_moment_and_ends_with_its_subject_or_its_family() {
    let tokens = manager(ring(Algorithm::Es256, None)).await;
    let pair = |family: &str| tokens.mint_pair(request(), family.to_owned(), WEEK);
    let (one, two) = (pair("one").await.unwrap(), pair("two").await.unwrap());
    assert_eq!(one.access.claims.iat, one.refresh.claims.iat);
    assert_eq!(issued_at(&one.access.claims).millis(), keyring::issued(&one.refresh.claims.jti, 0).millis());
    let now = Timestamp::now();
    assert_eq!(tokens.verify_refresh(&one.refresh.token, now).unwrap().family, "one");
    assert!(matches!(tokens.verify_refresh(&one.access.token, now), Err(TokenError::WrongType)));
    assert!(matches!(sight(&tokens, &one.refresh.token), Err(TokenError::WrongType)));

    tokens.revoke(RevocationTarget::Jti("one".into()), WEEK).await.unwrap();
    assert!(matches!(tokens.verify_refresh(&one.refresh.token, now), Err(TokenError::Revoked)));
    assert!(tokens.verify_refresh(&two.refresh.token, now).is_ok());
    tokens.revoke(RevocationTarget::Subject("ada".into()), WEEK).await.unwrap();
    assert!(matches!(tokens.verify_refresh(&two.refresh.token, now), Err(TokenError::Revoked)));
    assert!(matches!(sight(&tokens, &two.access.token), Err(TokenError::Revoked)));
}

#[actix::test]
async fn a_token_that_was_seen_is_asked_for_its_revocation_all_the_same() {
    let tokens = manager(ring(Algorithm::EdDsa, None)).await;
    let minted = tokens.mint(request()).await.unwrap();
    assert_eq!(sight(&tokens, &minted.token).unwrap().claims, minted.claims);
    assert_eq!(sight(&tokens, &minted.token).unwrap().claims, minted.claims);
    tokens.revoke(RevocationTarget::Jti(minted.claims.jti), HOUR).await.unwrap();
    assert!(matches!(sight(&tokens, &minted.token), Err(TokenError::Revoked)));
}

#[test]
fn sixty_four_first_sights_of_one_costly_token_are_one_verification() {
    let (keyring, now) = (ring(Algorithm::Es256, None), Timestamp::now());
    let token = keyring.mint(&request(), now).unwrap().token;
    let digest: [u8; 32] = Sha256::digest(&token).into();
    let (recent, count, gate) = (Recent::default(), AtomicU32::new(0), Barrier::new(64));
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                gate.wait();
                let verify = || {
                    count.fetch_add(1, Ordering::Relaxed);
                    keyring.verify_until(&token, now)
                };
                recent.find_or(digest, (Duration::ZERO, now), verify).unwrap();
            });
        }
    });
    assert_eq!(count.into_inner(), 1);
}

#[actix::test]
async fn a_key_that_retires_while_the_server_runs_mints_nothing_and_says_so() {
    let tokens = manager(ring(Algorithm::Es256, Some(Timestamp::now().minus(HOUR)))).await;
    let refused = tokens.mint(request()).await.unwrap_err();
    assert!(refused.to_string().contains("put a new key first in jwt.keys"), "{refused}");
    assert!(matches!(tokens.mint_pair(request(), "f".into(), WEEK).await, Err(TokenError::Retired)));
    assert!(tokens.public_keys(Timestamp::now()).is_empty());
}

#[actix::test]
async fn a_clock_that_is_put_back_an_hour_puts_no_token_before_another_and_none_beyond_revocation() {
    let tokens = manager(ring(Algorithm::Es256, None)).await;
    // As if a token had been issued an hour from now, and the clock put back afterwards.
    tokens.shared.steady.issue(Timestamp::now().plus(HOUR));
    assert!(tokens.clock_behind(Timestamp::now()) > Duration::from_secs(3_590));
    let mut last = Timestamp::from_secs(0);
    for _ in 0..10 {
        let minted = tokens.mint(request()).await.unwrap();
        assert!(issued_at(&minted.claims).millis() > last.millis());
        last = issued_at(&minted.claims);
        assert!(sight(&tokens, &minted.token).is_ok(), "a token of ours is not of the future");
    }
    let before = tokens.mint(request()).await.unwrap();
    // Whoever revokes elsewhere goes by the clock as it is now.
    let row = Change {
        id: 1,
        at: Timestamp::now(),
        what: ChangeKind::Revoked(Revocation {
            target: RevocationTarget::Subject("ada".into()),
            at: Timestamp::now(),
            until: Timestamp::now().plus(WEEK),
        }),
    };
    tokens.deliver(&[row], crate::actors::feed::Upto { row: 1, at: std::time::Instant::now() }).unwrap();
    let after = tokens.mint(request()).await.unwrap();
    assert!(matches!(sight(&tokens, &before.token), Err(TokenError::Revoked)));
    assert!(sight(&tokens, &after.token).is_ok(), "a new token of the same user");
}
