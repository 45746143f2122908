//! What comes in: lines, each of them bounded, read on a thread of its own for as long as somebody takes them.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read},
    thread,
};

use tokio::sync::mpsc;

/// What stood between two line ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// A line that may be a message.
    Line(Vec<u8>),
    /// A line that is longer than any message may be; nothing of it was kept.
    TooLong,
}

/// Reads `input` line by line, each of at most `most` bytes. No more than one waits to be taken, so that whoever writes
/// waits too.
///
/// The thread ends with the input, or once nobody takes lines any more: one that waits for input can be told nothing,
/// hence nobody waits for it either.
///
/// # Errors
/// The system gives no thread.
pub(super) fn read(input: impl Read + Send + 'static, most: usize) -> io::Result<mpsc::Receiver<Taken>> {
    let (give, taken) = mpsc::channel(1);
    let work = move || {
        let mut lines = Lines { input: BufReader::new(input), most };
        loop {
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => return,
                Err(error) => return tracing::warn!(%error, "standard input cannot be read any more"),
            };
            if give.blocking_send(line).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("stdin".into()).spawn(work)?;
    Ok(taken)
}

struct Lines<R> {
    input: R,
    most: usize,
}

impl<R: BufRead> Lines<R> {
    /// The next line that is not blank, without its end; `None` at the end of the input. What stands behind the last
    /// line end is a line too.
    fn next(&mut self) -> io::Result<Option<Taken>> {
        loop {
            let (line, is_last) = self.line()?;
            let is_blank = matches!(&line, Taken::Line(text) if text.trim_ascii().is_empty());
            if !is_blank {
                return Ok(Some(line));
            }
            if is_last {
                return Ok(None);
            }
        }
    }

    /// Whatever stands before the next line end, and whether the input ends with it.
    fn line(&mut self) -> io::Result<(Taken, bool)> {
        let (mut text, mut is_too_long) = (Vec::new(), false);
        loop {
            let ready = match self.input.fill_buf() {
                Ok(ready) => ready,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let end = ready.iter().position(|byte| *byte == b'\n');
            let part = ready.get(..end.unwrap_or(ready.len())).unwrap_or_default();
            is_too_long |= text.len() + part.len() > self.most;
            if is_too_long {
                text = Vec::new();
            } else {
                text.extend_from_slice(part);
            }
            let (used, is_last) = (part.len() + usize::from(end.is_some()), ready.is_empty());
            self.input.consume(used);
            if end.is_some() || is_last {
                let line = if is_too_long { Taken::TooLong } else { Taken::Line(text) };
                return Ok((line, is_last));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `text`, which comes in portions of `portion` bytes.
    fn lines(text: &[u8], (most, portion): (usize, usize)) -> Vec<Taken> {
        let mut lines = Lines { input: BufReader::with_capacity(portion, text), most };
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    fn line(text: &str) -> Taken {
        Taken::Line(text.into())
    }

    #[test]
    fn lines_are_told_apart_however_they_come() {
        let text = b"{\"a\":1}\r\n\n \t\r\n\xff\xfe\nlast";
        for portion in [1, 2, 3, 7, 64] {
            let expected = vec![line("{\"a\":1}\r"), Taken::Line(vec![0xff, 0xfe]), line("last")];
            assert_eq!(lines(text, (16, portion)), expected, "{portion}");
        }
        assert_eq!(lines(b"", (16, 8)), []);
        assert_eq!(lines(b"\n\n  \n", (16, 8)), []);
    }

    #[test]
    fn a_line_at_the_limit_passes_and_one_past_it_does_not_nor_is_it_kept() {
        for portion in [1, 3, 64] {
            let text = b"12345678\n123456789\n1\n123456789";
            let expected = vec![line("12345678"), Taken::TooLong, line("1"), Taken::TooLong];
            assert_eq!(lines(text, (8, portion)), expected, "{portion}");
        }
    }

    #[test]
    fn whoever_writes_waits_for_whoever_takes() {
        let (mut input, _output) = std::os::unix::net::UnixStream::pair().map(|(a, b)| (b, a)).unwrap();
        let mut taken = read(_output.try_clone().unwrap(), 1024).unwrap();
        use std::io::Write;
        input.set_nonblocking(true).unwrap();
        // More than the pipe and the thread hold: at some time it takes no more.
        let mut written = 0_usize;
        let refused = loop {
            match input.write(b"{}\n{}\n{}\n{}\n") {
                Ok(bytes) => written += bytes,
                Err(error) => break error,
            }
            assert!(written < 64 * 1024 * 1024, "nobody takes lines, and all of them are read");
        };
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
        assert_eq!(taken.blocking_recv(), Some(line("{}")));
    }
}
