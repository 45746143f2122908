//! The board alone, and lives of tasks on a store in memory.

use std::{future::pending, sync::atomic::AtomicUsize};

use actix::Arbiter;

use super::{board::Full, *};
use crate::{
    actors::audit::{Audit, AuditConfig},
    domain::{Outcome, Principal, PrincipalKind, RequestId},
    error::{Code, Coded},
    store::{self, EndedTask, TaskEnd, TaskRow},
    telemetry::StoreFailures,
};

fn view(owner: &str) -> View {
    let at = Timestamp::from_secs(1);
    let owner = owner.parse().unwrap();
    View { owner, tool: "t".into(), created_at: at, updated_at: at, until: at, state: State::Working(None) }
}

fn entered(board: &mut Board, n: u8, owner: &str) -> Result<oneshot::Receiver<Stop>, Full> {
    let (stop, stopped) = oneshot::channel();
    board.enter([n; 32], view(owner), stop).map(|()| stopped)
}

fn question(key: &'static str) -> Question {
    Question { key, shown_as: String::new(), method: "m", params: "{}".into() }
}

fn shown(board: &Board) -> Vec<String> {
    match &board.look(&[1; 32]).unwrap().state {
        State::Asks(questions) => questions.iter().map(|one| one.shown_as.clone()).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_board_has_room_for_so_many_of_one_owner_and_in_all_and_gives_it_back() {
    let mut board = Board::new(2, 3);
    let _kept = [(1, "ada"), (2, "ada"), (3, "bob")].map(|(n, owner)| entered(&mut board, n, owner).unwrap());
    assert_eq!(entered(&mut board, 4, "bob").unwrap_err(), Full::OfAll);
    board.leave(&[3; 32]);
    assert_eq!(entered(&mut board, 4, "ada").unwrap_err(), Full::OfOne);
    assert!(entered(&mut board, 4, "eve").is_ok());
    assert_eq!(board.len(), 3);
}

#[test]
fn questions_wait_for_all_their_answers_and_no_name_is_used_twice() {
    let (mut board, now) = (Board::new(1, 1), Timestamp::from_secs(2));
    let _stopped = entered(&mut board, 1, "ada").unwrap();
    let answer = |board: &mut Board, key: &str| {
        assert!(board.answer(&[1; 32], vec![(key.into(), "1".into())], now));
    };
    let mut first = board.ask(&[1; 32], vec![question("a"), question("b")], now).unwrap();
    assert_eq!(shown(&board), ["a", "b"]);
    for key in ["c", "a", "a"] {
        answer(&mut board, key);
    }
    assert_eq!(shown(&board), ["b"]);
    assert!(first.try_recv().is_err(), "one is missing");
    answer(&mut board, "b");
    assert_eq!(first.try_recv().unwrap(), [("a", "1".to_owned()), ("b", "1".to_owned())]);
    assert_eq!(board.look(&[1; 32]).unwrap().state, State::Working(None));
    let mut second = board.ask(&[1; 32], vec![question("b")], now).unwrap();
    assert_eq!(shown(&board), ["b#2"]);
    answer(&mut board, "b");
    assert!(second.try_recv().is_err());
    answer(&mut board, "b#2");
    assert!(second.try_recv().is_ok());
    assert_eq!(board.look(&[1; 32]).unwrap().updated_at, now);
}

#[test]
fn a_stop_is_told_once_and_with_the_first_reason() {
    let (mut board, now) = (Board::new(9, 9), Timestamp::from_secs(2));
    let mut stopped = [1, 2, 3].map(|n| entered(&mut board, n, "ada").unwrap());
    board.stop(&[1; 32], Stop::Cancelled);
    let _waits = board.ask(&[2; 32], vec![question("a")], now);
    board.stop_all(true);
    let told = stopped.each_mut().map(|stopped| stopped.try_recv().ok());
    assert_eq!(told, [Some(Stop::Cancelled), Some(Stop::Closing), None]);
    board.stop_all(false);
    assert_eq!(stopped[2].try_recv(), Ok(Stop::Closing));
}

struct House {
    tasks: Tasks,
    stores: Stores,
    _audit: Audit,
    _home: tempfile::TempDir,
}

async fn house(stores: Stores) -> House {
    house_in(tempfile::tempdir().unwrap(), stores).await
}

async fn house_in(home: tempfile::TempDir, stores: Stores) -> House {
    let audit = Audit::start(&Arbiter::new().handle(), AuditConfig::new(home.path())).await.unwrap();
    let metrics = Arc::new(Metrics::new(&[], &[], &StoreFailures::default()));
    let config = TasksConfig {
        max_run: Duration::from_secs(60),
        ttl: Duration::from_secs(60),
        running: (2, 9),
        room: TaskRoom { of_one: 9, of_all: 9 },
    };
    let recorded = (audit.lane(), &metrics);
    let arbiter = Arbiter::new().handle();
    let runner = Runner::claim(home.path()).unwrap();
    let tasks = Tasks::start(&arbiter, (config, runner), &stores, recorded).await.unwrap();
    House { tasks, stores, _audit: audit, _home: home }
}

fn new(work: Work) -> NewTask {
    let ada = Principal {
        id: "ada".parse().unwrap(),
        kind: PrincipalKind::Local,
        client: "tests".into(),
        credential: "none".into(),
        roles: Vec::new(),
        permissions: crate::domain::PermissionSet::default(),
        reach: crate::domain::PermissionSet::default(),
        recorded: crate::domain::Recorded::default(),
    };
    let (principal, most) = (Arc::new(ada), Duration::from_secs(60));
    NewTask { principal, tool: "t", request: RequestId::new(), most, work }
}

fn endless() -> Work {
    Box::new(|_| Box::pin(pending()))
}

fn completed() -> Ending {
    Ending { how: TaskEnd::Completed, outcome: Outcome::Ok, message: None, body: "{}".into() }
}

async fn ended(house: &House, id: &str) -> EndedTask {
    let ada = "ada".parse().unwrap();
    loop {
        if let State::Ended(ended) = house.tasks.look(id, &ada).await.unwrap().unwrap().state {
            return ended;
        }
        tokio::task::yield_now().await;
    }
}

#[actix::test]
async fn a_task_is_in_the_store_before_it_is_told_and_its_end_before_it_is_shown() {
    let house = house(store::open("memory:").unwrap()).await;
    let (id, view) = house.tasks.begin(new(Box::new(|_| Box::pin(async { completed() })))).await.unwrap();
    assert_eq!(view.state, State::Working(None));
    let digest = digest_of(&id);
    assert!(house.stores.tasks.find_task(&digest, Timestamp::now()).await.unwrap().is_some());
    let shown = ended(&house, &id).await;
    let kept = house.stores.tasks.find_task(&digest, Timestamp::now()).await.unwrap().unwrap();
    assert_eq!(kept.ended, Some(shown));
    assert_eq!(house.tasks.look(&id, &"eve".parse().unwrap()).await.unwrap(), None);
    house.tasks.close().await;
}

#[actix::test]
async fn whoever_has_gone_before_it_was_told_of_its_task_has_none_that_runs() {
    let house = house(store::open("memory:").unwrap()).await;
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    let work: Work = Box::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Box::pin(pending())
    });
    let (told, gone) = oneshot::channel();
    drop(gone);
    house.tasks.seat.post(Begin { digest: [7; 32], new: new(work), told }).unwrap();
    // Behind it on the same thread, hence later.
    let (id, _) = house.tasks.begin(new(endless())).await.unwrap();
    assert!(house.tasks.cancel(&id));
    house.tasks.emptied().await;
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    let kept = house.stores.tasks.find_task(&[7; 32], Timestamp::now()).await.unwrap().unwrap();
    assert_eq!(kept.ended.unwrap().how, TaskEnd::Cancelled);
}

#[actix::test]
async fn what_a_runner_has_left_is_failed_at_its_next_start_and_what_another_runs_is_left_alone_until_it_is_due()
 {
    let (stores, now) = (store::open("memory:").unwrap(), Timestamp::now());
    let home = tempfile::tempdir().unwrap();
    let here = Runner::claim(home.path()).unwrap().settle().0;
    let row = |id: &str, runner: &str, due: Timestamp| TaskRow {
        digest: digest_of(id),
        owner: "ada".parse().unwrap(),
        tool: "t".into(),
        runner: runner.into(),
        created_at: now.minus(Duration::from_secs(9)),
        due,
        until: now.plus(Duration::from_secs(600)),
        ended: None,
    };
    let (later, before) = (now.plus(Duration::from_secs(60)), now.minus(Duration::from_secs(1)));
    let room = TaskRoom { of_one: 9, of_all: 9 };
    for row in [row("ours", &here, later), row("theirs", "there", later), row("lost", "there", before)] {
        stores.tasks.create_task(&row, room).await.unwrap();
    }
    let house = house_in(home, stores).await;
    for id in ["ours", "lost"] {
        let ended = ended(&house, id).await;
        assert_eq!(ended.how, TaskEnd::Failed, "{id}");
        assert!(ended.message.unwrap().contains("was not resumed"));
    }
    assert!(!house.tasks.cancel("theirs") && !house.tasks.answer("theirs", Vec::new()), "nobody hears of it");
    let theirs = house.tasks.look("theirs", &"ada".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(theirs.state, State::Working(None));
}

#[actix::test]
async fn a_place_is_taken_while_a_task_runs_and_a_closed_house_says_that_it_stopped() {
    let house = house(store::open("memory:").unwrap()).await;
    let one = house.tasks.begin(new(endless())).await.unwrap().0;
    let _other = house.tasks.begin(new(endless())).await.unwrap();
    let refused = house.tasks.begin(new(endless())).await.unwrap_err();
    assert_eq!((refused.code(), refused.retry_after()), (Code::RateLimited, Some(Duration::from_secs(5))));
    house.tasks.close().await;
    let ended = ended(&house, &one).await;
    assert_eq!(ended.how, TaskEnd::Failed);
    assert!(ended.body.contains("shutting_down"), "{}", ended.body);
}

#[actix::test]
async fn a_panic_in_its_work_is_the_end_of_the_task_alone() {
    let house = house(store::open("memory:").unwrap()).await;
    let work: Work = Box::new(|_| Box::pin(async { panic!("on purpose") }));
    let id = house.tasks.begin(new(work)).await.unwrap().0;
    assert!(ended(&house, &id).await.body.contains("internal error"));
    let next = house.tasks.begin(new(Box::new(|_| Box::pin(async { completed() })))).await.unwrap().0;
    assert_eq!(ended(&house, &next).await.how, TaskEnd::Completed);
}
