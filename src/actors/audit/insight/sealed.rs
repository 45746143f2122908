//! The roll-up beside a sealed segment: what counting it came to, so that a start need not read it again.
//!
//! It is believed only if the audit key signed it and if it is of the segment as it is: of that length and
//! with that last record, counted by a version that tells the same kinds apart. Any other is made anew.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::rollup::Rollup;
use crate::{
    actors::audit::{head::hex, keys::Signer, segment::SegmentName, tail},
    domain::{EventCode, Outcome},
    files,
};

/// First line of the text that is signed, so that this signature means nothing else.
const DOMAIN: &str = "portcullis audit rollup v1";
/// How its file ends, in place of the segment's own ending.
const EXTENSION: &str = "rollup";
/// Longest file that is looked at: several times the longest that we write.
const MAX_BYTES: u64 = 64 << 20;

/// What stands in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Sealed {
    of: Segment,
    rollup: Rollup,
}

/// Which segment was counted.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Segment {
    name: String,
    bytes: u64,
    /// Chain, number and hash of its last record.
    last: Option<(String, u64, String)>,
    /// What was told apart when it was counted: counts name kinds by their place in this list, and another
    /// version may have others.
    kinds: String,
}

impl Segment {
    /// The segment as it is now.
    fn look(dir: &Path, name: &SegmentName) -> io::Result<Self> {
        let path = name.path(dir);
        let bytes = fs::metadata(&path)?.len();
        let last =
            tail::last_in(&path)?.map(|head| (head.chain.as_ref().to_owned(), head.seq, hex(&head.hash)));
        Ok(Self { name: stem(name), bytes, last, kinds: kinds() })
    }
}

/// Every kind of event and every outcome, in the order of this version.
pub(super) fn kinds() -> String {
    let events = EventCode::ALL.into_iter().map(EventCode::as_str);
    let outcomes = Outcome::ALL.into_iter().map(Outcome::as_str);
    events.chain(outcomes).collect::<Vec<_>>().join(" ")
}

/// Where the roll-up of a segment lies.
pub(super) fn path(dir: &Path, name: &SegmentName) -> PathBuf {
    name.path(dir).with_extension(EXTENSION)
}

fn stem(name: &SegmentName) -> String {
    format!("{:012}-{:08}", name.first, name.day)
}

/// What counting the segment came to; `None` if nobody has, or that is not to be believed.
///
/// # Errors
/// Whatever the file system says of the segment itself.
pub(super) fn load(dir: &Path, name: &SegmentName, signer: &Signer) -> io::Result<Option<Rollup>> {
    let path = path(dir, name);
    if fs::metadata(&path).is_ok_and(|meta| meta.len() > MAX_BYTES) {
        return Ok(None);
    }
    let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
    let Some((body, signature)) = text.split_once('\n') else { return Ok(None) };
    if !signer.vouches(DOMAIN, body, signature.trim_end()) {
        return Ok(None);
    }
    let Ok(sealed) = serde_json::from_str::<Sealed>(body) else { return Ok(None) };
    let found = Segment::look(dir, name)?;
    Ok((sealed.of == found).then_some(sealed.rollup))
}

/// Puts down what counting the sealed segment came to.
///
/// # Errors
/// Whatever the file system says; then the segment is counted again at the next start.
pub(super) fn store(dir: &Path, name: &SegmentName, rollup: &Rollup, signer: &Signer) -> io::Result<()> {
    let sealed = Sealed { of: Segment::look(dir, name)?, rollup: rollup.clone() };
    let mut text = serde_json::to_string(&sealed)?;
    let signature = signer.vouch(DOMAIN, &text);
    text.push('\n');
    text.push_str(&signature);
    text.push('\n');
    files::replace(&path(dir, name), text.as_bytes())
}
