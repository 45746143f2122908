//! Logging in as a whole, on a store in memory and with digests that cost next to nothing.

use actix::Arbiter;
use futures_util::{FutureExt, future::join_all};
use uuid::Uuid;

use super::*;
use crate::{
    error::{Code, Coded},
    store,
};

const RIGHT: &str = "correct horse battery";

async fn users(names: u32) -> (Users, Stores) {
    let stores = store::open("memory:").unwrap();
    let hasher = Arc::new(Hasher::new(HashCost { memory_kib: 16, passes: 1 }).unwrap());
    let hash = hasher.hash(&RIGHT.parse().unwrap()).unwrap();
    for n in 0..names {
        let user = User {
            id: Uuid::now_v7(),
            username: format!("known{n}").parse().unwrap(),
            roles: vec!["user".into()],
            active: true,
            created_at: Timestamp::now(),
            last_login: None,
        };
        assert!(stores.users.add(&user, &hash, false).await.unwrap());
    }
    let arbiter = Arbiter::new().handle();
    let users = Users::start(&arbiter, (&stores, 0), (hasher, &Epoch::default())).await.unwrap();
    (users, stores)
}

async fn login(users: &Users, name: &str, password: &str) -> Result<Proved, UsersError> {
    login_from(users, "192.0.2.1", (name, password)).await
}

async fn login_from(users: &Users, ip: &str, (name, password): (&str, &str)) -> Result<Proved, UsersError> {
    users.login(name, password.parse().unwrap(), ip.parse().ok()).await
}

/// Every turn that there is to have a password looked at.
fn all_turns(users: &Users) -> Vec<hashing::Turn> {
    std::iter::from_fn(|| users.hasher.turn().now_or_never()?.ok()).collect()
}

#[actix::test]
async fn a_thousand_wrong_logins_cost_the_same_whether_or_not_the_names_are_somebodys() {
    let (users, _) = users(500).await;
    let mut runs = Vec::new();
    for kind in ["known", "nobody"] {
        let before = users.hasher.runs();
        for n in 0..500 {
            let refused = login(&users, &format!("{kind}{n}"), "wrong horse battery").await.err().unwrap();
            assert_eq!(refused.code(), Code::InvalidLogin);
        }
        runs.push(users.hasher.runs() - before);
    }
    assert_eq!(runs, [500, 500]);
}

#[actix::test]
async fn many_tries_at_once_count_as_many() {
    let (users, _) = users(1).await;
    let answers = join_all((0..20).map(|_| login(&users, "known0", "wrong horse battery"))).await;
    let waits = answers.iter().filter(|answer| matches!(answer, Err(UsersError::Wait(_)))).count();
    assert_eq!((waits, users.hasher.runs()), (15, 5));
}

#[actix::test]
async fn the_right_password_gives_the_account_and_forgives_the_wrong_ones() {
    let (users, _) = users(1).await;
    for _ in 0..3 {
        for _ in 0..4 {
            assert!(matches!(login(&users, "known0", "wrong horse battery").await, Err(UsersError::Wrong)));
        }
        assert_eq!(login(&users, "known0", RIGHT).await.ok().unwrap().user.username.as_str(), "known0");
    }
}

#[actix::test]
async fn where_a_name_has_logged_in_it_waits_for_nobody_else_and_ipv6_counts_by_its_network() {
    let (users, _) = users(1).await;
    for home in ["198.51.100.1", "2001:db8:1:2::1"] {
        assert!(login_from(&users, home, ("known0", RIGHT)).await.is_ok());
    }
    let mut waits = 0;
    for bot in 0..60 {
        let refused = login_from(&users, &format!("192.0.2.{bot}"), ("known0", "wrong horse battery")).await;
        waits += u32::from(matches!(refused, Err(UsersError::Wait(_))));
    }
    assert_eq!(waits, 55);
    for home in ["198.51.100.1", "2001:db8:1:2::1", "2001:db8:1:2:ffff::7", "::ffff:198.51.100.1"] {
        assert!(login_from(&users, home, ("known0", RIGHT)).await.is_ok(), "{home}");
    }
    let elsewhere = login_from(&users, "2001:db8:1:3::1", ("known0", RIGHT)).await;
    assert!(matches!(elsewhere, Err(UsersError::Wait(_))));
}

#[actix::test]
async fn a_try_that_finds_no_room_or_gives_up_before_it_is_looked_at_does_not_count() {
    let (users, _) = users(1).await;
    let held = all_turns(&users);
    for _ in 0..20 {
        let mut waiting = Box::pin(login(&users, "known0", RIGHT));
        while users.hasher.waiting() == 0 {
            assert!((&mut waiting).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
    }
    // As many as may wait, and then twenty more.
    let names: Vec<_> = (0..32).map(|n| format!("nobody{n}")).collect();
    let mut others: Vec<_> = names.iter().map(|name| Box::pin(login(&users, name, RIGHT))).collect();
    while users.hasher.waiting() < 32 {
        others.iter_mut().for_each(|other| assert!(other.now_or_never().is_none()));
        tokio::task::yield_now().await;
    }
    for _ in 0..20 {
        assert!(matches!(login(&users, "known0", RIGHT).await, Err(UsersError::Busy)));
    }
    drop((held, others));
    for _ in 0..4 {
        assert!(matches!(login(&users, "known0", "wrong horse battery").await, Err(UsersError::Wrong)));
    }
    assert!(login(&users, "known0", RIGHT).await.is_ok());
}

#[actix::test]
async fn a_panic_of_the_actor_forgives_nothing_and_forgets_no_home() {
    let (users, _) = users(1).await;
    assert!(login_from(&users, "198.51.100.1", ("known0", RIGHT)).await.is_ok());
    let before = Instant::now();
    for _ in 0..5 {
        assert!(matches!(login(&users, "known0", "wrong horse battery").await, Err(UsersError::Wrong)));
    }
    users.fault().unwrap();
    while users.vitals().restarts == 0 || !users.seat.is_alive() {
        tokio::task::yield_now().await;
    }
    // Asked as of then: a busy machine may take longer for all this than a stranger has to wait.
    let stranger = Who { name: Id::of_name("known0"), place: Some(Id::of_address("192.0.2.1".parse().ok())) };
    assert!(users.shared.backoff.lock().attempt(stranger, before).is_err());
    assert!(login_from(&users, "198.51.100.1", ("known0", RIGHT)).await.is_ok());
}

#[actix::test]
async fn a_name_that_only_begins_like_one_is_nobodys() {
    let (users, _) = users(1).await;
    for name in ["known0\u{0}", "KNOWN0", " known0", "", &"known0".repeat(100)] {
        assert!(matches!(login(&users, name, RIGHT).await, Err(UsersError::Wrong)), "{name:?}");
    }
}

#[actix::test]
async fn while_the_actor_is_down_nobody_logs_in_and_the_accounts_stay() {
    let (users, _) = users(1).await;
    users.seat.retire();
    users.fault().unwrap();
    while users.seat.is_alive() {
        tokio::task::yield_now().await;
    }
    let refused = login(&users, "known0", RIGHT).await.err().unwrap();
    assert_eq!(refused.code(), Code::Overloaded);
    assert!(refused.retry_after().is_some());
    assert!(users.find("known0").is_some(), "the table outlives the actor");
}

#[actix::test]
async fn a_password_that_is_changed_while_it_is_proved_proves_nothing() {
    let (users, stores) = users(1).await;
    let proved = login(&users, "known0", RIGHT).await.ok().unwrap();
    assert!(users.note_login(&proved).await.is_ok());
    let now = Timestamp::now();
    let target = store::RevocationTarget::Subject("known0".into());
    let revocation = store::Revocation { target, at: now, until: now };
    let change = store::UserChange::Password { hash: "another".into(), revocation };
    stores.users.change(&proved.user.username, &change, &[]).await.unwrap();
    assert!(matches!(users.note_login(&proved).await, Err(UsersError::Wrong)));
}
