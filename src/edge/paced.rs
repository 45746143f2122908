//! A connection's stream, read no faster than its client takes our answers.
//!
//! By itself actix-http reads on while an answer waits for its client: it makes requests of up to 128 KiB of
//! bytes, holds them all, and turns in circles (3.20, seen: 600 clients that never read took 1.1 GB and most
//! of the time of every worker). What is not read here stays in the system's buffers, which tells the client.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use actix_web::dev::Extensions;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    connections::{Connection, PIECE, greet},
    turn,
};

thread_local! {
    /// Where a piece is read to before it is handed on: less costs more to make room for than to copy.
    static PIECES: RefCell<[u8; PIECE]> = const { RefCell::new([0; PIECE]) };
}

/// A stream, plain or of TLS, and what is known of its connection.
#[derive(Debug)]
pub struct Paced<S>(Rc<Wire<S>>);

/// The same for those who send at the end of a turn.
#[derive(Debug)]
struct Wire<S> {
    stream: RefCell<S>,
    connection: Rc<Connection>,
    /// How many answers wait for the end of the turn.
    put_off: Cell<u32>,
    /// What of them could not be sent then.
    left: RefCell<Vec<u8>>,
    /// Whether there is such, or something that TLS has not sent on.
    is_kept: Cell<bool>,
}

impl<S> Paced<S> {
    /// The stream of a new connection.
    pub fn new(stream: S) -> Self {
        Self(Rc::new(Wire {
            stream: RefCell::new(stream),
            connection: Rc::new(Connection::new(Instant::now())),
            put_off: Cell::new(0),
            left: RefCell::default(),
            is_kept: Cell::new(false),
        }))
    }

    /// Makes the connection known, to its worker and to its requests.
    pub fn greet(&self, data: &mut Extensions) {
        greet(&self.0.connection, data);
    }
}

impl<S> Wire<S> {
    /// What its worker ended is reset, whatever it was about to do.
    fn check(&self) -> io::Result<()> {
        if self.connection.is_over() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Sends some of `bytes`, whoever asks.
    fn try_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.stream.borrow_mut()).poll_write(context, bytes);
        if let Poll::Ready(Ok(bytes)) = written {
            self.connection.has_taken(bytes, Instant::now);
        }
        written
    }

    fn try_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut *self.stream.borrow_mut()).poll_flush(context);
        if let Poll::Ready(Ok(())) = flushed {
            self.connection.is_even();
        }
        flushed
    }

    /// The same for the connection's task, which will be woken.
    fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.try_write(context, bytes);
        self.wait_for(context, written)
    }

    fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.try_flush(context);
        self.wait_for(context, flushed)
    }

    fn wait_for<T>(&self, context: &Context<'_>, poll: Poll<T>) -> Poll<T> {
        if poll.is_pending() {
            self.connection.stalls(Instant::now);
            self.connection.waits(context);
        }
        poll
    }

    /// Sends what is left of answers that were put off.
    fn poll_left(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_kept.get() {
            return Poll::Ready(Ok(()));
        }
        let mut left = self.left.borrow_mut();
        while !left.is_empty() {
            match ready!(self.poll_write(context, &left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => drop(left.drain(..written)),
            }
        }
        // Whoever waits long has had much to send.
        *left = Vec::new();
        ready!(self.poll_flush(context))?;
        self.is_kept.set(false);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> turn::Sender for Wire<S> {
    fn send(&self, bytes: &[u8]) {
        self.put_off.set(self.put_off.get().saturating_sub(1));
        if self.is_kept.get() {
            self.left.borrow_mut().extend_from_slice(bytes);
            return;
        }
        // Nobody is woken by this: the connection's task is, where something is left for it.
        let context = &mut Context::from_waker(Waker::noop());
        let written = match self.check().map(|()| self.try_write(context, bytes)) {
            Ok(Poll::Ready(Ok(written))) => written,
            Ok(Poll::Pending) => 0,
            Ok(Poll::Ready(Err(_))) | Err(_) => {
                self.connection.end();
                return;
            }
        };
        let rest = bytes.get(written..).unwrap_or_default();
        self.left.borrow_mut().extend_from_slice(rest);
        if rest.is_empty() && self.try_flush(context).is_ready() {
            return;
        }
        self.is_kept.set(true);
        self.connection.stalls(Instant::now);
        self.connection.wake();
    }

    fn give_up(&self) {
        self.connection.end();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &*self.0;
        wire.check()?;
        ready!(wire.poll_left(context))?;
        let connection = &wire.connection;
        let Some(most) = connection.may_read() else {
            connection.waits(context);
            return Poll::Pending;
        };
        let mut stream = wire.stream.borrow_mut();
        let stream = Pin::new(&mut *stream);
        let before = buffer.filled().len();
        let read = if most >= buffer.remaining() {
            stream.poll_read(context, buffer)
        } else {
            PIECES.with_borrow_mut(|piece| {
                let most = most.min(buffer.remaining()).min(PIECE);
                let mut part = ReadBuf::new(piece.get_mut(..most).unwrap_or_default());
                let read = stream.poll_read(context, &mut part);
                buffer.put_slice(part.filled());
                read
            })
        };
        connection.has_read(buffer.filled().len() - before);
        if read.is_pending() {
            connection.waits(context);
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = &self.0;
        wire.check()?;
        ready!(wire.poll_left(context))?;
        if !wire.connection.tells() && turn::put_off(wire, bytes) {
            wire.put_off.set(wire.put_off.get() + 1);
            return Poll::Ready(Ok(bytes.len()));
        }
        if wire.put_off.get() > 0 {
            turn::end();
            ready!(wire.poll_left(context))?;
        }
        wire.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = &*self.0;
        wire.check()?;
        ready!(wire.poll_left(context))?;
        // What was put off is flushed when it is sent.
        if wire.put_off.get() > 0 { Poll::Ready(Ok(())) } else { wire.poll_flush(context) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = &*self.0;
        wire.check()?;
        if wire.put_off.get() > 0 {
            turn::end();
        }
        ready!(wire.poll_left(context))?;
        Pin::new(&mut *wire.stream.borrow_mut()).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::rt;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// A connection over a pipe that holds so many bytes, on a worker that ends its turns.
    async fn pair(room: usize) -> (Paced<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        turn::run();
        tokio::task::yield_now().await;
        let (server, client) = duplex(room);
        (Paced::new(server), client)
    }

    async fn read(client: &mut tokio::io::DuplexStream, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        client.read_exact(&mut read).await.unwrap();
        read
    }

    #[actix_web::test]
    async fn a_small_answer_leaves_at_the_end_of_the_turn_and_a_large_one_behind_it_at_once() {
        let (mut server, mut client) = pair(1 << 20).await;
        server.write_all(b"small").await.unwrap();
        server.flush().await.unwrap();
        assert_eq!(server.0.put_off.get(), 1);
        assert_eq!(read(&mut client, 5).await, b"small");
        assert_eq!(server.0.put_off.get(), 0);

        server.write_all(b"small").await.unwrap();
        server.write_all(&[b'x'; turn::MOST + 1]).await.unwrap();
        assert_eq!(server.0.put_off.get(), 0, "the first had to go before the second");
        let both = read(&mut client, 5 + turn::MOST + 1).await;
        assert!(both.starts_with(b"smallxxx"));
    }

    #[actix_web::test]
    async fn what_its_client_does_not_take_waits_in_its_order_and_stalls_the_connection() {
        let (mut server, mut client) = pair(4).await;
        for answer in [b"one", b"two", b"six"] {
            server.write_all(answer).await.unwrap();
        }
        turn::end();
        assert!(server.0.is_kept.get() && server.0.connection.may_read().is_none());
        let rest = rt::spawn(async move {
            server.shutdown().await.unwrap();
            server
        });
        assert_eq!(read(&mut client, 9).await, b"onetwosix");
        let server = rest.await.unwrap();
        assert!(!server.0.is_kept.get() && server.0.connection.may_read().is_some());
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }

    #[actix_web::test]
    async fn however_many_answers_a_turn_has_none_of_them_is_left_behind() {
        drop(pair(64).await);
        let mut all: Vec<_> =
            (0..300).map(|_| duplex(64)).map(|(one, other)| (Paced::new(one), other)).collect();
        // Without an end of the turn in between.
        for (server, _) in &mut all {
            assert!(turn::put_off(&server.0, b"answer"));
            server.0.put_off.set(1);
        }
        tokio::task::yield_now().await;
        assert!(all.iter().all(|(server, _)| server.0.put_off.get() == 0 && !server.0.is_kept.get()));
        for (_, client) in &mut all {
            assert_eq!(read(client, 6).await, b"answer");
        }
    }

    #[actix_web::test]
    async fn the_end_of_a_connection_takes_along_what_was_put_off() {
        let (mut server, mut client) = pair(64).await;
        server.write_all(b"last").await.unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(read(&mut client, 4).await, b"last");

        let (mut server, client) = pair(64).await;
        drop(client);
        server.write_all(b"nobody").await.unwrap();
        turn::end();
        assert!(server.0.connection.is_over());
        assert!(server.write_all(b"more").await.is_err());
    }
}
