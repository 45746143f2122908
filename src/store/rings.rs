//! Secrets that all processes on one store share, for example the key of argument digests.

use super::{StoreError, StoreFuture};

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
