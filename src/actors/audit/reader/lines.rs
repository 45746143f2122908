//! The lines of one segment, one after the other, however long the file is.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

/// Longest line that is looked at: 64 times the longest record, so that a damaged file costs no memory.
const MAX_LINE: u64 = 1 << 20;

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::actors::audit) enum End {
    /// With a line end.
    Complete,
    /// With the file: it is being written, or was torn.
    Unfinished,
    /// It is longer than any record can be; only its beginning is there.
    Overlong,
}

/// Reads a file line by line.
#[derive(Debug)]
pub(in crate::actors::audit) struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    number: u64,
    offset: u64,
}

impl Lines {
    /// Opens `path` at the byte `offset`, where a line begins.
    pub(in crate::actors::audit) fn open(path: &Path, offset: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self { reader: BufReader::with_capacity(1 << 16, file), line: Vec::new(), number: 0, offset })
    }

    /// As [`open`](Self::open) from the start; `None` if the file is gone since it was listed: a writer
    /// takes back what it could not commit. Whether something is missing is the chain's to tell.
    pub(in crate::actors::audit) fn open_listed(path: &Path) -> io::Result<Option<Self>> {
        match Self::open(path, 0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Number of the last line, from 1.
    pub(in crate::actors::audit) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes from the file's start to the end of the last complete line.
    pub(in crate::actors::audit) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next line without its end; `None` at the end of the file.
    pub(in crate::actors::audit) fn next(&mut self) -> io::Result<Option<(&[u8], End)>> {
        self.line.clear();
        let mut read = self.reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.line)? as u64;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        let end = if self.line.last() == Some(&b'\n') {
            self.line.pop();
            End::Complete
        } else if read < MAX_LINE {
            return Ok(Some((&self.line, End::Unfinished)));
        } else {
            read += self.reader.skip_until(b'\n')? as u64;
            End::Overlong
        };
        self.offset += read;
        Ok(Some((&self.line, end)))
    }
}
