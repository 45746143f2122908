//! How work on another thread learns that nobody waits for it any more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::fault::FileError;

/// Tells the work, when dropped, that its caller has gone.
#[derive(Debug, Default)]
pub(super) struct Caller(Arc<AtomicBool>);

impl Caller {
    /// What the work looks at.
    pub(super) fn waits(&self) -> Waits {
        Waits(Arc::clone(&self.0))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Whether somebody waits.
#[derive(Debug, Clone)]
pub(super) struct Waits(Arc<AtomicBool>);

impl Waits {
    /// Goes on as long as somebody waits: asked last thing before something is changed, so that what was
    /// answered as given up does not happen afterwards.
    ///
    /// # Errors
    /// [`FileError::GivenUp`].
    pub(super) fn check(&self) -> Result<(), FileError> {
        if self.0.load(Ordering::Acquire) { Err(FileError::GivenUp) } else { Ok(()) }
    }
}
