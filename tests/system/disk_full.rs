//! No space left: calls are refused, none is answered unrecorded, and space given back heals it.

use super::{
    disk_held::back,
    home::Home,
    output, records,
    server::Server,
    shortage::{Shortage, Tmpfs},
};

/// Calls that may still fit into the last block.
const SLACK: usize = 400;

#[tokio::test]
async fn a_full_disk_refuses_calls_and_heals_when_space_returns() {
    let shortage = match Tmpfs::mount() {
        Ok(tmpfs) => Shortage::Tmpfs(tmpfs),
        Err(why) => {
            output::figure(&format!(
                "disk full: this machine refuses to mount ({why}); a file limit stands in"
            ));
            Shortage::FileLimit
        }
    };
    run_out(shortage, "disk_full").await;
}

#[tokio::test]
async fn a_file_that_may_not_grow_does_the_same() {
    run_out(Shortage::FileLimit, "file_limit").await;
}

async fn run_out(shortage: Shortage, name: &'static str) {
    let mut home = Home::for_load(name);
    if let Some(data_dir) = shortage.data_dir() {
        home = home.with_data_in(&data_dir);
    }
    let server = Server::start_by(&home, shortage.command(&home)).await;
    let token = home.token("alice", "user").await;
    let caller = server.caller(Some(&token));
    let mut answered = Vec::new();
    for _ in 0..50 {
        let answer = caller.weather("Oslo").await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        answered.push(answer.request_id());
    }

    shortage.begin(&server, &home);
    let refused = loop {
        let answer = caller.weather("Oslo").await.unwrap();
        if answer.status != 200 {
            break answer;
        }
        answered.push(answer.request_id());
        assert!(answered.len() < SLACK, "still answered without space for a record");
    };
    assert_eq!((refused.status, refused.reason().as_str()), (503, "audit_unavailable"));
    for _ in 0..20 {
        let answer = caller.weather("Oslo").await.unwrap();
        assert_eq!((answer.status, answer.reason().as_str()), (503, "audit_unavailable"));
    }
    shortage.end(&server);

    let (healed, first) = back(&server, &token).await;
    answered.push(first);
    output::figure(&format!(
        "{name}: back {healed:?} after the space was, {} answered in all",
        answered.len()
    ));
    records::hold_each_of(&home, &answered).await;
    server.stopped().await;
    home.audit_verifies().await;
    drop(home);
    drop(shortage);
}
