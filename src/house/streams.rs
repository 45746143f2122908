//! The event streams that are open: how many there are, and how many there may be.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicU32, atomic::Ordering},
};

use parking_lot::Mutex;

use crate::{domain::Subject, telemetry::Metrics};

/// Most subscriptions of one principal at once.
pub const MOST_OF_ONE: u32 = 16;
/// Most subscriptions at once.
pub const MOST: u32 = 16_384;

/// The subscriptions of this process.
#[derive(Debug, Default)]
pub struct Streams {
    all: AtomicU32,
    by_principal: Mutex<HashMap<Subject, u32>>,
}

/// Why there is no place for another subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// The principal has as many as one may have.
    OfOne,
    /// There are as many as there may be.
    OfAll,
}

/// One stream that is open, counted for as long as it lives.
#[derive(Debug)]
pub struct OpenStream(Arc<Metrics>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.stream_closed();
    }
}

/// The place of one subscription, for as long as it lives.
#[derive(Debug)]
pub struct StreamPlace {
    streams: Arc<Streams>,
    principal: Subject,
    _open: OpenStream,
}

impl Streams {
    /// Counts a stream that takes no place of a subscription: it ends with its call.
    pub fn count(&self, metrics: &Arc<Metrics>) -> OpenStream {
        metrics.stream_opened();
        OpenStream(Arc::clone(metrics))
    }

    /// Takes a place for a subscription of `principal`.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub fn take(
        self: &Arc<Self>,
        principal: &Subject,
        metrics: &Arc<Metrics>,
    ) -> Result<StreamPlace, NoPlace> {
        let mut by_principal = self.by_principal.lock();
        if self.all.load(Ordering::Relaxed) >= MOST {
            return Err(NoPlace::OfAll);
        }
        let own = by_principal.entry(principal.clone()).or_default();
        if *own >= MOST_OF_ONE {
            return Err(NoPlace::OfOne);
        }
        *own += 1;
        // Only ever changed under the lock.
        self.all.fetch_add(1, Ordering::Relaxed);
        Ok(StreamPlace {
            streams: Arc::clone(self),
            principal: principal.clone(),
            _open: self.count(metrics),
        })
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut by_principal = self.streams.by_principal.lock();
        self.streams.all.fetch_sub(1, Ordering::Relaxed);
        if let Some(own) = by_principal.get_mut(&self.principal) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                by_principal.remove(&self.principal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::StoreFailures;

    #[test]
    fn one_has_at_most_its_share_and_a_place_that_ends_is_free() {
        let metrics = Arc::new(Metrics::new(&[], &[], &StoreFailures::default()));
        let streams = Arc::new(Streams::default());
        let take = |name: &str| streams.take(&name.parse().unwrap(), &metrics);
        let mut own: Vec<_> = (0..MOST_OF_ONE).map(|_| take("ada").unwrap()).collect();
        assert_eq!(take("ada").unwrap_err(), NoPlace::OfOne);
        let other = take("bob").unwrap();
        own.pop();
        own.push(take("ada").unwrap());
        drop((own, other));
        assert!(streams.by_principal.lock().is_empty());
        assert_eq!(streams.all.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn all_together_have_at_most_so_many() {
        let metrics = Arc::new(Metrics::new(&[], &[], &StoreFailures::default()));
        let streams = Arc::new(Streams::default());
        let take = |n: u32| streams.take(&format!("p{}", n / MOST_OF_ONE).parse().unwrap(), &metrics);
        let mut all: Vec<_> = (0..MOST).map(|n| take(n).unwrap()).collect();
        assert_eq!(take(MOST).unwrap_err(), NoPlace::OfAll);
        assert_eq!(
            streams.by_principal.lock().len(),
            all.len() / MOST_OF_ONE as usize,
            "nothing is left of it"
        );
        all.pop();
        assert!(take(MOST).is_ok());
    }
}
