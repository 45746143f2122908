//! Counting: however a log is cut into pieces, the sum is the same, and memory is bounded.

mod memory;
mod share;

use std::{collections::HashMap, net::Ipv4Addr, sync::Arc, time::Duration};

use proptest::prelude::*;

use super::{
    Range, Violation,
    review::Review,
    rollup::{Digest, HOURS, MINUTES, Rollup},
    sign::Seen,
    tops::{self, Tops},
    watch::Watch,
};
use crate::{
    actors::audit::{encode::Encoder, head::Head},
    domain::{
        AuditEvent, EventCode, Outcome, PermissionSet, Principal, PrincipalKind, Recorded, Summary, Timestamp,
    },
};

/// 2026-11-22T23:59:59Z.
const NOW: Timestamp = Timestamp::from_secs(1_795_391_999);

/// One of a few addresses, of kind `kind`, so long ago.
fn event(kind: u8, who: u8, ago_secs: u64) -> AuditEvent {
    let (code, outcome) = match kind % 4 {
        0 => (EventCode::AuthFailed, Outcome::Denied),
        1 => (EventCode::ToolDenied, Outcome::Denied),
        2 => (EventCode::RateLimited, Outcome::Limited),
        _ => (EventCode::ToolCalled, Outcome::Ok),
    };
    let summary = Summary { scope: "address", count: u64::from(who) + 1, request_ids: Vec::new() };
    AuditEvent {
        ip: Some(Ipv4Addr::new(203, 0, 113, who).into()),
        summary: (code == EventCode::RateLimited).then(|| Box::new(summary)),
        ..AuditEvent::new(NOW.minus(Duration::from_secs(ago_secs)), code, outcome)
    }
}

fn principal(id: &str) -> Principal {
    Principal {
        id: id.parse().unwrap(),
        kind: PrincipalKind::Jwt,
        client: "cli".into(),
        credential: "jti".into(),
        roles: Vec::new(),
        permissions: PermissionSet::EMPTY,
        reach: PermissionSet::EMPTY,
        recorded: Recorded::default(),
    }
}

fn rollup(events: &[AuditEvent]) -> Rollup {
    let mut digest = Digest::default();
    events.iter().for_each(|event| digest.add(Seen::of(event)));
    let mut rollup = Rollup::default();
    rollup.add(&digest);
    rollup
}

fn review(range: Range, rollups: &[&Rollup]) -> Review {
    Review::of(range, NOW, rollups, &Watch::default())
}

proptest! {
    #[test]
    fn pieces_merged_are_what_one_count_of_all_records_is(
        records in prop::collection::vec((0..4_u8, 0..60_u8, 0..600_000_u64), 0..200),
        cuts in prop::collection::vec(0..200_usize, 0..5),
    ) {
        let events: Vec<_> = records.iter().map(|(kind, who, ago)| event(*kind, *who, *ago)).collect();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(events.len())).chain([0, events.len()]).collect();
        cuts.sort_unstable();
        let mut past = Rollup::default();
        for piece in cuts.windows(2) {
            past.merge(&rollup(&events[piece[0]..piece[1]]), NOW);
        }
        let whole = rollup(&events);
        for (range, secs) in [(Range::Hour, 3_600), (Range::Day, 86_400), (Range::Week, 604_800)] {
            let (merged, counted) = (review(range, &[&past]), review(range, &[&whole]));
            prop_assert_eq!(&merged, &counted);
            // And both are what the records say themselves.
            let unit = if secs == 3_600 { 60 } else { 3_600 };
            let first = NOW.secs() / unit - secs / unit;
            let within = |ago: u64| (NOW.secs() - ago) / unit >= first;
            let of = |wanted: u8| records.iter().filter(move |it| it.0 == wanted && within(it.2));
            prop_assert_eq!(merged.totals.failed_authentications, of(0).count() as u64);
            prop_assert_eq!(merged.totals.permission_denials, of(1).count() as u64);
            let limited: u64 = of(2).map(|it| u64::from(it.1) + 1).sum();
            prop_assert_eq!(merged.totals.rate_limit_violations, limited);
            prop_assert_eq!(merged.series.len() as u64, secs / unit + 1);
            let offences = of(0).fold(HashMap::<u8, u64>::new(), |mut sums, it| {
                *sums.entry(it.1).or_default() += 1;
                sums
            });
            let failed = merged.offences.iter().filter(|it| it.violation == Violation::FailedAuthentication);
            let shown: Vec<u64> = failed.map(|it| it.count).collect();
            let mut expected: Vec<u64> = offences.into_values().collect();
            expected.sort_unstable_by(|a, b| b.cmp(a));
            expected.truncate(10);
            prop_assert_eq!(shown, expected);
            prop_assert!(merged.offences.iter().all(|it| it.exact));
        }
    }

    #[test]
    fn a_line_of_the_log_counts_as_the_event_that_it_records(
        kind in 0..4_u8,
        who in 0..60_u8,
        ago in 0..600_000_u64,
        (known, guess, alert) in any::<(bool, bool, bool)>(),
        tool in "\\PC{0,30}",
    ) {
        let mut event = event(kind, who, ago);
        event.reason = Some(if guess { "invalid_token" } else { "missing_credential" });
        event.tool = Some(tool.clone().into());
        event.principal = known.then(|| Arc::new(principal(&format!("user-{who}"))));
        if alert {
            (event.event, event.reason) = (EventCode::AlertRaised, Some("chain_broken"));
            event.detail = Some(r#"{"promised":7,"found":5}"#.into());
        }
        let mut line = Vec::new();
        Encoder::default().record(&mut line, &mut Head::new("c"), &event, None);
        let read = Seen::parse(line.trim_ascii_end()).unwrap();
        prop_assert_eq!(format!("{read:?}"), format!("{:?}", Seen::of(&event)));
    }
}

#[test]
fn what_is_no_record_counts_nothing() {
    for line in ["", "{}", "x", r#"{"time":"2026-11-22T00:00:00Z","event":"fake","outcome":"ok"}"#] {
        assert!(Seen::parse(line.as_bytes()).is_none(), "{line}");
    }
}

fn failed(address: u32) -> Seen {
    let ip = Some(Ipv4Addr::from_bits(address).into());
    let reason = Some("invalid_token");
    Seen::of(&AuditEvent { ip, reason, ..AuditEvent::new(NOW, EventCode::AuthFailed, Outcome::Denied) })
}

#[test]
fn a_million_addresses_leave_a_bounded_table_in_which_whoever_does_much_stands() {
    let (mut tops, insistent) = (Tops::default(), 0xcb00_7107);
    for n in 0..1_000_000_u32 {
        tops.add(&failed(0x0a00_0000 + n).sign.unwrap());
        // One in fifty is the same one: more than one in 64, which is what the table promises to keep.
        if n % 50 == 0 {
            tops.add(&failed(insistent).sign.unwrap());
        }
    }
    let (_, table) = tops.tables().next().unwrap();
    assert_eq!(table.entries().len(), tops::MOST);
    let found = table.entries().iter().find(|it| it.who.to_string() == "203.0.113.7").unwrap();
    assert!(found.count >= 20_000 && found.count - found.over <= 20_000, "{found:?}");
    assert!(table.entries().iter().all(|it| it.over <= 1_020_000 / tops::MOST as u64));
}

#[test]
fn merged_tables_keep_their_promise_too() {
    let mut halves = [Tops::default(), Tops::default()];
    for n in 0..40_000_u32 {
        let half = &mut halves[(n % 2) as usize];
        half.add(&failed(0x0a00_0000 + n).sign.unwrap());
        if n % 20 == 0 {
            half.add(&failed(0xcb00_7107).sign.unwrap());
        }
    }
    let [mut merged, other] = halves;
    merged.merge(&other);
    let (_, table) = merged.tables().next().unwrap();
    assert_eq!(table.entries().len(), tops::MOST);
    let found = table.entries().iter().find(|it| it.who.to_string() == "203.0.113.7").unwrap();
    assert!(found.count >= 2_000 && found.count - found.over <= 2_000, "{found:?}");
}

#[test]
fn of_a_long_log_the_newest_spans_are_kept_and_no_more() {
    let mut rollup = Rollup::default();
    for hour in (0..2_000).rev() {
        let mut digest = Digest::default();
        digest.add(Seen::of(&event(0, 1, hour * 3_600)));
        rollup.add(&digest);
    }
    let (minutes, hours) = rollup.spans_kept();
    assert!(minutes as u64 <= 2 * (MINUTES + 1) && hours as u64 <= 2 * (HOURS + 1));
    assert_eq!(review(Range::Week, &[&rollup]).totals.failed_authentications, HOURS + 1);
    let mut past = Rollup::default();
    past.merge(&rollup, NOW);
    assert_eq!(past.spans_kept(), (2, usize::try_from(HOURS).unwrap() + 1));
}
