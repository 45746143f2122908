//! What is being made goes on when whoever waits for it has gone: the next one takes it over.
//!
//! A question is cut after fractions of a second, and a connection takes several round trips. If each question that was
//! cut took its connection along, none would ever be made on a busy machine, or past a host that is silent.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use deadpool_redis::redis::{ErrorKind, RedisError};
use parking_lot::Mutex;
use tokio::{task::JoinHandle, time::timeout};

/// How long one may take, whoever waits: a lost first packet is sent again after a second.
pub(super) const MADE_WITHIN: Duration = Duration::from_secs(2);
/// How long after its beginning one may still be taken over; it may be dead by then.
const KEPT: Duration = Duration::from_secs(5);

/// Those that nobody waits for at the moment: never more than were waited for at once.
pub(super) struct Makings<T>(Mutex<VecDeque<Making<T>>>);

/// One, on its way or done.
struct Making<T> {
    begun: Instant,
    task: JoinHandle<Result<T, RedisError>>,
}

impl<T> Drop for Making<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T> Default for Makings<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Send + 'static> Makings<T> {
    /// One that was begun before if there is any but those that are `void` by when they were begun, else what `make`
    /// makes, and when it was begun. If whoever waits goes, it is there for the next.
    ///
    /// # Errors
    /// Those of `make`, or that it took too long.
    pub(super) async fn one<F>(
        &self,
        void: impl Fn(Instant) -> bool,
        make: impl FnOnce() -> F,
    ) -> Result<(T, Instant), RedisError>
    where
        F: Future<Output = Result<T, RedisError>> + Send + 'static,
    {
        while let Some(taken) = self.take(&void) {
            let begun = taken.begun;
            // That it has come to nothing is no answer for whoever came later.
            if let Ok(made) = self.wait(taken).await {
                return Ok((made, begun));
            }
        }
        let begun = Instant::now();
        let making = make();
        let task =
            tokio::spawn(async { timeout(MADE_WITHIN, making).await.unwrap_or_else(|_| Err(failed())) });
        Ok((self.wait(Making { begun, task }).await?, begun))
    }

    /// Gives up all of them.
    pub(super) fn forget(&self) {
        self.0.lock().clear();
    }

    fn take(&self, void: impl Fn(Instant) -> bool) -> Option<Making<T>> {
        let mut kept = self.0.lock();
        kept.retain(|making| making.begun.elapsed() < KEPT && !void(making.begun));
        kept.pop_front()
    }

    async fn wait(&self, making: Making<T>) -> Result<T, RedisError> {
        let mut waiting = Waiting { makings: self, making: Some(making) };
        let Some(making) = waiting.making.as_mut() else { return Err(failed()) };
        let made = (&mut making.task).await;
        drop(waiting.making.take());
        made.unwrap_or_else(|_gone| Err(failed()))
    }
}

/// Somebody waits for it.
struct Waiting<'a, T> {
    makings: &'a Makings<T>,
    making: Option<Making<T>>,
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        if let Some(making) = self.making.take() {
            self.makings.0.lock().push_back(making);
        }
    }
}

fn failed() -> RedisError {
    RedisError::from((ErrorKind::Io, "no connection in time"))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::sync::Notify;

    use super::*;

    /// Longer than anybody waits here, and shorter than a making may take.
    const SHORT: Duration = Duration::from_millis(5);

    /// Makings of the number of those begun, each of which ends when told.
    #[derive(Default)]
    struct Works {
        makings: Makings<usize>,
        begun: Arc<AtomicUsize>,
        ends: Arc<Notify>,
    }

    impl Works {
        async fn one(&self, void: bool) -> Result<usize, RedisError> {
            let (begun, ends) = (Arc::clone(&self.begun), Arc::clone(&self.ends));
            let make = move || async move {
                let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                ends.notified().await;
                if number == 1 || number == 3 { Ok(number) } else { Err(failed()) }
            };
            self.makings.one(|_| void, make).await.map(|(made, _)| made)
        }
    }

    #[tokio::test]
    async fn what_was_begun_for_one_who_has_gone_is_taken_over_and_never_begun_twice() {
        let works = Works::default();
        for _ in 0..3 {
            assert!(timeout(SHORT, works.one(false)).await.is_err());
        }
        assert_eq!(works.makings.0.lock().len(), 1);
        works.ends.notify_one();
        assert_eq!(works.one(false).await.ok(), Some(1));
        assert_eq!((works.begun.load(Ordering::SeqCst), works.makings.0.lock().len()), (1, 0));
    }

    #[tokio::test]
    async fn what_is_void_or_has_failed_before_is_begun_anew() {
        let works = Works::default();
        assert!(timeout(SHORT, works.one(false)).await.is_err());
        assert!(timeout(SHORT, works.one(true)).await.is_err(), "the second one is on its way");
        works.ends.notify_one();
        let third = async {
            works.ends.notify_one();
            works.one(false).await
        };
        // The second fails, which is no answer to whoever comes third.
        while works.begun.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(timeout(MADE_WITHIN, third).await.ok().and_then(Result::ok), Some(3));
    }

    #[tokio::test]
    async fn it_ends_in_time_by_itself() {
        let works = Works::default();
        let begun = Instant::now();
        assert!(works.one(false).await.is_err());
        assert!((MADE_WITHIN..2 * MADE_WITHIN).contains(&begun.elapsed()));
    }
}
