//! A store that is copied answers every question as before, whatever backend it comes from and goes to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use portcullis::{
    domain::Timestamp,
    store::{
        EndedTask, FamilyAccess, FamilyOf, KeyUse, RevocationTarget, Rotated, Rotation, Stores, TaskEnd,
        UseBatch, User,
        moving::{Copied, CopyError, Mark, Record, RecordKind, Verdict, copy},
    },
};
use uuid::Uuid;

use super::{
    Backend, Nodes, backends,
    filled::{DAY, answers, exchange, family, fill, revocation},
    moved::Dies,
    unhurried, user, wait,
};

fn copied(from: &Stores, to: &Stores) -> Result<Copied, CopyError> {
    wait(copy(from.moving.as_ref(), to.moving.as_ref(), |_| {}))
}

/// Copies what has to come to its end.
#[track_caller]
pub(super) fn verified(from: &Stores, to: &Stores) -> Copied {
    let copied = copied(from, to).unwrap();
    assert!(copied.verdict == Verdict::Verified, "{copied:?}");
    assert!(copied.kinds.iter().all(|one| one.source == one.target), "{copied:?}");
    copied
}

#[test]
fn a_copy_answers_as_the_store_does_through_every_backend_and_back() {
    let nodes = Arc::new(Nodes::start());
    let [memory, sqlite, redis, cluster, sentinel] = unhurried(&nodes, "one:");
    let [last, back, again, ..] = unhurried(&nodes, "two:");
    let filled = fill(&memory.stores);
    let expected = answers(&memory.stores, &filled);
    assert!(expected.users.len() == 602 && expected.tasks.iter().all(Option::is_some));
    // Every backend is copied from and to, and each of the two that are used most to the other.
    let way = [&memory, &sqlite, &redis, &back, &cluster, &sentinel, &again, &last];
    for pair in way.windows(2) {
        let [from, to] = pair else { panic!("a pair") };
        let copied = verified(&from.stores, &to.stores);
        let counts = copied.kinds.iter().map(|one| (one.source.count(), one.written, one.kept));
        let all = [2, 3, 602, 6, 3, 3, 2, 6].map(|count| (count, count, 0));
        assert!(counts.eq(all), "{} to {}: {copied:?}", from.name, to.name);
        assert!(answers(&to.stores, &filled) == expected, "{} to {}", from.name, to.name);
        assert_eq!(wait(to.stores.feed.latest()), Ok(0), "{}: nobody is told", to.name);
        assert_eq!(wait(to.stores.moving.mark()), Ok(None), "{}", to.name);
    }
    for Backend { name, stores, .. } in [last, back, again, redis, cluster, sentinel, sqlite] {
        go_on(name, &stores, filled.now);
    }
}

/// What hangs on the records holds too: grace, reuse, ends, uses, indexes.
fn go_on(name: &str, stores: &Stores, now: Timestamp) {
    let again = wait(stores.families.rotate(&Rotation { successor: "x".into(), ..exchange("f", 2, now) }));
    assert_eq!(again, Ok(Rotated::Again(vec![7, 0, 2])), "{name}");
    assert_eq!(wait(stores.families.rotate(&exchange("f", 3, now))), Ok(Rotated::Done), "{name}");
    let reused = Rotation { grace: Duration::ZERO, ..exchange("f", 1, now.plus(DAY / 2)) };
    let Ok(Rotated::Reused(ended)) = wait(stores.families.rotate(&reused)) else { panic!("{name}") };
    assert_eq!(ended.len(), 4, "{name}: every access token of it");
    let carl = revocation(RevocationTarget::Subject("bob".into()), now, DAY);
    wait(stores.revocations.revoke(&carl)).unwrap();
    assert_eq!(wait(stores.families.find("h")), Ok(None), "{name}: found by its subject");
    let client = revocation(RevocationTarget::Client("password".into()), now, DAY);
    wait(stores.revocations.revoke(&client)).unwrap();
    assert_eq!(wait(stores.families.find("g")), Ok(None), "{name}: found by its client");

    let ended = wait(stores.keys.newly_ended(now, 9)).unwrap();
    assert_eq!(ended.len(), 1, "{name}: one was told of before");
    let keys = wait(stores.keys.page(None, 9)).unwrap();
    let used = keys.iter().find(|key| key.usage_count == 41).unwrap();
    let uses = vec![KeyUse { id: used.id, count: 1, last_used: now.plus(DAY) }];
    wait(stores.keys.add_uses(&UseBatch { writer: Uuid::now_v7(), number: 1, uses })).unwrap();
    let used = wait(stores.keys.show(used.id)).unwrap().unwrap();
    assert_eq!((used.usage_count, used.last_used), (42, Some(now.plus(DAY))), "{name}");

    let end = EndedTask { how: TaskEnd::Failed, at: now, message: None, body: "{}".into() };
    let lost = wait(stores.tasks.end_tasks_of("here/0", end)).unwrap();
    assert_eq!(lost.len(), 2, "{name}: those that had not ended");
    assert_eq!(wait(stores.tasks.forget_tasks(now.plus(2 * DAY))), Ok(6), "{name}");
    assert!(wait(stores.revocations.forget_ended(now.plus(9 * DAY))).unwrap() >= 3, "{name}");
    let taken =
        User { id: wait(stores.users.find(&"ann".parse().unwrap())).unwrap().unwrap().id, ..user("new") };
    assert!(wait(stores.users.put(&taken)).is_err(), "{name}: an id is one account's");
}

/// What has to be there again however often it was changed, by the number of the change.
fn change(stores: &Stores, n: usize, now: Timestamp) {
    let target = RevocationTarget::Jti(format!("late-{n}"));
    wait(stores.revocations.revoke(&revocation(target, now, DAY))).unwrap();
    let keys = wait(stores.keys.page(None, 9)).unwrap();
    let uses = vec![KeyUse { id: keys[0].id, count: 1, last_used: now }];
    wait(stores.keys.add_uses(&UseBatch { writer: Uuid::now_v7(), number: 1, uses })).unwrap();
    let late = family(&format!("late-{n}"), "dora", now);
    let access = FamilyAccess { jti: format!("late-access-{n}"), until: now.plus(DAY) };
    wait(stores.families.found(&late, &access, now)).unwrap();
    if let Some(before) = n.checked_sub(2) {
        let of = FamilyOf::Id(format!("late-{before}"));
        assert_eq!(wait(stores.families.end(&of, now)).unwrap().len(), 1);
    }
    if n == 3 {
        wait(stores.tasks.forget_tasks(now.plus(2 * DAY))).unwrap();
    }
}

#[test]
fn wherever_it_ends_the_next_run_goes_on_and_takes_over_what_changed_meanwhile() {
    let nodes = Arc::new(Nodes::start());
    let [_, sqlite, redis, cluster, _] = unhurried(&nodes, "here:");
    let [_, file, node, _, watched] = unhurried(&nodes, "there:");
    for (from, to) in [(&sqlite, &node), (&redis, &file), (&cluster, &watched)] {
        let filled = fill(&from.stores);
        let (mut tries, mut resumed) = (0, 0);
        let copied = loop {
            let dies = Dies::after(tries, Arc::clone(&to.stores.moving));
            match wait(copy(from.stores.moving.as_ref(), &dies, |_| {})) {
                Ok(copied) => break copied,
                Err(CopyError::Target(_)) => {}
                Err(other) => panic!("{}: {other}", from.name),
            }
            resumed += usize::from(wait(to.stores.moving.mark()).unwrap().is_some());
            change(&from.stores, tries, filled.now);
            tries += 1;
            assert!(tries < 400, "it never comes to its end");
        };
        assert!(copied.verdict == Verdict::Verified && copied.resumed, "{}: {copied:?}", from.name);
        assert!(tries > 20 && resumed > 15, "{}: {tries} tries, {resumed} resumed", from.name);
        assert!(copied.kinds.iter().any(|one| one.kept > 500), "{}: {copied:?}", from.name);
        assert!(answers(&to.stores, &filled) == answers(&from.stores, &filled), "{}", from.name);
        assert_eq!(wait(to.stores.families.find("late-0")), Ok(None), "{}: it has ended", from.name);
        let late = family(&format!("late-{}", tries - 1), "dora", filled.now);
        assert_eq!(wait(to.stores.families.find(&late.id)), Ok(Some(late)), "{}", from.name);
    }
}

#[test]
fn what_would_mix_or_revive_is_refused_and_leaves_no_mark() {
    let nodes = Arc::new(Nodes::start());
    for (from, to) in unhurried(&nodes, "a:").iter().zip(unhurried(&nodes, "b:").iter()) {
        let name = from.name;
        let (source, target) = (&from.stores, &to.stores);
        assert_eq!(copied(source, source), Err(CopyError::Same), "{name}");
        assert_eq!(copied(source, target), Err(CopyError::Unused), "{name}");
        fill(source);
        // One account, or one revocation that is over, or one secret of a server that has begun to use it.
        wait(target.revocations.revoke(&revocation(
            RevocationTarget::Jti("x".into()),
            Timestamp::from_secs(1),
            Duration::from_secs(1),
        )))
        .unwrap();
        assert_eq!(copied(source, target), Err(CopyError::NotEmpty), "{name}");
        assert_eq!(wait(target.moving.mark()), Ok(None), "{name}");
    }
    let [memory, sqlite, redis, cluster, _] = unhurried(&nodes, "c:");
    for one in [&memory, &sqlite] {
        fill(&one.stores);
    }
    for target in [&redis, &cluster] {
        let dies = Dies::after(25, Arc::clone(&target.stores.moving));
        assert!(wait(copy(memory.stores.moving.as_ref(), &dies, |_| {})).is_err());
        assert_eq!(copied(&sqlite.stores, &target.stores), Err(CopyError::OfAnother), "{}", target.name);
        assert_eq!(
            copied(&target.stores, &cluster.stores).err(),
            Some(match target.name {
                "redis" => CopyError::Unfinished,
                _ => CopyError::Same,
            })
        );
        verified(&memory.stores, &target.stores);
        // It may have gone on since: what was deleted there would come back.
        assert_eq!(copied(&memory.stores, &target.stores), Err(CopyError::NotEmpty), "{}", target.name);
    }
}

/// Copies, and dies after so many questions to the target, which somebody fills just before it is marked.
fn died(from: &Stores, to: &Stores, questions: usize, meanwhile: bool) -> Result<Copied, CopyError> {
    let dies = Dies::after(questions, Arc::clone(&to.moving));
    let stores = to.clone();
    let dies = if meanwhile { dies.but_first(move || somebodys(&stores)) } else { dies };
    wait(copy(from.moving.as_ref(), &dies, |_| {}))
}

/// Something that only this store has.
fn somebodys(stores: &Stores) {
    wait(stores.users.put(&user("somebody"))).unwrap();
    let target = RevocationTarget::Jti("somebodys".into());
    wait(stores.revocations.revoke(&revocation(target, Timestamp::now(), DAY))).unwrap();
}

#[track_caller]
fn is_somebodys(stores: &Stores, name: &str) {
    let (users, 1) = wait(stores.users.page(1, 9)).unwrap() else { panic!("{name}: other accounts") };
    assert_eq!(users[0].username.as_str(), "somebody", "{name}");
    let live = wait(stores.revocations.live(Timestamp::now())).unwrap();
    assert_eq!(live.len(), 1, "{name}: {live:?}");
    assert_eq!(wait(stores.moving.mark()), Ok(None), "{name}: it can be served from");
}

#[test]
fn a_store_of_somebody_is_never_copied_over_wherever_a_run_has_died_before() {
    let nodes = Arc::new(Nodes::start());
    let [source, ..] = unhurried(&nodes, "source:");
    fill(&source.stores);
    for Backend { name, stores, .. } in unhurried(&nodes, "full:") {
        somebodys(&stores);
        // It is looked at first: whatever fails, and whatever is done without an answer, there is no mark on it.
        let steps = (0..9).take_while(|questions| {
            let refused = died(&source.stores, &stores, *questions, false);
            is_somebodys(&stores, name);
            assert_eq!(copied(&source.stores, &stores), Err(CopyError::NotEmpty), "{name}: {questions}");
            is_somebodys(&stores, name);
            refused != Err(CopyError::NotEmpty)
        });
        assert!(steps.count() > 3, "{name}");
    }
}

#[test]
fn a_store_that_somebody_fills_before_it_is_marked_is_left_to_him_wherever_the_run_dies() {
    let nodes = Arc::new(Nodes::start());
    let [source, ..] = unhurried(&nodes, "source:");
    fill(&source.stores);
    // The look, the mark, the second look and taking the mark away are among these.
    let mut filled = 0;
    for questions in 0..16 {
        for Backend { name, stores, .. } in unhurried(&nodes, &format!("late-{questions}:")) {
            let refused = died(&source.stores, &stores, questions, true);
            assert!(refused.is_err(), "{name}: {questions}");
            // Where it died before it could be marked nobody has filled it.
            if wait(stores.users.find(&"somebody".parse().unwrap())).unwrap().is_some() {
                filled += 1;
                assert_eq!(copied(&source.stores, &stores), Err(CopyError::NotEmpty), "{name}: {questions}");
                is_somebodys(&stores, name);
            }
        }
    }
    assert!(filled >= 5 * 4, "{filled}");
}

#[test]
fn a_run_that_was_overtaken_writes_nothing_any_more() {
    for Backend { name, stores, .. } in backends() {
        let (one, other) = (Mark::new("source".into()), Mark::new("source".into()));
        let ring = |n: u8| vec![Record::Ring { name: "r".into(), secret: [n; 32] }];
        let moving = stores.moving.as_ref();
        assert!(wait(moving.put_all(&one, ring(1))).is_err(), "{name}: without a mark nothing is written");
        assert_eq!(wait(moving.mark_as(&one)), Ok(None), "{name}");
        wait(moving.put_all(&one, ring(1))).unwrap();
        assert_eq!(wait(moving.mark_as(&other)), Ok(Some(one.clone())), "{name}");
        assert!(wait(moving.put_all(&one, ring(2))).is_err(), "{name}");
        assert!(wait(moving.drop_all(&one, RecordKind::Ring, vec!["r".into()])).is_err(), "{name}");
        assert!(wait(moving.unmark(&one)).is_err(), "{name}");
        wait(moving.unmark(&other)).unwrap();
        assert!(wait(moving.put_all(&other, ring(2))).is_err(), "{name}: nor after its end");
        assert_eq!(wait(stores.rings.secret("r")), Ok([1; 32]), "{name}");
        let stranger = Mark::new("another".into());
        wait(moving.mark_as(&one)).unwrap();
        assert_eq!(wait(moving.mark_as(&stranger)), Ok(Some(one.clone())), "{name}");
        assert_eq!(wait(moving.mark()), Ok(Some(one.clone())), "{name}: it stays");
        assert_eq!(wait(moving.mark_as(&one.begun())), Ok(Some(one.clone())), "{name}");
        assert_eq!(wait(moving.mark_as(&other)), Ok(Some(one.begun())), "{name}");
        assert_eq!(wait(moving.mark()), Ok(Some(other.begun())), "{name}: what has begun has");
        assert_eq!(wait(moving.mark_as(&one.begun())), Ok(Some(other.begun())), "{name}: too late");
        wait(moving.unmark(&other.begun())).unwrap();
        assert_eq!(wait(moving.mark_as(&one.begun())), Ok(None), "{name}");
        assert_eq!(wait(moving.mark()), Ok(None), "{name}: nobody begins over what is whole");
    }
}

#[test]
fn a_store_that_somebody_writes_to_is_not_verified_until_it_rests() {
    let nodes = Arc::new(Nodes::start());
    for (from, to) in unhurried(&nodes, "a:").iter().zip(unhurried(&nodes, "b:").iter()) {
        let filled = fill(&from.stores);
        // Each of these tells the feed or not, before or behind what was read already.
        let changes = AtomicUsize::new(0);
        let tell = |kind| {
            let name = format!("w{}", changes.fetch_add(1, Ordering::Relaxed));
            let access = FamilyAccess { jti: format!("{name}-access"), until: filled.now.plus(DAY) };
            match kind {
                RecordKind::Task => {
                    let late = family(&name, "eve", filled.now);
                    drop(wait(from.stores.families.found(&late, &access, filled.now)).unwrap());
                }
                RecordKind::Level => wait(from.stores.users.put(&user(&name))).unwrap(),
                _ => {}
            }
        };
        let copied = wait(copy(from.stores.moving.as_ref(), to.stores.moving.as_ref(), tell)).unwrap();
        assert_eq!(copied.verdict, Verdict::Changed, "{}", from.name);
        assert!(wait(to.stores.moving.mark()).unwrap().is_some(), "{}: nobody may serve from it", from.name);
        let copied = verified(&from.stores, &to.stores);
        assert!(copied.resumed, "{}", from.name);
        let new: u64 = copied.kinds.iter().map(|one| one.written).sum();
        assert_eq!(new, 2, "{}: {copied:?}", from.name);
    }
}

#[test]
fn a_redis_that_servers_use_is_neither_copied_nor_copied_to() {
    let nodes = Arc::new(Nodes::start());
    let [memory, _, redis, cluster, _] = unhurried(&nodes, "a:");
    fill(&memory.stores);
    for shared in [&redis, &cluster] {
        let leases = shared.stores.leases.as_deref().unwrap();
        wait(leases.beat(Uuid::now_v7())).unwrap();
        let refused = copied(&memory.stores, &shared.stores);
        assert!(matches!(refused, Err(CopyError::Served(1, _))), "{}: {refused:?}", shared.name);
        let refused = copied(&shared.stores, &memory.stores);
        assert!(matches!(refused, Err(CopyError::Served(1, _))), "{}: {refused:?}", shared.name);
    }
}
