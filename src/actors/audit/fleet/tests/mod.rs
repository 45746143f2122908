//! Sending and judging, on a log of the fleet that can be broken in every way.

mod judging;
mod sending;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{Fleet, FleetRules, Shared, shipper::Sending};
use crate::{
    domain::Timestamp,
    store::{
        FleetAppended, FleetBatch, FleetChain, FleetCounts, FleetEnd, FleetLog, FleetRow, StoreError,
        StoreFuture,
    },
};

const RULES: FleetRules = FleetRules { retention: Duration::from_hours(1), records: 1_000_000 };

/// A fleet's log in memory.
#[derive(Default)]
struct Books(Mutex<State>);

#[derive(Default)]
struct State {
    chains: BTreeMap<String, (String, u64, Vec<FleetRow>)>,
    /// What the next questions are answered with.
    faults: Vec<Fault>,
}

/// What can go wrong.
#[derive(Clone, Copy)]
enum Fault {
    /// It does not answer.
    Silent,
    /// It does as asked and does not answer.
    Unheard,
}

fn lost() -> StoreError {
    StoreError::Unavailable("lost".into())
}

impl Books {
    fn will(&self, faults: &[Fault]) {
        self.0.lock().faults.extend(faults);
    }

    /// Every row of every chain, oldest first.
    fn rows(&self) -> Vec<FleetRow> {
        self.0.lock().chains.values().flat_map(|(_, _, rows)| rows.clone()).collect()
    }

    /// The numbers of all rows.
    fn numbers(&self) -> Vec<u64> {
        self.rows().into_iter().filter_map(|row| row.seq).collect()
    }

    fn change(&self, change: impl FnOnce(&mut u64, &mut Vec<FleetRow>)) {
        if let Some((_, end, rows)) = self.0.lock().chains.values_mut().next() {
            change(end, rows);
        }
    }

    fn answer<T: Send + 'static>(&self, work: impl FnOnce(&mut State) -> T) -> StoreFuture<'_, T> {
        let mut state = self.0.lock();
        let fault = (!state.faults.is_empty()).then(|| state.faults.remove(0));
        let answer = match fault {
            Some(Fault::Silent) => Err(lost()),
            Some(Fault::Unheard) => {
                work(&mut state);
                Err(lost())
            }
            None => Ok(work(&mut state)),
        };
        Box::pin(std::future::ready(answer))
    }
}

impl FleetLog for Books {
    fn begin(&self, node: &str, chain: &str) -> StoreFuture<'_, FleetEnd> {
        self.answer(|state| {
            let (_, end, rows) =
                state.chains.entry(chain.to_owned()).or_insert_with(|| (node.to_owned(), 0, Vec::new()));
            let last = rows.last().filter(|row| row.seq == Some(*end));
            FleetEnd { seq: *end, line: last.map(|row| row.line.clone()) }
        })
    }

    fn append(&self, batch: FleetBatch) -> StoreFuture<'_, FleetAppended> {
        self.answer(|state| {
            let Some((_, end, rows)) = state.chains.get_mut(&batch.chain) else {
                return FleetAppended::Elsewhere;
            };
            if *end != batch.after {
                return FleetAppended::Elsewhere;
            }
            for (seq, _, line) in batch.rows {
                assert!(seq > *end, "a stream takes no row twice");
                *end = seq;
                rows.push(FleetRow { id: format!("{seq}-0"), seq: Some(seq), line });
            }
            let dropped = rows.len().saturating_sub(usize::try_from(batch.most).unwrap());
            rows.drain(..dropped);
            FleetAppended::Done { dropped: dropped as u64 }
        })
    }

    fn forget(&self, chain: &str) -> StoreFuture<'_, ()> {
        self.answer(|state| drop(state.chains.remove(chain)))
    }

    fn forget_before(&self, _: Timestamp) -> StoreFuture<'_, u64> {
        self.answer(|_| 0)
    }

    fn chains(&self) -> StoreFuture<'_, Vec<FleetChain>> {
        self.answer(|state| {
            let of = |(chain, (node, ..)): (&String, &(String, u64, Vec<FleetRow>))| FleetChain {
                node: node.clone(),
                chain: chain.clone(),
            };
            state.chains.iter().map(of).collect()
        })
    }

    fn rows(&self, chain: &str, after: Option<&str>, most: usize) -> StoreFuture<'_, Vec<FleetRow>> {
        self.answer(|state| {
            let Some((_, _, rows)) = state.chains.get(chain) else { return Vec::new() };
            let from = after.map_or(0, |id| rows.iter().position(|row| row.id == id).unwrap() + 1);
            rows[from..].iter().take(most).cloned().collect()
        })
    }

    fn newest(&self, chain: &str, most: usize) -> StoreFuture<'_, Vec<FleetRow>> {
        self.answer(|state| {
            let Some((_, _, rows)) = state.chains.get(chain) else { return Vec::new() };
            rows[rows.len().saturating_sub(most)..].to_vec()
        })
    }

    fn tell_counts(&self, _: &str, _: Vec<(String, String)>, _: bool) -> StoreFuture<'_, bool> {
        self.answer(|_| true)
    }

    fn counts_but(&self, _: &str, _: Timestamp, _: Vec<String>) -> StoreFuture<'_, Vec<FleetCounts>> {
        self.answer(|_| Vec::new())
    }
}

/// What sends the log below `dir` to `books`.
fn sending(books: &Arc<Books>, dir: &std::path::Path, rules: FleetRules) -> Sending {
    let log: Arc<dyn FleetLog> = Arc::<Books>::clone(books);
    let fleet = Fleet::join(log, dir).unwrap();
    Sending::new(dir, (fleet, rules), Arc::new(Shared::new()))
}
