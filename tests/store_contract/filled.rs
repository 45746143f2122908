//! A store with something of everything, and all that it answers.

use std::{collections::BTreeSet, time::Duration};

use portcullis::{
    domain::{ApiKey, KeyDigest, KeyState, Timestamp},
    store::{
        EndedTask, Family, FamilyAccess, IDENTITY_RING, KEY_PAGE_MAX, KeyUse, Level, Lookup, Report,
        Revocation, RevocationTarget, Rotated, Rotation, Stores, TaskEnd, TaskRoom, TaskRow, UseBatch, User,
    },
};
use uuid::Uuid;

use super::{keys::minted, user, wait};

pub(super) const DAY: Duration = Duration::from_hours(24);
const GRACE: Duration = Duration::from_secs(600);
const ROOM: TaskRoom = TaskRoom { of_one: 99, of_all: 99 };

/// What was put into a store.
pub(super) struct Filled {
    pub(super) now: Timestamp,
    digests: Vec<KeyDigest>,
}

fn key(stores: &Stores, at: Timestamp, life: Duration) -> (KeyDigest, ApiKey) {
    let (digest, key) = minted();
    let key = ApiKey { created_at: at, expires_at: at.plus(life), ..key };
    wait(stores.keys.insert(&digest, &key)).unwrap();
    (digest, key)
}

pub(super) fn family(id: &str, subject: &str, now: Timestamp) -> Family {
    Family { expires_at: now.plus(7 * DAY), ..super::families::family(id, subject) }
}

pub(super) fn exchange(id: &str, n: u64, now: Timestamp) -> Rotation {
    let at = now.plus(Duration::from_secs(n));
    Rotation {
        family: id.into(),
        shown: format!("{id}-{n}"),
        successor: format!("{id}-{}", n + 1),
        access: FamilyAccess { jti: format!("{id}-access-{n}"), until: at.plus(DAY) },
        sealed: vec![7, 0, n as u8],
        at,
        grace: GRACE,
        expires_at: now.plus(7 * DAY),
    }
}

pub(super) fn revocation(target: RevocationTarget, now: Timestamp, life: Duration) -> Revocation {
    Revocation { target, at: now, until: now.plus(life) }
}

/// Something of everything, some of it more than one page, some of it ended.
pub(super) fn fill(stores: &Stores) -> Filled {
    let now = Timestamp::now();
    for name in [IDENTITY_RING, "digests"] {
        wait(stores.rings.secret(name)).unwrap();
    }
    accounts(stores, now);
    let digests = api_keys(stores, now);
    for (id, subject) in [("f", "ann"), ("g", "ann"), ("h", "bob")] {
        let access = FamilyAccess { jti: format!("{id}-access-0"), until: now.plus(DAY) };
        wait(stores.families.found(&family(id, subject, now), &access, now)).unwrap();
    }
    for n in [1, 2] {
        assert_eq!(wait(stores.families.rotate(&exchange("f", n, now))), Ok(Rotated::Done));
    }
    let gone = Family { expires_at: now.minus(DAY), ..family("ended", "ann", now) };
    let access = FamilyAccess { jti: "ended-access".into(), until: now.minus(DAY) };
    wait(stores.families.found(&gone, &access, now.minus(2 * DAY))).unwrap();
    for (target, life) in [
        (RevocationTarget::Jti("a:b'\"\0\u{202e}".into()), DAY),
        (RevocationTarget::Subject("carl".into()), 2 * DAY),
        (RevocationTarget::Client("carl".into()), DAY),
        (RevocationTarget::Jti("ended".into()), Duration::ZERO),
    ] {
        wait(stores.revocations.revoke(&revocation(target, now, life))).unwrap();
    }
    let level =
        |id, scope: &str, until| Level { scope: scope.into(), id: [id; 16], spent: 5, at: now, until };
    let levels = vec![
        level(1, "user", now.plus(DAY)),
        level(1, "ip", now.plus(DAY)),
        level(2, "user", now.plus(DAY)),
        level(3, "user", now.minus(DAY)),
    ];
    wait(stores.quota.save(levels, now.minus(2 * DAY))).unwrap();
    for city in ["Oslo", "São Paulo"] {
        let report = Report { city: city.into(), hundredths: -550, condition: "snöw".into(), at: now };
        wait(stores.reports.report(&report, now.minus(DAY))).unwrap();
    }
    tasks(stores, now);
    Filled { now, digests }
}

fn accounts(stores: &Stores, now: Timestamp) {
    let many: Vec<User> = (0..600).map(|n| user(&format!("u{n}"))).collect();
    for some in many.chunks(50) {
        wait(futures_util::future::try_join_all(some.iter().map(|one| stores.users.put(one)))).unwrap();
    }
    wait(stores.users.add(&user("ann"), "$argon2id$x", false)).unwrap();
    assert_eq!(wait(stores.users.note_login(&"ann".parse().unwrap(), "$argon2id$x", now)), Ok(true));
    wait(stores.users.put(&User { active: false, roles: vec![], ..user("Bob@x.y") })).unwrap();
}

fn api_keys(stores: &Stores, now: Timestamp) -> Vec<KeyDigest> {
    let (used, used_key) = key(stores, now, DAY);
    let uses = vec![KeyUse { id: used_key.id, count: 41, last_used: now }];
    wait(stores.keys.add_uses(&UseBatch { writer: Uuid::now_v7(), number: 1, uses })).unwrap();
    let (rotated, rotated_key) = key(stores, now, DAY);
    let rotation = super::keys::rotation_at(rotated_key.id, now);
    wait(stores.keys.rotate(&rotation)).unwrap();
    let (revoked, revoked_key) = key(stores, now, DAY);
    wait(stores.keys.set_state(revoked_key.id, KeyState::Revoked)).unwrap();
    let (over, _) = key(stores, now.minus(2 * DAY), DAY);
    assert_eq!(wait(stores.keys.newly_ended(now, 9)).unwrap().len(), 1);
    let (untold, _) = key(stores, now.minus(2 * DAY), DAY);
    vec![used, rotated, rotation.digest, revoked, over, untold]
}

fn tasks(stores: &Stores, now: Timestamp) {
    let row = |n: u8, life| TaskRow {
        digest: [n; 32],
        owner: "ann".parse().unwrap(),
        tool: "a 'tool'".into(),
        runner: "here/0".into(),
        created_at: now,
        due: now.plus(DAY),
        until: now.plus(life),
        ended: None,
    };
    let body = "x".repeat(700_000);
    let end = |how, body: &str| EndedTask { how, at: now, message: Some("é".into()), body: body.into() };
    for n in 0..6 {
        wait(stores.tasks.create_task(&row(n, DAY), ROOM)).unwrap();
    }
    let over = TaskRow { created_at: now.minus(DAY), ..row(9, Duration::ZERO) };
    wait(stores.tasks.create_task(&over, ROOM)).unwrap();
    for (n, how, body) in [
        (1, TaskEnd::Completed, &*body),
        (2, TaskEnd::Failed, &body),
        (3, TaskEnd::Cancelled, ""),
        (4, TaskEnd::Completed, &body),
    ] {
        assert_eq!(wait(stores.tasks.end_task(&[n; 32], end(how, body))), Ok(true));
    }
}

/// What a store answers, but for what has ended.
#[derive(PartialEq)]
pub(super) struct Answers {
    secrets: Vec<[u8; 32]>,
    pub(super) users: Vec<Option<(User, Option<String>)>>,
    keys: Vec<ApiKey>,
    lookups: Vec<Lookup>,
    families: Vec<Option<Family>>,
    live: BTreeSet<Revocation>,
    levels: Vec<Level>,
    reports: BTreeSet<Report>,
    pub(super) tasks: Vec<Option<TaskRow>>,
}

pub(super) fn answers(stores: &Stores, filled: &Filled) -> Answers {
    let Filled { now, digests } = filled;
    let mut users = wait(stores.users.after(None)).unwrap();
    users.sort_by(|one, other| one.username.cmp(&other.username));
    let mut levels = wait(stores.quota.levels()).unwrap();
    levels.retain(|level| level.until > *now);
    levels.sort_by_key(|level| (level.id, level.scope.clone()));
    Answers {
        secrets: [IDENTITY_RING, "digests"].map(|name| wait(stores.rings.secret(name)).unwrap()).into(),
        users: users.iter().map(|user| wait(stores.users.proof(&user.username)).unwrap()).collect(),
        keys: wait(stores.keys.page(None, KEY_PAGE_MAX)).unwrap(),
        lookups: digests.iter().map(|digest| wait(stores.keys.find(digest)).unwrap()).collect(),
        families: ["f", "g", "h"].map(|id| wait(stores.families.find(id)).unwrap()).into(),
        live: wait(stores.revocations.live(*now)).unwrap().into_iter().collect(),
        levels,
        reports: wait(stores.reports.reports(now.minus(DAY))).unwrap().into_iter().collect(),
        tasks: (0..6).map(|n| wait(stores.tasks.find_task(&[n; 32], *now)).unwrap()).collect(),
    }
}
