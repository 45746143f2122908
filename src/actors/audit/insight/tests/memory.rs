//! The worst case, made and weighed.

use std::borrow::Cow;

use super::*;
use crate::actors::audit::insight::{
    pattern::Pattern,
    sign::{Sign, What},
    watch::MOST_CASES,
};

/// Longest name of a principal, bytes, and of a tool.
const LONGEST: (usize, usize) = (64, 128);

/// One of so many principals with the longest names, from an address of its own.
fn somebody(n: usize, time: Timestamp, what: What) -> Sign {
    let name = format!("{n:0>width$}", width = LONGEST.0);
    let address = Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(n).unwrap());
    Sign { time, address: Some(address.into()), principal: Some(name.parse().unwrap()), what }
}

fn violations() -> [What; 3] {
    [What::Failed { guess: true }, What::Denied { tool: None }, What::Limited { count: 1 }]
}

/// A count in which every table of every minute and hour that is kept is full, of offenders from `first` on.
fn full(first: usize) -> Rollup {
    let mut rollup = Rollup::default();
    let hours = (0..2 * (HOURS + 1)).rev().map(|hour| hour * 3_600);
    let minutes = (0..2 * (MINUTES + 1)).rev().map(|minute| minute * 60);
    for ago in hours.chain(minutes) {
        let time = NOW.minus(Duration::from_secs(ago));
        let mut digest = Digest::default();
        for what in violations() {
            digest.signs.extend((first..first + tops::MOST).map(|n| somebody(n, time, what.clone())));
        }
        rollup.add(&digest);
    }
    rollup
}

/// As many as are followed, each one hit before or at the threshold of each pattern.
fn crowded() -> Watch {
    let mut watch = Watch::default();
    for n in 0..MOST_CASES {
        for pattern in Pattern::ALL {
            for hit in 0..pattern.threshold() {
                let tool = format!("{hit:0>width$}", width = LONGEST.1);
                let what = match pattern {
                    Pattern::RepeatedAuthFailures => What::Failed { guess: true },
                    Pattern::DeniedToolsProbed => What::Denied { tool: Some(Cow::Owned(tool)) },
                    Pattern::RepeatedLimitRefusals => What::Limited { count: 1 },
                };
                watch.see(&somebody(n, NOW, what));
            }
        }
    }
    assert_eq!(watch.len(), Pattern::ALL.len() * MOST_CASES);
    watch
}

#[test]
fn the_worst_case_takes_no_more_memory_than_was_said() {
    // The open segment, which keeps twice as many spans, and what is sealed: merged of others, so that its
    // tables have once held more than they keep.
    let open = full(0);
    let kept = (2 * (MINUTES + 1), 2 * (HOURS + 1));
    assert_eq!(open.spans_kept(), (kept.0 as usize, kept.1 as usize));
    let mut past = Rollup::default();
    past.merge(&open, NOW);
    past.merge(&full(tops::MOST / 2), NOW);
    assert_eq!(past.spans_kept(), (MINUTES as usize + 1, HOURS as usize + 1));
    let weights = [open.heap_bytes(), past.heap_bytes(), crowded().heap_bytes()];
    assert!(weights.iter().all(|weight| *weight > 1 << 20), "nothing was filled: {weights:?}");
    assert!(weights.iter().sum::<usize>() <= 35 << 20, "{weights:?}");
}
