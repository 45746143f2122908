//! Who did most of something, in bounded memory however many there are.

use serde::{Deserialize, Serialize};

use super::sign::{Offender, Sign, Violation};

/// Most offenders that one table remembers. Whoever has done more than one part in so many of what a table
/// has counted is in it, whoever else there is.
pub(super) const MOST: usize = 64;

/// Most of anything that one node can have counted in one span: sums of such numbers do not overflow.
pub(super) const MOST_COUNTED: u64 = 1 << 40;

/// The offenders of one span of time: a table for each violation, by address and by principal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tops([[Table; 2]; Violation::ALL.len()]);

impl Tops {
    pub(super) fn add(&mut self, sign: &Sign) {
        let Some((violation, count)) = sign.violation() else { return };
        for offender in sign.offenders() {
            if let Some(table) = self.table(violation, &offender) {
                table.add(offender, count);
            }
        }
    }

    /// Whether this could be what a node has counted.
    pub(super) fn is_sane(&self) -> bool {
        self.0.iter().flatten().all(|table| {
            table.entries.len() <= MOST
                && table.floor <= MOST_COUNTED
                && table.entries.iter().all(|entry| entry.count <= MOST_COUNTED && entry.over <= entry.count)
        })
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().flatten().zip(other.0.iter().flatten()) {
            mine.merge(theirs);
        }
    }

    /// Every table with what it is of.
    pub(super) fn tables(&self) -> impl Iterator<Item = (Violation, &Table)> {
        let each = Violation::ALL.into_iter().zip(&self.0);
        each.flat_map(|(violation, tables)| tables.iter().map(move |table| (violation, table)))
    }

    fn table(&mut self, violation: Violation, offender: &Offender) -> Option<&mut Table> {
        let [addresses, principals] = self.0.get_mut(violation as usize)?;
        Some(if matches!(offender, Offender::Address(_)) { addresses } else { principals })
    }
}

/// Heavy hitters by the space-saving algorithm (Metwally, Agrawal, El Abbadi 2005), with what makes such
/// tables mergeable: how much somebody who is not in it may have done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Table {
    entries: Vec<Entry>,
    /// Nobody who is not in the table has done more than this.
    floor: u64,
}

/// One offender: has done at most `count`, and at least `count - over`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) who: Offender,
    pub(super) count: u64,
    pub(super) over: u64,
}

impl Table {
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether somebody who is not in the table may have done something.
    pub(super) fn is_lossy(&self) -> bool {
        self.floor > 0
    }

    fn add(&mut self, who: Offender, count: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.who == who) {
            entry.count = entry.count.saturating_add(count);
            return;
        }
        if self.entries.len() >= MOST {
            let least = self.entries.iter().enumerate().min_by_key(|(_, entry)| entry.count);
            if let Some((at, least)) = least.map(|(at, entry)| (at, entry.count)) {
                self.floor = self.floor.max(least);
                self.entries.swap_remove(at);
            }
        }
        let over = self.floor;
        self.entries.push(Entry { who, count: over.saturating_add(count), over });
    }

    fn merge(&mut self, other: &Self) {
        if other.entries.is_empty() {
            return;
        }
        let floors = (self.floor, other.floor);
        for entry in &mut self.entries {
            let theirs = other.entries.iter().find(|it| it.who == entry.who);
            let (count, over) = theirs.map_or((floors.1, floors.1), |it| (it.count, it.over));
            entry.count = entry.count.saturating_add(count);
            entry.over = entry.over.saturating_add(over);
        }
        let known = self.entries.len();
        for entry in &other.entries {
            if !self.entries.iter().take(known).any(|it| it.who == entry.who) {
                let (count, over) =
                    (entry.count.saturating_add(floors.0), entry.over.saturating_add(floors.0));
                self.entries.push(Entry { who: entry.who.clone(), count, over });
            }
        }
        self.entries.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.who.cmp(&b.who)));
        let dropped = self.entries.get(MOST).map_or(0, |entry| entry.count);
        self.entries.truncate(MOST);
        // For a moment there were twice as many, of which the room would stay.
        self.entries.shrink_to(MOST);
        self.floor = floors.0.saturating_add(floors.1).max(dropped);
    }
}

#[cfg(test)]
impl Tops {
    /// How much memory its tables take, texts included.
    pub(super) fn heap_bytes(&self) -> usize {
        let table = |table: &Table| {
            let texts: usize = table.entries.iter().map(|entry| entry.who.heap_bytes()).sum();
            table.entries.capacity() * size_of::<Entry>() + texts
        };
        self.0.iter().flatten().map(table).sum()
    }
}
