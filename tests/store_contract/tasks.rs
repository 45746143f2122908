//! What every backend promises of tasks.

use std::time::Duration;

use portcullis::{
    domain::Timestamp,
    store::{self, EndedTask, LostTask, Stores, TaskEnd, TaskMade, TaskRoom, TaskRow},
};

use super::{Backend, backends, sqlite, wait};

const ROOM: TaskRoom = TaskRoom { of_one: 3, of_all: 5 };

fn row(n: u8, owner: &str, at: u64) -> TaskRow {
    let created_at = Timestamp::from_secs(at);
    TaskRow {
        digest: [n; 32],
        owner: owner.parse().unwrap(),
        tool: "a 'tool'".into(),
        runner: "here".into(),
        created_at,
        due: created_at.plus(Duration::from_secs(10)),
        until: created_at.plus(Duration::from_secs(100)),
        ended: None,
    }
}

fn end(how: TaskEnd, at: u64) -> EndedTask {
    EndedTask { how, at: Timestamp::from_secs(at), message: Some("é'".into()), body: "{\"x\":1}".into() }
}

fn make(stores: &Stores, row: &TaskRow) -> TaskMade {
    wait(stores.tasks.create_task(row, ROOM)).unwrap()
}

fn find(stores: &Stores, n: u8, now: u64) -> Option<TaskRow> {
    wait(stores.tasks.find_task(&[n; 32], Timestamp::from_secs(now))).unwrap()
}

#[test]
fn a_task_is_found_as_it_was_made_until_the_end_of_its_life() {
    for Backend { name, stores, .. } in backends() {
        assert_eq!(make(&stores, &row(1, "ada", 50)), TaskMade::Kept, "{name}");
        assert_eq!(find(&stores, 1, 50), Some(row(1, "ada", 50)), "{name}");
        assert_eq!(find(&stores, 2, 50), None, "{name}");
        assert!(find(&stores, 1, 149).is_some(), "{name}");
        assert_eq!(find(&stores, 1, 150), None, "{name}: its life is over");
    }
}

#[test]
fn the_first_end_of_a_task_counts() {
    for Backend { name, stores, .. } in backends() {
        make(&stores, &row(1, "ada", 50));
        let first = end(TaskEnd::Completed, 60);
        assert_eq!(wait(stores.tasks.end_task(&[1; 32], first.clone())), Ok(true), "{name}");
        for how in [TaskEnd::Failed, TaskEnd::Cancelled] {
            assert_eq!(wait(stores.tasks.end_task(&[1; 32], end(how, 61))), Ok(false), "{name}");
        }
        assert_eq!(wait(stores.tasks.end_task(&[2; 32], first.clone())), Ok(false), "{name}: no such task");
        assert_eq!(find(&stores, 1, 61).unwrap().ended, Some(first), "{name}");
    }
}

#[test]
fn there_is_room_for_so_many_tasks_of_one_owner_and_in_all() {
    for Backend { name, stores, .. } in backends() {
        for n in 1..=3 {
            assert_eq!(make(&stores, &row(n, "ada", 50)), TaskMade::Kept, "{name}");
        }
        wait(stores.tasks.end_task(&[1; 32], end(TaskEnd::Completed, 60))).unwrap();
        assert_eq!(make(&stores, &row(4, "ada", 149)), TaskMade::OfOne, "{name}: an ended one counts too");
        assert_eq!(find(&stores, 4, 149), None, "{name}");
        for n in 4..=5 {
            assert_eq!(make(&stores, &row(n, "bob", 149)), TaskMade::Kept, "{name}");
        }
        assert_eq!(make(&stores, &row(6, "eve", 149)), TaskMade::OfAll, "{name}");
        assert_eq!(make(&stores, &row(6, "ada", 150)), TaskMade::Kept, "{name}: what is over takes no room");
    }
}

#[test]
fn a_runner_that_begins_ends_what_it_has_left_and_nothing_else() {
    for Backend { name, stores, .. } in backends() {
        make(&stores, &row(1, "ada", 50));
        make(&stores, &TaskRow { runner: "there".into(), ..row(2, "ada", 50) });
        make(&stores, &row(3, "ada", 50));
        let done = end(TaskEnd::Completed, 55);
        wait(stores.tasks.end_task(&[3; 32], done.clone())).unwrap();
        let lost = end(TaskEnd::Failed, 60);
        make(&stores, &TaskRow { tool: "another".into(), ..row(4, "bob", 50) });
        let mut ended = wait(stores.tasks.end_tasks_of("here", lost.clone())).unwrap();
        ended.sort_unstable_by_key(|task| task.digest);
        let task = |n, owner: &str, tool: &str| LostTask {
            digest: [n; 32],
            owner: owner.parse().unwrap(),
            tool: tool.into(),
        };
        assert_eq!(ended, [task(1, "ada", "a 'tool'"), task(4, "bob", "another")], "{name}");
        let ends = [1, 2, 3, 4].map(|n| find(&stores, n, 61).unwrap().ended);
        assert_eq!(ends, [Some(lost.clone()), None, Some(done), Some(lost.clone())], "{name}");
        assert_eq!(wait(stores.tasks.end_tasks_of("here", lost)), Ok(Vec::new()), "{name}: once each");
    }
}

#[test]
fn tasks_at_the_end_of_their_life_are_forgotten_however_many_there_are() {
    for Backend { name, stores, .. } in backends() {
        let room = TaskRoom { of_one: 10_000, of_all: 10_000 };
        for n in 0..1_200_u32 {
            let mut digest = [0; 32];
            digest[..4].copy_from_slice(&n.to_be_bytes());
            let row = TaskRow { digest, ..row(0, "ada", if n == 7 { 51 } else { 50 }) };
            assert_eq!(wait(stores.tasks.create_task(&row, room)), Ok(TaskMade::Kept), "{name}");
        }
        assert_eq!(wait(stores.tasks.forget_tasks(Timestamp::from_secs(149))), Ok(0), "{name}");
        assert_eq!(wait(stores.tasks.forget_tasks(Timestamp::from_secs(150))), Ok(1_199), "{name}");
        assert_eq!(wait(stores.tasks.forget_tasks(Timestamp::from_secs(151))), Ok(1), "{name}");
    }
}

#[test]
fn tasks_outlive_their_process() {
    let dir = tempfile::tempdir().unwrap();
    let stores = sqlite(dir.path());
    make(&stores, &row(1, "ada", 50));
    let done = end(TaskEnd::Cancelled, 55);
    wait(stores.tasks.end_task(&[1; 32], done.clone())).unwrap();
    drop(stores);
    let stores = store::open(&format!("sqlite:{}", dir.path().join("inner/p.db").display())).unwrap();
    assert_eq!(find(&stores, 1, 60).unwrap().ended, Some(done));
}
