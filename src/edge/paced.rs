//! A connection's stream, read no faster than its client takes our answers.
//!
//! By itself actix-http reads on while an answer waits for its client: it makes requests of up to 128 KiB of
//! bytes, holds them all, and turns in circles (3.20, seen: 600 clients that never read took 1.1 GB and most
//! of the time of every worker). What is not read here stays in the system's buffers, which tells the client.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Instant,
};

use actix_web::dev::Extensions;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::{Connection, PIECE, greet};

thread_local! {
    /// Where a piece is read to before it is handed on: less costs more to make room for than to copy.
    static PIECES: RefCell<[u8; PIECE]> = const { RefCell::new([0; PIECE]) };
}

/// A stream, plain or of TLS, and what is known of its connection.
#[derive(Debug)]
pub struct Paced<S> {
    stream: S,
    connection: Rc<Connection>,
}

impl<S> Paced<S> {
    /// The stream of a new connection.
    pub fn new(stream: S) -> Self {
        Self { stream, connection: Rc::new(Connection::new(Instant::now())) }
    }

    /// Makes the connection known, to its worker and to its requests.
    pub fn greet(&self, data: &mut Extensions) {
        greet(&self.connection, data);
    }

    /// What its worker ended is reset, whatever it was about to do.
    fn check(&self) -> io::Result<()> {
        if self.connection.is_over() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        let Self { stream, connection } = self.get_mut();
        let Some(most) = connection.may_read() else {
            connection.waits(context);
            return Poll::Pending;
        };
        let before = buffer.filled().len();
        let read = if most >= buffer.remaining() {
            Pin::new(stream).poll_read(context, buffer)
        } else {
            PIECES.with_borrow_mut(|piece| {
                let most = most.min(buffer.remaining()).min(PIECE);
                let mut part = ReadBuf::new(piece.get_mut(..most).unwrap_or_default());
                let read = Pin::new(stream).poll_read(context, &mut part);
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        let Self { stream, connection } = self.get_mut();
        let written = Pin::new(stream).poll_write(context, bytes);
        match &written {
            Poll::Ready(Ok(bytes)) => connection.has_taken(*bytes, Instant::now),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                connection.stalls(Instant::now);
                connection.waits(context);
            }
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        let Self { stream, connection } = self.get_mut();
        let flushed = Pin::new(stream).poll_flush(context);
        match &flushed {
            Poll::Ready(Ok(())) => connection.is_even(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                connection.stalls(Instant::now);
                connection.waits(context);
            }
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
