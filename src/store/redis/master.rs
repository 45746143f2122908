//! Who is master now, as the sentinels say: connections to the one before are let go of.
//!
//! A master that was replaced may not know it for ten seconds, and takes writes until then that nobody will ever read.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool_redis::redis::{
    self, Client, ErrorKind, RedisError, ServerErrorKind, aio::MultiplexedConnection,
};
use parking_lot::Mutex;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{making::Makings, opener};

/// How often the sentinels are asked.
const ASKED_EVERY: Duration = Duration::from_millis(250);
/// How long one of them is waited for; another one is asked then.
const ANSWERED_WITHIN: Duration = Duration::from_millis(250);

/// Host and port of a node.
pub(super) type Address = (String, u16);
/// Whom a sentinel watches, and whom it names. During a failover the first is the one before, to which we keep until the
/// failover is over, and the second the one to come; both changes count.
type Named = (Address, Address);

/// What is known of the master. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Master(Arc<Known>);

#[derive(Default)]
struct Known {
    /// Whom sentinels say, and when that was replaced last.
    place: Mutex<(Option<Named>, Option<Instant>)>,
    has_replicas: AtomicBool,
}

impl Master {
    /// Nobody has been asked yet. Behind sentinels a master is expected to have replicas.
    pub(super) fn new(is_watched: bool) -> Self {
        let master = Self::default();
        if is_watched {
            master.has_replicas();
        }
        master
    }

    /// Where it is, if any sentinel has said so.
    pub(super) fn address(&self) -> Option<Address> {
        self.0.place.lock().0.as_ref().map(|(watched, _)| watched.clone())
    }

    /// Somebody names that one; what was known before counts. Says where it is.
    fn learn(&self, named: Named) -> Address {
        self.0.place.lock().0.get_or_insert(named).0.clone()
    }

    /// Sentinels name that one now. Says whether it is another one than before.
    fn is_now(&self, named: Named) -> bool {
        let mut place = self.0.place.lock();
        let is_another = place.0.as_ref().is_some_and(|before| *before != named);
        *place = (Some(named), if is_another { Some(Instant::now()) } else { place.1 });
        is_another
    }

    /// Whether a connection that was begun at `begun` may lead to a master of before.
    pub(super) fn is_replaced_since(&self, begun: Instant) -> bool {
        self.0.place.lock().1.is_some_and(|replaced| begun <= replaced)
    }

    /// It is none any more, whoever is.
    pub(super) fn is_demoted(&self) {
        self.0.place.lock().1 = Some(Instant::now());
    }

    /// It had replicas once: if it has none, they are lost.
    pub(super) fn has_replicas(&self) {
        self.0.has_replicas.store(true, Ordering::Relaxed);
    }

    /// Whether what is on no replica may be lost with the master.
    pub(super) fn should_have_replicas(&self) -> bool {
        self.0.has_replicas.load(Ordering::Relaxed)
    }
}

/// One sentinel, and the connection over which it is asked again and again.
struct Sentinel {
    client: Client,
    link: Option<MultiplexedConnection>,
    makings: Makings<MultiplexedConnection>,
}

impl Sentinel {
    /// Whom it names, if it says anything in time. A connection that takes longer is there for the next time.
    async fn ask(&mut self, service: &str) -> Option<Named> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => timeout(ANSWERED_WITHIN, self.connect()).await.ok()?.ok()?,
        };
        let named = timeout(ANSWERED_WITHIN, named(&mut link, service)).await.ok()?.ok()?;
        self.link = Some(link);
        named
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let client = self.client.clone();
        let make = move || async move { opener::connect(&client).await };
        Ok(self.makings.one(|_| false, make).await?.0)
    }
}

/// Asks the `sentinels` of `service` again and again who is `master`, and calls `replaced` when it is another one. Never
/// ends.
pub(super) async fn follow((sentinels, service): (Vec<Client>, String), master: Master, replaced: impl Fn()) {
    let all = sentinels.into_iter();
    let mut all: Vec<_> =
        all.map(|client| Sentinel { client, link: None, makings: Makings::default() }).collect();
    loop {
        sleep(ASKED_EVERY).await;
        if ask_one(&mut all, &service).await.is_some_and(|named| master.is_now(named)) {
            tracing::warn!("the sentinels name another master: connections to the one before are let go of");
            replaced();
        }
    }
}

/// What the first sentinel says that says anything. One that does not is asked last the next time.
async fn ask_one(sentinels: &mut [Sentinel], service: &str) -> Option<Named> {
    for _ in 0..sentinels.len() {
        let named = sentinels.first_mut()?.ask(service).await;
        if named.is_some() {
            return named;
        }
        sentinels.rotate_left(1);
    }
    None
}

/// Where `master` is. If nobody knows, all `sentinels` of `service` are asked at once, so that none holds up the others.
///
/// # Errors
/// [`RedisError`] if none of them names one.
pub(super) async fn find(
    master: &Master,
    sentinels: &[Client],
    service: &str,
) -> Result<Address, RedisError> {
    if let Some(known) = master.address() {
        return Ok(known);
    }
    let mut asked = JoinSet::new();
    for client in sentinels {
        let (client, service) = (client.clone(), service.to_owned());
        asked.spawn(async move { named(&mut opener::connect(&client).await?, &service).await });
    }
    let mut why = RedisError::from((ErrorKind::EmptySentinelList, "no sentinel"));
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok(Ok(Some(named))) => return Ok(master.learn(named)),
            Ok(Ok(None)) => why = unknown(),
            Ok(Err(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError) => {
                why = unknown();
            }
            Ok(Err(error)) => why = error,
            Err(_gone) => {}
        }
    }
    Err(why)
}

fn unknown() -> RedisError {
    RedisError::from((ErrorKind::MasterNameNotFoundBySentinel, "no such service"))
}

async fn named(link: &mut MultiplexedConnection, service: &str) -> Result<Option<Named>, RedisError> {
    let mut questions = redis::pipe();
    questions.cmd("SENTINEL").arg("MASTER").arg(service);
    questions.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(service);
    let (watched, named): (HashMap<String, String>, Option<Address>) = questions.query_async(link).await?;
    let port = watched.get("port").and_then(|port| port.parse().ok());
    Ok(watched.get("ip").cloned().zip(port).zip(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> Address {
        ("h".into(), port)
    }

    fn named(watched: u16, named: u16) -> Named {
        (at(watched), at(named))
    }

    #[test]
    fn what_was_begun_before_another_master_was_named_is_of_before_however_late_it_is_done() {
        let master = Master::new(true);
        assert_eq!(master.learn(named(1, 1)), at(1));
        let before = Instant::now();
        assert!(!master.is_now(named(1, 1)) && !master.is_replaced_since(before));
        assert!(master.is_now(named(1, 2)), "also what was learnt at the opening is replaced");
        assert!(master.is_replaced_since(before) && !master.is_replaced_since(Instant::now()));
        let during = Instant::now();
        assert!(master.is_now(named(2, 2)) && master.is_replaced_since(during));
        assert_eq!(master.learn(named(1, 1)), at(2), "whom the watch has named counts");
        assert!(!master.is_now(named(2, 2)) && !master.is_replaced_since(Instant::now()));
    }
}
