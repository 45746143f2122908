//! Tries for one name from where it has never logged in. They wait together, and take turns. Pure.
//!
//! If everybody waited alone, many addresses could guess many times as fast; so there is one wait for all of
//! them. If whoever comes first had the next try, the one who asks most often would have all of them; so the
//! next try is for whoever asked meanwhile and has had the fewest, and among equals it is drawn.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use super::tries::{Counted, Tries};
use crate::actors::identity::Id;

/// For how long a turn is kept for whoever has it: the wait that was told is in whole seconds, and takes a
/// moment to come back from.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(5);
/// Most places of which it is remembered that they have had a turn lately.
pub(super) const MOST_TURNS: usize = 16;

/// The strangers who try one name.
#[derive(Debug)]
pub(super) struct Strangers {
    tries: Tries,
    next: Option<Next>,
    /// Who has had a turn, the latest last.
    turns: VecDeque<Id>,
}

/// Who has the next turn.
#[derive(Debug, Clone, Copy)]
struct Next {
    place: Id,
    /// The least one wins: how lately it had a turn, and its lot.
    order: (usize, u64),
}

impl Strangers {
    /// Nobody has tried yet.
    pub(super) fn none(now: Instant) -> Self {
        Self { tries: Tries::none(now), next: None, turns: VecDeque::new() }
    }

    /// Counts a try from `place`, if it is its turn; `lots` must be the same for all of them, and secret.
    ///
    /// # Errors
    /// How long to wait before it is worth asking again; such a try does not count.
    pub(super) fn attempt(
        &mut self,
        place: Id,
        now: Instant,
        lots: &RandomState,
    ) -> Result<Counted, Duration> {
        if self.is_forgiven(now) {
            *self = Self::none(now);
        }
        if !self.tries.is_waiting() {
            return self.tries.attempt(now);
        }
        let (until, kept_until) = (self.tries.until(), self.tries.until() + KEPT_FOR);
        if let Some(next) = self.next.filter(|next| now >= kept_until && next.place != place) {
            // It did not come. That was its turn, else one who never comes could keep others from theirs.
            self.next = None;
            self.had_turn(next.place);
        }
        self.ask(place, lots);
        if now < until {
            return Err(until - now);
        }
        if self.next.is_some_and(|next| next.place != place) {
            return Err(kept_until.saturating_duration_since(now));
        }
        self.next = None;
        self.had_turn(place);
        self.tries.attempt(now)
    }

    /// It is as if that try from `place` had not been.
    pub(super) fn take_back(&mut self, place: Id, counted: Counted) {
        self.tries.take_back(counted);
        self.turns.retain(|known| *known != place);
    }

    /// Whether the next one must wait.
    pub(super) fn is_waiting(&self) -> bool {
        self.tries.is_waiting()
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_none(&self) -> bool {
        self.tries.is_none()
    }

    /// Whether so much time has gone by that nothing counts any more.
    pub(super) fn is_forgiven(&self, now: Instant) -> bool {
        self.tries.is_forgiven(now)
    }

    /// Draws the lot of `place` for the next turn; asking again draws the same one.
    fn ask(&mut self, place: Id, lots: &RandomState) {
        let lately = self.turns.iter().position(|known| *known == place).map_or(0, |at| at + 1);
        let order = (lately, lots.hash_one((self.tries.last(), place)));
        if self.next.is_none_or(|next| order < next.order) {
            self.next = Some(Next { place, order });
        }
    }

    fn had_turn(&mut self, place: Id) {
        self.turns.retain(|known| *known != place);
        if self.turns.len() >= MOST_TURNS {
            self.turns.pop_front();
        }
        self.turns.push_back(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One who asks for a turn, and when again.
    struct Asker {
        place: Id,
        asks_at: Duration,
        manner: Manner,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Manner {
        /// Asks all the time, and takes whatever it gets.
        Polls,
        /// Asks all the time while there is a wait, and does not come for its turn.
        Blocks,
        /// Waits as long as it is told, in whole seconds.
        Obeys,
    }

    fn asker(name: &str, manner: Manner) -> Asker {
        Asker { place: Id::of_name(name), asks_at: Duration::ZERO, manner }
    }

    /// When the one who obeys has its turn, who begins to ask after `begins` of others asking.
    fn turn_of_the_owner(others: Vec<Asker>, begins: Duration) -> Duration {
        let (lots, start) = (RandomState::new(), Instant::now());
        let mut strangers = Strangers::none(start);
        let mut all = others;
        all.push(Asker { asks_at: begins, ..asker("owner", Manner::Obeys) });
        loop {
            let next = all.iter_mut().min_by_key(|asker| asker.asks_at).unwrap();
            let now = next.asks_at;
            assert!(now < Duration::from_secs(86_400), "it is locked out");
            let due = strangers.is_waiting() && strangers.tries.until() <= start + now;
            let answer = match next.manner {
                Manner::Blocks if due || !strangers.is_waiting() => Err(Duration::ZERO),
                _ => strangers.attempt(next.place, start + now, &lots).map(drop),
            };
            let told =
                Duration::from_secs(answer.err().unwrap_or_default().as_millis().div_ceil(1_000) as u64);
            match next.manner {
                Manner::Obeys if answer.is_ok() => return now - begins,
                Manner::Obeys => next.asks_at += told + Duration::from_millis(300),
                Manner::Polls | Manner::Blocks => next.asks_at += Duration::from_millis(500),
            }
        }
    }

    #[test]
    fn against_so_many_who_ask_without_end_it_waits_for_one_turn_of_each_and_its_own() {
        for many in [1, 2, 5, 16].repeat(10) {
            let others: Vec<_> = (0..many).map(|n| asker(&format!("bot{n}"), Manner::Polls)).collect();
            let took = turn_of_the_owner(others, Duration::from_secs(600));
            let most = Duration::from_secs(65) * (many + 1);
            assert!(took <= most, "{took:?} against {many}");
        }
    }

    #[test]
    fn whoever_takes_places_and_does_not_come_keeps_nobody_from_theirs() {
        for _ in 0..20 {
            let mut others: Vec<_> = (0..8).map(|n| asker(&format!("block{n}"), Manner::Blocks)).collect();
            others.push(asker("bot", Manner::Polls));
            let took = turn_of_the_owner(others, Duration::from_secs(600));
            assert!(took <= Duration::from_secs(65) * 10, "{took:?}");
        }
    }

    #[test]
    fn against_more_than_are_remembered_it_is_a_draw_and_no_lock() {
        let others = (0..40).map(|n| asker(&format!("bot{n}"), Manner::Polls)).collect();
        turn_of_the_owner(others, Duration::from_secs(600));
    }

    #[test]
    fn many_places_together_have_no_more_tries_than_one() {
        let (lots, start) = (RandomState::new(), Instant::now());
        let mut strangers = Strangers::none(start);
        let mut through = 0;
        for step in 0..36_000_u32 {
            let place = Id::of_name(&(step % 200).to_string());
            let now = start + step * Duration::from_millis(100);
            through += u32::from(strangers.attempt(place, now, &lots).is_ok());
        }
        // Five, then 1 + 2 + 4 + 8 + 16 + 32 seconds, then one a minute.
        assert!(through <= 5 + 7 + 60, "{through} in an hour");
        assert!(strangers.turns.len() <= MOST_TURNS);
    }

    #[test]
    fn a_turn_that_is_taken_back_is_had_again() {
        let (lots, start) = (RandomState::new(), Instant::now());
        let [owner, bot] = ["owner", "bot"].map(Id::of_name);
        let mut strangers = Strangers::none(start);
        for _ in 0..5 {
            assert!(strangers.attempt(bot, start, &lots).is_ok());
        }
        let later = strangers.tries.until();
        let counted = strangers.attempt(owner, later, &lots).unwrap();
        assert!(strangers.attempt(owner, later, &lots).is_err());
        strangers.take_back(owner, counted);
        assert!(strangers.attempt(owner, later, &lots).is_ok());
    }
}
