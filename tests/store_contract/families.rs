//! Refresh families as every backend keeps them: one exchange wins, the grace repeats it, a copy ends all.

use std::{collections::BTreeSet, thread, time::Duration};

use portcullis::{
    domain::Timestamp,
    store::{
        ChangeKind, Family, FamilyAccess, FamilyOf, MOST_ACCESS, MOST_FAMILIES, MadeRoom, Revocation,
        RevocationTarget, Rotated, Rotation, StoreError, Stores,
    },
};

use super::{Backend, backends, live, sqlite, wait};

const GRACE: Duration = Duration::from_secs(5);

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

pub(super) fn access(jti: &str, until: u64) -> FamilyAccess {
    FamilyAccess { jti: jti.into(), until: at(until) }
}

pub(super) fn family(id: &str, subject: &str) -> Family {
    Family {
        id: id.into(),
        subject: subject.parse().unwrap(),
        client: "password".into(),
        roles: vec!["user".into(), "büro \"x\"".into()],
        permissions: vec!["files:read".into()],
        has_account: true,
        refresh: format!("{id}-1"),
        expires_at: at(1_000),
    }
}

/// `shown` of family `f` at `now` for the successor `next`, with an access token of its own.
pub(super) fn rotation(shown: &str, next: &str, now: u64) -> Rotation {
    Rotation {
        family: "f".into(),
        shown: shown.into(),
        successor: next.into(),
        access: access(&format!("access-{next}"), now + 100),
        sealed: next.as_bytes().to_vec(),
        at: at(now),
        grace: GRACE,
        expires_at: at(now + 1_000),
    }
}

fn rotate(stores: &Stores, shown: &str, next: &str, now: u64) -> Rotated {
    wait(stores.families.rotate(&rotation(shown, next, now))).unwrap()
}

fn found(stores: &Stores, family: &Family, first: &FamilyAccess) {
    let room = wait(stores.families.found(family, first, at(0))).unwrap();
    assert_eq!(room, MadeRoom::default(), "there was room");
}

fn revoked(jti: &str, now: u64, until: u64) -> Revocation {
    Revocation { target: RevocationTarget::Jti(jti.into()), at: at(now), until: at(until) }
}

fn told(stores: &Stores) -> BTreeSet<Revocation> {
    let changes = wait(stores.feed.changes_after(0)).unwrap().into_iter();
    let revoked = changes.map(|change| match change.what {
        ChangeKind::Revoked(revocation) => revocation,
        other => panic!("{other:?}"),
    });
    revoked.collect()
}

#[test]
fn a_family_reads_as_it_was_founded_and_its_id_is_taken() {
    for Backend { name, stores, .. } in backends() {
        let ann = family("f", "ann");
        assert_eq!(wait(stores.families.find("f")), Ok(None), "{name}");
        found(&stores, &ann, &access("a", 100));
        assert_eq!(wait(stores.families.find("f")), Ok(Some(ann.clone())), "{name}");
        let again = wait(stores.families.found(&ann, &access("b", 100), at(0)));
        assert!(matches!(again, Err(StoreError::Taken(_))), "{name}");
    }
}

#[test]
fn each_exchange_makes_way_for_the_next_and_repeats_within_the_grace() {
    for Backend { name, stores, .. } in backends() {
        found(&stores, &family("f", "ann"), &access("a", 100));
        assert_eq!(rotate(&stores, "f-1", "f-2", 10), Rotated::Done, "{name}");
        assert_eq!(rotate(&stores, "f-2", "f-3", 12), Rotated::Done, "{name}");
        let kept = wait(stores.families.find("f")).unwrap().unwrap();
        assert_eq!((&*kept.refresh, kept.expires_at), ("f-3", at(1_012)), "{name}");
        for now in [10, 12, 15] {
            assert_eq!(rotate(&stores, "f-1", "x", now), Rotated::Again(b"f-2".to_vec()), "{name} at {now}");
        }
        assert_eq!(rotate(&stores, "f-2", "x", 17), Rotated::Again(b"f-3".to_vec()), "{name}");
        assert_eq!(rotate(&stores, "f-3", "f-4", 17), Rotated::Done, "{name}");
        assert!(told(&stores).is_empty(), "{name}: nobody was logged out");
    }
}

#[test]
fn a_copy_ends_the_family_with_its_live_access_tokens_and_tells_everybody() {
    for Backend { name, stores, .. } in backends() {
        found(&stores, &family("f", "ann"), &access("a", 14));
        found(&stores, &family("g", "ann"), &access("other", 100));
        assert_eq!(rotate(&stores, "f-1", "f-2", 10), Rotated::Done, "{name}");
        assert_eq!(rotate(&stores, "f-2", "f-3", 11), Rotated::Done, "{name}");
        // The first access token is over by then, and needs no revocation.
        let expected = vec![revoked("access-f-2", 16, 110), revoked("access-f-3", 16, 111)];
        assert_eq!(rotate(&stores, "f-1", "x", 16), Rotated::Reused(expected.clone()), "{name}");
        let expected: BTreeSet<_> = expected.into_iter().collect();
        assert_eq!((live(&stores, 16), told(&stores)), (expected.clone(), expected), "{name}");
        for shown in ["f-1", "f-3"] {
            assert_eq!(rotate(&stores, shown, "x", 16), Rotated::Gone, "{name}");
        }
        assert!(wait(stores.families.find("g")).unwrap().is_some(), "{name}: another login lives on");
    }
}

#[test]
fn a_token_that_never_was_ends_the_family_too_and_an_ended_family_is_gone() {
    for Backend { name, stores, .. } in backends() {
        found(&stores, &family("f", "ann"), &access("a", 100));
        assert_eq!(rotate(&stores, "f-1", "f-2", 1_000), Rotated::Gone, "{name}: over");
        assert!(matches!(rotate(&stores, "forged", "x", 10), Rotated::Reused(_)), "{name}");
        assert_eq!(rotate(&stores, "f-1", "f-2", 10), Rotated::Gone, "{name}");
    }
}

#[test]
fn of_a_family_that_is_exchanged_ever_again_the_newest_access_tokens_are_good_and_the_oldest_revoked() {
    const ROTATIONS: u64 = 200;
    for Backend { name, stores, .. } in backends() {
        found(&stores, &family("f", "ann"), &access("first", 100_000));
        for n in 1..=ROTATIONS {
            // Each is good for longer than the one before, or, for a while, for as long.
            let until = 1_000 + n.max(50);
            let one = rotation(&format!("f-{n}"), &format!("f-{}", n + 1), 10);
            let one = Rotation { access: access(&format!("access-{n:03}"), until), ..one };
            assert_eq!(wait(stores.families.rotate(&one)), Ok(Rotated::Done), "{name}: {n}");
        }
        // The first of them ends last.
        let oldest = 1..=ROTATIONS - (MOST_ACCESS as u64 - 1);
        let expected: BTreeSet<_> =
            oldest.map(|n| revoked(&format!("access-{n:03}"), 10, 1_000 + n.max(50))).collect();
        assert_eq!(live(&stores, 10), expected, "{name}");
        assert_eq!(told(&stores), expected, "{name}: and everybody is told");
        let ended = wait(stores.families.end(&FamilyOf::Id("f".into()), at(10))).unwrap();
        let ended: BTreeSet<_> = ended.into_iter().collect();
        assert_eq!(ended.len(), MOST_ACCESS, "{name}");
        assert!(ended.contains(&revoked("access-200", 10, 1_200)), "{name}: the newest was good");
        assert!(ended.contains(&revoked("first", 10, 100_000)), "{name}");
    }
}

#[test]
fn an_access_token_is_known_by_its_family_however_often_that_was_exchanged_since() {
    for Backend { name, stores, .. } in backends() {
        found(&stores, &family("f", "ann"), &access("first", 1_000));
        for n in 1..4 {
            assert_eq!(rotate(&stores, &format!("f-{n}"), &format!("f-{}", n + 1), 10), Rotated::Done);
        }
        let ended = wait(stores.families.end(&FamilyOf::Access("first".into()), at(10))).unwrap();
        assert_eq!(ended.len(), 4, "{name}");
    }
}

#[test]
fn of_thirty_two_at_once_one_wins_and_the_others_get_what_it_got() {
    for Backend { name, stores, .. } in backends() {
        found(&stores, &family("f", "ann"), &access("a", 100));
        let one = |n: usize| rotate(&stores, "f-1", &format!("next-{n}"), 10);
        let all: Vec<Rotated> = thread::scope(|threads| {
            let asked: Vec<_> = (0..32).map(|n| threads.spawn(move || one(n))).collect();
            asked.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winner = wait(stores.families.find("f")).unwrap().unwrap().refresh;
        let again = Rotated::Again(winner.into_bytes());
        assert_eq!(all.iter().filter(|rotated| **rotated == Rotated::Done).count(), 1, "{name}");
        assert_eq!(all.iter().filter(|rotated| **rotated == again).count(), 31, "{name}");
    }
}

#[test]
fn a_family_ends_by_its_id_or_by_an_access_token_of_it() {
    for Backend { name, stores, .. } in backends() {
        for (id, which) in [("f", FamilyOf::Id("f".into())), ("g", FamilyOf::Access("a-g".into()))] {
            found(&stores, &family(id, "ann"), &access(&format!("a-{id}"), 100));
            let ended = wait(stores.families.end(&which, at(10))).unwrap();
            assert_eq!(ended, [revoked(&format!("a-{id}"), 10, 100)], "{name}");
            assert_eq!(wait(stores.families.find(id)), Ok(None), "{name}");
            assert_eq!(wait(stores.families.end(&which, at(10))), Ok(vec![]), "{name}: once");
        }
        assert_eq!(told(&stores).len(), 2, "{name}");
    }
}

#[test]
fn one_login_too_many_ends_the_one_that_was_not_used_for_longest() {
    for Backend { name, stores, .. } in backends() {
        let most = MOST_FAMILIES as u64;
        // As their ids are, and each a second later: the first has the shortest life left, then is used again.
        for n in 0..most {
            let one = Family { expires_at: at(1_000 + n), ..family(&format!("n{n:02}"), "ann") };
            found(&stores, &one, &access(&format!("a{n:02}"), 100));
        }
        found(&stores, &family("f", "bob"), &access("bobs", 100));
        let used = Rotation { family: "n00".into(), ..rotation("n00-1", "n00-2", 500) };
        assert_eq!(wait(stores.families.rotate(&used)), Ok(Rotated::Done), "{name}");
        let another = |id: &str, now| {
            let one = Family { expires_at: at(2_000), ..family(id, "ann") };
            wait(stores.families.found(&one, &access(&format!("of-{id}"), 2_000), at(now))).unwrap()
        };
        let expected = MadeRoom { ended: vec!["n01".into()], revocations: vec![revoked("a01", 50, 100)] };
        assert_eq!(another("m1", 50), expected, "{name}");
        assert_eq!(live(&stores, 50), [revoked("a01", 50, 100)].into(), "{name}");
        assert_eq!(told(&stores).len(), 1, "{name}: everybody is told");
        // Its access token is over by itself, and needs no revocation.
        let expected = MadeRoom { ended: vec!["n02".into()], revocations: vec![] };
        assert_eq!(another("m2", 100), expected, "{name}");
        let there = |id: &str| wait(stores.families.find(id)).unwrap().is_some();
        assert_eq!(
            ["n00", "n01", "n02", "n03", "m1", "m2", "f"].map(there),
            [true, false, false, true, true, true, true]
        );
        // Whatever has ended by itself takes nobody's place.
        assert_eq!(another("m3", 1_010), MadeRoom::default(), "{name}");
    }
}

#[test]
fn it_is_the_last_use_that_counts_and_not_how_long_a_login_would_still_hold() {
    for Backend { name, stores, .. } in backends() {
        // Each was founded a second later, and holds for less: somebody has shortened the setting meanwhile.
        for n in 0..MOST_FAMILIES as u64 {
            let one = Family { expires_at: at(2_000 - n), ..family(&format!("n{n:02}"), "ann") };
            wait(stores.families.found(&one, &access(&format!("a{n:02}"), 5), at(n))).unwrap();
        }
        let used =
            Rotation { family: "n00".into(), expires_at: at(1_000), ..rotation("n00-1", "n00-2", 100) };
        assert_eq!(wait(stores.families.rotate(&used)), Ok(Rotated::Done), "{name}");
        let another = Family { expires_at: at(900), ..family("m", "ann") };
        let room = wait(stores.families.found(&another, &access("of-m", 200), at(101))).unwrap();
        assert_eq!(room.ended, ["n01"], "{name}");
    }
}

#[test]
fn two_hundred_logins_at_once_leave_as_many_as_there_may_be() {
    for Backend { name, stores, .. } in backends() {
        let login = |n: usize| {
            let (one, first) = (family(&format!("n{n:03}"), "ann"), access(&format!("a{n}"), 100));
            wait(stores.families.found(&one, &first, at(10))).unwrap().ended.len()
        };
        let ended: usize = thread::scope(|threads| {
            let four: Vec<_> = (0..4)
                .map(|one| threads.spawn(move || (0..50).map(|n| login(one * 50 + n)).sum::<usize>()))
                .collect();
            four.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(ended, 200 - MOST_FAMILIES, "{name}");
        let there = |n: &usize| wait(stores.families.find(&format!("n{n:03}"))).unwrap().is_some();
        let left: Vec<_> = (0..200).filter(there).collect();
        assert_eq!(left.len(), MOST_FAMILIES, "{name}");
        wait(stores.families.end(&FamilyOf::Id(format!("n{:03}", left[0])), at(10))).unwrap();
        let room = wait(stores.families.found(&family("m", "ann"), &access("m", 100), at(10)));
        assert_eq!(room, Ok(MadeRoom::default()), "{name}: whoever logs out makes room");
    }
}

#[test]
fn taking_back_a_subject_or_a_client_ends_its_families_and_no_others() {
    for Backend { name, stores, .. } in backends() {
        let cli = Family { client: "cli".into(), ..family("c", "bob") };
        for (one, first) in [(&family("f", "ann"), "a"), (&family("g", "bob"), "b"), (&cli, "c")] {
            found(&stores, one, &access(first, 100));
        }
        let left = || ["f", "g", "c"].map(|id| wait(stores.families.find(id)).unwrap().is_some());
        let take = |target| {
            let revocation = Revocation { target, at: at(10), until: at(200) };
            wait(stores.revocations.revoke(&revocation)).unwrap();
        };
        take(RevocationTarget::Jti("a".into()));
        assert_eq!(left(), [true, true, true], "{name}");
        take(RevocationTarget::Subject("ann".into()));
        assert_eq!(left(), [false, true, true], "{name}");
        take(RevocationTarget::Client("cli".into()));
        assert_eq!(left(), [false, true, false], "{name}");
        assert!(live(&stores, 10).contains(&revoked("c", 10, 100)), "{name}: its access tokens by their ids");
    }
}

#[test]
fn taking_back_a_family_or_its_refresh_token_by_id_ends_it_for_good() {
    for Backend { name, stores, .. } in backends() {
        for (one, first) in
            [(&family("f", "ann"), "a"), (&family("g", "ann"), "b"), (&family("h", "ann"), "c")]
        {
            found(&stores, one, &access(first, 100));
        }
        for id in ["f", "g-1"] {
            let target = RevocationTarget::Jti(id.into());
            wait(stores.revocations.revoke(&Revocation { target, at: at(10), until: at(20) })).unwrap();
        }
        // The revocations themselves are over long before the families would have been.
        wait(stores.revocations.forget_ended(at(30))).unwrap();
        let left = ["f", "g", "h"].map(|id| wait(stores.families.find(id)).unwrap().is_some());
        assert_eq!(left, [false, false, true], "{name}");
        assert!(live(&stores, 30).contains(&revoked("b", 10, 100)), "{name}: its access tokens, too");
        assert!(matches!(rotate(&stores, "f-1", "f-2", 30), Rotated::Gone), "{name}");
    }
}

#[test]
fn families_that_have_ended_are_forgotten_and_the_rest_survives_reopening() {
    for Backend { name, stores, .. } in backends() {
        found(&stores, &family("f", "ann"), &access("a", 100));
        let long = Family { expires_at: at(2_000), ..family("g", "ann") };
        found(&stores, &long, &access("b", 100));
        assert_eq!(wait(stores.families.forget_ended_families(at(999))), Ok(0), "{name}");
        assert_eq!(wait(stores.families.forget_ended_families(at(1_000))), Ok(1), "{name}");
        assert_eq!(wait(stores.families.find("f")), Ok(None), "{name}");
        assert_eq!(wait(stores.families.find("g")), Ok(Some(long)), "{name}");
    }
    let dir = tempfile::tempdir().unwrap();
    let stores = sqlite(dir.path());
    found(&stores, &family("f", "ann"), &access("a", 100));
    assert_eq!(rotate(&stores, "f-1", "f-2", 10), Rotated::Done);
    drop(stores);
    assert_eq!(rotate(&sqlite(dir.path()), "f-1", "x", 14), Rotated::Again(b"f-2".to_vec()));
}
