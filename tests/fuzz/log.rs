//! The audit verifier: of a log that was changed in any way it says so, and nothing in it makes it fall over.

use std::{
    fs,
    path::{Path, PathBuf},
};

use actix::Arbiter;
use portcullis::{
    actors::audit::{Audit, AuditConfig, verify},
    domain::{AuditEvent, EventCode, Outcome, Timestamp},
};

use super::driver::{Target, fingerprint};

const WORDS: &[&str] = &[
    "{\"chain\":\"",
    "\"seq\":",
    "\"event\":\"audit.checkpoint\"",
    ",\"hash\":\"",
    "\"prev\":\"",
    "\"checkpoint\":{",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "\n",
    "\r\n",
    "\u{2028}",
    "null",
    "1e9",
    "18446744073709551615",
];

/// A small log of ours with checkpoints, closed in order.
fn log(dir: &Path) {
    actix::System::new().block_on(async {
        let arbiter = Arbiter::new();
        let config = AuditConfig { checkpoint_every: 3, ..AuditConfig::new(dir) };
        let audit = Audit::start(&arbiter.handle(), config).await.unwrap();
        let lane = audit.lane();
        for number in 0..7 {
            let tool = Some(format!("tool-{number}").into());
            let event =
                AuditEvent { tool, ..AuditEvent::new(Timestamp::now(), EventCode::ToolCalled, Outcome::Ok) };
            drop(lane.reserve().unwrap().write(event));
        }
        audit.close().await.unwrap();
        arbiter.stop();
    });
}

/// The one segment, the head and the public half of the key.
fn files(dir: &Path) -> Vec<PathBuf> {
    let folder = |path: &str| fs::read_dir(dir.join(path)).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        folder("audit/0").filter(|path| path.extension().is_some_and(|it| it == "jsonl")).collect();
    assert_eq!(found.len(), 1);
    found.push(dir.join("audit/heads/0.json"));
    found.extend(
        folder("keys").chain(folder("audit")).filter(|path| path.extension().is_some_and(|it| it == "pub")),
    );
    assert_eq!(found.len(), 3, "{found:?}");
    found
}

#[test]
fn no_change_of_a_log_goes_unnoticed_and_none_breaks_the_verifier() {
    let home = tempfile::tempdir().unwrap();
    log(home.path());
    assert!(verify(home.path(), None).unwrap().ok());
    let files = files(home.path());
    let whole: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    // The first byte says which file the rest is put in the place of.
    let seeds = whole.iter().enumerate().map(|(at, bytes)| [&[at as u8], &bytes[..]].concat()).collect();
    Target { name: "audit", seeds, words: WORDS }.fuzz(|input| {
        let Some((which, changed)) = input.split_first() else { return 0 };
        let which = usize::from(*which) % files.len();
        fs::write(&files[which], changed).unwrap();
        let report = verify(home.path(), None);
        fs::write(&files[which], &whole[which]).unwrap();
        let ok = report.as_ref().is_ok_and(portcullis::actors::audit::Report::ok);
        if which == 0 && ok {
            // What a writer has not finished yet is no record.
            let rest = changed.strip_prefix(&whole[0][..]).expect("a changed log verifies");
            assert!(!rest.contains(&b'\n'), "a record that is not chained verifies");
        }
        let told = report.as_ref().map_or(0, |report| report.problem_count.min(9));
        fingerprint((which, ok, report.is_ok(), told, report.map(|report| report.slots[0].records).ok()))
    });
}
