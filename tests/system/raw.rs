//! HTTP/1.1 by hand on one connection: any bytes, any pace.

use std::{io, net::SocketAddr, time::Duration};

use tokio::net::{TcpSocket, TcpStream};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// One connection.
pub(crate) struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// What is known of an answer: its status, and whether the connection ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) closes: bool,
}

impl Raw {
    /// A new connection.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new() }
    }

    /// One that takes in little at once.
    pub(crate) async fn narrow(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(2_048)?;
        Ok(Self { stream: socket.connect(address).await?, unread: Vec::new() })
    }

    /// Sends all of it, however long that takes.
    ///
    /// # Errors
    /// Whatever the system says: the other end is gone.
    pub(crate) async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends what fits now.
    pub(crate) fn push(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    /// Whether the other end has closed; what it has said before is passed over.
    pub(crate) fn is_over(&self) -> bool {
        let mut buffer = [0; 4_096];
        loop {
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
    }

    /// Reads until `text` has come; passes over it and all before it.
    pub(crate) async fn holds(&mut self, text: &[u8]) {
        let reading = async {
            loop {
                if let Some(at) = self.unread.windows(text.len()).position(|bytes| bytes == text) {
                    drop(self.unread.drain(..at + text.len()));
                    return;
                }
                assert!(self.more().await, "it ends without {}", String::from_utf8_lossy(text));
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("the server does not say it");
    }

    /// The `length` bytes that follow the next `text`; passes over all before it.
    pub(crate) async fn behind(&mut self, text: &[u8], length: usize) -> Vec<u8> {
        self.holds(text).await;
        while self.unread.len() < length {
            assert!(self.more().await, "it ends behind {}", String::from_utf8_lossy(text));
        }
        self.unread.drain(..length).collect()
    }

    /// The next answer, read to its end; `None` if the connection ends first.
    pub(crate) async fn reply(&mut self) -> Option<Reply> {
        let reading = tokio::time::timeout(PATIENCE, self.read()).await;
        reading.expect("the server neither answers nor closes")
    }

    async fn read(&mut self) -> Option<Reply> {
        let end = loop {
            match self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None if self.more().await => {}
                None => return None,
            }
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head
            .split("content-length: ")
            .nth(1)
            .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
        while self.unread.len() < length {
            if !self.more().await {
                return None;
            }
        }
        drop(self.unread.drain(..length));
        Some(Reply { status, closes: head.contains("connection: close") })
    }

    async fn more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        loop {
            if self.stream.readable().await.is_err() {
                return false;
            }
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return false,
                Ok(read) => {
                    self.unread.extend_from_slice(&buffer[..read]);
                    return true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_reset) => return false,
            }
        }
    }
}
