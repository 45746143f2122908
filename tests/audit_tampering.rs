//! Whatever somebody does to the files of the audit log afterwards, `verify` finds it and says where.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use actix::Arbiter;
use portcullis::{
    actors::audit::{Audit, AuditConfig, Report, SignedHead, verify},
    domain::{AuditEvent, EventCode, Outcome, Timestamp},
};
use sha2::{Digest, Sha256};

/// Adds records to the log below `dir` and closes it in order.
async fn write(dir: &Path, records: usize) {
    let arbiter = Arbiter::new();
    let config = AuditConfig { checkpoint_every: 10, segment_bytes: 8_000, ..AuditConfig::new(dir) };
    let audit = Audit::start(&arbiter.handle(), config).await.unwrap();
    let lane = audit.lane();
    for number in 0..records {
        let event = AuditEvent {
            tool: Some(format!("tool-{number}").into()),
            ..AuditEvent::new(Timestamp::now(), EventCode::ToolCalled, Outcome::Ok)
        };
        drop(lane.reserve().unwrap().write(event));
    }
    audit.close().await.unwrap();
    arbiter.stop();
}

/// A log of 50 records of ours and some checkpoints, in several segments.
async fn log() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 50).await;
    let report = verify(dir.path(), None).unwrap();
    assert!(report.ok(), "{:#?}", report.problems);
    assert!(segments(dir.path()).len() > 2);
    dir
}

/// Number of the last record.
fn last_seq(dir: &Path) -> u64 {
    verify(dir, None).unwrap().slots[0].last_seq
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("audit/0")).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|it| it == "jsonl")).collect();
    segments.sort();
    segments
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(String::from).collect()
}

fn put(path: &Path, lines: &[String]) {
    fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes all numbers and hashes of the whole log anew, as somebody without the key can.
fn rehash(dir: &Path) {
    let (mut seq, mut prev) = (0, [0; 32]);
    for path in segments(dir) {
        let mut records = lines(&path);
        for line in &mut records {
            seq += 1;
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let body = line[..line.len() - 75]
                .replacen(&format!("\"seq\":{},", record["seq"]), &format!("\"seq\":{seq},"), 1)
                .replace(&format!("\"prev\":{}", record["prev"]), &format!("\"prev\":\"{}\"", hex(&prev)));
            prev = Sha256::new().chain_update(prev).chain_update(&body).finalize().into();
            *line = format!("{body},\"hash\":\"{}\"}}", hex(&prev));
        }
        put(&path, &records);
    }
}

fn found(dir: &Path) -> Report {
    let report = verify(dir, None).unwrap();
    assert!(!report.ok(), "nothing was found");
    report
}

/// File and line of the first problem.
fn first(dir: &Path) -> (PathBuf, u64) {
    let report = found(dir);
    (report.problems[0].file.clone(), report.problems[0].line)
}

#[actix::test]
async fn every_flipped_byte_is_found_in_its_line() {
    let dir = log().await;
    let path = &segments(dir.path())[1];
    let text = fs::read(path).unwrap();
    let ends: Vec<_> = (0..text.len()).filter(|&at| text[at] == b'\n').collect();
    for at in (0..text.len()).step_by(7).chain(ends.iter().copied()) {
        let line = ends.iter().filter(|&&end| end < at).count() as u64 + 1;
        let mut flipped = text.clone();
        flipped[at] ^= 0x01;
        fs::write(path, &flipped).unwrap();
        assert_eq!(first(dir.path()), (path.clone(), line), "byte {at}");
    }
    fs::write(path, &text).unwrap();
    assert!(verify(dir.path(), None).unwrap().ok());
}

#[actix::test]
async fn the_first_bad_record_is_named() {
    let dir = log().await;
    let path = segments(dir.path())[0].clone();
    let mut records = lines(&path);
    records[3] = records[3].replace("tool-3", "tool-4");
    put(&path, &records);
    let report = found(dir.path());
    assert_eq!((report.problems[0].line, report.problems[0].seq), (4, Some(4)));
    assert!(report.problems[0].what.contains("changed"), "{:?}", report.problems[0]);
}

#[actix::test]
async fn a_deleted_a_moved_and_an_inserted_line_are_found() {
    type Change = fn(&mut Vec<String>);
    let changes: [(&str, Change); 5] = [
        ("deleted", |lines| drop(lines.remove(3))),
        ("swapped", |lines| lines.swap(3, 4)),
        ("doubled", |lines| lines.insert(3, lines[2].clone())),
        ("invented", |lines| lines.insert(3, lines[3].replace("tool-", "evil-"))),
        ("blank", |lines| lines.insert(3, String::new())),
    ];
    for (what, change) in changes {
        let dir = log().await;
        let path = segments(dir.path())[0].clone();
        let mut records = lines(&path);
        change(&mut records);
        put(&path, &records);
        assert_eq!(first(dir.path()), (path, 4), "{what}");
    }
}

#[actix::test]
async fn a_cut_tail_is_found_even_right_behind_a_checkpoint() {
    for keep in [0, 1] {
        let dir = log().await;
        let last = last_seq(dir.path());
        let path = segments(dir.path()).last().unwrap().clone();
        put(&path, &lines(&path)[..keep]);
        let report = found(dir.path());
        assert!(report.problems[0].what.contains("cut"), "{:?}", report.problems);
        assert_eq!(report.problems[0].seq, Some(last), "the head names the last record that was there");
    }
    let dir = log().await;
    let all = segments(dir.path());
    let checkpoint = lines(&all[0]).iter().position(|line| line.contains("\"checkpoint\":{")).unwrap();
    put(&all[0], &lines(&all[0])[..=checkpoint]);
    all[1..].iter().for_each(|path| fs::remove_file(path).unwrap());
    let report = found(dir.path());
    assert!(report.problem_count == 1 && report.problems[0].what.contains("cut"), "{:?}", report.problems);
}

#[actix::test]
async fn a_torn_last_line_is_found_when_nobody_writes() {
    let dir = log().await;
    let path = segments(dir.path()).last().unwrap().clone();
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..text.len() - 1]).unwrap();
    assert!(found(dir.path()).problems.iter().any(|problem| problem.what.contains("torn")));
}

#[actix::test]
async fn a_missing_segment_slot_or_head_file_is_found() {
    let dir = log().await;
    let all = segments(dir.path());
    fs::remove_file(&all[1]).unwrap();
    assert_eq!(first(dir.path()), (all[2].clone(), 1));

    let dir = log().await;
    let head = dir.path().join("audit/heads/0.json");
    fs::remove_dir_all(dir.path().join("audit/0")).unwrap();
    assert_eq!(first(dir.path()), (head, 0));

    let dir = log().await;
    let head = dir.path().join("audit/heads/0.json");
    fs::remove_file(&head).unwrap();
    assert_eq!(first(dir.path()), (head, 0));
}

#[actix::test]
async fn a_whole_log_written_anew_with_fitting_hashes_is_found() {
    let dir = log().await;
    let path = segments(dir.path())[0].clone();
    let mut records = lines(&path);
    records[4] = records[4].replace("\"tool\":\"tool-4\"", "\"tool\":\"harmless\"");
    put(&path, &records);
    rehash(dir.path());
    let report = found(dir.path());
    assert!(report.problems.iter().all(|problem| !problem.what.contains("hash")), "{:?}", report.problems);
    assert!(report.problems[0].what.contains("checkpoint"), "{:?}", report.problems);

    // And without any checkpoint left, the head file still tells.
    for path in segments(dir.path()) {
        let kept: Vec<_> =
            lines(&path).into_iter().filter(|line| !line.contains("audit.checkpoint")).collect();
        put(&path, &kept);
    }
    rehash(dir.path());
    let report = found(dir.path());
    assert_eq!((report.slots[0].checkpoints, report.problem_count), (0, 1), "{:?}", report.problems);
    assert!(report.problems[0].what.contains("cut"), "{:?}", report.problems);
}

#[actix::test]
async fn a_head_signed_by_another_key_counts_for_nothing() {
    let (dir, other) = (log().await, log().await);
    let head = "audit/heads/0.json";
    fs::copy(other.path().join(head), dir.path().join(head)).unwrap();
    assert_eq!(first(dir.path()), (dir.path().join(head), 0));
}

#[actix::test]
async fn a_log_put_back_to_an_older_state_is_found_with_an_anchor() {
    let dir = log().await;
    let older: Vec<_> =
        segments(dir.path()).into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
    let head = dir.path().join("audit/heads/0.json");
    let older_head = fs::read(&head).unwrap();
    write(dir.path(), 20).await;

    let anchor = dir.path().join("anchor.jsonl");
    let checkpoint = lines(segments(dir.path()).last().unwrap()).last().unwrap().clone();
    fs::write(&anchor, format!("{checkpoint}\n{}", fs::read_to_string(&head).unwrap())).unwrap();
    let report = verify(dir.path(), Some(&anchor)).unwrap();
    assert!(report.ok(), "{:#?}", report.problems);

    segments(dir.path()).iter().for_each(|path| fs::remove_file(path).unwrap());
    older.iter().for_each(|(text, path)| fs::write(path, text).unwrap());
    fs::write(&head, older_head).unwrap();
    assert!(verify(dir.path(), None).unwrap().ok(), "in itself the older log is in order");
    let report = verify(dir.path(), Some(&anchor)).unwrap();
    assert_eq!(report.problem_count, 2, "{:#?}", report.problems);
    assert!(report.problems.iter().all(|problem| problem.file == anchor));
}

#[actix::test]
async fn an_anchor_that_is_forged_or_no_anchor_is_not_believed() {
    let dir = log().await;
    let anchor = dir.path().join("anchor.jsonl");
    let head = fs::read_to_string(dir.path().join("audit/heads/0.json")).unwrap();
    let mut forged: SignedHead = serde_json::from_str(&head).unwrap();
    forged.seq += 1;
    fs::write(&anchor, format!("{}\n{{\"a\":1}}\n\n", serde_json::to_string(&forged).unwrap())).unwrap();
    let report = verify(dir.path(), Some(&anchor)).unwrap();
    assert_eq!(report.problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [1, 2]);
    assert!(verify(dir.path(), Some(&dir.path().join("absent"))).is_err());
}

#[actix_web::test]
async fn a_record_that_bears_the_last_number_there_is_is_found_like_any_other() {
    let dir = log().await;
    let path = segments(dir.path()).remove(0);
    let mut all = lines(&path);
    let last = format!("\"seq\":{},", u64::MAX);
    assert!(all[3].contains("\"seq\":4,"));
    all[3] = all[3].replacen("\"seq\":4,", &last, 1);
    put(&path, &all);
    let report = verify(dir.path(), None).unwrap();
    assert!(
        report.problems.iter().any(|problem| format!("{problem:?}").contains("where none should")),
        "{report:#?}"
    );
}
