//! How long a name must wait after wrong passwords: longer each time, never for ever. Pure.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Tries before the first wait.
const FREE: u32 = 5;
/// The first wait; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait. Nobody is locked out: whoever waits this long may try again, whoever else tried.
const LONGEST: Duration = Duration::from_secs(60);
/// After this long without a try a name is as good as new.
const FORGIVEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// Most names that are remembered.
const MOST_NAMES: usize = 16_384;

/// What is remembered of one name.
#[derive(Debug, Clone, Copy)]
struct Tries {
    count: u32,
    last: Instant,
    until: Instant,
}

/// Wrong passwords by name, of accounts and of nobody alike: a wait tells nothing of who exists.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    names: HashMap<Box<str>, Tries>,
}

impl Backoff {
    /// Takes note of a try for `name` before its password is looked at, so that many at once count as many.
    ///
    /// # Errors
    /// How long to wait; such a try does not count.
    pub(super) fn attempt(&mut self, name: &str, now: Instant) -> Result<(), Duration> {
        if let Some(tries) = self.names.get_mut(name) {
            if now < tries.until {
                return Err(tries.until - now);
            }
            if now.saturating_duration_since(tries.last) >= FORGIVEN_AFTER {
                tries.count = 0;
            }
            tries.count = tries.count.saturating_add(1);
            tries.last = now;
            tries.until = now + wait(tries.count);
            return Ok(());
        }
        if self.names.len() >= MOST_NAMES {
            self.make_room(now);
        }
        self.names.insert(name.into(), Tries { count: 1, last: now, until: now });
        Ok(())
    }

    /// The password was right: the name is as good as new.
    pub(super) fn succeed(&mut self, name: &str) {
        self.names.remove(name);
    }

    /// Forgets whoever is forgiven.
    pub(super) fn forget(&mut self, now: Instant) {
        self.names.retain(|_, tries| now.saturating_duration_since(tries.last) < FORGIVEN_AFTER);
    }

    /// Drops the name with the fewest tries, of these the oldest: a flood of new names pushes out itself.
    fn make_room(&mut self, now: Instant) {
        self.forget(now);
        if self.names.len() < MOST_NAMES {
            return;
        }
        let least = self.names.iter().min_by_key(|(_, tries)| (tries.count, tries.last));
        if let Some(name) = least.map(|(name, _)| name.clone()) {
            self.names.remove(&name);
        }
    }
}

/// The wait after the try of this number.
fn wait(count: u32) -> Duration {
    match count.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(further) => FIRST.saturating_mul(1 << further.min(10)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_to_a_minute_and_never_beyond() {
        let (mut backoff, mut now) = (Backoff::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..15 {
            assert_eq!(backoff.attempt("ann", now), Ok(()));
            let wait = backoff.attempt("ann", now).err().unwrap_or_default();
            if wait.is_zero() {
                // That second look was a try of its own.
                continue;
            }
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits[..7], [1, 2, 4, 8, 16, 32, 60]);
        assert!(waits[7..].iter().all(|wait| *wait == 60), "{waits:?}");
        assert_eq!(backoff.attempt("bob", now), Ok(()), "somebody else does not wait");
    }

    #[test]
    fn a_try_within_the_wait_neither_counts_nor_lengthens_it() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..FREE {
            assert_eq!(backoff.attempt("ann", now), Ok(()));
        }
        for _ in 0..100 {
            assert_eq!(backoff.attempt("ann", now), Err(FIRST));
        }
        assert_eq!(backoff.attempt("ann", now + FIRST), Ok(()));
    }

    #[test]
    fn the_right_password_and_a_quiet_quarter_of_an_hour_forgive_everything() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..FREE {
            assert_eq!(backoff.attempt("ann", now), Ok(()));
        }
        backoff.succeed("ann");
        for _ in 0..FREE {
            assert_eq!(backoff.attempt("ann", now), Ok(()));
        }
        let later = now + FORGIVEN_AFTER;
        assert_eq!(backoff.attempt("ann", later), Ok(()));
        assert_eq!(backoff.attempt("ann", later), Ok(()), "without a wait");
        backoff.forget(later + FORGIVEN_AFTER);
        assert!(backoff.names.is_empty());
    }

    #[test]
    fn a_flood_of_names_takes_bounded_space_and_pushes_nobody_out_who_waits() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..FREE {
            assert_eq!(backoff.attempt("ann", now), Ok(()));
        }
        for n in 0..MOST_NAMES + 100 {
            assert_eq!(backoff.attempt(&format!("u{n}"), now), Ok(()));
        }
        assert_eq!(backoff.names.len(), MOST_NAMES);
        assert_eq!(backoff.attempt("ann", now), Err(FIRST));
    }
}
