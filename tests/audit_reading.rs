//! The audit log is searched, tailed and followed over slots and segments, while it is written and after.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

use std::{path::Path, sync::Arc, time::Duration};

use actix::Arbiter;
use portcullis::{
    actors::audit::{
        Audit, AuditConfig, Filter, Follower, query,
        reader::{Found, Usage},
        tail_records, usage, verify,
    },
    domain::{
        AuditEvent, EventCode, Outcome, PermissionSet, Principal, PrincipalKind, Recorded, RequestId,
        Timestamp,
    },
};

/// 2026-11-22T09:00:00Z, in seconds.
const NINE: u64 = 1_795_338_000;

async fn start(dir: &Path) -> (Audit, Arbiter) {
    let arbiter = Arbiter::new();
    let config = AuditConfig { segment_bytes: 4_000, checkpoint_every: 1_000, ..AuditConfig::new(dir) };
    (Audit::start(&arbiter.handle(), config).await.unwrap(), arbiter)
}

fn minute(minute: u64) -> Timestamp {
    Timestamp::from_secs(NINE + 60 * minute)
}

fn at(time: u64, event: EventCode, tool: &str) -> AuditEvent {
    AuditEvent { tool: Some(tool.to_owned().into()), ..AuditEvent::new(minute(time), event, Outcome::Ok) }
}

fn of(user: &str, credential: &str) -> Option<Arc<Principal>> {
    Some(Arc::new(Principal {
        id: user.parse().unwrap(),
        kind: PrincipalKind::Jwt,
        client: "cli".into(),
        credential: credential.into(),
        roles: Vec::new(),
        permissions: PermissionSet::EMPTY,
        reach: PermissionSet::EMPTY,
        recorded: Recorded::default(),
    }))
}

fn tools(found: impl IntoIterator<Item = Found>) -> Vec<String> {
    found.into_iter().filter_map(|found| found.record.tool).collect()
}

#[actix::test]
async fn a_query_finds_by_every_member_and_merges_slots_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let (one, _first) = start(dir.path()).await;
    let (two, _second) = start(dir.path()).await;
    let request = RequestId::new();
    one.record(AuditEvent { principal: of("alice", "j1"), ..at(0, EventCode::ToolCalled, "a") })
        .await
        .unwrap();
    two.record(AuditEvent { principal: of("bob", "j2"), ..at(1, EventCode::ToolDenied, "b") }).await.unwrap();
    one.record(AuditEvent { request_id: Some(request), ..at(2, EventCode::TokenIssued, "c") }).await.unwrap();
    two.record(AuditEvent { outcome: Outcome::Failed, ..at(3, EventCode::TokenRevoked, "d") }).await.unwrap();

    let text = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (Filter::default(), &["a", "b", "c", "d"][..]),
        (Filter { since: Some(minute(1)), ..Filter::default() }, &["b", "c", "d"]),
        (Filter { until: Some(minute(1)), ..Filter::default() }, &["a"]),
        (Filter { since: Some(minute(2)), until: Some(minute(1)), ..Filter::default() }, &[]),
        (Filter { event: text("tool.denied"), ..Filter::default() }, &["b"]),
        (Filter { event: text("token.*"), ..Filter::default() }, &["c", "d"]),
        (Filter { user: text("alice"), ..Filter::default() }, &["a"]),
        (Filter { user: text("' OR 1=1"), ..Filter::default() }, &[]),
        (Filter { credential: text("j2"), ..Filter::default() }, &["b"]),
        (Filter { tool: text("c"), ..Filter::default() }, &["c"]),
        (Filter { outcome: text("failed"), ..Filter::default() }, &["d"]),
        (Filter { request_id: Some(request.to_string()), ..Filter::default() }, &["c"]),
        (Filter { limit: Some(2), ..Filter::default() }, &["a", "b"]),
        (Filter { limit: Some(0), ..Filter::default() }, &[]),
    ] {
        let found = query(dir.path(), filter.clone()).unwrap().map(Result::unwrap);
        assert_eq!(tools(found), expected, "{filter:?}");
    }
    one.close().await.unwrap();
    two.close().await.unwrap();
}

#[actix::test]
async fn the_uses_of_a_credential_are_counted_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    for minute in 0..3 {
        let (audit, arbiter) = start(dir.path()).await;
        for (event, credential) in [
            (EventCode::TokenIssued, "j1"),
            (EventCode::AuthSucceeded, "j1"),
            (EventCode::ToolStarted, "j1"),
            (EventCode::ToolCalled, "j1"),
            (EventCode::RequestServed, "j1"),
            (EventCode::ToolDenied, "j1"),
            (EventCode::ToolCalled, "j2"),
        ] {
            let event = AuditEvent { principal: of("alice", credential), ..at(minute, event, "t") };
            audit.record(event).await.unwrap();
        }
        audit.close().await.unwrap();
        arbiter.stop();
    }
    let used = usage(dir.path(), "j1").unwrap();
    assert_eq!((used.count, used.last_used.as_deref()), (9, Some("2026-11-22T09:02:00.000000Z")));
    assert_eq!(usage(dir.path(), "j3").unwrap(), Usage::default());
}

#[actix::test]
async fn a_tail_and_its_follower_miss_nothing_and_repeat_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(tail_records(dir.path(), 5).unwrap().is_empty(), "no log yet");
    let (one, _first) = start(dir.path()).await;
    for number in 0..100 {
        one.record(at(number, EventCode::ToolCalled, &number.to_string())).await.unwrap();
    }
    let numbers = |range: std::ops::Range<u64>| range.map(|number| number.to_string()).collect::<Vec<_>>();
    for count in [0, 1, 7, 99, 100] {
        let last = tail_records(dir.path(), usize::try_from(count).unwrap()).unwrap();
        assert_eq!(tools(last), numbers(100 - count..100));
    }
    assert_eq!(tail_records(dir.path(), 1_000).unwrap().len(), 100);

    let (shown, mut follower) = Follower::open(dir.path(), 10).unwrap();
    assert_eq!(tools(shown), numbers(90..100));
    assert!(follower.poll().unwrap().is_empty());
    // Over rotations, and from a slot that did not exist before.
    let (two, _second) = start(dir.path()).await;
    for number in 100..150 {
        let audit = if number % 2 == 0 { &one } else { &two };
        audit.record(at(number, EventCode::ToolCalled, &number.to_string())).await.unwrap();
    }
    assert_eq!(tools(follower.poll().unwrap()), numbers(100..150));
    assert!(follower.poll().unwrap().is_empty());
    one.close().await.unwrap();
    two.close().await.unwrap();
}

#[actix::test]
async fn a_log_can_be_verified_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (audit, _arbiter) = start(dir.path()).await;
    let lane = audit.lane();
    let writer = std::thread::spawn(move || {
        for _ in 0..10_000 {
            drop(lane.reserve().unwrap().write(at(0, EventCode::ToolCalled, "t")));
        }
    });
    let mut seen = Vec::new();
    while audit.events_total() < 10_000 {
        let report = verify(dir.path(), None).unwrap();
        assert!(report.ok(), "{:#?}", report.problems);
        seen.push(report.records());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    writer.join().unwrap();
    audit.close().await.unwrap();
    let report = verify(dir.path(), None).unwrap();
    assert!(report.ok(), "{:#?}", report.problems);
    assert!(report.records() > 10_000 && seen.is_sorted());
}
