//! A process ends without a word: the next one finds out what it left.

use std::fs::{self, OpenOptions};
use std::io::Write;

use super::*;
use crate::actors::audit::{Durability, segment::list, verify};

fn segment(dir: &Path) -> std::path::PathBuf {
    let slot = dir.join("audit/0");
    list(&slot).unwrap().last().unwrap().path(&slot)
}

/// A log of ten records whose writer died.
async fn crashed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let house = House::start(AuditConfig::new(dir.path())).await;
    for number in 0..10 {
        house.audit.record(called(&number.to_string())).await.unwrap();
    }
    house.crash();
    dir
}

async fn restart(dir: &Path) {
    let house = House::start(AuditConfig::new(dir)).await;
    house.audit.record(called("next")).await.unwrap();
    house.close().await;
}

#[actix::test]
async fn a_crash_between_two_batches_leaves_a_log_that_verifies_and_goes_on() {
    let dir = crashed().await;
    assert_verifies(dir.path());
    restart(dir.path()).await;
    assert_verifies(dir.path());
    assert_eq!(tools(dir.path()).len(), 11);
    assert!(alerts(dir.path()).is_empty());
    let report = verify(dir.path(), None).unwrap();
    assert_eq!(
        (report.slots.len(), report.slots[0].checkpoints),
        (1, 2),
        "one at the restart, one at the end"
    );
}

#[actix::test]
async fn a_torn_tail_is_cut_and_recorded() {
    for garbage in [&b"{\"chain\":\"half a rec"[..], b"\0\0\0\0\0\0\0\0", b"{\"a\":1}\nx", b"\n"] {
        let dir = crashed().await;
        let mut file = OpenOptions::new().append(true).open(segment(dir.path())).unwrap();
        file.write_all(garbage).unwrap();
        assert!(!verify(dir.path(), None).unwrap().ok(), "torn, and nobody is writing");
        restart(dir.path()).await;
        assert_verifies(dir.path());
        assert_eq!(alerts(dir.path()), ["torn_record_cut"]);
        assert_eq!(tools(dir.path()).len(), 11);
        let filter =
            crate::actors::audit::Filter { event: Some("alert.raised".into()), ..Default::default() };
        let alert = crate::actors::audit::query(dir.path(), filter).unwrap().next().unwrap().unwrap();
        assert_eq!(alert.record.detail.unwrap()["bytes"], garbage.len());
    }
}

#[actix::test]
async fn a_tail_cut_while_nobody_wrote_stays_visible_after_the_restart() {
    let dir = crashed().await;
    let text = fs::read_to_string(segment(dir.path())).unwrap();
    let kept: String = text.split_inclusive('\n').take(7).collect();
    fs::write(segment(dir.path()), kept).unwrap();
    assert!(!verify(dir.path(), None).unwrap().ok());

    for _ in 0..2 {
        restart(dir.path()).await;
        let report = verify(dir.path(), None).unwrap();
        assert_eq!((report.problem_count, report.problems[0].seq), (1, Some(11)), "{:#?}", report.problems);
        assert_eq!(alerts(dir.path()), ["chain_broken"]);
    }
}

#[actix::test]
async fn a_last_record_that_was_rewritten_is_found_at_the_restart() {
    let dir = crashed().await;
    let text = fs::read_to_string(segment(dir.path())).unwrap();
    let last = text.lines().last().unwrap();
    let changed = last.replace("\"tool\":\"9\"", "\"tool\":\"8\"");
    let body = &changed[..changed.len() - 75];
    let record: serde_json::Value = serde_json::from_str(&changed).unwrap();
    let prev = crate::actors::audit::text::parse_hex32(record["prev"].as_str().unwrap().as_bytes()).unwrap();
    let hash = crate::actors::audit::head::link(&prev, body.as_bytes());
    let forged = format!("{body},\"hash\":\"{}\"}}", crate::actors::audit::head::hex(&hash));
    fs::write(segment(dir.path()), text.replace(last, &forged)).unwrap();

    restart(dir.path()).await;
    assert_eq!(alerts(dir.path()), ["chain_broken"]);
    assert!(!verify(dir.path(), None).unwrap().ok());
}

#[actix::test]
async fn a_garbled_log_without_its_head_is_kept_as_evidence() {
    let dir = crashed().await;
    let garbled = segment(dir.path());
    fs::write(&garbled, "nothing of it is left\n").unwrap();
    fs::remove_file(dir.path().join("audit/heads/0.json")).unwrap();
    restart(dir.path()).await;
    assert_eq!(fs::read_to_string(&garbled).unwrap(), "nothing of it is left\n");
    assert_eq!(alerts(dir.path()), ["head_file_lost"]);
    assert!(!verify(dir.path(), None).unwrap().ok());
}

#[actix::test]
async fn a_buffered_log_is_whole_after_a_crash_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let config = AuditConfig { durability: Durability::Buffered, ..AuditConfig::new(dir.path()) };
    let house = House::start(config).await;
    for number in 0..10 {
        house.audit.record(called(&number.to_string())).await.unwrap();
    }
    while tools(dir.path()).len() < 10 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    house.crash();
    restart(dir.path()).await;
    assert_eq!(tools(dir.path()).len(), 11);
    assert_verifies(dir.path());
}

#[actix::test]
async fn files_are_for_their_owner_alone_and_a_key_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = crashed().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let key = dir.path().join("keys/audit.key");
    for (path, expected) in [
        (dir.path().join("audit"), 0o700),
        (dir.path().join("audit/0"), 0o700),
        (dir.path().join("audit/heads/0.json"), 0o600),
        (dir.path().join("keys"), 0o700),
        (segment(dir.path()), 0o600),
        (key.clone(), 0o600),
    ] {
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
    fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
    let arbiter = Arbiter::new();
    let refused = Audit::start(&arbiter.handle(), AuditConfig::new(dir.path())).await.unwrap_err();
    assert!(refused.to_string().contains("chmod 600"), "{refused}");
    arbiter.stop();
}
