//! The mark of a store into which another one is being copied.

use uuid::Uuid;

use crate::store::StoreError;

/// From which store, and by which run of the command: whatever an earlier run still sends counts no more once a later
/// one has gone on, and least of all once the copy is served from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The identity of the store that is copied.
    pub source: String,
    /// The run.
    pub run: Uuid,
    /// Whether the store was found empty under a mark, so that all it holds was copied. Until then nothing was, and
    /// whatever it holds is somebody's.
    pub has_begun: bool,
}

/// What the text of a mark ends with whose copy has not begun: one of an earlier version of this program always has.
const LOOKS: &str = "looks";
/// The store carries the mark of another run, or none any more.
pub(super) const OVERTAKEN: StoreError = StoreError::Missing("mark of this copy any more");

impl Mark {
    /// One for a new run, which has not begun.
    pub fn new(source: String) -> Self {
        Self { source, run: Uuid::now_v7(), has_begun: false }
    }

    /// The same run, once it has begun.
    #[must_use]
    pub fn begun(&self) -> Self {
        Self { has_begun: true, ..self.clone() }
    }

    /// What takes the place of `kept`, which this one [follows](Self::follows): what had begun has.
    pub(in crate::store) fn after(&self, kept: Option<&Self>) -> Self {
        Self { has_begun: self.has_begun || kept.is_some_and(|kept| kept.has_begun), ..self.clone() }
    }

    /// Its text in a store.
    pub(in crate::store) fn text(&self) -> String {
        let Self { source, run, has_begun } = self;
        if *has_begun { format!("{source} {run}") } else { format!("{source} {run} {LOOKS}") }
    }

    /// The mark of a text.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub(in crate::store) fn parse(text: &str) -> Result<Self, StoreError> {
        let parts = text.split_once(' ').and_then(|(source, rest)| {
            let (run, has_begun) = match rest.split_once(' ') {
                Some((run, LOOKS)) => (run, false),
                Some(_) => return None,
                None => (rest, true),
            };
            Some(Self { source: source.to_owned(), run: Uuid::try_parse(run).ok()?, has_begun })
        });
        parts.ok_or(StoreError::Corrupt("the mark of a copy"))
    }

    /// Whether it may take the place of `kept`. One that has begun only takes that of its own run: whoever was
    /// overtaken does not know what has come since.
    pub(in crate::store) fn follows(&self, kept: Option<&Self>) -> bool {
        match kept {
            None => !self.has_begun,
            Some(kept) => kept.source == self.source && (!self.has_begun || kept.run == self.run),
        }
    }

    /// For a write under this mark.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if the store carries another one, or none.
    pub(in crate::store) fn demand(&self, kept: Option<&str>) -> Result<(), StoreError> {
        if kept == Some(&self.text()) { Ok(()) } else { Err(OVERTAKEN) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_as_it_was_written_and_is_followed_by_the_same_source_alone() {
        let mark = Mark::new("0123".into());
        for one in [mark.clone(), mark.begun()] {
            assert_eq!(Mark::parse(&one.text()), Ok(one));
        }
        let next = Mark::new("0123".into());
        assert_eq!((next.after(Some(&mark)), next.after(Some(&mark.begun()))), (next.clone(), next.begun()));
        assert_eq!(
            mark.begun().text(),
            format!("0123 {}", mark.run),
            "as it was before there was a beginning"
        );
        assert!(mark.follows(None) && Mark::new("0123".into()).follows(Some(&mark)));
        assert!(!Mark::new("4567".into()).follows(Some(&mark)));
        assert!(next.follows(Some(&mark.begun())) && mark.begun().follows(Some(&mark)));
        assert!(!mark.begun().follows(None) && !mark.begun().follows(Some(&next)), "it was overtaken");
        assert_eq!(mark.demand(Some(&mark.text())), Ok(()));
        for other in [None, Some(Mark::new("0123".into()).text())] {
            assert!(matches!(mark.demand(other.as_deref()), Err(StoreError::Missing(_))));
        }
        let strange = [format!("{} x", mark.begun().text()), format!("{} ", mark.text())];
        for text in ["", "a", "a b", "a 0"].into_iter().chain(strange.iter().map(String::as_str)) {
            assert!(matches!(Mark::parse(text), Err(StoreError::Corrupt(_))), "{text:?}");
        }
    }
}
