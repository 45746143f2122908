//! Limits that several servers share, with a store that is busy, slow or full of others.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{
    super::{
        LimitError, OnLoss, Scope,
        bucket::{Limit, Moment},
        fleet::{Fleet, Wanted},
        table::Id,
    },
    config,
    flow::House,
    millis, principal, rate, visit,
};
use crate::store::{self, Granted, LeaseAsk, Leases, StoreError, StoreFuture, Stores};

fn wanted(scope: Scope, id: u8) -> Wanted {
    Wanted { scope, id: Id([id; 16]), limit: Limit::new(rate(80, 10.0)), cost: 1 }
}

/// Under whose id the store is asked.
fn asked_as(fleet: &Fleet, scope: Scope, id: u8) -> [u8; 16] {
    let placed = fleet.placed(wanted(scope, id));
    let asked = fleet.ask(&placed, Moment::default()).take_question().remove(0).id;
    assert_eq!(asked, placed.id.0, "who waits together and what is asked are the same");
    asked
}

#[test]
fn a_fleets_addresses_push_out_no_user_and_who_has_no_place_shares_one_bucket() {
    let fleet = Fleet::new(OnLoss::default(), 2, Duration::from_secs(1));
    for id in [1, 2] {
        assert_eq!(asked_as(&fleet, Scope::Address, id), [id; 16]);
    }
    for id in [3, 4] {
        assert_eq!(asked_as(&fleet, Scope::Address, id), [0xff; 16], "there is no place");
    }
    for id in [1, 2] {
        assert_eq!(asked_as(&fleet, Scope::User, id), [id; 16], "users have places of their own");
    }
    assert_eq!(asked_as(&fleet, Scope::Address, 1), [1; 16], "who has a place keeps it");
}

/// A store that answers each question so, after a while.
struct Says(Result<Granted, StoreError>, Duration, AtomicU32);

impl Leases for Says {
    fn lease(&self, _: Vec<LeaseAsk>) -> StoreFuture<'_, Vec<Granted>> {
        self.2.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            tokio::time::sleep(self.1).await;
            self.0.clone().map(|granted| vec![granted])
        })
    }

    fn beat(&self, _: Uuid) -> StoreFuture<'_, u32> {
        Box::pin(async { Ok(1) })
    }
}

async fn asks(says: Result<Granted, StoreError>, after: Duration) -> (Result<(), LimitError>, u32) {
    let leases = Arc::new(Says(says, after, AtomicU32::new(0)));
    let stores = Stores { leases: Some(Arc::<Says>::clone(&leases)), ..store::open("memory:").unwrap() };
    let house = House::with(&config(), stores).await;
    let turnstile = house.limiter().turnstile();
    let seen = visit("10.0.0.1", Instant::now());
    let passed = turnstile.principal(&seen, &principal("ann", "user"), None).await.map(drop);
    let asked = leases.2.load(Ordering::Relaxed);
    house.stop().await;
    (passed, asked)
}

#[actix::test]
async fn a_fleets_store_that_is_busy_is_not_lost_and_one_that_is_lost_or_unreadable_leaves_its_share() {
    let (passed, asked) = asks(Err(StoreError::Busy), Duration::ZERO).await;
    assert!(matches!(passed, Err(LimitError::Store(StoreError::Busy))), "{passed:?}");
    assert_eq!(asked, 1);
    for error in [StoreError::Corrupt("a bucket"), StoreError::Unavailable("gone".into())] {
        let (passed, asked) = asks(Err(error.clone()), Duration::ZERO).await;
        assert!(passed.is_ok(), "{error}: this server's share counts: {passed:?}");
        assert_eq!(asked, 1, "{error}");
    }
}

#[actix::test]
async fn a_request_asks_a_fleets_slow_store_only_for_a_while() {
    let none = Granted { calls: 0, left: 0, wait: Duration::ZERO };
    for (each, least, most) in [(millis(150), 1, 5), (millis(60_000), 1, 1)] {
        let began = Instant::now();
        let (passed, asked) = asks(Ok(none), each).await;
        assert!(matches!(passed, Err(LimitError::Store(StoreError::Busy))), "{passed:?}");
        assert!((least..=most).contains(&asked), "{asked} questions");
        assert!(began.elapsed() < millis(5_000), "{:?}", began.elapsed());
    }
}
