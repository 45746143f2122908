//! What becomes of an actor that dies, retires, is overrun, or cannot be built. Each step waits for an event.

use std::sync::mpsc;

use actix::{Arbiter, System};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;

/// An actor that says when it begins and knows which attempt built it.
struct Probe {
    _life: Life,
    attempt: u64,
    began: UnboundedSender<u64>,
}

impl Actor for Probe {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(1);
        self.began.send(self.attempt).unwrap();
    }
}

impl Handler<Fault> for Probe {
    type Result = ();

    fn handle(&mut self, _: Fault, _: &mut Self::Context) {
        fault("probe");
    }
}

/// Which attempt built you?
#[derive(Message)]
#[rtype(result = "u64")]
struct Attempt;

impl Handler<Attempt> for Probe {
    type Result = u64;

    fn handle(&mut self, _: Attempt, _: &mut Self::Context) -> u64 {
        self.attempt
    }
}

/// Say that you are busy, and stay so until told.
#[derive(Message)]
#[rtype(result = "()")]
struct Hold(oneshot::Sender<()>, mpsc::Receiver<()>);

impl Handler<Hold> for Probe {
    type Result = ();

    fn handle(&mut self, Hold(busy, released): Hold, _: &mut Self::Context) {
        busy.send(()).unwrap();
        released.recv().unwrap();
    }
}

#[derive(Debug, thiserror::Error)]
enum NotBuilt {
    #[error("not yet")]
    NotYet,
    #[error(transparent)]
    Actor(#[from] ActorError),
}

/// Keeps a probe whose build succeeds only where `allow` lets that attempt through.
async fn probe(
    arbiter: &Arbiter,
    allow: impl Fn(u64) -> Result<(), NotBuilt> + Send + 'static,
) -> (Result<Arc<Seat<Probe>>, NotBuilt>, UnboundedReceiver<u64>) {
    let (began, begun) = unbounded_channel();
    let attempts = AtomicU64::new(0);
    let build = move |life| {
        let attempt = attempts.fetch_add(1, Ordering::Relaxed) + 1;
        allow(attempt).map(|()| Probe { _life: life, attempt, began: began.clone() })
    };
    (keep("probe", &arbiter.handle(), build).await, begun)
}

#[test]
fn an_actor_that_panics_is_rebuilt_and_answers_again() {
    System::new().block_on(async {
        let (seat, mut begun) = probe(&Arbiter::new(), |_| Ok(())).await;
        let seat = seat.unwrap();
        assert_eq!(begun.recv().await, Some(1));
        assert_eq!(seat.vitals(), Vitals { name: "probe", alive: true, restarts: 0, depth: 0 });
        seat.post(Fault).unwrap();
        assert_eq!(begun.recv().await, Some(2));
        assert_eq!(seat.ask(Attempt).await, Ok(2));
        assert_eq!(seat.vitals(), Vitals { name: "probe", alive: true, restarts: 1, depth: 0 });
    });
}

#[test]
fn an_actor_that_cannot_be_rebuilt_is_tried_again_until_it_can() {
    System::new().block_on(async {
        let allow = |attempt| match attempt {
            2 => Err(NotBuilt::NotYet),
            3 => panic!("a build may panic too"),
            _ => Ok(()),
        };
        let (seat, mut begun) = probe(&Arbiter::new(), allow).await;
        let seat = seat.unwrap();
        assert_eq!(begun.recv().await, Some(1));
        seat.post(Fault).unwrap();
        assert_eq!(begun.recv().await, Some(4));
        assert_eq!((seat.restarts(), seat.ask(Attempt).await), (1, Ok(4)));
    });
}

#[test]
fn the_end_of_a_retired_actor_is_the_end() {
    System::new().block_on(async {
        let (seat, mut begun) = probe(&Arbiter::new(), |_| Ok(())).await;
        let seat = seat.unwrap();
        assert_eq!(begun.recv().await, Some(1));
        seat.retire();
        seat.post(Fault).unwrap();
        // The channel ends with the last builder: nobody will build again.
        assert_eq!(begun.recv().await, None);
        assert!(!seat.is_alive());
        assert_eq!(seat.ask(Attempt).await, Err(ActorError::Stopped("probe")));
        assert_eq!(seat.post(Fault), Err(ActorError::Stopped("probe")));
    });
}

#[test]
fn a_full_mailbox_takes_no_post_and_loses_none() {
    System::new().block_on(async {
        let (seat, mut begun) = probe(&Arbiter::new(), |_| Ok(())).await;
        let seat = seat.unwrap();
        assert_eq!(begun.recv().await, Some(1));
        let (busy, is_busy) = oneshot::channel();
        let (release, released) = mpsc::channel();
        seat.post(Hold(busy, released)).unwrap();
        is_busy.await.unwrap();
        let posts: Vec<_> = (0..16).map(|_| seat.post(Attempt)).collect();
        let taken = posts.iter().filter(|post| post.is_ok()).count();
        assert!((1..=4).contains(&taken), "{taken} fit into a mailbox of one");
        assert!(posts.iter().all(|post| matches!(post, Ok(()) | Err(ActorError::Full("probe")))));
        release.send(()).unwrap();
        assert_eq!(seat.ask(Attempt).await, Ok(1));
    });
}

#[test]
fn a_first_build_that_fails_is_told_and_nobody_is_seated() {
    System::new().block_on(async {
        let (seat, mut begun) = probe(&Arbiter::new(), |_| Err(NotBuilt::NotYet)).await;
        assert!(matches!(seat, Err(NotBuilt::NotYet)));
        assert_eq!(begun.recv().await, None);
        let (seat, _) = probe(&Arbiter::new(), |_| panic!("at once")).await;
        assert!(matches!(seat, Err(NotBuilt::Actor(ActorError::Stopped("probe")))));
    });
}
