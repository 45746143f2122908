//! A bounded map from credentials to what they proved, one per worker thread.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    mem,
};

/// Takes the first eight bytes of a digest as its hash: they are as good as random already, and nobody can
/// choose them.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

type Generation<V, const N: usize> = HashMap<[u8; N], V, BuildHasherDefault<FirstBytes>>;

/// Two generations by digests of `N` bytes: what was not used during a whole generation falls out. Finding and adding take the
/// same time however full it is; it never holds more than twice `half` entries.
#[derive(Debug)]
pub(super) struct Cache<V, const N: usize> {
    half: usize,
    young: Generation<V, N>,
    old: Generation<V, N>,
}

impl<V, const N: usize> Cache<V, N> {
    /// Holds between `half` and twice `half` of the entries used last.
    pub(super) fn new(half: usize) -> Self {
        Self { half, young: Generation::default(), old: Generation::default() }
    }

    /// The entry of `digest`, which does not become younger.
    pub(super) fn peek(&self, digest: &[u8; N]) -> Option<&V> {
        self.young.get(digest).or_else(|| self.old.get(digest))
    }

    /// The entry of `digest`, which becomes young.
    pub(super) fn find(&mut self, digest: &[u8; N]) -> Option<&mut V> {
        if !self.old.is_empty() && !self.young.contains_key(digest) {
            let value = self.old.remove(digest)?;
            self.add(*digest, value);
        }
        self.young.get_mut(digest)
    }

    /// Keeps `value`; the oldest generation goes once the young one is full.
    pub(super) fn add(&mut self, digest: [u8; N], value: V) {
        if self.young.len() >= self.half {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(digest, value);
    }

    /// Drops the entry of `digest`.
    pub(super) fn remove(&mut self, digest: &[u8; N]) {
        self.young.remove(digest);
        self.old.remove(digest);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
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
    fn it_never_outgrows_its_bound_and_keeps_what_is_used() {
        let mut cache = Cache::new(100);
        cache.add(digest(0), 0);
        for n in 1..10_000 {
            cache.add(digest(n), n);
            assert_eq!(cache.find(&digest(0)), Some(&mut 0), "after {n}");
            assert!(cache.len() <= 200);
        }
        assert_eq!(cache.find(&digest(1)), None);
    }

    #[test]
    fn what_is_removed_is_gone_from_both_generations() {
        let mut cache = Cache::new(1);
        cache.add(digest(1), 1);
        cache.add(digest(2), 2);
        cache.remove(&digest(1));
        cache.remove(&digest(2));
        assert_eq!(cache.len(), 0);
    }
}
