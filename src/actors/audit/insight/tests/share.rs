//! What is told by one node adds up at another one, and what no node would tell counts as nothing.

use super::{
    super::share::{Told, fields, heard, tell},
    *,
};

/// What is heard of what `rollup` tells about `range`, as it is read from a store.
fn told(rollup: &Rollup, range: Range, change: impl Fn(&str, String) -> Option<String>) -> Told {
    let told: HashMap<String, String> = tell(&[rollup], NOW, true, true).into_iter().collect();
    let fields = fields(range, NOW);
    let texts: Vec<_> = fields.iter().map(|field| change(field, told.get(field)?.clone())).collect();
    heard("abc", &fields, &texts)
}

#[test]
fn the_counts_of_two_nodes_are_those_of_one_that_had_recorded_everything() {
    let events: Vec<_> = (0..200_u16).map(|n| event(n as u8, n as u8 % 30, u64::from(n) * 400)).collect();
    let (mine, theirs) = (rollup(&events[..90]), rollup(&events[90..]));
    for range in [Range::Hour, Range::Day, Range::Week] {
        let other = told(&theirs, range, |_, text| Some(text));
        assert!(other.whole);
        let both = Review::of(range, NOW, &[&mine, &other.rollup], &Watch::default());
        let one = Review::of(range, NOW, &[&rollup(&events)], &Watch::default());
        assert_eq!(both, one, "{range:?}");
    }
    let few = tell(&[&theirs], NOW, true, false).len();
    assert!(few <= 6 && few < tell(&[&theirs], NOW, true, true).len(), "every second only what runs: {few}");
}

#[test]
fn what_no_node_would_tell_counts_as_nothing_and_is_told() {
    let counted = rollup(&(0..40).map(|n| event(n, n, 30)).collect::<Vec<_>>());
    let nothing = Review::of(Range::Hour, NOW, &[], &Watch::default());
    let huge = format!("[{}", "1,".repeat(200_000));
    type Change<'a> = &'a dyn Fn(String) -> String;
    let changes: [Change<'_>; 6] = [
        &|_| String::new(),
        &|text| text.replacen(' ', "", 1),
        &|text| format!("00000000{}", &text[8..]),
        &|text| text.replace("\"count\":", "\"count\":9999999999999"),
        &|text| format!("{} {huge}", &text[..8]),
        &|text| text.replace("\"counts\":[[", "\"counts\":[[255,255,1],["),
    ];
    for (n, change) in changes.iter().enumerate() {
        let other = told(&counted, Range::Hour, |field, text| {
            Some(if field.starts_with('m') { change(text) } else { text })
        });
        assert!(!other.whole, "{n}");
        let review = Review::of(Range::Hour, NOW, &[&other.rollup], &Watch::default());
        assert_eq!((review.totals, review.offences), (nothing.totals, nothing.offences.clone()), "{n}");
    }
    let other = told(&counted, Range::Hour, |field, text| (field != "whole").then_some(text));
    assert!(!other.whole, "who does not say that all is counted may have more");
}
