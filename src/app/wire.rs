//! An application on a listener: HTTP/1.1 over plain TCP or TLS, each connection at the pace of its client.
//!
//! `HttpServer` of actix-web does the same, but gives nobody the stream of a connection into their hands.

use std::{fmt::Debug, io, net::TcpListener, time::Duration};

use actix_http::{HttpService, Protocol, Request};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_tls::accept::{
    TlsError,
    rustls_0_23::{Acceptor, TlsStream},
};
use actix_web::{
    Error,
    body::MessageBody,
    dev::{AppConfig, Response},
    rt::net::TcpStream,
};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::edge::{self, Paced};

/// Longest wait for the head of a request.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// Longest TLS handshake.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// Longest leave that is taken of a client whose connection ends.
const LEAVE: Duration = Duration::from_secs(1);

/// How a listener is served.
pub(super) struct Wire {
    /// Worker threads.
    pub(super) workers: usize,
    /// Most connections of each.
    pub(super) connections: usize,
    /// How long requests under way may take when it stops; at least a second, in whole seconds.
    pub(super) grace: Duration,
    /// What TLS goes by, if it is TLS.
    pub(super) tls: Option<ServerConfig>,
}

/// Serves what `app` makes, once for each worker, on `listener`.
///
/// # Errors
/// If the listener cannot be handed to the workers.
pub(super) fn serve<F, I, S, B>(app: F, listener: TcpListener, wire: Wire) -> io::Result<Server>
where
    F: Fn() -> I + Clone + Send + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Error = Error> + 'static,
    S::InitError: Debug,
    S::Response: Into<Response<B>>,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let builder = Server::build()
        .workers(wire.workers)
        .max_concurrent_connections(wire.connections)
        .shutdown_timeout(wire.grace.as_secs().max(1))
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let Some(tls) = wire.tls else {
        let plain = move || fn_service(accept_plain).and_then(http(app(), stopping.clone()));
        return Ok(builder.listen("plain", listener, plain)?.run());
    };
    let mut acceptor = Acceptor::new(with_http1(tls));
    acceptor.set_handshake_timeout(HANDSHAKE_DEADLINE);
    let secure = move || {
        let streams = acceptor.clone().map_err(TlsError::into_service_error);
        let served = http(app(), stopping.clone()).map_err(TlsError::Service);
        streams.map_init_err(|_never| ()).and_then(accept_secure).and_then(served)
    };
    Ok(builder.listen("tls", listener, secure)?.run())
}

/// A stream on which HTTP/1.1 begins, and the address of its client.
type Accepted<S> = (Paced<S>, Protocol, Option<std::net::SocketAddr>);

async fn accept_plain(stream: TcpStream) -> Result<Accepted<TcpStream>, actix_http::error::DispatchError> {
    let peer = stream.peer_addr().ok();
    Ok((Paced::new(stream), Protocol::Http1, peer))
}

async fn accept_secure(
    stream: TlsStream<TcpStream>,
) -> Result<Accepted<TlsStream<TcpStream>>, TlsError<io::Error, actix_http::error::DispatchError>> {
    let peer = stream.get_ref().0.peer_addr().ok();
    Ok((Paced::new(stream), Protocol::Http1, peer))
}

/// The only protocol that we speak.
fn with_http1(mut tls: ServerConfig) -> ServerConfig {
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    tls
}

/// The service of one worker.
fn http<T, I, S, B>(
    app: I,
    stopping: GracefulShutdownSignal,
) -> impl ServiceFactory<
    (Paced<T>, Protocol, Option<std::net::SocketAddr>),
    Config = (),
    Response = (),
    Error = actix_http::error::DispatchError,
    InitError = (),
>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Error = Error> + 'static,
    S::InitError: Debug,
    S::Response: Into<Response<B>>,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    HttpService::build()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .keep_alive(edge::KEEP_ALIVE)
        .client_request_timeout(HEAD_DEADLINE)
        .client_disconnect_timeout(LEAVE)
        // With the default a client that goes away cancels its call only by a reset (actix-web#3462).
        .h1_allow_half_closed(false)
        .on_connect_ext(|stream: &Paced<T>, data| stream.greet(data))
        // Nothing asks it what the server is called: the host that a request names is checked instead.
        .finish(map_config(app, |()| AppConfig::default()))
}
