//! What is done to its end once it is begun, also if its client hangs up meanwhile.
//!
//! actix drops a handler with its connection. Where a handler has a token ended or a key made, that would leave
//! the deed without its record; such requests run in tasks of their own, and here is the count of them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for errands: bounded, since none of them ends with its connection, and waited for at the end.
#[derive(Debug)]
pub struct Errands {
    room: Arc<Semaphore>,
    most: u32,
}

/// One errand under way, for as long as it lives.
#[derive(Debug)]
#[must_use = "dropped, it is done"]
pub struct Errand {
    _place: OwnedSemaphorePermit,
}

impl Errands {
    /// Room for `most` at once.
    pub fn new(most: u32) -> Self {
        Self { room: Arc::new(Semaphore::new(most as usize)), most }
    }

    /// Begins one; `None` if all places are taken, or after [`finish`](Self::finish) has begun.
    pub fn begin(&self) -> Option<Errand> {
        let place = Arc::clone(&self.room).try_acquire_owned().ok()?;
        Some(Errand { _place: place })
    }

    /// Waits until none is under way. Whoever waits has every place that is or becomes free, so none begins.
    pub async fn finish(&self) {
        // It is never closed.
        if let Ok(all) = self.room.acquire_many(self.most).await {
            all.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    #[test]
    fn no_more_begin_than_there_is_room_for_and_a_place_comes_back() {
        let errands = Errands::new(2);
        let first = errands.begin().unwrap();
        let _second = errands.begin().unwrap();
        assert!(errands.begin().is_none());
        drop(first);
        assert!(errands.begin().is_some());
    }

    #[test]
    fn the_end_waits_for_the_last_one_and_lets_no_other_begin() {
        let errands = Errands::new(2);
        let last = errands.begin().unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let mut end = pin!(errands.finish());
        assert_eq!(end.as_mut().poll(&mut context), Poll::Pending);
        assert!(errands.begin().is_none(), "although a place is free");
        drop(last);
        assert_eq!(end.as_mut().poll(&mut context), Poll::Ready(()));
        assert!(errands.begin().is_none());
    }
}
