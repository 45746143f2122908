//! Who waits for a commit of one lane, in the order of the tickets, so that a commit wakes its own only.

use std::{collections::VecDeque, mem, task::Waker};

use parking_lot::Mutex;

/// The waiting line of one lane.
///
/// The writer calls only the first whose event is on disk; that one calls the rest, on its own thread, which
/// costs no system call. The call is handed on even if the first is dropped before it hears it.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    /// By ticket, lowest first.
    waiting: VecDeque<(u64, Waker)>,
    /// Whether somebody was called who has not left yet, and calls the others then.
    called: bool,
}

impl Waiters {
    /// Has `waker` called when the event `ticket` is settled. Look again afterwards: it may be already.
    pub(super) fn enter(&self, ticket: u64, waker: &Waker) {
        let mut line = self.line.lock();
        let at = line.waiting.partition_point(|(other, _)| *other < ticket);
        let before = match line.waiting.get_mut(at) {
            Some((other, known)) if *other == ticket => {
                if known.will_wake(waker) {
                    return;
                }
                Some(mem::replace(known, waker.clone()))
            }
            _ => {
                line.waiting.insert(at, (ticket, waker.clone()));
                None
            }
        };
        // Whatever a waker drops with it is dropped outside the lock.
        drop(line);
        drop(before);
    }

    /// Whoever entered for `ticket` waits no longer, and calls the others if that was left to it.
    ///
    /// `settled` is asked under the lock: whoever settles more from now on sees that nobody is called.
    pub(super) fn leave(&self, ticket: u64, settled: impl FnOnce() -> u64) {
        let mut line = self.line.lock();
        let at = line.waiting.partition_point(|(other, _)| *other < ticket);
        let own = match line.waiting.get(at) {
            Some((other, _)) if *other == ticket => line.waiting.remove(at),
            _ => None,
        };
        if !mem::take(&mut line.called) {
            drop(line);
            return drop(own);
        }
        let settled = settled();
        let count = line.waiting.partition_point(|(other, _)| *other <= settled);
        let ready: Vec<_> = line.waiting.drain(..count).collect();
        drop(line);
        ready.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Everything up to `settled` is: calls the first who waits for that.
    pub(super) fn call(&self, settled: u64) {
        let mut line = self.line.lock();
        if line.called || line.waiting.front().is_none_or(|(ticket, _)| *ticket > settled) {
            return;
        }
        let first = line.waiting.pop_front();
        line.called = true;
        drop(line);
        first.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Calls everybody: nothing will be settled soon.
    pub(super) fn call_all(&self) {
        let waiting = mem::take(&mut self.line.lock().waiting);
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Called(AtomicU64);

    impl Wake for Called {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A line in which the tickets 1 to `count` wait, entered in the opposite order.
    fn line(count: u64) -> (Waiters, Vec<Arc<Called>>) {
        let waiters = Waiters::default();
        let called: Vec<_> = (0..count).map(|_| Arc::new(Called::default())).collect();
        for ticket in (1..=count).rev() {
            waiters.enter(ticket, &Waker::from(Arc::clone(&called[ticket as usize - 1])));
        }
        (waiters, called)
    }

    fn counts(called: &[Arc<Called>]) -> Vec<u64> {
        called.iter().map(|it| it.0.load(Ordering::SeqCst)).collect()
    }

    #[test]
    fn a_commit_calls_its_own_and_nobody_else() {
        let (waiters, called) = line(5);
        waiters.call(3);
        assert_eq!(counts(&called), [1, 0, 0, 0, 0]);
        waiters.leave(1, || 3);
        assert_eq!(counts(&called), [1, 1, 1, 0, 0]);
        for ticket in [3, 2] {
            waiters.leave(ticket, || 3);
        }
        assert_eq!(counts(&called), [1, 1, 1, 0, 0], "the call is handed on once");
        waiters.call(5);
        waiters.leave(4, || 5);
        assert_eq!(counts(&called), [1; 5]);
    }

    #[test]
    fn nobody_is_called_for_what_is_not_settled() {
        let (waiters, called) = line(2);
        waiters.call(0);
        assert_eq!(counts(&called), [0, 0]);
    }

    #[test]
    fn a_second_commit_before_the_first_is_heard_is_not_lost() {
        let (waiters, called) = line(4);
        waiters.call(1);
        waiters.call(4);
        assert_eq!(counts(&called), [1, 0, 0, 0]);
        waiters.leave(1, || 4);
        assert_eq!(counts(&called), [1; 4]);
    }

    #[test]
    fn whoever_leaves_after_the_call_hands_it_on_and_before_it_changes_nothing() {
        let (waiters, called) = line(3);
        waiters.leave(1, || 0);
        waiters.call(3);
        assert_eq!(counts(&called), [0, 1, 0]);
        // The second was called and is dropped unheard; any other that leaves would do as well.
        waiters.leave(2, || 3);
        assert_eq!(counts(&called), [0, 1, 1]);
    }

    #[test]
    fn only_the_last_waker_of_a_ticket_is_called() {
        let (waiters, called) = line(1);
        let other = Arc::new(Called::default());
        waiters.enter(1, &Waker::from(Arc::clone(&other)));
        waiters.call(1);
        assert_eq!((counts(&called), other.0.load(Ordering::SeqCst)), (vec![0], 1));
    }

    #[test]
    fn a_failure_calls_everybody() {
        let (waiters, called) = line(3);
        waiters.call_all();
        assert_eq!(counts(&called), [1; 3]);
        waiters.call_all();
        assert_eq!(counts(&called), [1; 3]);
    }
}
