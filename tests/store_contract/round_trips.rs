//! How often a Redis is asked: what takes credentials back must be done within its time on a slow way too.

use std::{collections::BTreeMap, time::Duration};

use portcullis::{
    domain::Timestamp,
    store::{
        self, FamilyAccess, MOST_ACCESS, MOST_FAMILIES, Revocation, RevocationTarget, Rotated, Rotation,
        Stores, UserChange,
    },
};
use uuid::Uuid;

use super::{
    families::{family, rotation},
    nodes::{
        Node,
        counted::{between, calls},
        proxy::{Fault, Proxy},
    },
    user, wait,
};

const HOUR: Duration = Duration::from_hours(1);
/// What each answer takes on the slow way. A question has 400 ms, a transaction four times that.
const SLOW: Duration = Duration::from_millis(15);

fn open(port: u16) -> Stores {
    store::open(&format!("redis://127.0.0.1:{port}")).unwrap()
}

fn lasting(target: RevocationTarget) -> Revocation {
    let at = Timestamp::now();
    Revocation { target, at, until: at.plus(HOUR) }
}

/// So many round trips came between: each begins with a PING, or is the running of a script.
fn asked(before: &BTreeMap<String, u64>, node: &Node) -> u64 {
    let more = between(before, &calls(node));
    more.get("ping").copied().unwrap_or(0)
}

/// A family with so many access tokens that are good.
fn exchanged(stores: &Stores, id: &str, subject: &str, tokens: usize) {
    let now = Timestamp::now();
    let access = |n: usize| FamilyAccess { jti: format!("{id}-access-{n}"), until: now.plus(HOUR) };
    let one = portcullis::store::Family { expires_at: now.plus(HOUR), ..family(id, subject) };
    wait(stores.families.found(&one, &access(0), now)).unwrap();
    for n in 1..tokens {
        let next = Rotation {
            family: id.into(),
            access: access(n),
            at: Timestamp::now(),
            expires_at: now.plus(HOUR),
            ..rotation(&format!("{id}-{n}"), &format!("{id}-{}", n + 1), 0)
        };
        assert_eq!(wait(stores.families.rotate(&next)), Ok(Rotated::Done));
    }
}

#[test]
fn what_is_put_back_is_asked_for_a_few_times_however_much_it_is() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(node.port);
    let mut asked_for = Vec::new();
    for many in [1, 64] {
        for kind in [RevocationTarget::Jti, RevocationTarget::Subject, RevocationTarget::Client] {
            let lost: Vec<_> = (0..many).map(|n| lasting(kind(format!("lost-{many}-{n}")))).collect();
            let before = calls(&node);
            assert_eq!(wait(stores.revocations.restore(&lost)), Ok(many));
            asked_for.push(asked(&before, &node));
        }
    }
    let (one, all) = asked_for.split_at(3);
    assert_eq!(one, all, "one, and sixty-four");
    assert!(all.iter().all(|asked| (1..=6).contains(asked)), "{all:?}");
}

#[test]
fn sixty_four_revocations_are_put_back_over_a_slow_way_with_the_families_of_their_tokens() {
    let node = Node::start("save \"\"", &[]);
    let proxy = Proxy::to(node.port);
    let stores = open(proxy.port);
    let mut lost = Vec::new();
    for n in 0..64 {
        let id = format!("f{n}");
        exchanged(&stores, &id, &format!("ann-{n}"), 2);
        // By the family, by the refresh token that counts, and by an access token, which ends no family.
        let name = match n % 3 {
            0 => id,
            1 => format!("{id}-2"),
            _ => format!("{id}-access-0"),
        };
        lost.push(lasting(RevocationTarget::Jti(name)));
    }
    proxy.set(Fault::Slow(SLOW));
    assert_eq!(wait(stores.revocations.restore(&lost)), Ok(64));
    proxy.set(Fault::None);
    for n in 0..64 {
        let there = wait(stores.families.find(&format!("f{n}"))).unwrap().is_some();
        assert_eq!(there, n % 3 == 2, "f{n}");
    }
    // Their own, and those of both access tokens of 43 families.
    assert_eq!(wait(stores.revocations.live(Timestamp::now())).unwrap().len(), 64 + 2 * 43);
}

#[test]
fn a_subject_whose_families_have_many_tokens_is_taken_back_over_a_slow_way() {
    let node = Node::start("save \"\"", &[]);
    let proxy = Proxy::to(node.port);
    let stores = open(proxy.port);
    let mut asked_for = Vec::new();
    for tokens in [1, MOST_ACCESS] {
        let subject = format!("ann-{tokens}");
        exchanged(&stores, &format!("of-{tokens}"), &subject, tokens);
        let before = calls(&node);
        proxy.set(Fault::Slow(SLOW));
        let revocation = lasting(RevocationTarget::Subject(subject));
        wait(stores.revocations.revoke(&revocation)).unwrap();
        proxy.set(Fault::None);
        asked_for.push(asked(&before, &node));
        assert_eq!(wait(stores.families.find(&format!("of-{tokens}"))), Ok(None));
    }
    assert!(asked_for[0] == asked_for[1] && asked_for[1] <= 10, "{asked_for:?}");
    // Each of both subjects, and each token.
    assert_eq!(wait(stores.revocations.live(Timestamp::now())).unwrap().len(), 2 + 1 + MOST_ACCESS);
}

#[test]
fn an_exchange_writes_as_little_with_many_tokens_as_with_few() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(node.port);
    let set_by_one = |id: &str, tokens: usize| {
        exchanged(&stores, id, id, tokens);
        let before = calls(&node);
        let now = Timestamp::now();
        let next = Rotation {
            family: id.into(),
            access: FamilyAccess { jti: format!("{id}-next"), until: now.plus(HOUR) },
            at: now,
            expires_at: now.plus(HOUR),
            ..rotation(&format!("{id}-{tokens}"), &format!("{id}-x"), 0)
        };
        assert_eq!(wait(stores.families.rotate(&next)), Ok(Rotated::Done));
        between(&before, &calls(&node))["set"]
    };
    // The family, its refresh token, its access token.
    assert_eq!([set_by_one("few", 1), set_by_one("many", MOST_ACCESS - 1)], [3, 3]);
    // One more is one too many: the revocation of the oldest comes with it.
    assert_eq!(set_by_one("most", MOST_ACCESS), 4);
}

#[test]
fn a_subject_is_taken_back_before_its_families_are_ended_and_whatever_becomes_of_them() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(node.port);
    wait(stores.users.add(&user("bob"), "digest", false)).unwrap();
    for subject in ["ann", "bob"] {
        for n in 0..MOST_FAMILIES / 2 {
            exchanged(&stores, &format!("{subject}-{n}"), subject, 1);
        }
        // One of them cannot be ended.
        let kept = node.ask(&format!("GET portcullis:family:{subject}-0")).unwrap();
        node.say(&["SET", &format!("portcullis:family:{subject}-0"), "x"]);
        let revocation = lasting(RevocationTarget::Subject(subject.into()));
        let ended = if subject == "ann" {
            wait(stores.revocations.revoke(&revocation))
        } else {
            let change = UserChange::Password { hash: "other".into(), revocation };
            wait(stores.users.change(&subject.parse().unwrap(), &change, &["admin".into()]))
        };
        assert!(ended.is_err(), "{subject}: it is not all done");
        let live = wait(stores.revocations.live(Timestamp::now())).unwrap();
        let is_ours = |one: &Revocation| one.target == RevocationTarget::Subject(subject.into());
        assert!(live.iter().any(is_ours), "{subject}: what was issued is taken back");
        // As it is between the two steps, and then asked for again.
        node.say(&["SET", &format!("portcullis:family:{subject}-0"), &kept]);
        let at = Timestamp::now();
        let next =
            Rotation { family: format!("{subject}-0"), at, ..rotation(&format!("{subject}-0-1"), "x", 0) };
        assert_eq!(wait(stores.families.rotate(&next)), Ok(Rotated::Gone), "{subject}: none is renewed");
        wait(stores.revocations.revoke(&lasting(RevocationTarget::Subject(subject.into())))).unwrap();
        let index = format!("ZCARD portcullis:families:subject:{subject}");
        assert_eq!(node.ask(&index).as_deref(), Some(":0"), "{subject}");
        // Whoever logs in again is let in, and goes on.
        let id = Uuid::now_v7().to_string();
        exchanged(&stores, &id, subject, 2);
    }
}
