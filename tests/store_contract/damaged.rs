//! What a Redis that has lost, or been given, what it should not have comes to.

use std::time::Duration;

use portcullis::{
    domain::Timestamp,
    store::{
        self, ChangeKind, EndedTask, Family, LeaseAsk, Revocation, RevocationTarget, Rotated, StoreError,
        Stores, TaskEnd, TaskMade, TaskRoom, TaskRow, UserChange,
    },
};
use uuid::Uuid;

use super::{
    families::{access, family, rotation},
    live, next,
    nodes::{Node, Nodes},
    user, wait,
};

fn open(node: &Node) -> Stores {
    store::open(&format!("redis://127.0.0.1:{}", node.port)).unwrap()
}

#[test]
fn a_watch_whose_store_lost_rows_before_its_first_look_goes_on_above_them() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(&node);
    for name in ["ann", "bob"] {
        wait(stores.users.put(&user(name))).unwrap();
    }
    let mut watch = stores.feed.watch(2);
    node.ask("XDEL portcullis:feed 2-0");
    node.ask("XSETID portcullis:feed 1-0");
    node.ask("SET portcullis:feed:last 1");
    let told = watch.poll().unwrap();
    assert_eq!(told.iter().map(|c| (c.id, &c.what)).collect::<Vec<_>>(), [(3, &ChangeKind::Unknown)]);
    wait(stores.users.put(&user("eve"))).unwrap();
    assert_eq!(next(watch.as_mut(), Duration::ZERO), [ChangeKind::User("eve".parse().unwrap())]);
}

#[test]
fn a_family_that_does_not_read_stops_no_sweep_and_no_login() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(&node);
    let ends = |secs| Timestamp::from_secs(secs);
    for id in ["f", "g"] {
        wait(stores.families.found(&family(id, "ann"), &access(id, 100), ends(0))).unwrap();
    }
    for broken in ["{}", "x"] {
        node.ask(&format!("SET portcullis:family:f {broken}"));
        let another = family(&format!("h-{}", broken.len()), "ann");
        wait(stores.families.found(&another, &access(&another.id, 100), ends(1))).unwrap();
        assert!(matches!(wait(stores.families.find("f")), Err(StoreError::Corrupt(_))), "it opens nothing");
    }
    assert_eq!(wait(stores.families.forget_ended_families(ends(1_000))), Ok(4));
    assert_eq!(node.all("KEYS portcullis:family:*"), Vec::<String>::new());
    assert_eq!(node.ask("ZCARD portcullis:families").as_deref(), Some(":0"));
}

#[test]
fn an_account_that_does_not_read_or_is_gone_is_as_one_that_is_disabled_and_hides_no_other() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(&node);
    let all = ["ann", "bob", "carl", "eve", "zoe"].map(user);
    for one in &all {
        wait(stores.users.put(one)).unwrap();
    }
    node.ask("SET portcullis:user:bob x");
    node.ask("DEL portcullis:user:carl");
    node.say(&["SET", "portcullis:user:eve", "{\"v\":2}"]);
    node.say(&["ZADD", "portcullis:users", "0", "no name at all"]);
    let expected = [("ann", true), ("bob", false), ("carl", false), ("eve", false), ("zoe", true)];
    let (page, named) = wait(stores.users.page(1, 99)).unwrap();
    assert_eq!(named, 6);
    for shown in [page, wait(stores.users.after(None)).unwrap()] {
        let shown: Vec<_> = shown.iter().map(|one| (one.username.as_str(), one.active)).collect();
        assert_eq!(shown, expected);
    }
    assert_eq!(wait(stores.users.after(Some(&"carl".parse().unwrap()))).unwrap().len(), 2);
    for name in ["bob", "carl", "eve"] {
        let found = wait(stores.users.find(&name.parse().unwrap()));
        assert!(matches!(found, Err(StoreError::Corrupt(_))), "{name}: {found:?}");
    }
    assert_eq!(wait(stores.users.find(&"nobody".parse().unwrap())), Ok(None));
    // Nobody knows whether these could administer, so they do not count.
    let disable = UserChange::Active(false);
    let change = |name: &str| wait(stores.users.change(&name.parse().unwrap(), &disable, &["user".into()]));
    assert_eq!((change("zoe"), change("ann")), (Ok(()), Err(StoreError::LastAdministrator)));
}

#[test]
fn a_task_that_does_not_read_stops_no_sweep_and_no_start() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(&node);
    let now = Timestamp::from_secs(10);
    for n in 0..3_u8 {
        let row = TaskRow {
            digest: [n; 32],
            owner: "ada".parse().unwrap(),
            tool: "job".into(),
            runner: "here/0".into(),
            created_at: now,
            due: Timestamp::from_secs(20),
            until: Timestamp::from_secs(100),
            ended: None,
        };
        let made = wait(stores.tasks.create_task(&row, TaskRoom { of_one: 9, of_all: 9 }));
        assert_eq!(made, Ok(TaskMade::Kept));
    }
    node.ask(&format!("SET portcullis:task:{} x", "01".repeat(32)));
    node.ask("SADD portcullis:tasks:runner:here/0 nonsense");
    let end = EndedTask { how: TaskEnd::Failed, at: now, message: None, body: "{}".into() };
    let lost = wait(stores.tasks.end_tasks_of("here/0", end)).unwrap();
    let mut digests: Vec<u8> = lost.iter().map(|task| task.digest[0]).collect();
    digests.sort_unstable();
    assert_eq!(digests, [0, 2], "all that read");
    assert_eq!(wait(stores.tasks.forget_tasks(Timestamp::from_secs(100))), Ok(3));
    assert_eq!(node.all("KEYS portcullis:task:*"), Vec::<String>::new());
}

#[test]
fn a_bucket_that_is_no_bucket_is_dropped_and_gives_nothing_away() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(&node);
    let leases = stores.leases.as_deref().unwrap();
    let ask = |capacity: u32| LeaseAsk {
        scope: "user",
        id: [7; 16],
        holder: Uuid::now_v7(),
        capacity,
        per_second: 0.000_001,
        used: 0,
        returned: 0,
        needed: 1,
        wanted: 5,
    };
    let name = format!("portcullis:rate_limit:user:{}", "07".repeat(16));
    let long = "1".repeat(1_000_000);
    let damages: [&[&str]; 13] = [
        &["SET", &name, "x"],
        &["RPUSH", &name, "x"],
        &["HSET", &name, "missing", "nan", "at", "1"],
        &["HSET", &name, "missing", "inf", "at", "1"],
        &["HSET", &name, "missing", "-5", "at", "1"],
        &["HSET", &name, "missing", "1e308", "at", "1"],
        &["HSET", &name, "missing", "x", "at", "1"],
        &["HSET", &name, "missing", &long, "at", "1"],
        &["HSET", &name, "missing", "1", "at", "99999999999999999999"],
        &["HSET", &name, "missing", "1", "at", "-1"],
        &["HSET", &name, "somebody", "x"],
        &["HSET", &name, "somebody", "-7 99"],
        &["HSET", &name, "somebody", "7 99999999999999999999999"],
    ];
    for damage in damages {
        let shown: String = damage.join(" ").chars().take(120).collect();
        node.ask(&format!("DEL {name}"));
        node.say(damage);
        assert_eq!(wait(leases.lease(vec![ask(10)])), Err(StoreError::Corrupt("a bucket")), "{shown}");
        let after = wait(leases.lease(vec![ask(10)])).unwrap().remove(0);
        assert_eq!((after.calls, after.left), (0, 0), "{shown}: nobody knows what was given away");
        let left: i64 = node.ask(&format!("PTTL {name}")).unwrap()[1..].parse().unwrap();
        assert!(left > 0, "{shown}: it has an end");
    }
    // Beside one that is broken the others are answered, though whoever asked hears of the one.
    node.ask(&format!("SET {name} x"));
    let other = LeaseAsk { id: [8; 16], ..ask(10) };
    let holder = other.holder;
    assert!(wait(leases.lease(vec![ask(10), other])).is_err());
    let kept = node.ask(&format!("HGET portcullis:rate_limit:user:{} {holder}", "08".repeat(16)));
    assert!(kept.unwrap().starts_with("5 "), "the other's calls were given");
}

#[test]
fn a_client_with_very_many_families_is_revoked_in_steps_and_holds_from_the_first() {
    const FAMILIES: u32 = 600;
    let nodes = Nodes::start();
    for url in [nodes.single(), nodes.cluster()] {
        let stores = store::open(&url).unwrap();
        let now = Timestamp::now();
        let lasting = now.plus(Duration::from_secs(600));
        for n in 0..FAMILIES {
            let id = format!("f{n}");
            // Few subjects, as many as there is room for.
            let one = Family {
                client: "cli".into(),
                expires_at: lasting,
                ..family(&id, &format!("ann-{}", n / 30))
            };
            let first = portcullis::store::FamilyAccess { jti: format!("a{n}"), until: lasting };
            wait(stores.families.found(&one, &first, now)).unwrap();
        }
        let at = Timestamp::now();
        let target = RevocationTarget::Client("cli".into());
        wait(stores.revocations.revoke(&Revocation { target, at, until: lasting })).unwrap();
        assert_eq!(wait(stores.families.find("f0")), Ok(None), "{url}");
        assert_eq!(wait(stores.families.find("f599")), Ok(None), "{url}");
        // The client's own, and one for the access token of each.
        assert_eq!(live(&stores, at.secs()).len() as u32, FAMILIES + 1, "{url}");
    }
}

#[test]
fn of_a_client_that_is_revoked_no_family_is_renewed_even_if_it_was_not_ended_yet() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(&node);
    let cli = Family { client: "cli".into(), ..family("f", "ann") };
    wait(stores.families.found(&cli, &access("a", 50), Timestamp::from_secs(1))).unwrap();
    // As it is between the two steps: the revocation holds, the family is there still.
    let kept = node.ask("GET portcullis:family:f").unwrap();
    let target = RevocationTarget::Client("cli".into());
    let (at, until) = (Timestamp::from_secs(5), Timestamp::from_secs(2_000));
    wait(stores.revocations.revoke(&Revocation { target, at, until })).unwrap();
    assert_eq!(wait(stores.families.find("f")), Ok(None));
    node.say(&["SET", "portcullis:family:f", &kept]);
    assert_eq!(wait(stores.families.rotate(&rotation("f-1", "f-2", 6))), Ok(Rotated::Gone));
    // One that was founded later is another matter.
    let later = Family { client: "cli".into(), refresh: "g-1".into(), ..family("g", "ann") };
    wait(stores.families.found(&later, &access("b", 50), Timestamp::from_secs(6))).unwrap();
    let exchange = portcullis::store::Rotation { family: "g".into(), ..rotation("g-1", "g-2", 7) };
    assert_eq!(wait(stores.families.rotate(&exchange)), Ok(Rotated::Done));
}
