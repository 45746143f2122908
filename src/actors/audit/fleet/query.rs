//! Reads the fleet's log: the records of every chain, merged by time, oldest first.

use std::{collections::VecDeque, sync::Arc};

use super::{
    super::reader::{Filter, Found},
    judge::{Doubts, judge},
};
use crate::store::{FleetChain, FleetLog, FleetRow, StoreError};

/// Rows of one chain that are read at once.
const PAGE: usize = 256;

/// A record, and who wrote it.
#[derive(Debug, Clone)]
pub struct FleetFound {
    /// The server's name in the fleet.
    pub node: Box<str>,
    /// What it recorded.
    pub found: Found,
}

/// Gives records in the order of their time; those of one moment in that of their nodes, those of one chain in its own.
pub struct FleetReader {
    log: Arc<dyn FleetLog>,
    chains: Vec<Reading>,
    doubts: Doubts,
}

/// How far one chain is read.
struct Reading {
    chain: FleetChain,
    /// The id of the last row.
    after: Option<String>,
    /// The number of the last row.
    before: Option<u64>,
    /// What was read and not given yet.
    ready: VecDeque<FleetFound>,
    is_over: bool,
}

impl Reading {
    fn of(chain: FleetChain) -> Self {
        Self { chain, after: None, before: None, ready: VecDeque::new(), is_over: false }
    }

    /// Reads until there is something to give that is wanted, or no more.
    async fn fill(
        &mut self,
        log: &dyn FleetLog,
        filter: &Filter,
        doubts: &mut Doubts,
    ) -> Result<(), StoreError> {
        while self.ready.is_empty() && !self.is_over {
            let rows = log.rows(&self.chain.chain, self.after.as_deref(), PAGE).await?;
            self.is_over = rows.len() < PAGE;
            // The last row of a full page vouches for the one before it, and is read again with the next page.
            let (rows, next) = match rows.split_last() {
                Some((next, rows)) if !self.is_over => (rows, Some(next)),
                _ => (rows.as_slice(), None),
            };
            self.take(rows, next, doubts);
            self.ready.retain(|it| filter.matches(&it.found.record));
        }
        Ok(())
    }

    fn take(&mut self, rows: &[FleetRow], next: Option<&FleetRow>, doubts: &mut Doubts) {
        self.after = rows.last().map(|row| row.id.clone()).or_else(|| self.after.take());
        self.ready.extend(judge(&self.chain, rows, next, (&mut self.before, doubts)));
    }

    /// What orders the next record among those of other chains.
    fn rank(&self) -> Option<(&str, &FleetChain)> {
        self.ready.front().map(|it| (it.found.record.time.as_str(), &self.chain))
    }
}

impl FleetReader {
    /// Begins with the oldest record of every chain.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(log: Arc<dyn FleetLog>) -> Result<Self, StoreError> {
        let chains = log.chains().await?.into_iter().map(Reading::of).collect();
        Ok(Self { log, chains, doubts: Doubts::default() })
    }

    /// The last `count` records, and a reader that goes on right behind them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_at_end(
        log: Arc<dyn FleetLog>,
        count: usize,
    ) -> Result<(Vec<FleetFound>, Self), StoreError> {
        let mut reader = Self::open(log).await?;
        let mut last = Vec::new();
        for reading in &mut reader.chains {
            // One at least, to know where it ends.
            let rows = reader.log.newest(&reading.chain.chain, count.max(1)).await?;
            reading.take(&rows, None, &mut reader.doubts);
            last.extend(reading.ready.drain(..));
        }
        order(&mut last);
        let surplus = last.len().saturating_sub(count);
        Ok((last.split_off(surplus), reader))
    }

    /// The next record that fits; `None` after the last one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn next(&mut self, filter: &Filter) -> Result<Option<FleetFound>, StoreError> {
        for reading in &mut self.chains {
            reading.fill(&*self.log, filter, &mut self.doubts).await?;
        }
        let ready = self.chains.iter_mut().filter(|reading| !reading.ready.is_empty());
        let oldest = ready.min_by(|one, other| one.rank().cmp(&other.rank()));
        Ok(oldest.and_then(|reading| reading.ready.pop_front()))
    }

    /// What was added since it was last asked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn poll(&mut self) -> Result<Vec<FleetFound>, StoreError> {
        let chains = self.log.chains().await?;
        self.chains.retain(|reading| chains.contains(&reading.chain));
        for chain in chains {
            if self.chains.iter().all(|reading| reading.chain != chain) {
                self.chains.push(Reading::of(chain));
            }
        }
        let mut fresh = Vec::new();
        for reading in &mut self.chains {
            reading.is_over = false;
            while !reading.is_over {
                reading.fill(&*self.log, &Filter::default(), &mut self.doubts).await?;
                fresh.extend(reading.ready.drain(..));
            }
        }
        order(&mut fresh);
        Ok(fresh)
    }

    /// What did not fit so far.
    pub fn doubts(&self) -> Doubts {
        self.doubts
    }
}

/// Orders what lies in the order of its chains.
fn order(found: &mut [FleetFound]) {
    let rank = |it: &FleetFound| (it.found.record.time.clone(), it.node.clone());
    found.sort_by_cached_key(rank);
}
