//! The fleet's audit log on every kind of Redis: rows that stand several to an entry are given one by one.

use std::{sync::Arc, time::Duration};

use lz4_flex::block;
use portcullis::{
    domain::Timestamp,
    store::{self, FleetAppended, FleetBatch, FleetLog, FleetRow},
};

use super::{
    nodes::{
        Node, Nodes,
        proxy::{Fault, Proxy},
    },
    wait,
};

const CHAIN: &str = "0198aaaa-0000-7000-8000-000000000001";
const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// A log on each kind of Redis.
fn logs(nodes: &Nodes) -> [Arc<dyn FleetLog>; 3] {
    [nodes.single(), nodes.cluster(), nodes.watched()]
        .map(|url| store::open(&url).unwrap().fleet_log.unwrap())
}

/// A row for each number, one a second.
fn batch(after: u64, numbers: impl IntoIterator<Item = u64>, most: u64) -> FleetBatch {
    let at = |seq: u64| START.plus(Duration::from_secs(seq));
    let rows = numbers.into_iter().map(|seq| (seq, at(seq), format!("line {seq}").into_bytes())).collect();
    let (node, chain) = ("abcdef".to_owned(), CHAIN.to_owned());
    FleetBatch { node, chain, after, rows, most, kept: Duration::from_secs(3_600) }
}

/// Reads everything in pages of that many rows.
fn paged(log: &dyn FleetLog, page: usize) -> Vec<FleetRow> {
    let mut all: Vec<FleetRow> = Vec::new();
    loop {
        let after = all.last().map(|row| row.id.clone());
        let rows = wait(log.rows(CHAIN, after.as_deref(), page)).unwrap();
        assert!(rows.len() <= page);
        let is_over = rows.len() < page;
        all.extend(rows);
        if is_over {
            return all;
        }
    }
}

fn numbers(rows: &[FleetRow]) -> Vec<u64> {
    let number = |row: &FleetRow| {
        let seq = row.seq.unwrap();
        assert_eq!(
            (row.id.clone(), row.line.as_slice()),
            (format!("{seq}-0"), format!("line {seq}").as_bytes())
        );
        seq
    };
    rows.iter().map(number).collect()
}

#[test]
fn rows_are_given_one_by_one_however_they_are_asked_for() {
    let nodes = Nodes::start();
    for log in logs(&nodes) {
        // Two runs with a hole between them, then single ones as a server at rest sends them.
        let mut all: Vec<u64> = (1..=100).chain(104..=200).collect();
        let done = FleetAppended::Done { dropped: 0 };
        assert_eq!(wait(log.append(batch(0, all.clone(), 10_000))).unwrap(), done);
        for seq in 201..=240 {
            assert_eq!(wait(log.append(batch(seq - 1, [seq], 10_000))).unwrap(), done);
            all.push(seq);
        }
        for page in [1, 2, 7, 31, 32, 33, 64, 100, 236, 237, 238, 1_000] {
            assert_eq!(numbers(&paged(&*log, page)), all, "pages of {page}");
        }
        for most in [1, 2, 31, 40, 41, 73, 237, 1_000] {
            let newest = wait(log.newest(CHAIN, most)).unwrap();
            assert_eq!(numbers(&newest), all[all.len().saturating_sub(most)..], "the last {most}");
        }
        let end = wait(log.begin("abcdef", CHAIN)).unwrap();
        assert_eq!((end.seq, end.line), (240, Some(b"line 240".to_vec())));
        assert_eq!(wait(log.append(batch(239, [240], 10_000))).unwrap(), FleetAppended::Elsewhere);
        assert_eq!(numbers(&paged(&*log, 256)), all, "what comes from elsewhere adds nothing");
        assert_eq!(wait(log.append(batch(240, 241..=250, 10_000))).unwrap(), done);
        let end = wait(log.begin("abcdef", CHAIN)).unwrap();
        assert_eq!((end.seq, end.line), (250, Some(b"line 250".to_vec())), "the last one of its entry");
    }
}

#[test]
fn never_more_rows_stay_than_may_and_hardly_fewer_and_all_that_went_are_counted() {
    let nodes = Nodes::start();
    for log in logs(&nodes) {
        let (most, mut sent, mut dropped) = (640, 0, 0);
        for size in [1, 500, 100, 38, 7, 640, 300, 1, 1, 1, 64] {
            let done = wait(log.append(batch(sent, sent + 1..=sent + size, most))).unwrap();
            let FleetAppended::Done { dropped: now } = done else { panic!("{done:?}") };
            (sent, dropped) = (sent + size, dropped + now);
            let stay = numbers(&paged(&*log, 256));
            let count = stay.len() as u64;
            assert!(count <= most && (count == sent || count > most - 64), "{count} of {sent}");
            assert_eq!((stay.last(), count + dropped), (Some(&sent), sent));
        }
        // One entry may be as long as a minute: what is forgotten is all older, and nothing stays that is a minute older.
        let before = START.plus(Duration::from_secs(sent - 300));
        let forgotten = wait(log.forget_before(before)).unwrap();
        let stay = numbers(&paged(&*log, 256));
        assert_eq!(stay.len() as u64 + forgotten + dropped, sent);
        assert!((sent - 300..=sent).all(|seq| stay.contains(&seq)), "nothing went too early");
        assert!(stay[0] > sent - 360, "{}", stay[0]);
        assert_eq!(
            wait(log.forget_before(START.plus(Duration::from_secs(sent + 1)))).unwrap(),
            stay.len() as u64
        );
        assert_eq!(paged(&*log, 256), []);
    }
}

#[test]
fn an_entry_that_is_not_as_we_write_them_is_one_row_that_is_no_record() {
    let node = Node::start("save \"\"", &[]);
    let log = store::open(&format!("redis://127.0.0.1:{}", node.port)).unwrap().fleet_log.unwrap();
    let stream = format!("portcullis:audit:{CHAIN}");
    let packed = |text: &str| block::compress_prepend_size(text.as_bytes());
    let (pair, longest) = (packed("x\ny"), packed(&"x".repeat((1 << 20) + 1)));
    // More lines than numbers before it, more lines than we put into one, an id that we do not give, another member,
    // what is not packed, what is longer than any of ours.
    for (id, name, member) in [
        ("2-0", "lz4", &packed("x\nx\n")),
        ("50-0", "lz4", &packed(&"x\n".repeat(32))),
        ("50-1", "lz4", &pair),
        ("51-0", "lines", &pair),
        ("52-0", "lz4", &b"x\ny".to_vec()),
        ("53-0", "lz4", &longest),
        ("18446744073709551615-0", "lz4", &pair),
    ] {
        let member: String = member.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        node.ask(&format!("XADD {stream} {id} at 1 {name} \"{member}\"")).unwrap();
    }
    let rows = paged(&*log, 3);
    let known: Vec<_> = rows.iter().map(|row| (row.id.as_str(), row.seq, row.line.len())).collect();
    assert_eq!(
        known,
        [
            ("2-0", Some(2), packed("x\nx\n").len()),
            ("50-0", Some(50), packed(&"x\n".repeat(32)).len()),
            ("50-1", None, pair.len()),
            ("51-0", Some(51), 0),
            ("52-0", Some(52), 3),
            ("53-0", Some(53), longest.len()),
            ("18446744073709551614-0", Some(u64::MAX - 1), 1),
            ("18446744073709551615-0", Some(u64::MAX), 1)
        ]
    );
}

#[test]
fn a_row_whose_connection_was_cut_a_moment_after_the_last_answer_is_there_and_once() {
    let nodes = Nodes::start();
    for log in logs(&nodes) {
        let done = FleetAppended::Done { dropped: 0 };
        assert_eq!(wait(log.append(batch(0, [1], 10_000))).unwrap(), done);
        for seq in 2..=50 {
            // One that was heard a moment ago is not asked again whether it is there.
            assert_eq!(wait(log.append(batch(seq - 1, [seq], 10_000))).unwrap(), done);
            nodes.drop_connections();
            assert_eq!(wait(log.append(batch(seq, [seq + 1], 10_000))).unwrap(), done);
            assert_eq!(wait(log.append(batch(seq, [seq + 1], 10_000))).unwrap(), FleetAppended::Elsewhere);
            wait(log.forget(CHAIN)).unwrap();
            assert_eq!(wait(log.append(batch(0, 1..=seq, 10_000))).unwrap(), done);
        }
    }
}

#[test]
fn a_row_whose_answer_was_lost_is_there_once() {
    let node = Node::start("save \"\"", &[]);
    let way = Proxy::to(node.port);
    let log = store::open(&format!("redis://127.0.0.1:{}", way.port)).unwrap().fleet_log.unwrap();
    assert_eq!(wait(log.append(batch(0, [1], 10_000))).unwrap(), FleetAppended::Done { dropped: 0 });
    for seq in 2..=20 {
        way.set(Fault::LosesAnswer);
        assert_eq!(wait(log.append(batch(seq - 1, [seq], 10_000))).unwrap(), FleetAppended::Elsewhere);
        assert_eq!(wait(log.begin("abcdef", CHAIN)).unwrap().seq, seq);
    }
    assert_eq!(numbers(&paged(&*log, 256)), (1..=20).collect::<Vec<_>>());
}
