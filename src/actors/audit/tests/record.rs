//! What a record looks like, how long it gets, and that no text breaks out of it.

use std::sync::Arc;

use proptest::prelude::*;

use crate::{
    actors::audit::{
        Record,
        encode::{Encoder, MAX_RECORD},
        head::{Head, hex, link},
    },
    domain::{
        AuditEvent, EventCode, Outcome, PermissionSet, Principal, PrincipalKind, Recorded, RequestId,
        Timestamp,
    },
};

fn alice() -> Principal {
    Principal {
        id: "alice".parse().unwrap(),
        kind: PrincipalKind::Jwt,
        client: "cli".into(),
        credential: "0192-jti".into(),
        roles: vec!["user".into(), "premium".into()],
        permissions: PermissionSet::EMPTY,
        reach: PermissionSet::EMPTY,
        recorded: Recorded::default(),
    }
}

fn write(event: &AuditEvent) -> (String, Record) {
    let mut out = Vec::new();
    Encoder::default().record(&mut out, &mut Head::new("c"), event, None);
    let line = String::from_utf8(out).unwrap();
    let record = serde_json::from_str(&line).unwrap();
    (line, record)
}

#[test]
fn a_chain_of_two_records_is_written_to_the_byte() {
    let full = AuditEvent {
        reason: Some("forbidden"),
        principal: Some(Arc::new(alice())),
        ip: Some("127.0.0.1".parse().unwrap()),
        user_agent: Some("curl/8".into()),
        path: Some("/mcp".into()),
        method: Some("tools/call".into()),
        tool: Some("list_users".into()),
        missing: Some("admin:users".into()),
        detail: Some(r#"{"n":1}"#.into()),
        arguments_digest: Some([0xab; 32]),
        duration_us: Some(42),
        ..AuditEvent::new(Timestamp::from_micros(1_500_007), EventCode::ToolDenied, Outcome::Denied)
    };
    let bare = AuditEvent::new(Timestamp::from_secs(2), EventCode::ServerStarted, Outcome::Ok);
    let (mut encoder, mut head, mut out) = (Encoder::default(), Head::new("c-1"), Vec::new());
    encoder.record(&mut out, &mut head, &full, None);
    encoder.record(&mut out, &mut head, &bare, None);

    let zeros = "0".repeat(64);
    let first = format!(
        r#"{{"chain":"c-1","seq":1,"time":"1970-01-01T00:00:01.500007Z","event":"tool.denied","outcome":"denied","reason":"forbidden","principal":{{"id":"alice","kind":"jwt","client":"cli","roles":["user","premium"],"credential":"0192-jti"}},"ip":"127.0.0.1","user_agent":"curl/8","path":"/mcp","method":"tools/call","tool":"list_users","missing":"admin:users","detail":{{"n":1}},"arguments_digest":"hmac-sha256:{}","request_id":null,"duration_us":42,"prev":"{zeros}""#,
        "ab".repeat(32)
    );
    // Both hashes were computed by another implementation (Python, hashlib).
    let first_hash = "e1bdf1bd37fcc8a97b1e5350b0affc9ab1d29071fd390980db830e0736787b44";
    let second = format!(
        r#"{{"chain":"c-1","seq":2,"time":"1970-01-01T00:00:02.000000Z","event":"server.started","outcome":"ok","reason":null,"principal":null,"ip":null,"user_agent":null,"path":null,"method":null,"tool":null,"arguments_digest":null,"request_id":null,"duration_us":null,"prev":"{first_hash}""#
    );
    let second_hash = "6bd7f219aaed2f83de778237ab39dda79bdc2f74c52916097742a5cc5f0b1aa3";
    let expected = format!("{first},\"hash\":\"{first_hash}\"}}\n{second},\"hash\":\"{second_hash}\"}}\n");
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    assert_eq!((head.seq, head.hex().as_str()), (2, second_hash));
}

#[test]
fn hostile_texts_stay_in_their_member_and_on_their_line() {
    for hostile in [
        "x\n{\"event\":\"fake\"}",
        "\r\n\u{2028}\u{2029}\u{85}",
        "\x1b[2J\x1b]0;title\x07",
        "\u{202e}nimda\u{202c}\u{2066}",
        "\",\"hash\":\"0\"}",
        "\0\u{feff}\u{200b}",
    ] {
        let event = AuditEvent {
            user_agent: Some(hostile.into()),
            path: Some(hostile.to_owned().into()),
            method: Some(hostile.to_owned().into()),
            tool: Some(hostile.to_owned().into()),
            missing: Some(hostile.into()),
            detail: Some(serde_json::json!({ "a": hostile }).to_string().into()),
            ..AuditEvent::new(Timestamp::now(), EventCode::ToolCalled, Outcome::Ok)
        };
        let (line, record) = write(&event);
        assert_eq!(line.lines().count(), 1);
        assert!(line.trim_end_matches('\n').chars().all(|char| !char.is_control()), "{line:?}");
        assert!(!line.contains(['\u{202e}', '\u{2028}', '\u{200b}', '\u{feff}']), "{line:?}");
        for text in [record.user_agent, record.path, record.method, record.tool, record.missing] {
            assert_eq!(text.as_deref(), Some(hostile));
        }
        assert_eq!(record.detail.unwrap()["a"], hostile);
        assert_eq!(record.event, "tool.called");
    }
}

#[test]
fn a_record_is_never_longer_than_16_kib_and_says_when_something_is_missing() {
    let worst = "\u{1}".repeat(100_000);
    let event = AuditEvent {
        principal: Some(Arc::new(Principal {
            client: worst.as_str().into(),
            credential: worst.as_str().into(),
            roles: vec![worst.as_str().into(); 1_000],
            ..alice()
        })),
        user_agent: Some(worst.as_str().into()),
        path: Some(worst.clone().into()),
        method: Some(worst.clone().into()),
        tool: Some(worst.clone().into()),
        missing: Some(worst.as_str().into()),
        detail: Some(serde_json::json!({ "big": worst }).to_string().into()),
        arguments_digest: Some([1; 32]),
        request_id: Some(RequestId::new()),
        duration_us: Some(u64::MAX),
        ..AuditEvent::new(Timestamp::from_micros(u64::MAX), EventCode::ToolCalled, Outcome::Ok)
    };
    let (line, record) = write(&event);
    assert!(line.len() <= MAX_RECORD, "{}", line.len());
    assert!(record.truncated && record.detail.is_none());
    assert_eq!(record.tool.unwrap().len(), 128);
}

#[test]
fn a_detail_is_kept_up_to_the_limit_and_left_out_one_byte_past_it() {
    let with = |bytes: usize| {
        let detail = serde_json::json!({ "a": "x".repeat(bytes) }).to_string();
        let event = AuditEvent {
            detail: Some(detail.into()),
            ..AuditEvent::new(Timestamp::now(), EventCode::AlertRaised, Outcome::Failed)
        };
        write(&event)
    };
    let most = (0..MAX_RECORD).rev().find(|&bytes| with(bytes).1.detail.is_some()).unwrap();
    assert!(most > 15_000, "{most}");
    let (line, record) = with(most);
    assert!(line.len() <= MAX_RECORD && !record.truncated);
    assert!(with(most + 1).1.truncated);
}

#[test]
fn a_detail_that_is_no_object_is_kept_as_text() {
    for detail in ["not json", "[1]", "{\"open\":", "{}}\n{\"event\":\"x\"}"] {
        let event = AuditEvent {
            detail: Some(detail.into()),
            ..AuditEvent::new(Timestamp::now(), EventCode::AlertRaised, Outcome::Failed)
        };
        let (line, record) = write(&event);
        assert_eq!(line.lines().count(), 1);
        assert_eq!(record.detail.unwrap()["text"], detail);
    }
}

fn events() -> impl Strategy<Value = AuditEvent> {
    let text = || proptest::option::of("\\PC{0,40}|[\\x00-\\u{3000}]{0,20}");
    (any::<u64>(), text(), text(), text(), text(), any::<bool>()).prop_map(
        |(time, user_agent, path, tool, detail, who)| AuditEvent {
            principal: who.then(|| Arc::new(alice())),
            user_agent: user_agent.map(Into::into),
            path: path.map(Into::into),
            tool: tool.map(Into::into),
            detail: detail.map(|it| serde_json::json!({ "it": it }).to_string().into()),
            ..AuditEvent::new(Timestamp::from_micros(time >> 14), EventCode::ToolCalled, Outcome::Ok)
        },
    )
}

proptest! {
    #[test]
    fn any_events_make_a_chain_of_lines_that_say_what_was_said(
        events in proptest::collection::vec(events(), 1..20)
    ) {
        let (mut encoder, mut head, mut out) = (Encoder::default(), Head::new("chain"), Vec::new());
        for event in &events {
            encoder.record(&mut out, &mut head, event, None);
        }
        let text = String::from_utf8(out).unwrap();
        prop_assert_eq!(text.lines().count(), events.len());
        let mut prev = [0; 32];
        for ((seq, line), event) in (1..).zip(text.lines()).zip(&events) {
            let record: Record = serde_json::from_str(line).unwrap();
            let (body, _) = line.rsplit_once(",\"hash\":").unwrap();
            let hash = link(&prev, body.as_bytes());
            prop_assert_eq!((record.seq, record.prev, record.hash), (seq, hex(&prev), hex(&hash)));
            prop_assert_eq!(record.time, event.time.to_string());
            prop_assert_eq!(record.user_agent.as_deref(), event.user_agent.as_deref());
            prop_assert_eq!(record.path.as_deref(), event.path.as_deref());
            prop_assert_eq!(record.tool.is_some(), event.tool.is_some());
            if record.truncated {
                prop_assert!(event.tool.as_deref().is_some_and(|tool| tool.len() > 128));
            } else {
                prop_assert_eq!(record.tool.as_deref(), event.tool.as_deref());
            }
            prop_assert_eq!(record.principal.is_some(), event.principal.is_some());
            prev = hash;
        }
        prop_assert_eq!(head.hash, prev);
    }
}
