//! A bounded map of what one worker used last.

use std::{
    collections::HashMap,
    hash::{Hash, RandomState},
    mem,
};

/// Two generations: what was not used during a whole generation falls out. It never holds more than twice
/// `half` entries.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    half: usize,
    young: HashMap<K, V, RandomState>,
    old: HashMap<K, V, RandomState>,
}

impl<K: Eq + Hash + Copy, V> Recent<K, V> {
    /// Holds between `half` and twice `half` of the entries used last.
    pub(super) fn new(half: usize) -> Self {
        Self { half, young: HashMap::default(), old: HashMap::default() }
    }

    /// The entry of `key`, which becomes young.
    pub(super) fn find(&mut self, key: &K) -> Option<&V> {
        if !self.old.is_empty() && !self.young.contains_key(key) {
            let value = self.old.remove(key)?;
            self.add(*key, value);
        }
        self.young.get(key)
    }

    /// Keeps `value`; the oldest generation goes once the young one is full.
    pub(super) fn add(&mut self, key: K, value: V) {
        if self.young.len() >= self.half {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_outgrows_its_bound_and_keeps_what_is_used() {
        let mut recent = Recent::new(10);
        recent.add(0, 0);
        for n in 1..1_000 {
            recent.add(n, n);
            assert_eq!(recent.find(&0), Some(&0), "after {n}");
            assert!(recent.young.len() + recent.old.len() <= 20);
        }
        assert_eq!(recent.find(&1), None);
    }
}
