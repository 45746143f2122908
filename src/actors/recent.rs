//! A bounded map of what was used last.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    mem,
};

/// Two generations: what was not used during a whole generation falls out. Finding and adding take the same
/// time however full it is; it never holds more than twice `half` entries.
///
/// Where strangers choose the keys, the hasher must be keyed; where a key is a digest already, it need not hash.
#[derive(Debug)]
pub struct Recent<K, V, S = RandomState> {
    half: usize,
    young: HashMap<K, V, S>,
    old: HashMap<K, V, S>,
}

impl<K: Eq + Hash + Copy, V, S: BuildHasher + Default> Recent<K, V, S> {
    /// Holds between `half` and twice `half` of the entries used last.
    pub fn new(half: usize) -> Self {
        Self { half, young: HashMap::default(), old: HashMap::default() }
    }

    /// The entry of `key`, which does not become younger.
    #[inline]
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// The entry of `key`, which becomes young.
    #[inline]
    pub fn find(&mut self, key: &K) -> Option<&mut V> {
        if !self.old.is_empty() && !self.young.contains_key(key) {
            let value = self.old.remove(key)?;
            self.add(*key, value);
        }
        self.young.get_mut(key)
    }

    /// Keeps `value`; the oldest generation goes once the young one is full.
    #[inline]
    pub fn add(&mut self, key: K, value: V) {
        if self.young.len() >= self.half {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    /// Takes out the entry of `key`.
    #[inline]
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (young, old) = (self.young.remove(key), self.old.remove(key));
        young.or(old)
    }

    /// Drops every entry that `keep` does not want.
    pub fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        self.young.retain(|_, value| keep(value));
        self.old.retain(|_, value| keep(value));
    }

    /// How many entries there are.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_outgrows_its_bound_and_keeps_what_is_used() {
        let mut recent: Recent<_, _> = Recent::new(100);
        recent.add(0, 0);
        for n in 1..10_000 {
            recent.add(n, n);
            assert_eq!(recent.find(&0), Some(&mut 0), "after {n}");
            assert!(recent.count() <= 200);
        }
        assert_eq!(recent.find(&1), None);
    }

    #[test]
    fn a_look_makes_nothing_younger() {
        let mut recent: Recent<_, _> = Recent::new(1);
        recent.add(1, 1);
        recent.add(2, 2);
        assert_eq!(recent.peek(&1), Some(&1));
        recent.add(3, 3);
        assert_eq!((recent.peek(&1), recent.peek(&2)), (None, Some(&2)));
    }

    #[test]
    fn what_is_removed_is_gone_from_both_generations() {
        let mut recent: Recent<_, _> = Recent::new(1);
        recent.add(1, 1);
        recent.add(2, 2);
        assert_eq!((recent.remove(&1), recent.remove(&2), recent.remove(&3)), (Some(1), Some(2), None));
        assert_eq!(recent.count(), 0);
        recent.add(1, 1);
        recent.add(2, 2);
        recent.retain(|value| *value != 1);
        assert_eq!((recent.peek(&1), recent.peek(&2)), (None, Some(&2)));
        recent.retain(|value| *value != 2);
        assert_eq!(recent.count(), 0);
    }
}
