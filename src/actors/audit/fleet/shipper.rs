//! One look: what is committed in each chain and not there yet is sent, batch by batch.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::time::timeout_at;

use super::{
    super::error::AuditError,
    Fleet, FleetRules, Shared,
    source::{Batch, Chain, Limits, Source},
};
use crate::{
    domain::Timestamp,
    store::{FleetAppended, FleetBatch, FleetEnd, StoreError},
};

/// How long a chain that is not what we wrote is left alone after it was replaced: two servers on copies of one data
/// directory would replace each other's for ever.
const REPLACED_EVERY: Duration = Duration::from_secs(600);
/// How often the end of each chain is asked although nothing went wrong: it also makes known again who writes it.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// Over how long the batches of one look are spread: all at once they would keep a Redis, and whoever else waits for it,
/// for as many milliseconds as there are batches.
const SPREAD: Duration = Duration::from_millis(200);
/// How much longer than its youngest record a chain stays.
const KEPT_LONGER: Duration = Duration::from_hours(24);

/// Why a look ended before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The store does not do as asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The files cannot be read.
    #[error(transparent)]
    Log(#[from] AuditError),
}

/// What is sent, to whom, and how far.
pub(super) struct Sending {
    pub(super) fleet: Fleet,
    pub(super) rules: FleetRules,
    source: Source,
    shared: Arc<Shared>,
    /// When everything was asked last.
    asked: Instant,
    pace: Pace,
    /// What is known of each slot's chain over there.
    known: BTreeMap<u32, Known>,
}

/// How far one look has come, of what there was at its beginning.
#[derive(Debug)]
struct Pace {
    began: Instant,
    all: u64,
    done: u64,
    in_hurry: bool,
}

impl Pace {
    fn of(all: u64) -> Self {
        Self { began: Instant::now(), all, done: 0, in_hurry: false }
    }

    /// Until when the next batch may wait; `None` if it need not.
    fn due(&self) -> Option<Instant> {
        let part = self.done as f64 / self.all.max(1) as f64;
        (!self.in_hurry && part < 1.0).then(|| self.began + SPREAD.mul_f64(part))
    }
}

/// One chain as it is over there.
#[derive(Debug, Default)]
struct Known {
    chain: Arc<str>,
    /// Number of the last record that was there when it was asked last.
    end: u64,
    /// Number of the last record that is there or was passed over.
    upto: u64,
    /// Whether it must still be the last one, if nobody but us sends.
    is_sure: bool,
    /// When it was replaced.
    replaced: Option<Instant>,
}

impl Sending {
    pub(super) fn new(dir: &Path, (fleet, rules): (Fleet, FleetRules), shared: Arc<Shared>) -> Self {
        Self {
            fleet,
            rules,
            source: Source::new(dir),
            shared,
            asked: Instant::now(),
            pace: Pace::of(0),
            known: BTreeMap::new(),
        }
    }

    /// Sends everything that is committed by now.
    ///
    /// # Errors
    /// [`Trouble`]; the next look goes on where this one stopped.
    pub(super) async fn look(&mut self) -> Result<(), Trouble> {
        self.source.refresh()?;
        self.measure();
        self.pace = Pace::of(self.shared.lag.load(Relaxed));
        if self.asked.elapsed() >= ASK_EVERY {
            self.asked = Instant::now();
            self.known.values_mut().for_each(|known| known.is_sure = false);
        }
        let slots: Vec<u32> = self.source.slots().collect();
        // One chain in trouble keeps no other one waiting.
        let mut outcome = Ok(());
        for slot in slots {
            let sent = self.send(slot).await;
            if sent.is_err() {
                self.doubt(slot);
            }
            outcome = outcome.and(sent);
            self.measure();
        }
        if outcome.is_ok() {
            self.shared.looks.send_modify(|looks| *looks += 1);
        }
        outcome
    }

    /// How it stands; for tests.
    #[cfg(test)]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// When the last look has begun.
    pub(super) fn began(&self) -> Instant {
        self.pace.began
    }

    /// Waits until then, or until somebody is in a hurry.
    pub(super) async fn rest(&self, until: Instant) {
        // Either way it is time for the next look.
        _ = timeout_at(until.into(), self.shared.hurry.notified()).await;
    }

    /// Waits until it is time for the next batch, or until somebody is in a hurry.
    async fn keep_pace(&mut self) {
        let Some(due) = self.pace.due() else { return };
        self.pace.in_hurry = timeout_at(due.into(), self.shared.hurry.notified()).await.is_ok();
    }

    /// Sends what is new in one slot.
    async fn send(&mut self, slot: u32) -> Result<(), Trouble> {
        while let Some(chain) = self.source.chain(slot) {
            let known = self.known.entry(slot).or_default();
            if *known.chain != *chain.name {
                *known = Known { chain: Arc::clone(&chain.name), ..Known::default() };
            }
            if !known.is_sure {
                if self.begin(slot, &chain).await? {
                    continue;
                }
                return Ok(());
            }
            let batch = self.source.read(slot, known.end, self.limits())?;
            let (is_last, count) = (batch.is_last, batch.rows.len() as u64);
            if !self.append(slot, &chain, batch).await? {
                continue;
            }
            if is_last {
                return Ok(());
            }
            self.pace.done += count;
            self.keep_pace().await;
        }
        Ok(())
    }

    /// What is there of a slot's chain has to be asked, and what was read for it is read again.
    fn doubt(&mut self, slot: u32) {
        let known = self.known.entry(slot).or_default();
        known.is_sure = false;
        self.source.rewind(slot, known.upto);
    }

    fn limits(&self) -> Limits {
        Limits { since: Timestamp::now().minus(self.rules.retention), most: self.rules.records }
    }

    /// Asks how the chain ends there; false if it cannot be gone on with now.
    async fn begin(&mut self, slot: u32, chain: &Chain) -> Result<bool, Trouble> {
        let asked = self.fleet.log.begin(&self.fleet.node, &chain.name).await;
        let end = match asked {
            // Something else has its name.
            Err(StoreError::Corrupt(_)) => FleetEnd { seq: u64::MAX, line: None },
            asked => asked?,
        };
        let is_ours = self.is_ours(slot, &end)?;
        let known = self.known.entry(slot).or_default();
        if is_ours {
            if known.end != end.seq {
                (known.end, known.upto) = (end.seq, end.seq);
                self.source.rewind(slot, end.seq);
            }
            known.is_sure = true;
            return Ok(true);
        }
        if known.replaced.is_some_and(|at| at.elapsed() < REPLACED_EVERY) {
            return Ok(false);
        }
        known.replaced = Some(Instant::now());
        tracing::error!(
            audit.chain = &*chain.name,
            "the fleet's copy of this audit chain is not what this server wrote: it is replaced"
        );
        self.fleet.log.forget(&chain.name).await?;
        Ok(true)
    }

    /// Whether the chain ends there with a record of ours, as far as that can still be told.
    fn is_ours(&mut self, slot: u32, end: &FleetEnd) -> Result<bool, AuditError> {
        // Another process on these files may have sent more than we knew of.
        self.source.refresh()?;
        if self.source.chain(slot).is_none_or(|chain| chain.seq < end.seq) {
            return Ok(false);
        }
        let Some(line) = end.line.as_deref().filter(|_| end.seq > 0) else { return Ok(true) };
        Ok(self.source.line(slot, end.seq)?.is_none_or(|ours| ours == line))
    }

    /// Sends one batch; what was passed over on the way to it is told. False if somebody else was there first.
    async fn append(&mut self, slot: u32, chain: &Chain, batch: Batch) -> Result<bool, Trouble> {
        let known = self.known.entry(slot).or_default();
        if let Some(&(last, ..)) = batch.rows.last() {
            let count = batch.rows.len();
            let rows = FleetBatch {
                node: self.fleet.node().to_owned(),
                chain: chain.name.as_ref().to_owned(),
                after: known.end,
                rows: batch.rows,
                most: self.rules.records,
                kept: self.rules.retention + KEPT_LONGER,
            };
            match self.fleet.log.append(rows).await? {
                FleetAppended::Done { dropped } => {
                    known.end = last;
                    self.shared.too_many.fetch_add(dropped, Relaxed);
                    self.shared.sent.fetch_add(count as u64, Relaxed);
                }
                FleetAppended::Elsewhere => {
                    self.doubt(slot);
                    return Ok(false);
                }
            }
        }
        known.upto = batch.upto;
        self.shared.gone.fetch_add(batch.missed.gone, Relaxed);
        self.shared.too_old.fetch_add(batch.missed.too_old, Relaxed);
        self.shared.too_many.fetch_add(batch.missed.too_many, Relaxed);
        let missed = batch.missed.gone + batch.missed.too_old;
        if missed > 0 {
            tracing::warn!(
                audit.chain = &*chain.name,
                audit.records = missed,
                "the fleet's audit log lacks records"
            );
        }
        self.measure();
        Ok(true)
    }

    /// Works out how far behind we are.
    fn measure(&self) {
        let behind = |slot: u32| {
            let chain = self.source.chain(slot)?;
            let known = self.known.get(&slot).filter(|known| *known.chain == *chain.name);
            Some(chain.seq.saturating_sub(known.map_or(0, |known| known.upto)))
        };
        let lag = self.source.slots().filter_map(behind).sum();
        self.shared.lag.store(lag, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_spread_over_a_look_unless_somebody_is_in_a_hurry() {
        let mut pace = Pace::of(1_000);
        let due = |pace: &Pace| pace.due().map(|due| due - pace.began);
        for (done, after) in [(0, Some(0)), (250, Some(50)), (999, Some(199)), (1_000, None), (2_000, None)] {
            pace.done = done;
            assert_eq!(due(&pace).map(|pause| pause.as_millis()), after, "{done} of 1000");
        }
        (pace.done, pace.in_hurry) = (250, true);
        assert_eq!(due(&pace), None);
        assert_eq!(due(&Pace::of(0)), Some(Duration::ZERO), "nothing waits for nothing");
    }
}
