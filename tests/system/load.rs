//! Many callers at once, and what they were answered.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use tokio::task::JoinHandle;

use super::{caller::Caller, server::Server};

/// What the callers of one load saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Request ids of the calls that were answered 200 with a result.
    pub(crate) answered: RefCell<Vec<String>>,
    /// How often each `status reason` came, 200 included.
    pub(crate) kinds: RefCell<BTreeMap<String, u64>>,
    /// Calls whose connection failed.
    pub(crate) broken: Cell<u64>,
}

/// Callers that call until they are told to stop. Runs on the test's own thread (a `LocalSet`).
pub(crate) struct Load {
    stop: Rc<Cell<bool>>,
    seen: Rc<Seen>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts `width` callers, each on a connection of its own, with these tokens in turn.
    pub(crate) fn start(server: &Server, width: usize, tokens: &[Option<String>]) -> Self {
        let (stop, seen) = (Rc::new(Cell::new(false)), Rc::new(Seen::default()));
        let one = |n: usize| {
            let caller = server.caller(tokens[n % tokens.len()].as_deref());
            tokio::task::spawn_local(call_on(caller, Rc::clone(&stop), Rc::clone(&seen)))
        };
        let tasks = (0..width).map(one).collect();
        Self { stop, seen, tasks }
    }

    /// Calls answered with 200 so far.
    pub(crate) fn answered(&self) -> usize {
        self.seen.answered.borrow().len()
    }

    /// Waits until `count` calls were answered with 200.
    pub(crate) async fn until_answered(&self, count: usize) {
        let wait = async {
            while self.answered() < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let enough = tokio::time::timeout(Duration::from_secs(30), wait).await;
        assert!(enough.is_ok(), "{} of {count} answered: {:?}", self.answered(), self.seen.kinds);
    }

    /// Stops the callers; each finishes the call that it is in.
    pub(crate) async fn finish(self) -> Rc<Seen> {
        self.stop.set(true);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.seen
    }
}

async fn call_on(caller: Caller, stop: Rc<Cell<bool>>, seen: Rc<Seen>) {
    while !stop.get() {
        let Ok(answer) = caller.weather("Oslo").await else {
            seen.broken.set(seen.broken.get() + 1);
            // The server is gone or going: no busy loop until the test says stop.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let json = answer.json();
        let good = answer.status == 200 && json["result"]["isError"] != true && json["result"].is_object();
        if good {
            seen.answered.borrow_mut().push(answer.request_id());
        }
        let kind = format!("{} {}", answer.status, answer.reason());
        *seen.kinds.borrow_mut().entry(kind.trim().to_owned()).or_insert(0) += 1;
        if !good {
            // A refusal is cheap for the server and must not starve the good callers of this thread.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
