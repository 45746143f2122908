//! What the client of a session wants to be told of, and what of that has changed and was not told yet. Pure, and as
//! large as it ever will be from the start: however much changes, nothing grows.

use std::sync::Arc;

use crate::domain::Change;

/// Most resources that a session wants to be told of: one bit each.
pub const MOST_URIS: usize = 64;

/// What is wanted, and due.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Each has its place for as long as it is wanted.
    uris: Vec<Option<Arc<str>>>,
    lists: [bool; 3],
    changed: u64,
}

const LISTS: [Change; 3] = [Change::Tools, Change::Prompts, Change::Resources];

impl Due {
    /// Wants to be told of `uri`; `false` if that is one too many.
    pub(super) fn subscribe(&mut self, uri: &str) -> bool {
        if self.place(uri).is_some() {
            return true;
        }
        if let Some(free) = self.uris.iter_mut().find(|place| place.is_none()) {
            *free = Some(uri.into());
            return true;
        }
        let has_room = self.uris.len() < MOST_URIS;
        if has_room {
            self.uris.push(Some(uri.into()));
        }
        has_room
    }

    /// Does not want to be told of `uri` any more, nor of what has changed of it so far.
    pub(super) fn unsubscribe(&mut self, uri: &str) {
        if let Some(at) = self.place(uri) {
            self.changed &= !(1 << at);
            if let Some(place) = self.uris.get_mut(at) {
                *place = None;
            }
        }
    }

    /// Wants to be told of `uris`, as far as there is room, and of nothing else.
    pub(super) fn follow(&mut self, uris: &[Box<str>]) {
        let is_wanted = |known: &str| uris.iter().any(|uri| **uri == *known);
        let over: Vec<_> = self.uris.iter().flatten().filter(|known| !is_wanted(known)).cloned().collect();
        over.iter().for_each(|uri| self.unsubscribe(uri));
        uris.iter().for_each(|uri| _ = self.subscribe(uri));
    }

    fn place(&self, uri: &str) -> Option<usize> {
        self.uris.iter().position(|known| known.as_deref() == Some(uri))
    }

    /// Keeps what of `changes` is wanted, everything if nobody knows what has changed; whether anything is due then.
    pub(super) fn hear(&mut self, changes: Option<&[Change]>) -> bool {
        let Some(changes) = changes else {
            self.lists = [true; 3];
            for (at, _) in self.uris.iter().enumerate().filter(|(_, uri)| uri.is_some()) {
                self.changed |= 1 << at;
            }
            return true;
        };
        for change in changes {
            if let Some(at) = LISTS.iter().position(|list| list == change) {
                self.lists.iter_mut().skip(at).take(1).for_each(|due| *due = true);
            }
            if let Change::Resource(uri) = change
                && let Some(at) = self.place(uri)
            {
                self.changed |= 1 << at;
            }
        }
        !self.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lists == [false; 3] && self.changed == 0
    }

    /// What is due; it counts as told then.
    pub(super) fn take(&mut self) -> Vec<Change> {
        let (lists, changed) = (std::mem::take(&mut self.lists), std::mem::take(&mut self.changed));
        let lists = LISTS.into_iter().zip(lists).filter_map(|(list, is_due)| is_due.then_some(list));
        let uris = self.uris.iter().enumerate().filter(|(at, _)| changed >> at & 1 == 1);
        lists.chain(uris.filter_map(|(_, uri)| uri.clone().map(Change::Resource))).collect()
    }
}
