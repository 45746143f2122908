//! A bounded map from credentials to what they proved, one per worker thread.

use std::hash::{BuildHasherDefault, Hasher};

use crate::actors::recent::Recent;

/// What the digests of `N` bytes proved that were used last.
pub(super) type Cache<V, const N: usize> = Recent<[u8; N], V, BuildHasherDefault<FirstBytes>>;

/// Takes the first eight bytes of a digest as its hash: they are as good as random already, and nobody can
/// choose them.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct FirstBytes(u64);

impl Hasher for FirstBytes {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    #[inline]
    fn write_usize(&mut self, _length: usize) {}

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u32) -> [u8; 16] {
        let mut digest = [0; 16];
        digest[..4].copy_from_slice(&n.to_le_bytes());
        digest
    }

    #[test]
    fn digests_that_begin_alike_are_told_apart() {
        let mut cache = Cache::new(100);
        let (one, mut other) = (digest(7), digest(7));
        other[15] = 1;
        cache.add(one, 1);
        assert_eq!(cache.find(&other), None);
        assert_eq!(cache.find(&one), Some(&mut 1));
    }
}
