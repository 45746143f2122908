//! Who may try a password now. Pure.
//!
//! Where a name has logged in lately it has tries of its own; everywhere else all tries for it count together,
//! whether or not anybody has that name: a wait tells nothing of who exists. Only who shares an address with
//! somebody can find out that they have logged in from there.

use std::{
    hash::RandomState,
    time::{Duration, Instant},
};

use super::{known::Known, strangers::Strangers, tries::Counted};
use crate::actors::{identity::Id, recent::Recent};

/// Half of the names that have been tried and need not wait yet, and half of those that must. They are kept
/// apart, so that a flood of names that are tried once pushes out nobody who waits.
const HALF: usize = 8_192;

/// Who tries: for which name, from where. A place is `None` where only a proxy is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) name: Id,
    pub(super) place: Option<Id>,
}

impl Who {
    /// The site from where a stranger tries: whoever has a whole /48 takes turns like one. Those without any share one.
    fn somewhere(self) -> Id {
        self.place.map_or_else(|| Id::of_address(None), Id::site)
    }
}

/// A try that was let through and counts until it is known better.
#[derive(Debug, Clone, Copy)]
pub(super) struct Try {
    who: Who,
    is_known: bool,
    counted: Counted,
}

/// Tries by name, without the names themselves: people type passwords there. At most some 12 MiB.
#[derive(Debug)]
pub(super) struct Backoff {
    tried: Recent<Id, Strangers>,
    waiting: Recent<Id, Strangers>,
    known: Known,
    lots: RandomState,
}

impl Default for Backoff {
    fn default() -> Self {
        let (tried, waiting) = (Recent::new(HALF), Recent::new(HALF));
        Self { tried, waiting, known: Known::default(), lots: RandomState::new() }
    }
}

impl Backoff {
    /// Counts a try before its password is looked at, so that many at once count as many.
    ///
    /// # Errors
    /// How long to wait; such a try does not count.
    pub(super) fn attempt(&mut self, who: Who, now: Instant) -> Result<Try, Duration> {
        if let Some(tries) = who.place.and_then(|place| self.known.find(&who.name, &place)) {
            return tries.attempt(now).map(|counted| Try { who, is_known: true, counted });
        }
        let counted = self.attempt_as_stranger(who, now)?;
        Ok(Try { who, is_known: false, counted })
    }

    fn attempt_as_stranger(&mut self, who: Who, now: Instant) -> Result<Counted, Duration> {
        let place = who.somewhere();
        if let Some(strangers) = self.waiting.find(&who.name) {
            return strangers.attempt(place, now, &self.lots);
        }
        let mut strangers = self.tried.remove(&who.name).unwrap_or_else(|| Strangers::none(now));
        let counted = strangers.attempt(place, now, &self.lots);
        let kind = if strangers.is_waiting() { &mut self.waiting } else { &mut self.tried };
        kind.add(who.name, strangers);
        counted
    }

    /// The password of that try was never looked at: it is as if it had not been.
    pub(super) fn take_back(&mut self, tried: Try) {
        let Try { who, is_known, counted } = tried;
        if is_known {
            if let Some(tries) = who.place.and_then(|place| self.known.find(&who.name, &place)) {
                tries.take_back(counted);
            }
            return;
        }
        for kind in [&mut self.waiting, &mut self.tried] {
            if let Some(strangers) = kind.find(&who.name) {
                strangers.take_back(who.somewhere(), counted);
                if strangers.is_none() {
                    kind.remove(&who.name);
                }
                return;
            }
        }
    }

    /// The password was right: the place is known from now on, and whatever was tried from there is forgiven;
    /// not what strangers have tried, since they would have new tries whenever the owner logs in.
    pub(super) fn succeed(&mut self, tried: Try, now: Instant) {
        let Who { name, place } = tried.who;
        let Some(place) = place else {
            self.waiting.remove(&name);
            self.tried.remove(&name);
            return;
        };
        if !tried.is_known {
            self.take_back(tried);
        }
        self.known.remember(name, place, now);
    }

    /// Forgets whoever is forgiven.
    pub(super) fn forget(&mut self, now: Instant) {
        for kind in [&mut self.waiting, &mut self.tried] {
            kind.retain(|strangers| !strangers.is_forgiven(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            strangers::MOST_TURNS,
            tries::{FIRST, FORGIVEN_AFTER, FREE},
        },
        *,
    };

    fn from(name: &str, place: &str) -> Who {
        Who { name: Id::of_name(name), place: Some(Id::of_name(place)) }
    }

    fn numbered(name: u64, place: u64) -> Who {
        let id = |n: u64| Id((u128::from(n) << 64 | u128::from(n)).to_be_bytes());
        Who { name: id(name), place: Some(id(place)) }
    }

    /// Ann has logged in from home.
    fn ann_at_home(now: Instant) -> Backoff {
        let mut backoff = Backoff::default();
        let tried = backoff.attempt(from("ann", "home"), now).unwrap();
        backoff.succeed(tried, now);
        backoff
    }

    #[test]
    fn whoever_tries_without_end_from_many_places_keeps_the_owner_from_nothing_where_it_is_known() {
        let start = Instant::now();
        let mut backoff = ann_at_home(start);
        let bots: Vec<_> = (0..20).map(|bot| from("ann", &format!("bot{bot}"))).collect();
        let mut guesses = 0;
        for step in 0..7_200_u32 {
            let now = start + step * Duration::from_millis(500);
            guesses += bots.iter().filter(|bot| backoff.attempt(**bot, now).is_ok()).count();
            if step % 100 == 7 {
                let tried = backoff.attempt(from("ann", "home"), now).expect("the owner waits for nobody");
                backoff.succeed(tried, now);
            }
        }
        assert!(guesses <= 5 + 7 + 60, "{guesses} in an hour: the owner's logins gave strangers nothing");
    }

    #[test]
    fn whoever_has_known_a_password_once_has_no_more_tries_there_than_anybody() {
        let start = Instant::now();
        let mut backoff = ann_at_home(start);
        let hour = (0..36_000_u32).map(|step| start + step * Duration::from_millis(100));
        let guesses = hour.filter(|now| backoff.attempt(from("ann", "home"), *now).is_ok()).count();
        assert!((60..=5 + 7 + 60).contains(&guesses), "{guesses} in an hour");
        let later = start + Duration::from_secs(3_600);
        assert!(backoff.attempt(from("ann", "elsewhere"), later).is_ok(), "and takes none of the others'");
    }

    #[test]
    fn a_try_that_was_never_judged_does_not_count_anywhere() {
        let start = Instant::now();
        let mut backoff = ann_at_home(start);
        for who in [from("ann", "home"), from("ann", "bot"), from("nobody", "bot")] {
            for _ in 0..100 {
                let tried = backoff.attempt(who, start).expect("none counts");
                backoff.take_back(tried);
            }
            for n in 0..FREE {
                assert!(backoff.attempt(who, start).is_ok(), "{n}");
            }
            assert_eq!(backoff.attempt(who, start).unwrap_err(), FIRST);
            let tried = backoff.attempt(who, start + FIRST).unwrap();
            assert_eq!(backoff.attempt(who, start + FIRST).unwrap_err(), 2 * FIRST);
            backoff.take_back(tried);
            assert!(backoff.attempt(who, start + FIRST).is_ok(), "its turn is had again");
        }
    }

    #[test]
    fn a_name_that_nobody_has_waits_like_one_that_somebody_has() {
        let start = Instant::now();
        let mut backoff = ann_at_home(start);
        let mut tell = |name: &str| -> Vec<_> {
            let at = |step: u32| start + step * Duration::from_millis(700);
            (0..200).map(|step| backoff.attempt(from(name, "bot"), at(step)).map(drop)).collect()
        };
        assert_eq!(tell("ann"), tell("nobody"));
    }

    #[test]
    fn a_right_password_from_a_new_place_is_no_strangers_try_and_forgives_none() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        for _ in 1..FREE {
            assert!(backoff.attempt(from("ann", "bot"), now).is_ok());
        }
        let tried = backoff.attempt(from("ann", "office"), now).unwrap();
        backoff.succeed(tried, now);
        assert!(backoff.attempt(from("ann", "bot"), now).is_ok(), "the fifth is theirs");
        assert!(backoff.attempt(from("ann", "bot"), now).is_err());
        assert!(backoff.attempt(from("ann", "office"), now).is_ok());
    }

    #[test]
    fn where_only_a_proxy_is_known_nothing_is_and_a_login_forgives() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        let who = Who { place: None, ..from("ann", "") };
        for _ in 0..3 {
            for _ in 1..FREE {
                assert!(backoff.attempt(who, now).is_ok());
            }
            let tried = backoff.attempt(who, now).unwrap();
            backoff.succeed(tried, now);
        }
        assert_eq!(backoff.known.count(), 0);
    }

    #[test]
    fn a_million_names_take_no_more_than_was_said_and_push_out_nobody_who_waits() {
        let now = Instant::now();
        let mut backoff = ann_at_home(now);
        for _ in 0..FREE {
            assert!(backoff.attempt(from("ann", "bot"), now).is_ok());
        }
        for n in 0..1_000_000 {
            assert!(backoff.attempt(numbered(n, n), now).is_ok());
        }
        assert_eq!(backoff.attempt(from("ann", "bot"), now).unwrap_err(), FIRST);
        assert!(backoff.attempt(from("ann", "home"), now).is_ok());
        for n in 0..100_000 {
            let tried = backoff.attempt(numbered(n, n + 1), now);
            backoff.succeed(tried.unwrap(), now);
        }
        assert!(backoff.tried.count() <= 2 * HALF && backoff.waiting.count() <= 2 * HALF);
        assert!(backoff.known.count() <= 4 * HALF, "{}", backoff.known.count());
        // An entry at the emptiest that a map is before it grows again, and the turns beside those who wait.
        let (entry, turns) = (2 * size_of::<(Id, Strangers)>(), MOST_TURNS * size_of::<Id>());
        let most = 2 * HALF * (2 * entry + turns);
        assert!(most <= 12 << 20, "{most} bytes: say so where it is promised");
        backoff.forget(now + FORGIVEN_AFTER);
        assert_eq!(backoff.tried.count() + backoff.waiting.count(), 0);
    }
}
