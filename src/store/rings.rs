//! Secrets that all processes on one store share, for example the key of argument digests.

use sha2::{Digest, Sha256};

use super::{StoreError, StoreFuture, hex::hex};

/// The secret whose digest is the store's identity. It moves with the store.
pub const IDENTITY_RING: &str = "store.identity";

/// Shared secrets by name.
pub trait Rings: Send + Sync {
    /// The secret of that name: 32 random bytes, made by whoever asks first and the same for all who
    /// ask later, here and in other processes.
    ///
    /// # Errors
    /// [`StoreError`]: there may be a secret, so none may be made up instead.
    fn secret<'a>(&'a self, name: &'a str) -> StoreFuture<'a, [u8; 32]>;
}

/// A fresh secret, in case ours is the first request.
pub(super) fn fresh() -> Result<[u8; 32], StoreError> {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret)
        .map_err(|_unspecified| StoreError::Unavailable("no random bytes to be had".into()))?;
    Ok(secret)
}

/// Sixteen hexadecimal characters that tell a store from any other, and nothing of `secret`, which is that of
/// [`IDENTITY_RING`].
pub fn identity(secret: &[u8; 32]) -> String {
    let mut digest = hex(&Sha256::digest(secret));
    digest.truncate(16);
    digest
}
