//! A steady load on every server of a fleet, and what became of each call of it.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use portcullis::domain::ApiKeySecret;

use crate::support::{Stops, app::TestApp, http::Connection, pause, rpc::Rpc};

/// Pause of one caller between two calls.
const BETWEEN: Duration = Duration::from_millis(10);
/// Callers of each server.
const CALLERS: usize = 2;
/// One call in so many shows what its server has never seen, and so has to ask the store.
const COLD_ONE_IN: usize = 8;

/// One call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    /// When it was answered.
    pub(super) at: Instant,
    /// How long that took.
    pub(super) took: Duration,
    /// What the answer was.
    pub(super) status: u16,
    /// Whether the store had to be asked.
    pub(super) is_cold: bool,
}

impl Call {
    /// Whether it is what a fleet that is well answers.
    pub(super) fn is_well(&self) -> bool {
        self.status == if self.is_cold { 401 } else { 200 }
    }
}

/// The load as it goes on.
pub(super) struct Load<'a> {
    calls: &'a Mutex<Vec<Call>>,
}

impl Load<'_> {
    /// Every call that was answered after `from`.
    pub(super) fn since(&self, from: Instant) -> Vec<Call> {
        self.calls.lock().unwrap().iter().copied().filter(|call| call.at > from).collect()
    }

    /// Waits until all calls of the last moment fit, which must be within `most`; says how long it took.
    pub(super) fn until(&self, what: &str, most: Duration, fits: impl Fn(&Call) -> bool) -> Duration {
        let began = Instant::now();
        loop {
            let from = Instant::now();
            pause(Duration::from_millis(150));
            let seen = self.since(from);
            if seen.len() >= 3 && seen.iter().all(&fits) {
                return from - began;
            }
            assert!(began.elapsed() < most, "{what}: not within {most:?}: {seen:?}");
        }
    }
}

/// Does `work` while every server of `fleet` is called with `token`; gives all calls.
pub(super) fn under_load(fleet: &[TestApp], token: &str, work: impl FnOnce(&Load<'_>)) -> Vec<Call> {
    let (calls, over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    thread::scope(|threads| {
        // However this ends: else a failure waits for the callers for ever.
        let _ends = Stops(&over);
        for app in fleet {
            for _ in 0..CALLERS {
                threads.spawn(|| call(&mut app.connect(), token, (&calls, &over)));
            }
        }
        work(&Load { calls: &calls });
    });
    calls.into_inner().unwrap()
}

fn call(connection: &mut Connection, token: &str, (calls, over): (&Mutex<Vec<Call>>, &AtomicBool)) {
    let mut made = 0;
    while !over.load(Ordering::SeqCst) {
        made += 1;
        let is_cold = made % COLD_ONE_IN == 0;
        let rpc = if is_cold {
            Rpc::weather().key(ApiKeySecret::generate().unwrap().expose())
        } else {
            Rpc::weather().bearer(token)
        };
        let asked = Instant::now();
        let status = rpc.on(connection).status;
        let at = Instant::now();
        calls.lock().unwrap().push(Call { at, took: at - asked, status, is_cold });
        pause(BETWEEN);
    }
}
