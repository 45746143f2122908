//! Whether what stands in the fleet's log is what its writers recorded, as far as the rows themselves can tell.
//!
//! A record's hash covers its text and the hash of the one before it. So a changed record does not fit its own hash;
//! one that was changed together with its hash does not fit the record behind it. Only the newest record of a chain has
//! none behind it yet. A chain that somebody has made up whole is found by comparing it with the files of its server.

use super::{
    super::{
        head::link,
        reader::Found,
        tail::hashed_part,
        text::{parse_hex32, push_json},
    },
    query::FleetFound,
};
use crate::store::{FleetChain, FleetRow};

/// What did not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Doubts {
    /// Rows that are not what their writer recorded: left out.
    pub forged: u64,
    /// Records between others that are not there.
    pub missing: u64,
}

/// The rows that are records of `chain`; `next` is the row behind them, if that is known, and `before` the number of
/// the one before them, which is moved on.
pub(super) fn judge(
    chain: &FleetChain,
    rows: &[FleetRow],
    next: Option<&FleetRow>,
    (before, doubts): (&mut Option<u64>, &mut Doubts),
) -> Vec<FleetFound> {
    for row in rows {
        if let (Some(before), Some(seq)) = (*before, row.seq) {
            doubts.missing += seq.saturating_sub(before).saturating_sub(1);
        }
        *before = row.seq.or(*before);
    }
    let mut behind = next.and_then(|next| alone(chain, next));
    let mut held = Vec::with_capacity(rows.len());
    for row in rows.iter().rev() {
        let record = alone(chain, row).filter(|found| behind.as_ref().is_none_or(|it| follows(it, found)));
        doubts.forged += u64::from(record.is_none());
        behind.clone_from(&record);
        held.extend(record.map(|found| FleetFound { node: chain.node.as_str().into(), found }));
    }
    held.reverse();
    held
}

/// Whether `behind` may come behind `found`: it does if there is one between them.
fn follows(behind: &Found, found: &Found) -> bool {
    found.record.seq.checked_add(1) != Some(behind.record.seq) || behind.record.prev == found.record.hash
}

/// The record, if its text fits its hash and its place, and is written as we write.
fn alone(chain: &FleetChain, row: &FleetRow) -> Option<Found> {
    let found = Found::parse(&row.line)?;
    let record = &found.record;
    let hash = link(&parse_hex32(record.prev.as_bytes())?, hashed_part(&row.line)?);
    let mut ours = Vec::with_capacity(row.line.len());
    // Our own text holds nothing that acts on a terminal.
    push_json(&mut ours, &found.line);
    let fits = Some(record.seq) == row.seq && record.chain == chain.chain && ours == row.line;
    (fits && parse_hex32(record.hash.as_bytes()) == Some(hash)).then_some(found)
}
