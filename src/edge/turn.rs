//! Small answers of one turn of a worker leave together at its end.
//!
//! A worker serves all connections that have something to say before it looks for new ones. Each answer that is sent
//! alone wakes whoever waits for it alone, and the sender pays for that; sent behind each other they find their
//! reader awake (measured: `benches/NOTES.md`). Nothing waits longer than the turn takes.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    mem,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    task::{Poll, Waker},
};

use actix_web::rt;
use tokio::task::coop::unconstrained;

/// Largest piece of an answer that waits for the end of a turn, bytes; larger ones are worth a call of their own.
pub(super) const MOST: usize = 8 * 1024;
/// Most bytes that wait together.
const MOST_TOGETHER: usize = 256 * 1024;

/// Somebody who sends at the end of the turn.
pub(super) trait Sender {
    /// Sends `bytes`, or keeps what cannot be sent now.
    fn send(&self, bytes: &[u8]);

    /// Sends nothing any more: what it was to send has gone wrong on the way.
    fn give_up(&self);
}

/// Whoever sends, and where among what waits is theirs.
type Due = (Rc<dyn Sender>, Range<usize>);

/// What waits for the end of this worker's turn.
#[derive(Default)]
struct Turn {
    senders: RefCell<Vec<Due>>,
    bytes: RefCell<Vec<u8>>,
    /// Who wants to be looked at again, if not before.
    reminders: RefCell<Vec<Option<Waker>>>,
    /// Which turn this is.
    number: Cell<u64>,
    /// Who ends turns; nobody before the worker serves.
    ends: RefCell<Option<Waker>>,
    /// Whether the end is on its way.
    is_due: Cell<bool>,
}

thread_local! {
    static TURN: Turn = Turn::default();
}

/// Ends the turns of this worker thread for as long as the thread lives.
pub(super) fn run() {
    let gone = Gone;
    let ends = poll_fn(move |context| {
        let _until_then = &gone;
        TURN.with(|turn| {
            let is_known = turn.ends.borrow().as_ref().is_some_and(|ends| ends.will_wake(context.waker()));
            if !is_known {
                turn.ends.replace(Some(context.waker().clone()));
            }
            turn.end();
        });
        Poll::<()>::Pending
    });
    // A task may send 128 times before it has to pause: from then on nothing could be sent in this turn.
    rt::spawn(unconstrained(ends));
}

/// Dropped with whoever ends turns: from then on everything is sent at once.
struct Gone;

impl Drop for Gone {
    fn drop(&mut self) {
        let gone = |turn: &Turn| {
            turn.ends.take();
            if std::thread::panicking() {
                tracing::error!("nobody ends this worker's turns any more");
                turn.end();
            }
        };
        // With the thread everything goes.
        _ = TURN.try_with(gone);
    }
}

/// Has `sender` send `bytes` at the end of this turn. `false` if they have to be sent at once.
pub(super) fn put_off(sender: &Rc<impl Sender + 'static>, bytes: &[u8]) -> bool {
    TURN.with(|turn| turn.put_off(sender, bytes))
}

/// Stands for a second look at whoever asked for it.
#[derive(Debug)]
pub(super) struct Reminder {
    turn: u64,
    at: usize,
}

/// Has `waker` woken at the end of this turn, if the reminder is not forgotten until then. Where nobody ends turns, it
/// is woken at once.
pub(super) fn remind(waker: &Waker) -> Option<Reminder> {
    let reminder = TURN.with(|turn| turn.remind(waker));
    if reminder.is_none() {
        waker.wake_by_ref();
    }
    reminder
}

impl Reminder {
    /// It is not needed any more.
    pub(super) fn forget(self) {
        TURN.with(|turn| {
            if turn.number.get() == self.turn
                && let Some(waker) = turn.reminders.borrow_mut().get_mut(self.at)
            {
                *waker = None;
            }
        });
    }
}

/// Ends the turn now.
pub(super) fn end() {
    TURN.with(Turn::end);
}

impl Turn {
    fn put_off(&self, sender: &Rc<impl Sender + 'static>, bytes: &[u8]) -> bool {
        let ends = self.ends.borrow();
        let Some(ends) = ends.as_ref().filter(|_| bytes.len() <= MOST) else { return false };
        let mut together = self.bytes.borrow_mut();
        if together.len() + bytes.len() > MOST_TOGETHER {
            return false;
        }
        let start = together.len();
        together.extend_from_slice(bytes);
        let sender = Rc::clone(sender);
        self.senders.borrow_mut().push((sender, start..together.len()));
        self.is_due_by(ends);
        true
    }

    fn remind(&self, waker: &Waker) -> Option<Reminder> {
        let ends = self.ends.borrow();
        self.is_due_by(ends.as_ref()?);
        let mut reminders = self.reminders.borrow_mut();
        reminders.push(Some(waker.clone()));
        Some(Reminder { turn: self.number.get(), at: reminders.len() - 1 })
    }

    fn is_due_by(&self, ends: &Waker) {
        if !self.is_due.replace(true) {
            // Behind all that can go on already.
            ends.wake_by_ref();
        }
    }

    /// Sends what was put off, in its order. Whoever panics meanwhile is given up, and takes nobody else along.
    fn end(&self) {
        self.is_due.set(false);
        self.number.set(self.number.get() + 1);
        self.reminders.borrow_mut().drain(..).flatten().for_each(Waker::wake);
        let mut senders = mem::take(&mut *self.senders.borrow_mut());
        let mut bytes = mem::take(&mut *self.bytes.borrow_mut());
        for (sender, range) in senders.drain(..) {
            let send = || sender.send(bytes.get(range).unwrap_or_default());
            if catch_unwind(AssertUnwindSafe(send)).is_err() {
                tracing::error!("sending an answer ended in a panic, and its connection with it");
                sender.give_up();
            }
        }
        bytes.clear();
        // Both are used again. Nothing was put off meanwhile: nobody who sends does.
        self.senders.replace(senders);
        self.bytes.replace(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps what it was told to send, with its name.
    struct Kept(&'static str, Rc<RefCell<Vec<String>>>);

    impl Sender for Kept {
        fn send(&self, bytes: &[u8]) {
            assert!(bytes != b"panic", "a sender panics on purpose");
            self.1.borrow_mut().push(format!("{} {}", self.0, String::from_utf8_lossy(bytes)));
        }

        fn give_up(&self) {
            self.1.borrow_mut().push(format!("{} gives up", self.0));
        }
    }

    fn two() -> ([Rc<Kept>; 2], Rc<RefCell<Vec<String>>>) {
        let sent = Rc::default();
        (["a", "b"].map(|name| Rc::new(Kept(name, Rc::clone(&sent)))), sent)
    }

    #[test]
    fn without_somebody_who_ends_turns_nothing_is_put_off() {
        let ([one, _], sent) = two();
        assert!(!put_off(&one, b"x"));
        end();
        assert!(sent.borrow().is_empty());
    }

    #[actix_web::test]
    async fn what_is_put_off_leaves_in_its_order_once_all_others_had_their_turn() {
        run();
        tokio::task::yield_now().await;
        let ([one, other], sent) = two();
        let others = Rc::clone(&sent);
        let task = rt::spawn(async move { others.borrow_mut().push("somebody else".into()) });
        assert!(put_off(&one, b"1") && put_off(&other, b"2") && put_off(&one, b"3"));
        assert!(sent.borrow().is_empty());
        task.await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(*sent.borrow(), ["somebody else", "a 1", "b 2", "a 3"]);
        assert!(put_off(&one, b"4"));
        end();
        assert_eq!(sent.borrow().last().unwrap(), "a 4");
    }

    #[actix_web::test]
    async fn who_panics_is_given_up_and_what_others_have_put_off_leaves() {
        run();
        tokio::task::yield_now().await;
        let ([one, other], sent) = two();
        assert!(put_off(&one, b"panic") && put_off(&other, b"1"));
        tokio::task::yield_now().await;
        assert_eq!(*sent.borrow(), ["a gives up", "b 1"]);
        assert!(put_off(&other, b"2"), "turns are ended still");
        tokio::task::yield_now().await;
        assert_eq!(sent.borrow().last().unwrap(), "b 2");
    }

    #[actix_web::test]
    async fn once_nobody_ends_turns_what_was_put_off_has_left_and_nothing_more_is() {
        let ([one, _], sent) = two();
        let sender = Rc::clone(&one);
        let ends = rt::spawn(async move {
            let _gone = Gone;
            TURN.with(|turn| turn.ends.replace(Some(Waker::noop().clone())));
            assert!(put_off(&sender, b"1"));
            panic!("whoever ends turns panics on purpose");
        });
        assert!(ends.await.unwrap_err().is_panic());
        assert_eq!(*sent.borrow(), ["a 1"]);
        assert!(!put_off(&one, b"2") && remind(Waker::noop()).is_none());
    }

    #[actix_web::test]
    async fn who_wants_to_be_looked_at_again_is_woken_at_the_end_unless_that_was_done_before() {
        let woken = || async {
            let mut looks = 0;
            poll_fn(move |context| {
                looks += 1;
                if looks == 2 {
                    return Poll::Ready(());
                }
                let _unused = remind(context.waker());
                Poll::Pending
            })
            .await;
        };
        woken().await;
        run();
        tokio::task::yield_now().await;
        woken().await;
        let waker = std::task::Waker::noop();
        let (one, other) = (remind(waker).unwrap(), remind(waker).unwrap());
        one.forget();
        assert_eq!(TURN.with(|turn| turn.reminders.borrow().iter().flatten().count()), 1);
        end();
        other.forget();
        assert_eq!(TURN.with(|turn| turn.reminders.borrow().len()), 0);
    }

    #[actix_web::test]
    async fn what_is_large_or_more_than_fits_is_not_put_off() {
        run();
        tokio::task::yield_now().await;
        let ([one, _], sent) = two();
        assert!(!put_off(&one, &[0; MOST + 1]));
        let piece = [0; MOST];
        let fitting = (0..).take_while(|_| put_off(&one, &piece)).count();
        assert_eq!(fitting, MOST_TOGETHER / MOST);
        end();
        assert_eq!(sent.borrow().len(), fitting);
        assert!(put_off(&one, &piece));
    }
}
