//! The streams of one worker, and the one task that looks after them for as long as there are any.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::{Rc, Weak},
    time::{Duration, Instant},
};

use actix_web::rt;
use futures_util::{FutureExt, future::join_all};
use tokio::{
    sync::broadcast::{Receiver, error::TryRecvError},
    time::MissedTickBehavior,
};

use super::{standing::Standing, stream::News};
use crate::{
    domain::{Change, Timestamp},
    house::Worker,
};

/// How often it is looked, and how far apart two notifications of one kind are at least.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Longest wait for credentials that have to be read again. What nobody can vouch for by then is over.
const RENEWED_WITHIN: Duration = Duration::from_millis(500);

thread_local! {
    /// The streams of this worker thread; `None` while nobody looks after them.
    static STREAMS: RefCell<Option<Vec<Weak<dyn Watched>>>> = const { RefCell::new(None) };
}

/// A stream, or whatever else goes on for as long as its caller may.
pub(in crate::mcp) trait Watched {
    /// Whose it is, and whether it may go on.
    fn standing(&self) -> &Standing;

    /// Keeps what `news` say; wakes nobody.
    fn hear(&self, _: &News) {}

    /// Its caller sees other tools than before.
    fn sees_other_tools(&self) {}

    /// The server stops: what has no end of its own ends.
    fn close(&self) {
        self.standing().end();
    }

    /// Wakes whoever serves it if there is something to be done. `false` if nobody does it: then it is over.
    fn wake(&self, clock: Instant) -> bool;
}

/// Looks after `stream` from now on.
pub(in crate::mcp) fn add<W: Watched + 'static>(worker: &Rc<Worker>, stream: &Rc<W>) {
    let stream: Weak<W> = Rc::downgrade(stream);
    let stream: Weak<dyn Watched> = stream;
    STREAMS.with_borrow_mut(|streams| match streams {
        Some(streams) => streams.push(stream),
        None => {
            *streams = Some(vec![stream]);
            // Listens from here on: what changes once the stream is acknowledged is told.
            let changes = worker.house.services.changes.listen();
            rt::spawn(guarded(look_after(Rc::clone(worker), changes)));
        }
    });
}

/// Looks, and if that ends in a panic ends all streams: nobody would see any more which of them may not go on. The
/// next one that is added is looked after again.
async fn guarded(looks: impl Future<Output = ()>) {
    if AssertUnwindSafe(looks).catch_unwind().await.is_ok() {
        return;
    }
    tracing::error!("looking after open streams ended in a panic, so all of this worker's end");
    let (streams, clock) = (STREAMS.take().unwrap_or_default(), Instant::now());
    for stream in streams.iter().filter_map(Weak::upgrade) {
        stream.standing().end();
        // The one that was the reason may be it again; the others are woken all the same.
        _ = catch_unwind(AssertUnwindSafe(|| stream.wake(clock)));
    }
}

async fn look_after(worker: Rc<Worker>, mut changes: Receiver<Change>) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let (now, clock) = (Timestamp::now(), Instant::now());
        let (news, house) = (drain(&mut changes), &worker.house);
        let streams: Vec<Rc<dyn Watched>> =
            STREAMS.with_borrow(|all| all.iter().flatten().filter_map(Weak::upgrade).collect());
        let mut doubted = Vec::new();
        for stream in &streams {
            if !news.is_none() {
                stream.hear(&news);
            }
            if house.is_closing() {
                stream.close();
            }
            if !stream.standing().has_ended() && stream.standing().needs_renewal(house, (now, clock)) {
                doubted.push(stream);
            }
        }
        if !doubted.is_empty() {
            // All at once: of one whose credential takes long to be looked at, the others know nothing.
            let renewed = join_all(doubted.iter().map(|stream| async {
                if stream.standing().renew(house, now).await {
                    stream.sees_other_tools();
                }
            }));
            let _late = tokio::time::timeout(RENEWED_WITHIN, renewed).await;
            doubted.iter().for_each(|stream| stream.standing().end_if_unproved());
        }
        let lost: Vec<_> = streams
            .iter()
            .filter(|stream| !stream.wake(clock))
            .map(|lost| Rc::as_ptr(lost).cast::<()>())
            .collect();
        drop(streams);
        let is_done = STREAMS.with_borrow_mut(|all| {
            let Some(streams) = all else { return true };
            streams
                .retain(|stream| stream.strong_count() > 0 && !lost.contains(&stream.as_ptr().cast::<()>()));
            if streams.is_empty() {
                *all = None;
            }
            all.is_none()
        });
        if is_done {
            return;
        }
    }
}

/// What was told since the last look.
fn drain(changes: &mut Receiver<Change>) -> News {
    let mut told = Vec::new();
    loop {
        match changes.try_recv() {
            Ok(change) if told.contains(&change) => {}
            Ok(change) => told.push(change),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return News::These(told),
            Err(TryRecvError::Lagged(_)) => {
                *changes = changes.resubscribe();
                return News::Everything;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, sync::Arc};

    use super::*;
    use crate::policy::{CallTool, permit_for_tests};

    /// A stream that keeps how often it was woken, and may panic then.
    struct Kept {
        standing: Standing,
        woken: Cell<u32>,
        panics: bool,
    }

    impl Kept {
        fn new(panics: bool) -> Rc<Self> {
            let principal = Arc::clone(permit_for_tests::<CallTool>().principal());
            let standing = Standing::for_tests(principal);
            Rc::new(Self { standing, woken: Cell::default(), panics })
        }
    }

    impl Watched for Kept {
        fn standing(&self) -> &Standing {
            &self.standing
        }

        fn wake(&self, _: Instant) -> bool {
            assert!(!self.panics, "a stream panics on purpose");
            self.woken.set(self.woken.get() + 1);
            true
        }
    }

    #[actix_web::test]
    async fn a_panic_ends_every_stream_and_leaves_none_that_nobody_looks_after() {
        let streams = [false, true, false].map(Kept::new);
        let weak: Vec<Weak<dyn Watched>> =
            streams.iter().map(|stream| Rc::downgrade(stream) as Weak<dyn Watched>).collect();
        let first = Rc::clone(&streams[1]);
        STREAMS.set(Some(weak));
        guarded(async move { _ = first.wake(Instant::now()) }).await;
        assert!(STREAMS.with_borrow(Option::is_none), "the next one begins anew");
        assert!(streams.iter().all(|stream| stream.standing.has_ended()));
        assert_eq!(streams.map(|stream| stream.woken.get()), [1, 0, 1]);
    }

    #[actix_web::test]
    async fn looks_that_end_by_themselves_end_no_stream() {
        let stream = Kept::new(false);
        let weak: Weak<Kept> = Rc::downgrade(&stream);
        STREAMS.set(Some(vec![weak]));
        guarded(async {}).await;
        assert!(!stream.standing.has_ended() && stream.woken.get() == 0);
    }
}
