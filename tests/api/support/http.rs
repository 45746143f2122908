//! HTTP/1.1 by hand: whatever bytes a test wants, and the reply taken apart.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

use super::judge::Judge;

/// Longest wait for anything on a socket: longer than every deadline of the server.
const PATIENCE: Duration = Duration::from_secs(20);

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The one header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} stands twice");
        value
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        super::app::json(&self.text())
    }

    /// The class of a refusal, wherever it stands.
    pub(crate) fn reason(&self) -> String {
        let body = self.json();
        let reason = body["error"]["data"]["reason"].as_str().or(body["reason"].as_str());
        reason.unwrap_or_else(|| panic!("no refusal: {self:?}")).to_owned()
    }

    /// The JSON-RPC error code.
    pub(crate) fn code(&self) -> i64 {
        self.json()["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {self:?}"))
    }

    /// Asserts status, JSON-RPC code and reason.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: i64, reason: &str) -> &Self {
        assert_eq!((self.status, self.code(), &*self.reason()), (status, code, reason), "{}", self.text());
        let body = self.json();
        assert!(body.get("id").is_none_or(|id| !id.is_null()), "an id that is null: {body}");
        assert_eq!(body["error"]["data"]["requestId"].as_str(), self.header("x-request-id"));
        self
    }

    /// Asserts a result, and gives it.
    #[track_caller]
    pub(crate) fn result(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        let mut body = self.json();
        assert!(body["result"].is_object(), "{body}");
        body["result"].take()
    }
}

/// One connection, kept as long as the server keeps it.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    judge: Judge,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::on(TcpStream::connect(address).unwrap())
    }

    /// One that comes from `source`, an address of this machine.
    pub(crate) fn open_from(source: IpAddr, address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::new(source, 0)).unwrap();
            socket.connect(address).await.unwrap().into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        Self::on(stream)
    }

    fn on(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new(), judge: Judge::default() }
    }

    /// Sends bytes; whether the server took all of them is its own business.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.judge.sends(bytes.as_ref());
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        assert!(self.try_send(bytes), "the server does not read on");
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
        self.reply()
    }

    /// The next reply, which must come.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> Reply {
        self.try_reply().expect("the connection ended without an answer")
    }

    /// The next final reply; `None` if the connection ends first. `100 Continue` is passed over.
    pub(crate) fn try_reply(&mut self) -> Option<Reply> {
        let head = self.head()?;
        self.whole(head)
    }

    /// The answer that begins with `head`, which is whole; `None` if the connection ends first.
    pub(crate) fn whole(&mut self, head: Reply) -> Option<Reply> {
        let mut reply = head;
        let length = reply.header("content-length").map_or(0, |text| text.parse().unwrap());
        assert!(reply.header("transfer-encoding").is_none(), "this answer is whole: {reply:?}");
        reply.body = self.bytes(length)?;
        self.judge.hears(&reply);
        Some(reply)
    }

    /// The head of the next final reply; its body is not read.
    pub(crate) fn head(&mut self) -> Option<Reply> {
        loop {
            let head = self.up_to(b"\r\n\r\n")?;
            let head = String::from_utf8(head).unwrap();
            let mut lines = head.split("\r\n");
            let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
            if status == 100 {
                continue;
            }
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            self.judge.is_answered();
            return Some(Reply { status, headers, body: Vec::new() });
        }
    }

    /// A message has come as an event of the answer that has begun.
    #[track_caller]
    pub(crate) fn heard(&self, message: &Value) {
        self.judge.hears_message(message);
    }

    /// The next chunk of a chunked body; empty at its end, `None` if the connection ends first.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = String::from_utf8(self.up_to(b"\r\n")?).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let mut chunk = self.bytes(size + 2)?;
        chunk.truncate(size);
        Some(chunk)
    }

    fn up_to(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        loop {
            match self.unread.windows(mark.len()).position(|bytes| bytes == mark) {
                Some(at) => return Some(self.unread.drain(..at + mark.len()).collect()),
                None => self.more()?,
            }
        }
    }

    fn bytes(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            self.more()?;
        }
        Some(self.unread.drain(..length).collect())
    }

    /// Whether something of an answer is there already; does not wait.
    pub(crate) fn has_answer(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let mut one = [0; 1];
        let there = self.stream.peek(&mut one).is_ok_and(|read| read > 0);
        self.stream.set_nonblocking(false).unwrap();
        there || !self.unread.is_empty()
    }

    /// Whether the server has closed, with nothing more said.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && self.more().is_none()
    }

    /// What comes next, as it comes; `None` at the end.
    pub(crate) fn some(&mut self) -> Option<Vec<u8>> {
        self.more()?;
        Some(std::mem::take(&mut self.unread))
    }

    /// Everything that comes until the server closes.
    pub(crate) fn rest(mut self) -> Vec<u8> {
        while self.more().is_some() {}
        self.unread
    }

    /// Reads some more; `None` at the end. A wait beyond [`PATIENCE`] fails the test.
    fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => None,
            Ok(read) => {
                self.unread.extend_from_slice(&buffer[..read]);
                Some(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the server neither answers nor closes")
            }
            Err(_reset) => None,
        }
    }

    /// Ends our side only.
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends it with a reset instead of a farewell.
    pub(crate) fn reset(self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            self.stream.set_nonblocking(true).unwrap();
            tokio::net::TcpStream::from_std(self.stream).unwrap().set_zero_linger().unwrap();
        });
    }
}
