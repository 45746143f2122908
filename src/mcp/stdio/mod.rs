//! The other edge to the same core: a local client that writes one message a line and reads one a line.
//!
//! The client is the process that started this one. What it asks passes the same rungs as a request of HTTP, each time:
//! its key is looked at again, its permissions and limits hold as they are now, and it leaves a record. There are no
//! headers, so nothing is mirrored in any; there is no address, so none has a limit.

mod lines;
mod message;
mod out;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io::{self, Read, Write},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
    time::{Instant as Clock, timeout_at},
};

use self::{lines::Taken, out::Out};
use super::{dispatch::Method, refusal::Refusal, via::Line};
use crate::{
    domain::{ApiKeySecret, RequestId, Rotated, Timestamp},
    edge::{EdgeError, Record},
    error::Code,
    house::{House, Worker},
    protocol::{self, Envelope},
};

/// What records call this edge, where they name a path on the other one.
const PATH: &str = "stdio";
/// Most messages under way.
const MOST: u32 = 64;
/// How many of them a message of the largest size counts for: what is under way weighs twice that at most.
const LARGEST: usize = 32;
/// Longest wait for what was answered to be read when there is no time left.
const LEAVE: Duration = Duration::from_secs(1);

/// What the messages of one client share.
struct Shared {
    worker: Rc<Worker>,
    line: Line,
    out: Out,
    /// What is under way, by its id.
    running: RefCell<HashMap<String, AbortHandle>>,
    /// Whether it was said that the key has a successor.
    is_warned: Cell<bool>,
}

/// One client, from the first line to the last.
pub(crate) struct Session {
    shared: Rc<Shared>,
    lines: mpsc::Receiver<Taken>,
    tasks: JoinSet<()>,
    room: Arc<Semaphore>,
    /// Until when what is under way may take once it ends.
    until: Option<Clock>,
}

impl Session {
    /// A client of `house` that shows `key`, at these two ends.
    ///
    /// # Errors
    /// The system gives no threads.
    pub(crate) fn open(
        house: Arc<House>,
        key: ApiKeySecret,
        (input, output): (impl Read + Send + 'static, impl Write + Send + 'static),
    ) -> io::Result<Self> {
        let most = house.limits.max_body;
        let shared = Shared {
            worker: Rc::new(Worker::new(house)),
            line: Line::new(key),
            out: Out::to(output)?,
            running: RefCell::default(),
            is_warned: Cell::default(),
        };
        Ok(Self {
            shared: Rc::new(shared),
            lines: lines::read(input, most)?,
            tasks: JoinSet::new(),
            room: Arc::new(Semaphore::new(MOST as usize)),
            until: None,
        })
    }

    /// Looks at the key before anything is asked: better no server than one that refuses everything.
    ///
    /// # Errors
    /// Why it opens nothing; that is on record.
    pub(crate) async fn admit(&self) -> Result<(), String> {
        let (time, started) = (Timestamp::now(), Instant::now());
        let record = Record::open(&self.shared.worker.lane, RequestId::at(time), (time, started));
        let mut exchange = self.shared.exchange(record.map_err(|error| error.to_string())?);
        let Err(refusal) = exchange.identify().await else {
            // It has asked for nothing yet. That the key was seen is on record beside it.
            exchange.count.leave();
            exchange.record.withdraw();
            return Ok(());
        };
        let answer = exchange.refused(&refusal, None);
        exchange.settle(answer).await;
        Err(refusal.message.into_owned())
    }

    /// Answers what comes until nothing more comes, or nobody reads any more; then all that was asked is answered,
    /// within `grace`.
    pub(crate) async fn serve(&mut self, grace: Duration) {
        let shared = Rc::clone(&self.shared);
        loop {
            let taken = tokio::select! {
                biased;
                () = shared.out.closed() => return,
                taken = self.lines.recv() => taken,
                Some(_ended) = self.tasks.join_next(), if !self.tasks.is_empty() => continue,
            };
            let Some(taken) = taken else { break };
            tokio::select! {
                () = shared.out.closed() => return,
                () = self.take(taken) => {}
            }
        }
        let until = *self.until.insert(Clock::now() + grace);
        let _late = timeout_at(until, self.room.acquire_many(MOST)).await;
    }

    /// Has everything end that still goes on, tasks too, and writes what was answered. The house is closing.
    pub(crate) async fn drain(&mut self, grace: Duration) {
        let until = *self.until.get_or_insert_with(|| Clock::now() + grace);
        let shared = Rc::clone(&self.shared);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // Beside each other: both have the same grace. Tasks that are left over are stopped with the house.
        let going_on = timeout_at(until, shared.worker.house.services.tasks.finish());
        let (answered, _over) = tokio::join!(timeout_at(until, all), going_on);
        if answered.is_err() {
            tracing::warn!("some requests did not end within server.shutdown_grace");
            self.tasks.shutdown().await;
        }
        self.shared.out.finish(until.max(Clock::now() + LEAVE)).await;
    }

    /// Begins with one line, once there is room for it.
    async fn take(&mut self, taken: Taken) {
        let shared = &self.shared;
        let (text, mut refusal) = match taken {
            Taken::Line(text) => (text, None),
            Taken::TooLong => {
                let most = shared.worker.house.limits.max_body;
                (Vec::new(), Some(EdgeError::Body(most).into()))
            }
        };
        let about = About::of(&text);
        if let Some(id) = &about.cancels {
            shared.cancel(id);
        }
        let Some(place) = self.place(text.len()).await else { return };
        if about.id.as_ref().is_some_and(|id| shared.running.borrow().contains_key(id)) {
            let text = "a request with this id is under way: its answer could not be told from another";
            refusal = Some(Refusal::new(Code::InvalidRequest, text));
        }
        let id = about.id.filter(|_| refusal.is_none());
        // Made before its task is: one that is cancelled before it has begun leaves nothing behind either.
        let runs = Runs { shared: Rc::clone(shared), id: id.clone() };
        let task = carry_out(runs, (text, refusal), place);
        if about.shakes_hands {
            // Whatever comes after it is of the revision that is agreed on.
            return task.await;
        }
        let running = self.tasks.spawn_local(task);
        if let Some(id) = id {
            shared.running.borrow_mut().insert(id, running);
        }
    }

    /// A place for a message of that size among those under way.
    async fn place(&self, size: usize) -> Option<OwnedSemaphorePermit> {
        let unit = (self.shared.worker.house.limits.max_body / LARGEST).max(1);
        let weight = u32::try_from(size.div_ceil(unit)).unwrap_or(MOST).clamp(1, MOST);
        Arc::clone(&self.room).acquire_many_owned(weight).await.ok()
    }
}

/// Serves one line. A stream that it opens goes on after it, and takes no place among messages.
async fn carry_out(runs: Runs, (text, refusal): (Vec<u8>, Option<Refusal>), place: OwnedSemaphorePermit) {
    let shared = &runs.shared;
    let opened = shared.serve(&text, refusal).await;
    drop((text, place));
    if let Some(opened) = opened {
        shared.tell(opened).await;
    }
}

/// Says that a request is under way, for as long as it is.
struct Runs {
    shared: Rc<Shared>,
    id: Option<String>,
}

impl Drop for Runs {
    fn drop(&mut self) {
        if let Some(id) = &self.id {
            self.shared.running.borrow_mut().remove(id);
        }
    }
}

impl Shared {
    /// Ends the request `id`, of which nothing more is told; its record says that it was cancelled.
    fn cancel(&self, id: &str) {
        let running = self.running.borrow().get(id).cloned();
        if let Some(running) = running {
            running.abort();
        }
    }

    /// Says once that the key has a successor, where HTTP says it in headers.
    fn warn_of(&self, rotated: Rotated) {
        if !self.is_warned.replace(true) {
            let until = rotated.grace_until.to_string();
            tracing::warn!(until, "the API key has a successor: put that into PORTCULLIS_API_KEY");
        }
    }
}

/// What has to be known of a line before it is served.
#[derive(Debug, Default, PartialEq, Eq)]
struct About {
    /// The id of a request, one text for all ways to write it.
    id: Option<String>,
    /// The id of the request that it cancels.
    cancels: Option<String>,
    /// Whether it is a handshake, which cannot be cancelled.
    shakes_hands: bool,
}

impl About {
    fn of(text: &[u8]) -> Self {
        if protocol::begins_batch(text) {
            return Self::default();
        }
        let Ok(envelope) = Envelope::parse(text) else { return Self::default() };
        let Some(id) = envelope.id else {
            let cancels = envelope.method == "notifications/cancelled";
            return Self { cancels: cancels.then(|| cancelled(text)).flatten(), ..Self::default() };
        };
        let is_modern = envelope.params.meta.claims_version();
        let shakes_hands = !is_modern && envelope.method == Method::Initialize.name();
        // A handshake is answered before anything else is looked at.
        Self { id: same(id.as_json()).filter(|_| !shakes_hands), cancels: None, shakes_hands }
    }
}

/// `params.requestId` of a notification that has been read.
fn cancelled(text: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Notification<'a> {
        #[serde(borrow)]
        params: Params<'a>,
    }
    #[derive(serde::Deserialize)]
    struct Params<'a> {
        #[serde(borrow, rename = "requestId")]
        request_id: &'a serde_json::value::RawValue,
    }
    let notification: Notification<'_> = serde_json::from_slice(text).ok()?;
    same(notification.params.request_id.get())
}

/// One text for all ways to write an id.
fn same(id: &str) -> Option<String> {
    Some(serde_json::from_str::<Value>(id).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_again_however_it_is_written() {
        let request = About::of(br#"{"jsonrpc":"2.0","id":"a/b","method":"tools/list"}"#);
        let other =
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"\u0061\/b"}}"#;
        assert_eq!(request.id, About::of(other.as_bytes()).cancels);
        assert_eq!(request.id.as_deref(), Some("\"a/b\""));
        let number = br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
        assert_eq!(About::of(number).cancels.as_deref(), Some("7"));
    }

    #[test]
    fn only_a_handshake_of_an_older_revision_is_one() {
        let plain = br#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
        assert!(About::of(plain).shakes_hands && About::of(plain).id.is_none());
        let modern = br#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        assert!(!About::of(modern).shakes_hands);
        for no_message in [&b"[]"[..], b"{", b"", b"\xff", br#"{"jsonrpc":"2.0","id":1,"result":{}}"#] {
            assert_eq!(About::of(no_message), About::default());
        }
        let vague = br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}"#;
        assert_eq!(About::of(vague), About::default());
    }
}
