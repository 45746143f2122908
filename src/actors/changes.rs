//! Tells of changes: whoever notices one says so here, whoever holds a stream listens.

use tokio::sync::broadcast::{self, Receiver, Sender};

use crate::domain::Change;

/// Most changes that a listener may be behind: who is later is told so, and takes everything as changed.
const BACKLOG: usize = 256;

/// One for the whole process; clones share it. A change is a hint without content, hence nothing is kept for
/// who does not listen yet.
#[derive(Debug, Clone)]
pub struct Changes(Sender<Change>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }
}

impl Changes {
    /// Tells everybody who listens now. Never waits.
    pub fn tell(&self, change: Change) {
        // An error says that nobody listens.
        let _nobody = self.0.send(change);
    }

    /// What is told from now on. `RecvError::Lagged` means that some of it was missed: take everything as
    /// changed.
    #[must_use]
    pub fn listen(&self) -> Receiver<Change> {
        self.0.subscribe()
    }

    /// How many listen.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.0.receiver_count()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast::error::TryRecvError;

    use super::*;

    #[test]
    fn who_listens_hears_what_is_told_from_then_on() {
        let changes = Changes::default();
        changes.tell(Change::Prompts);
        let mut heard = changes.listen();
        assert_eq!(heard.try_recv(), Err(TryRecvError::Empty), "told before");
        changes.tell(Change::Tools);
        changes.tell(Change::Resource("file:///a.txt".into()));
        assert_eq!(heard.try_recv(), Ok(Change::Tools));
        assert_eq!(heard.try_recv(), Ok(Change::Resource("file:///a.txt".into())));
    }

    #[test]
    fn who_is_too_late_is_told_so() {
        let changes = Changes::default();
        let mut heard = changes.listen();
        for _ in 0..=BACKLOG {
            changes.tell(Change::Tools);
        }
        assert_eq!(heard.try_recv(), Err(TryRecvError::Lagged(1)));
    }
}
