//! What one call tells its client before it ends: how far it is, lines of its log, what it asks.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    task::{Poll, Waker},
};

use super::{clean, clean_to, hygiene};
use crate::protocol::LogLevel;

/// Most lines of a log that wait to be told; what comes then is dropped.
const MOST_LINES: usize = 64;
/// Longest line of a log, characters.
const LONGEST_LINE: usize = 1_024;

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

/// One line of a call's log, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How grave it is.
    pub level: LogLevel,
    /// What it says.
    pub text: String,
}

/// Something that a client is told while its call runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// How far it is.
    Step(Step),
    /// A line of its log.
    Log(LogLine),
    /// A request of ours, JSON text: the call waits for its answer.
    Request(Box<str>),
    /// That it will take a while: the client may go, and come back for the rest.
    Pause,
}

/// What the client of a call wants to be told, and can be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// How far it is.
    pub steps: bool,
    /// Lines of its log that are at least as grave.
    pub level: Option<LogLevel>,
    /// Whether it can go and come back.
    pub pauses: bool,
}

/// What one call tells. Of its steps never more than one waits to be told, however fast a tool is and however slow
/// its client, and of its log no more than a few lines.
#[derive(Debug)]
pub struct Progress {
    wanted: Wanted,
    notes: RefCell<VecDeque<Note>>,
    reached: Cell<Option<f64>>,
    untold: RefCell<Option<Step>>,
    waits: RefCell<Option<Waker>>,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new(Wanted { steps: true, level: None, pauses: false })
    }
}

impl Progress {
    /// Of a call whose client wants to be told this.
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            notes: RefCell::default(),
            reached: Cell::default(),
            untold: RefCell::default(),
            waits: RefCell::default(),
        }
    }

    /// Keeps a line of the log, if it is grave enough and there is room for it.
    pub(super) fn log(&self, level: LogLevel, text: &str) {
        if self.wanted.level.is_none_or(|least| level < least) || self.notes.borrow().len() >= MOST_LINES {
            return;
        }
        let text = clean_to(&hygiene::failure(text).0, LONGEST_LINE);
        self.note(Note::Log(LogLine { level, text }));
    }

    /// Lets the client go, if it can come back.
    pub(super) fn pause(&self) {
        if self.wanted.pauses && self.notes.borrow().len() < MOST_LINES {
            self.note(Note::Pause);
        }
    }

    /// Sends the client a request, JSON text.
    pub fn request(&self, text: Box<str>) {
        self.note(Note::Request(text));
    }

    fn note(&self, note: Note) {
        self.notes.borrow_mut().push_back(note);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waits.take() {
            waker.wake();
        }
    }

    /// What is to be told next; it counts as told then.
    pub fn next(&self) -> Option<Note> {
        let note = self.notes.borrow_mut().pop_front();
        note.or_else(|| self.take().map(Note::Step))
    }

    /// Keeps a step to be told, if it is more than everything before: progress only rises, and a number that is
    /// none is no progress.
    pub(super) fn tell(&self, done: f64, total: Option<f64>, message: Option<&str>) {
        let rises = self.reached.get().is_none_or(|before| done > before);
        if !self.wanted.steps || !done.is_finite() || !rises {
            return;
        }
        self.reached.set(Some(done));
        let total = total.filter(|total| total.is_finite());
        let message = message.map(|text| clean(&hygiene::failure(text).0));
        *self.untold.borrow_mut() = Some(Step { done, total, message });
        self.wake();
    }

    /// The step that is not told yet; it counts as told then.
    pub fn take(&self) -> Option<Step> {
        self.untold.take()
    }

    /// Waits until there is something to be told. One waits at a time.
    pub async fn untold(&self) {
        self.until(|| self.untold.borrow().is_some() || !self.notes.borrow().is_empty()).await;
    }

    /// Waits until there is something that the call itself waits for. One waits at a time.
    pub async fn urgent(&self) {
        let is_urgent = |note: &Note| matches!(note, Note::Request(_) | Note::Pause);
        self.until(|| self.notes.borrow().iter().any(is_urgent)).await;
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        poll_fn(|context| {
            if is_so() {
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
    fn a_log_is_told_from_its_level_on_in_its_order_and_is_bounded() {
        let wanted = Wanted { steps: false, level: Some(LogLevel::Notice), pauses: false };
        let progress = Progress::new(wanted);
        progress.log(LogLevel::Info, "not grave enough");
        progress.tell(1.0, None, None);
        progress.pause();
        assert_eq!(progress.next(), None);
        for n in 0..=MOST_LINES {
            progress.log(LogLevel::Error, &format!("line {n} mcp_{}", "a".repeat(43)));
        }
        let told: Vec<_> = std::iter::from_fn(|| progress.next()).collect();
        assert_eq!(told.len(), MOST_LINES);
        let Note::Log(line) = &told[1] else { panic!("{told:?}") };
        assert!(line.text.starts_with("line 1 [redacted"), "{line:?}");
        let deaf = Progress::default();
        deaf.log(LogLevel::Emergency, "nobody has asked for it");
        assert_eq!(deaf.next(), None);
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
