//! What counts once, and has counted: sealed states of calls that a person has confirmed.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Most that are remembered at once; as many confirmed changes within the life of a state are beyond any use.
const MOST: usize = 65_536;

/// Numbers that have been used up, each for as long as it could be used again.
///
/// They die with the process, and so does what they are for: a state that counts once carries the number of the
/// process that has sealed it, and opens in no other. With several replicas its answer has to come back to the
/// same one.
#[derive(Debug)]
pub struct Spent {
    process: u64,
    until: Mutex<HashMap<u128, Instant>>,
}

impl Default for Spent {
    fn default() -> Self {
        Self { process: rand::random(), until: Mutex::default() }
    }
}

/// What [`Spent::spend`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spend {
    /// It counts: this was the first time.
    First,
    /// It has counted before.
    Again,
    /// So many are remembered that no other can be.
    Full,
}

impl Spent {
    /// The number of this process.
    pub fn process(&self) -> u64 {
        self.process
    }

    /// Uses `number` up, which is good for `life` from `now` at most.
    pub fn spend(&self, number: u128, now: Instant, life: Duration) -> Spend {
        let mut until = self.until.lock();
        if until.len() >= MOST {
            until.retain(|_, until| *until > now);
        }
        if until.contains_key(&number) {
            return Spend::Again;
        }
        if until.len() >= MOST {
            return Spend::Full;
        }
        until.insert(number, now + life);
        Spend::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(300);

    #[test]
    fn a_number_counts_once_and_is_remembered_for_as_long_as_it_could_come_back() {
        let (spent, now) = (Spent::default(), Instant::now());
        assert_eq!(spent.spend(7, now, LIFE), Spend::First);
        assert_eq!(spent.spend(7, now + LIFE / 2, LIFE), Spend::Again);
        for number in 8..7 + MOST as u128 {
            assert_eq!(spent.spend(number, now, LIFE), Spend::First);
        }
        assert_eq!(spent.spend(1, now + LIFE / 2, LIFE), Spend::Full, "nothing is forgotten for it");
        assert_eq!(spent.spend(7, now + LIFE / 2, LIFE), Spend::Again);
        assert_eq!(spent.spend(1, now + LIFE, LIFE), Spend::First);
        assert_eq!(spent.until.lock().len(), 1, "what is over is forgotten");
    }
}
