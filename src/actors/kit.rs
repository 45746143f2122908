//! How the house talks to its actors, and how it keeps them alive.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use actix::{Actor, Addr, ArbiterHandle, Context, Handler, Message, prelude::SendError};
use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;

use crate::error::{Code, Coded};

/// Longest wait for an actor's answer, queueing included.
///
/// Ours are pure state transitions (microseconds), so a second means the house is overloaded.
pub const ASK_DEADLINE: Duration = Duration::from_secs(1);
/// First and longest pause between two attempts to rebuild an actor whose store does not answer.
const REBUILD_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// The actor gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ActorError {
    /// It is down and being rebuilt, or the server is stopping.
    #[error("{0} is down")]
    Stopped(&'static str),
    /// Its mailbox is full.
    #[error("{0} is full")]
    Full(&'static str),
    /// It is alive but behind.
    #[error("{0} did not answer within {ASK_DEADLINE:?}")]
    Late(&'static str),
}

impl Coded for ActorError {
    fn code(&self) -> Code {
        Code::Overloaded
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }
}

/// Proof of life: the actor holds it, and whoever [`keep`]s the actor learns when it is dropped.
///
/// A panic drops the actor with all its fields; actix tells nobody, and its `Supervisor` does not
/// restart after a panic (run, not read).
#[derive(Debug)]
pub struct Life {
    _ends: oneshot::Sender<()>,
}

/// Makes its actor panic: fault injection, reachable only through `admin.unsafe_faults` and tests.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Fault;

/// What an actor does with a [`Fault`].
#[expect(clippy::panic, reason = "the one panic that is on purpose: it proves that the others are contained")]
pub fn fault(actor: &'static str) {
    panic!("injected fault in {actor}");
}

/// What health and metrics read of one actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vitals {
    /// Its name.
    pub name: &'static str,
    /// Whether it is there.
    pub alive: bool,
    /// How often it was rebuilt after a panic.
    pub restarts: u64,
    /// Asks that wait for an answer.
    pub depth: i64,
}

/// The place of one actor: filled by the living one, empty while it is rebuilt.
#[derive(Debug)]
pub struct Seat<A: Actor> {
    name: &'static str,
    addr: ArcSwapOption<Addr<A>>,
    waiting: AtomicI64,
    restarts: AtomicU64,
    retired: AtomicBool,
}

impl<A: Actor<Context = Context<A>>> Seat<A> {
    /// Whether the actor is there.
    pub fn is_alive(&self) -> bool {
        self.addr.load().as_ref().is_some_and(|addr| addr.connected())
    }

    /// How often it was rebuilt after a panic.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Asks that wait for an answer right now.
    pub fn depth(&self) -> i64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// All of that at once.
    pub fn vitals(&self) -> Vitals {
        Vitals { name: self.name, alive: self.is_alive(), restarts: self.restarts(), depth: self.depth() }
    }

    /// From now on the end of the actor is not a failure: the house is closing.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// Sends `message` and waits for the answer.
    ///
    /// Dropping the future withdraws a message that has not been handled yet, so an ask is right for
    /// questions and wrong for facts that must be kept: those are [`post`](Self::post)ed.
    ///
    /// # Errors
    /// [`ActorError`] if no answer came within [`ASK_DEADLINE`] or the actor is down.
    pub async fn ask<M>(&self, message: M) -> Result<M::Result, ActorError>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        let addr = self.addr.load_full().ok_or(ActorError::Stopped(self.name))?;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waiting(&self.waiting);
        match tokio::time::timeout(ASK_DEADLINE, addr.send(message)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_closed)) => Err(ActorError::Stopped(self.name)),
            Err(_elapsed) => Err(ActorError::Late(self.name)),
        }
    }

    /// Leaves `message` in the mailbox; nobody waits for an answer.
    ///
    /// Unlike an [`ask`](Self::ask) it is handled even if the caller is gone by then, and it respects
    /// the mailbox's capacity, which an ask does not.
    ///
    /// # Errors
    /// [`ActorError::Full`] or [`ActorError::Stopped`]: nothing was left, so the caller fails closed.
    pub fn post<M>(&self, message: M) -> Result<(), ActorError>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        let addr = self.addr.load_full().ok_or(ActorError::Stopped(self.name))?;
        addr.try_send(message).map_err(|refused| match refused {
            SendError::Full(_) => ActorError::Full(self.name),
            SendError::Closed(_) => ActorError::Stopped(self.name),
        })
    }

    /// Builds one actor and seats it; the receiver ends with the actor's life.
    fn fill<E, F>(&self, build: &F) -> Result<oneshot::Receiver<()>, E>
    where
        E: From<ActorError>,
        F: Fn(Life) -> Result<A, E>,
    {
        let (ends, died) = oneshot::channel();
        let life = Life { _ends: ends };
        let built = catch_unwind(AssertUnwindSafe(|| build(life)));
        let actor = built.unwrap_or(Err(ActorError::Stopped(self.name).into()))?;
        self.addr.store(Some(Arc::new(actor.start())));
        Ok(died)
    }
}

/// Counts one ask for as long as it lives.
struct Waiting<'a>(&'a AtomicI64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts the actor that `build` makes on `arbiter`, and makes it anew whenever it has died.
///
/// `build` gets the [`Life`] that the actor must hold; it is called on the arbiter's thread and may
/// block there. What must survive the actor lives in tables that `build` captures.
///
/// # Errors
/// The first `build`'s error; later ones are logged and tried again until one succeeds.
pub async fn keep<A, E, F>(name: &'static str, arbiter: &ArbiterHandle, build: F) -> Result<Arc<Seat<A>>, E>
where
    A: Actor<Context = Context<A>>,
    E: std::error::Error + From<ActorError> + Send + 'static,
    F: Fn(Life) -> Result<A, E> + Send + 'static,
{
    let seat = Arc::new(Seat {
        name,
        addr: ArcSwapOption::empty(),
        waiting: AtomicI64::new(0),
        restarts: AtomicU64::new(0),
        retired: AtomicBool::new(false),
    });
    let (first, started) = oneshot::channel();
    arbiter.spawn(watch(Arc::clone(&seat), build, first));
    started.await.unwrap_or(Err(ActorError::Stopped(name).into())).map(|()| seat)
}

/// Builds, waits for the end, builds again; ends with the first failure or with the house.
async fn watch<A, E, F>(seat: Arc<Seat<A>>, build: F, first: oneshot::Sender<Result<(), E>>)
where
    A: Actor<Context = Context<A>>,
    E: std::error::Error + From<ActorError>,
    F: Fn(Life) -> Result<A, E>,
{
    let died = match seat.fill(&build) {
        Ok(died) => died,
        Err(error) => return drop(first.send(Err(error))),
    };
    drop(first.send(Ok(())));
    let mut died = died;
    loop {
        // The sender is only ever dropped, so the error is the event.
        drop(died.await);
        seat.addr.store(None);
        if seat.retired.load(Ordering::Acquire) {
            return;
        }
        tracing::error!(actor.name = seat.name, "actor died, rebuilding it");
        let mut pause = REBUILD_PAUSE.0;
        died = loop {
            match seat.fill(&build) {
                Ok(died) => break died,
                Err(error) => tracing::error!(actor.name = seat.name, %error, "actor cannot be rebuilt yet"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(REBUILD_PAUSE.1);
        };
        seat.restarts.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
