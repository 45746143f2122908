//! How far one call is: what its tool has said last, until the client is told.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
};

use super::{clean, hygiene};

/// One step, as it is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// How much is done.
    pub done: f64,
    /// Of how much, if that is known.
    pub total: Option<f64>,
    /// What is being done, fit to be shown.
    pub message: Option<String>,
}

/// The latest step of one call. There is never more than one that waits to be told, however fast a tool is and
/// however slow its client.
#[derive(Debug, Default)]
pub struct Progress {
    reached: Cell<Option<f64>>,
    untold: RefCell<Option<Step>>,
    waits: RefCell<Option<Waker>>,
}

impl Progress {
    /// Keeps a step to be told, if it is more than everything before: progress only rises, and a number that is
    /// none is no progress.
    pub(super) fn tell(&self, done: f64, total: Option<f64>, message: Option<&str>) {
        let rises = self.reached.get().is_none_or(|before| done > before);
        if !done.is_finite() || !rises {
            return;
        }
        self.reached.set(Some(done));
        let total = total.filter(|total| total.is_finite());
        let message = message.map(|text| clean(&hygiene::failure(text).0));
        *self.untold.borrow_mut() = Some(Step { done, total, message });
        if let Some(waker) = self.waits.take() {
            waker.wake();
        }
    }

    /// The step that is not told yet; it counts as told then.
    pub fn take(&self) -> Option<Step> {
        self.untold.take()
    }

    /// Waits until there is a step to be told. One waits at a time.
    pub async fn untold(&self) {
        poll_fn(|context| {
            if self.untold.borrow().is_some() {
                return Poll::Ready(());
            }
            *self.waits.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Wake},
    };

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Woken(std::sync::atomic::AtomicUsize);

    impl Wake for Woken {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }

    #[test]
    fn only_what_rises_is_told_and_of_several_the_last() {
        let progress = Progress::default();
        assert_eq!(progress.take(), None);
        progress.tell(1.0, Some(3.0), Some("one"));
        progress.tell(2.0, Some(f64::INFINITY), None);
        assert_eq!(progress.take(), Some(Step { done: 2.0, total: None, message: None }));
        for less in [2.0, 1.5, -1.0, f64::NAN, f64::INFINITY] {
            progress.tell(less, None, None);
            assert_eq!(progress.take(), None, "{less}");
        }
        progress.tell(2.5, Some(3.0), None);
        assert_eq!(progress.take().unwrap().done, 2.5);
    }

    #[test]
    fn whoever_waits_is_woken_by_the_next_step() {
        let woken = std::sync::Arc::new(Woken::default());
        let waker = Waker::from(std::sync::Arc::clone(&woken));
        let (progress, mut context) = (Progress::default(), Context::from_waker(&waker));
        let mut waits = pin!(progress.untold());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        progress.tell(0.0, None, None);
        assert_eq!(woken.0.load(std::sync::atomic::Ordering::SeqCst), 1);
        assert!(waits.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn what_is_said_is_made_fit_to_be_shown() {
        let progress = Progress::default();
        progress.tell(1.0, None, Some(&format!("\u{1b}[31m mcp_{}", "a".repeat(43))));
        let message = progress.take().unwrap().message.unwrap();
        assert!(message.starts_with("\\u{1b}[31m [redacted"), "{message}");
        progress.tell(2.0, None, Some(&"x".repeat(1_000)));
        assert_eq!(progress.take().unwrap().message.unwrap().chars().count(), 256);
    }
}
