//! Ends connections on which nothing happens but dripping.
//!
//! actix bounds the head of a connection's first request and the pause between two; from the second
//! request on a head may take for ever, and so may a client that never reads its answers (both run
//! against actix-http 3.20). So each worker knows its connections, and shuts those down on which no
//! handler has run for a while: to drip bytes then gains nothing over staying idle.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    os::fd::{AsFd, OwnedFd},
    rc::{Rc, Weak},
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest,
    dev::Extensions,
    rt::{self, net::TcpStream},
};
use rustix::net::{Shutdown, shutdown};

/// Longest time without a running handler: a little over [`super::KEEP_ALIVE`], so that actix ends idle
/// connections itself and this ends only those that pretend to be busy.
const LONGEST_PAUSE: Duration = Duration::from_secs(super::KEEP_ALIVE.as_secs() + 5);
/// How often a worker looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One connection: a second handle to its socket, and when a handler last ran on it.
#[derive(Debug)]
struct Connection {
    socket: OwnedFd,
    running: Cell<u32>,
    since: Cell<Instant>,
}

thread_local! {
    /// The connections of this worker thread.
    static CONNECTIONS: RefCell<Vec<Weak<Connection>>> = const { RefCell::new(Vec::new()) };
}

/// Learns of a new connection; for `HttpServer::on_connect`. Runs on the worker that will serve it.
pub fn greet(stream: &dyn Any, data: &mut Extensions) {
    let plain = stream.downcast_ref::<TcpStream>();
    let socket = plain.or_else(|| {
        stream
            .downcast_ref::<actix_tls::accept::rustls_0_23::TlsStream<TcpStream>>()
            .map(|tls| tls.get_ref().0)
    });
    // Without a descriptor to spare the connection is served all the same, only not watched.
    let Some(Ok(socket)) = socket.map(|socket| socket.as_fd().try_clone_to_owned()) else { return };
    let connection = Rc::new(Connection { socket, running: Cell::new(0), since: Cell::new(Instant::now()) });
    CONNECTIONS.with_borrow_mut(|all| all.push(Rc::downgrade(&connection)));
    data.insert(connection);
}

/// Looks after the connections of this worker thread for as long as the thread lives.
pub fn watch() {
    rt::spawn(async {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            looks.tick().await;
            CONNECTIONS
                .with_borrow_mut(|all| all.retain(|known| known.upgrade().is_some_and(|one| one.look())));
        }
    });
}

impl Connection {
    /// Whether it is still worth watching; a connection that has paused too long is shut down.
    fn look(&self) -> bool {
        let paused = self.running.get() == 0 && self.since.get().elapsed() > LONGEST_PAUSE;
        if paused {
            // It may have ended in this moment; then there is nothing to shut down.
            let _ended = shutdown(&self.socket, Shutdown::Both);
        }
        !paused
    }
}

/// Says that a handler runs on a connection, for as long as it lives.
#[derive(Debug)]
pub struct Busy(Option<Rc<Connection>>);

impl Busy {
    /// A handler runs for `request`.
    pub fn with(request: &HttpRequest) -> Self {
        let connection = request.conn_data::<Rc<Connection>>().map(Rc::clone);
        if let Some(connection) = &connection {
            connection.running.set(connection.running.get() + 1);
        }
        Self(connection)
    }
}

impl Busy {
    /// Ends the connection on which the handler runs.
    pub fn end_connection(&self) {
        if let Some(connection) = &self.0 {
            // It may have ended in this moment; then there is nothing to shut down.
            let _ended = shutdown(&connection.socket, Shutdown::Both);
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.running.set(connection.running.get().saturating_sub(1));
            connection.since.set(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    /// A connection whose last handler ended `pause` ago, and its other end.
    fn paused(pause: Duration) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = OwnedFd::from(listener.accept().unwrap().0);
        let since = Instant::now().checked_sub(pause).unwrap();
        (Connection { socket, running: Cell::new(0), since: Cell::new(since) }, client)
    }

    #[test]
    fn a_connection_that_pauses_too_long_is_shut_down_and_one_that_works_is_not() {
        let (at_the_limit, _client) = paused(LONGEST_PAUSE - Duration::from_secs(1));
        assert!(at_the_limit.look());
        let (busy, _client) = paused(LONGEST_PAUSE * 2);
        busy.running.set(1);
        assert!(busy.look());
        let (dripping, mut client) = paused(LONGEST_PAUSE + Duration::from_millis(1));
        assert!(!dripping.look());
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "the client sees the end");
    }
}
