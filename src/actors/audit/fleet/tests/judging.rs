//! What is no record of its server is not shown as one.

use super::{
    super::{
        super::{
            Filter,
            encode::Encoder,
            head::{Head, hex, link},
            tail::hashed_part,
        },
        judge::{Doubts, judge},
        query::FleetReader,
    },
    *,
};
use crate::domain::{AuditEvent, EventCode, Outcome};

const CHAIN: &str = "0198aaaa-0000-7000-8000-000000000001";

fn chain() -> FleetChain {
    FleetChain { node: "abcdef012345".into(), chain: CHAIN.into() }
}

/// So many records of one chain as rows.
fn rows(count: u64) -> Vec<FleetRow> {
    let (mut encoder, mut head) = (Encoder::default(), Head::new(CHAIN));
    let row = |n: u64| {
        let mut line = Vec::new();
        let time = Timestamp::from_secs(1_795_000_000 + n);
        let event = AuditEvent::new(time, EventCode::ToolCalled, Outcome::Ok);
        encoder.record(&mut line, &mut head, &event, None);
        line.pop();
        FleetRow { id: format!("{n}-0"), seq: Some(n), line }
    };
    (1..=count).map(row).collect()
}

/// Changes the text of a row; with `rehashed` so that its own hash fits again.
fn forge(row: &mut FleetRow, (from, to): (&str, &str), rehashed: bool) {
    let text = String::from_utf8(row.line.clone()).unwrap();
    assert!(text.contains(from));
    row.line = text.replace(from, to).into_bytes();
    if rehashed {
        let value: serde_json::Value = serde_json::from_slice(&row.line).unwrap();
        let prev = value["prev"].as_str().unwrap();
        let mut bytes = [0; 32];
        for (n, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&prev[2 * n..2 * n + 2], 16).unwrap();
        }
        let body = hashed_part(&row.line).unwrap().to_vec();
        let hash = hex(&link(&bytes, &body));
        row.line = [&body, format!(",\"hash\":\"{hash}\"}}").as_bytes()].concat();
    }
}

/// The numbers of the rows that count, and what was doubted.
fn judged(rows: &[FleetRow]) -> (Vec<u64>, Doubts) {
    let mut doubts = Doubts::default();
    let found = judge(&chain(), rows, None, (&mut None, &mut doubts));
    (found.iter().map(|it| it.found.record.seq).collect(), doubts)
}

#[test]
fn rows_as_they_were_written_all_count() {
    assert_eq!(judged(&rows(5)), (vec![1, 2, 3, 4, 5], Doubts::default()));
}

#[test]
fn a_changed_text_counts_as_nothing_with_or_without_its_hash() {
    for rehashed in [false, true] {
        let mut rows = rows(5);
        forge(&mut rows[2], ("\"outcome\":\"ok\"", "\"outcome\":\"denied\""), rehashed);
        assert_eq!(judged(&rows), (vec![1, 2, 4, 5], Doubts { forged: 1, missing: 0 }), "{rehashed}");
    }
}

#[test]
fn a_row_in_another_place_or_of_another_chain_or_of_no_kind_counts_as_nothing() {
    let foreign = |change: &dyn Fn(&mut FleetRow)| {
        let mut rows = rows(3);
        change(&mut rows[1]);
        let (numbers, doubts) = judged(&rows);
        assert_eq!((numbers, doubts.forged), (vec![1, 3], 1));
    };
    foreign(&|row| forge(row, (CHAIN, "0198bbbb-0000-7000-8000-000000000001"), true));
    foreign(&|row| forge(row, ("\"seq\":2", "\"seq\":3"), true));
    foreign(&|row| row.line.clear());
    foreign(&|row| row.line = b"\xff\xfe".to_vec());
    foreign(&|row| (row.id, row.seq) = ("1-7".into(), None));
    // What acts on a terminal is no text of ours, whatever its hash.
    foreign(&|row| forge(row, ("\"reason\":null", "\"reason\":\"\u{202e}\""), true));
}

#[test]
fn holes_are_counted_and_the_beginning_and_the_end_are_none() {
    let mut some = rows(9);
    some.drain(3..6);
    some.drain(..2);
    assert_eq!(judged(&some), (vec![3, 7, 8, 9], Doubts { forged: 0, missing: 3 }));
}

#[actix::test]
async fn a_reader_gives_every_page_and_stops() {
    let books = Arc::new(Books::default());
    let mut all = rows(1_000);
    for n in [100, 254, 510] {
        forge(&mut all[n], ("\"outcome\":\"ok\"", "\"outcome\":\"denied\""), true);
    }
    books.0.lock().chains.insert(CHAIN.into(), ("abcdef012345".into(), 1_000, all));
    let mut reader = FleetReader::open(Arc::<Books>::clone(&books)).await.unwrap();
    let mut numbers = Vec::new();
    while let Some(found) = reader.next(&Filter::default()).await.unwrap() {
        numbers.push(found.found.record.seq);
    }
    let expected: Vec<u64> = (1..=1_000).filter(|n| ![101, 255, 511].contains(n)).collect();
    assert_eq!((numbers, reader.doubts()), (expected, Doubts { forged: 3, missing: 0 }));

    let (last, mut reader) = FleetReader::open_at_end(Arc::<Books>::clone(&books), 3).await.unwrap();
    assert_eq!(last.iter().map(|it| it.found.record.seq).collect::<Vec<_>>(), [998, 999, 1_000]);
    assert!(reader.poll().await.unwrap().is_empty());
    let next = rows(1_002).split_off(1_000);
    books.change(|_, rows| rows.extend(next));
    let fresh = reader.poll().await.unwrap();
    assert_eq!(fresh.iter().map(|it| it.found.record.seq).collect::<Vec<_>>(), [1_001, 1_002]);
    assert_eq!(reader.doubts(), Doubts::default());
}
