//! The shell: looks and sends, tells what is counted, and has what is too old forgotten, over and over.

use std::time::{Duration, Instant};

use actix::{Actor, AsyncContext, Context, Handler, fut::wrap_future};
use rand::RngExt as _;

use super::{
    super::insight::Insight,
    Fleet,
    shipper::{Sending, Trouble},
};
use crate::actors::kit::{self, Fault, Life};

/// How far its thread stands behind all others (`nice(2)`): where no core is idle it gets about a thirtieth of one, so
/// that the copy waits in the files and not the calls.
#[cfg(target_os = "linux")]
const NICE: i32 = 15;
/// How often it looks for new records.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// First and longest pause before a store that did not answer is asked again.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How often it tells what is counted.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// After how many times it tells everything again, and has others forget what is too old.
const ALL_AFTER: u32 = 60;

/// Runs the two loops; all it knows it finds again.
pub(super) struct ShipperActor {
    /// Taken when it starts.
    work: Option<(Sending, Insight)>,
    _life: Life,
}

impl ShipperActor {
    pub(super) fn new(sending: Sending, insight: Insight, life: Life) -> Self {
        Self { work: Some((sending, insight)), _life: life }
    }
}

impl Actor for ShipperActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some((sending, insight)) = self.work.take() else { return };
        stand_back();
        let fleet = sending.fleet.clone();
        let retention = sending.rules.retention;
        ctx.spawn(wrap_future(send(sending)));
        ctx.spawn(wrap_future(tell(fleet, insight, retention)));
    }
}

/// Gives way to all other threads. Only Linux has this for one thread; elsewhere it would hold for the whole server.
fn stand_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::getpriority_process(None)
        .and_then(|now| rustix::process::setpriority_process(None, NICE.max(now)))
    {
        tracing::debug!(%error, "the sender of audit records has as much of the processor as anybody");
    }
}

/// Sends whatever is recorded.
async fn send(mut sending: Sending) {
    let mut trouble: Option<Duration> = None;
    loop {
        match sending.look().await {
            Ok(()) => {
                if trouble.take().is_some() {
                    tracing::info!("audit records are sent to the fleet's log again");
                }
                sending.rest(sending.began() + LOOK_EVERY).await;
            }
            Err(error) => {
                if trouble.is_none() {
                    complain(&error);
                }
                let pause = trouble.map_or(RETRY_PAUSE.0, |last| (last * 2).min(RETRY_PAUSE.1));
                trouble = Some(pause);
                sending.rest(Instant::now() + jittered(pause)).await;
            }
        }
    }
}

fn complain(error: &Trouble) {
    tracing::warn!(%error, "audit records cannot be sent to the fleet's log: they wait in the files");
}

/// Tells what is counted; whoever has lost it is told all of it.
async fn tell(fleet: Fleet, insight: Insight, retention: Duration) {
    let mut all_in = 0_u32;
    loop {
        if all_in == 0 {
            // What is too old is the business of whoever comes by: its writer may never come back.
            let before = crate::domain::Timestamp::now().minus(retention);
            if let Err(error) = fleet.log.forget_before(before).await {
                tracing::debug!(%error, "what is too old in the fleet's log stays for now");
            }
        }
        // An insight that is down or behind is asked again.
        if let Ok(counts) = insight.tell(all_in == 0).await {
            let told = fleet.log.tell_counts(&fleet.node, counts, all_in == 0).await;
            all_in = match told {
                Ok(true) => all_in.checked_sub(1).unwrap_or(ALL_AFTER),
                Ok(false) if all_in == 0 => ALL_AFTER,
                Ok(false) => 0,
                // What it knows when it is back, nobody can say.
                Err(_) => 0,
            };
        }
        tokio::time::sleep(jittered(TELL_EVERY)).await;
    }
}

/// `pause`, or up to a quarter less, so that the servers of a fleet do not come all at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.75..=1.0))
}

impl Handler<Fault> for ShipperActor {
    type Result = ();

    fn handle(&mut self, _: Fault, _: &mut Self::Context) {
        kit::fault(super::NAME);
    }
}
