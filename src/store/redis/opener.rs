//! Opens connections for the pool, over TLS with certificates of our own choice, which the library's pools cannot.

use std::{io, sync::Arc, time::Duration};

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisError, TlsCertificates,
    aio::MultiplexedConnection,
    cluster::{ClusterClient, ClusterClientBuilder},
};

use super::{
    RedisTls,
    making::{MADE_WITHIN, Makings},
    master::{self, Address, Master},
    place::Place,
    wire::{Line, Wire},
};

/// What connections are opened to.
pub(super) struct Target<'a> {
    /// Where it is.
    pub(super) place: &'a Place,
    /// Whom it is believed, and who we are there.
    pub(super) tls: &'a RedisTls,
    /// Who is master there.
    pub(super) master: &'a Master,
    /// A name whose holder is the one that counts: in a cluster others may be away.
    pub(super) key: String,
    /// How long one question may take.
    pub(super) within: Duration,
}

/// Opens connections to one place. One that takes longer than a question may is there for the next.
pub(super) struct Opener {
    way: Arc<Way>,
    makings: Makings<Line>,
    master: Master,
    key: String,
}

/// How connections to one place are opened.
enum Way {
    /// To one node.
    One(Client),
    /// To all nodes of a cluster.
    Cluster(ClusterClient),
    /// To the node that the sentinels name.
    Sentinel { sentinels: Vec<Client>, service: String, node: ConnectionInfo, tls: RedisTls, master: Master },
}

impl Opener {
    /// Nothing is opened yet.
    ///
    /// # Errors
    /// For a URL that the library does not read, and for certificates that are none.
    pub(super) fn new(target: Target<'_>) -> Result<Self, RedisError> {
        let (way, master) = (Arc::new(Way::new(&target)?), target.master.clone());
        Ok(Self { way, makings: Makings::default(), master, key: target.key })
    }

    /// Gives up what nobody waits for.
    pub(super) fn forget(&self) {
        self.makings.forget();
    }

    /// Connections that were begun before lead to a node that cannot write any more.
    pub(super) fn is_demoted(&self) {
        self.master.is_demoted();
    }

    /// Asks over `wire` whether the node that counts is there.
    ///
    /// # Errors
    /// [`RedisError`].
    pub(super) async fn prove(&self, wire: &mut Wire) -> Result<(), RedisError> {
        wire.prove(&self.key).await
    }

    /// Who is master there.
    pub(super) fn master(&self) -> &Master {
        &self.master
    }
}

impl Way {
    fn new(&Target { place, tls, master, within, .. }: &Target<'_>) -> Result<Self, RedisError> {
        Ok(match place {
            Place::One(url) => Self::One(client(url.as_str(), tls)?),
            Place::Cluster(nodes) => {
                // All are waited for at the beginning, also one that is silent.
                let builder = ClusterClientBuilder::new(nodes.clone()).connection_timeout(within / 2);
                let builder = match tls.certificates() {
                    Some(certificates) => builder.certs(certificates),
                    None => builder,
                };
                Self::Cluster(builder.build()?)
            }
            Place::Sentinel { sentinels, service, node } => Self::Sentinel {
                sentinels: clients(sentinels, tls)?,
                service: service.clone(),
                node: node.as_str().into_connection_info()?,
                tls: tls.clone(),
                master: master.clone(),
            },
        })
    }

    async fn open(&self) -> Result<Line, RedisError> {
        match self {
            Self::One(client) => Line::introduced(connect(client).await?, false).await,
            Self::Cluster(client) => Ok(Line::Cluster(client.get_async_connection().await?)),
            Self::Sentinel { sentinels, service, node, tls, master } => {
                let there = master::find(master, sentinels, service).await?;
                let client = client(at(node.clone(), there), tls)?;
                Line::introduced(connect(&client).await?, true).await
            }
        }
    }
}

/// The same node, but there.
fn at(node: ConnectionInfo, (there, at): Address) -> ConnectionInfo {
    let mut address = node.addr().clone();
    if let ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } = &mut address {
        (*host, *port) = (there, at);
    }
    node.set_addr(address)
}

/// Ways to all of `urls`.
///
/// # Errors
/// As [`Opener::new`].
pub(super) fn clients(urls: &[String], tls: &RedisTls) -> Result<Vec<Client>, RedisError> {
    urls.iter().map(|url| client(url.as_str(), tls)).collect()
}

/// A connection of `client`, which may take as long as any.
///
/// # Errors
/// [`RedisError`].
pub(super) async fn connect(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    let patient = AsyncConnectionConfig::new().set_connection_timeout(Some(MADE_WITHIN));
    client.get_multiplexed_async_connection_with_config(&patient).await
}

/// A way to the node or sentinel of `url`; nothing is opened yet.
fn client(url: impl IntoConnectionInfo, tls: &RedisTls) -> Result<Client, RedisError> {
    match tls.certificates() {
        Some(certificates) => Client::build_with_tls(url, certificates),
        None => Client::open(url),
    }
}

impl RedisTls {
    fn certificates(&self) -> Option<TlsCertificates> {
        let client = self.client.as_ref();
        let client_tls = client.map(|(certificate, key)| ClientTlsConfig {
            client_cert: certificate.clone(),
            client_key: key.to_vec(),
        });
        let is_any = client_tls.is_some() || self.ca.is_some();
        is_any.then(|| TlsCertificates { client_tls, root_cert: self.ca.clone() })
    }
}

impl Manager for Opener {
    type Type = Wire;
    type Error = RedisError;

    async fn create(&self) -> Result<Wire, RedisError> {
        let is_of_before = |begun| self.master.is_replaced_since(begun);
        loop {
            let way = Arc::clone(&self.way);
            let (line, begun) =
                self.makings.one(is_of_before, move || async move { way.open().await }).await?;
            // It may have been replaced meanwhile.
            if !is_of_before(begun) {
                return Ok(Wire::new(line, begun));
            }
        }
    }

    /// Whether anybody is there is asked by whoever wants to know, see [`prove`](Self::prove).
    async fn recycle(&self, wire: &mut Wire, _: &Metrics) -> RecycleResult<RedisError> {
        if self.master.is_replaced_since(wire.begun) {
            return Err(RecycleError::message("demoted"));
        }
        Ok(())
    }
}

/// Why there is no TLS with whoever was there, if it is that.
pub(super) fn mistrust(error: &RedisError) -> Option<&'static str> {
    // The library shows what went wrong behind a pointer of its own.
    let source = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>());
    let cause = source.and_then(|source| source.downcast_ref::<io::Error>());
    match cause.and_then(io::Error::get_ref)?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(_) => {
            Some("it wants no TLS with us; store.client_certificate names what it may want to see")
        }
        _ => Some(
            "it does not prove over TLS that it is the host of store.url; store.ca_file names who vouches for it",
        ),
    }
}
