//! Files that are written while the disk fills up or the process dies: the old text or the new one, never half.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};

use super::{
    caller::Caller,
    home::Home,
    output,
    server::Server,
    shortage::{self, Shortage, Tmpfs},
};

/// Bytes of the large texts: more than is left where space is short.
const LARGE: usize = 1 << 20;

async fn write(caller: &Caller, path: &str, content: &str) -> Value {
    let answer = caller.call("write_file", json!({ "path": path, "content": content })).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["result"].clone()
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_full_disk_leaves_the_old_file_whole_and_no_draft() {
    // A limit on the length of files stands for a quota, and works for everybody; only root may mount a disk.
    let home = Home::for_load("files_limit");
    let server = Server::start_by(&home, Shortage::FileLimit.command(&home)).await;
    let take = || shortage::limit(&server, &(LARGE / 2).to_string());
    let give = || shortage::limit(&server, "unlimited");
    run_out(&home, &server, &home.data_dir().join("files"), (&take, &give)).await;
    server.stopped().await;
    match Tmpfs::mount() {
        Err(why) => output::figure(&format!("files on a full disk: this machine refuses to mount ({why})")),
        Ok(disk) => {
            let root = disk.folder().join("files");
            fs::create_dir(&root).unwrap();
            let home = Home::for_load("files_full").with("TOOLS__FILES__ROOTS", root.to_str().unwrap());
            let server = Server::start(&home).await;
            let full = Shortage::Tmpfs(disk);
            run_out(&home, &server, &root, (&|| full.begin(&server, &home), &|| full.end(&server))).await;
            server.stopped().await;
        }
    }
}

async fn run_out(home: &Home, server: &Server, root: &Path, (take, give): (&dyn Fn(), &dyn Fn())) {
    let token = home.token("root", "admin").await;
    let caller = server.caller(Some(&token));
    assert_ne!(write(&caller, "a.txt", "old").await["isError"], true);
    take();
    let refused = write(&caller, "a.txt", &"x".repeat(LARGE)).await;
    let text = refused["content"][0]["text"].as_str().unwrap();
    assert!(refused["isError"] == true && text.contains("disk of the server is full"), "{refused}");
    assert_eq!(fs::read_to_string(root.join("a.txt")).unwrap(), "old");
    assert_eq!(names(root), ["a.txt"], "a draft is left");
    give();
    assert_ne!(write(&caller, "a.txt", &"x".repeat(LARGE)).await["isError"], true);
    assert_eq!(fs::metadata(root.join("a.txt")).unwrap().len(), LARGE as u64);
}

#[tokio::test]
async fn kill_9_while_writing_leaves_the_old_file_or_the_new_one() {
    let home = Home::for_load("files_kill");
    let root = home.data_dir().join("files");
    // Numbers of writes: asked for, answered last; and how many were answered, or done without an answer.
    let (mut asked, mut answered, mut done) = (0_u64, 0, 0);
    let rounds = if output::full() { 100 } else { 8 };
    for round in 0..rounds {
        let server = Server::start(&home).await;
        if round > 0 {
            assert_eq!(names(&root), ["a.txt"], "round {round}: a draft is left after the start");
        }
        let token = home.token("root", "admin").await;
        let caller = server.caller(Some(&token));
        // Not always at the same step of a write.
        let life = Duration::from_millis(20 + 37 * (round % 7));
        let writing = async {
            loop {
                asked += 1;
                let content = format!("{asked:09}").repeat(20_000);
                let arguments = json!({ "path": "a.txt", "content": content });
                match caller.call("write_file", arguments).await {
                    Ok(answer) => {
                        assert_eq!(answer.status, 200, "{}", answer.text);
                        (answered, done) = (asked, done + 1);
                    }
                    Err(_dead) => break,
                }
            }
        };
        let dying = async {
            tokio::time::sleep(life).await;
            server.killed().await;
        };
        tokio::join!(writing, dying);
        let Ok(text) = fs::read_to_string(root.join("a.txt")) else {
            assert_eq!(answered, 0, "round {round}: what was answered is gone");
            fs::write(root.join("a.txt"), "000000000").unwrap();
            continue;
        };
        let stands: u64 = text.get(..9).unwrap().parse().unwrap();
        assert!(stands == 0 || text == format!("{stands:09}").repeat(20_000), "round {round}: half a file");
        assert!((answered..=asked).contains(&stands), "round {round}: {answered} <= {stands} <= {asked}");
        done += u64::from(stands > answered);
        answered = stands;
        // Whatever was done was on record before.
        let started =
            home.ok(&["audit", "query", "--tool", "write_file", "--event", "tool.started", "--json"]).await;
        assert!(started.lines().count() as u64 >= done, "round {round}: {done} written, {started}");
    }
    let server = Server::start(&home).await;
    assert_eq!(names(&root), ["a.txt"]);
    server.stopped().await;
    home.audit_verifies().await;
    output::figure(&format!("files: {rounds} kills, {asked} writes begun, none half"));
}
