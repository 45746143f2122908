//! The end of a chain, plain and signed.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::text::{parse_hex32, push_hex};

/// First line of every text that is signed here, so that no signature of ours means anything else.
const DOMAIN: &str = "portcullis audit checkpoint v1";

/// The end of a chain: its last record's number and hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// The writer's id, the same in every record of the chain.
    pub(super) chain: Arc<str>,
    /// Number of the last record, 0 before the first.
    pub(super) seq: u64,
    /// Hash of the last record, zeros before the first.
    pub(super) hash: [u8; 32],
}

impl Head {
    /// The end of a chain that has no record yet.
    pub(super) fn new(chain: &str) -> Self {
        Self { chain: chain.into(), seq: 0, hash: [0; 32] }
    }

    /// The hash in hexadecimal.
    pub(super) fn hex(&self) -> String {
        hex(&self.hash)
    }
}

/// Hash of the record whose line, up to but not including `,"hash":`, is `body`.
pub(super) fn link(prev: &[u8; 32], body: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(prev);
    context.update(body);
    context.finish().as_ref().try_into().unwrap_or_default()
}

/// Hexadecimal digits as text.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut digits = Vec::with_capacity(bytes.len() * 2);
    push_hex(&mut digits, bytes);
    String::from_utf8(digits).unwrap_or_default()
}

/// The end of a chain as somebody who holds the private key vouches for it: a checkpoint.
///
/// It stands in `audit.checkpoint` records, in the heads files, and as a line of an anchor file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    /// The writer's id.
    pub chain: String,
    /// Number of the record that this vouches for, and with it for all before; 0 for none.
    pub seq: u64,
    /// Hash of that record, hexadecimal.
    pub head: String,
    /// The public key, base64url without padding.
    pub key: String,
    /// Ed25519 (RFC 8032) signature over chain, seq and head, base64url without padding.
    pub signature: String,
}

impl SignedHead {
    /// The exact text that the signature covers.
    pub(super) fn signed_text(chain: &str, seq: u64, head: &str) -> String {
        format!("{DOMAIN}\n{chain}\n{seq}\n{head}\n")
    }

    /// What it says, without the signature; `None` if its hash is no hash.
    pub(super) fn said(&self) -> Option<Head> {
        let hash = parse_hex32(self.head.as_bytes())?;
        Some(Head { chain: self.chain.as_str().into(), seq: self.seq, hash })
    }
}
