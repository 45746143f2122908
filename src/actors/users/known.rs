//! From where names have logged in: there they have tries of their own, which no stranger can use up. Pure.

use std::time::Instant;

use super::tries::Tries;
use crate::actors::{identity::Id, recent::Recent};

/// Most places that are remembered of one name; the one from where it did not log in for longest goes first.
pub(super) const MOST_PLACES: usize = 8;
/// Half of the names that places are remembered of.
pub(super) const HALF: usize = 8_192;

/// The places of names. At most some 7 MiB, whoever logs in from wherever.
#[derive(Debug)]
pub(super) struct Known(Recent<Id, Vec<Place>>);

/// One place, with the tries from there. Whoever shares an address with the owner, or has known the password
/// once, has no more of them than anybody.
#[derive(Debug)]
struct Place {
    id: Id,
    tries: Tries,
}

impl Default for Known {
    fn default() -> Self {
        Self(Recent::new(HALF))
    }
}

impl Known {
    /// The tries for `name` from `place`, if it has logged in from there.
    pub(super) fn find(&mut self, name: &Id, place: &Id) -> Option<&mut Tries> {
        let places = self.0.find(name)?;
        places.iter_mut().find(|known| known.id == *place).map(|known| &mut known.tries)
    }

    /// `name` has logged in from `place`: whatever was tried there is forgiven.
    pub(super) fn remember(&mut self, name: Id, place: Id, now: Instant) {
        let mut places = self.0.remove(&name).unwrap_or_default();
        places.retain(|known| known.id != place);
        if places.len() >= MOST_PLACES {
            places.remove(0);
        }
        places.push(Place { id: place, tries: Tries::none(now) });
        self.0.add(name, places);
    }

    /// How many names there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> Id {
        Id::of_name(&n.to_string())
    }

    #[test]
    fn the_last_places_of_a_name_are_remembered_and_no_more() {
        let (mut known, now) = (Known::default(), Instant::now());
        for place in 0..8 {
            known.remember(id(1), id(place), now);
        }
        known.remember(id(1), id(0), now);
        known.remember(id(1), id(99), now);
        let there: Vec<_> = (0..8).filter(|place| known.find(&id(1), &id(*place)).is_some()).collect();
        assert_eq!(there, [0, 2, 3, 4, 5, 6, 7], "the one that was not used for longest has gone");
        assert!(known.find(&id(1), &id(99)).is_some());
        assert!(known.find(&id(2), &id(99)).is_none(), "somebody else's name");
    }

    #[test]
    fn however_many_log_in_from_wherever_it_takes_no_more_than_was_said() {
        let (mut known, now) = (Known::default(), Instant::now());
        for name in 0..3 * HALF as u32 {
            known.remember(id(name), id(name), now);
        }
        assert!(known.count() <= 2 * HALF);
        // An entry at the emptiest that a map is before it grows again, and its places.
        let (entry, places) = (2 * size_of::<(Id, Vec<Place>)>(), MOST_PLACES * size_of::<Place>());
        let most = 2 * HALF * (entry + places);
        assert!(most <= 7 << 20, "{most} bytes: say so where it is promised");
    }

    #[test]
    fn a_place_has_waits_of_its_own_and_a_login_forgives_them() {
        let (mut known, now) = (Known::default(), Instant::now());
        known.remember(id(1), id(1), now);
        known.remember(id(1), id(2), now);
        let mut try_from = |place| known.find(&id(1), &id(place)).unwrap().attempt(now).is_ok();
        assert_eq!((0..9).filter(|_| try_from(1)).count(), 5);
        assert_eq!((0..9).filter(|_| try_from(2)).count(), 5);
        known.remember(id(1), id(1), now);
        assert!(known.find(&id(1), &id(1)).unwrap().attempt(now).is_ok());
        assert!(known.find(&id(1), &id(2)).unwrap().attempt(now).is_err());
    }
}
