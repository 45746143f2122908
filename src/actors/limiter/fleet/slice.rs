//! What this server holds of one bucket that servers share: pure bookkeeping.

use std::time::Duration;

use super::super::bucket::{Limit, Moment, span, ticks};
use crate::store::{Granted, LEASED_FOR};

/// A slice is not used for longer than this after it was asked for: by then nobody else may have it yet, however the
/// answer dawdled.
const HELD_FOR: Duration = Duration::from_secs(LEASED_FOR.as_secs() / 2);
/// How long nobody asks again for what could not be had, however long it was said to take.
const DRY_FOR: Duration = Duration::from_secs(1);
/// Part of a bucket that one server takes at most at once.
const LARGEST_PART: u32 = 8;

/// A slice.
#[derive(Debug, Default)]
pub(super) struct Slice {
    /// Calls that may be given away.
    left: u32,
    /// Calls that were, and have not been reported.
    used: u32,
    /// Calls that were asked for last.
    wanted: u32,
    /// Until when they may be given away.
    until: Moment,
    /// So many calls cannot be had before that moment, as was said.
    dry: Option<(u32, Moment)>,
    /// Until when that is believed: what others give back comes sooner.
    dry_until: Moment,
    /// Calls that were left in the bucket when it was asked last.
    elsewhere: u32,
    /// The limit of who asked last.
    limit: Option<Limit>,
    /// Whether it was taken from since it was last looked at.
    busy: bool,
    /// When this server's share is full again, while nobody can be asked.
    share: Moment,
}

/// What a claim comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Has {
    /// There is enough.
    Enough,
    /// Nobody has enough: so many are left in all, and so long it takes.
    Short {
        /// Whole calls.
        remaining: u64,
        /// Until there are enough.
        wait: Duration,
    },
    /// The bucket must be asked.
    Unknown,
}

/// What is said to the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) used: u32,
    pub(super) returned: u32,
    pub(super) needed: u32,
    pub(super) wanted: u32,
}

impl Slice {
    /// Whether `cost` calls may be taken at `now`.
    pub(super) fn has(&self, cost: u32, limit: Limit, now: Moment) -> Has {
        let left = self.left(now);
        if cost <= left {
            return Has::Enough;
        }
        if cost > limit.capacity {
            return Has::Short {
                remaining: u64::from(left) + u64::from(self.elsewhere),
                wait: Duration::ZERO,
            };
        }
        match self.dry {
            Some((calls, until)) if cost - left >= calls && now < self.dry_until => Has::Short {
                remaining: u64::from(left) + u64::from(self.elsewhere),
                wait: span(until.0 - now.0),
            },
            _ => Has::Unknown,
        }
    }

    /// Takes `cost` calls, which it [has](Self::has), or else its [share](Self::share_has) has.
    pub(super) fn take(&mut self, cost: u32, limit: Limit, servers: u32, now: Moment) {
        self.busy = true;
        if cost <= self.left(now) {
            self.left -= cost;
            self.used = self.used.saturating_add(cost);
        } else {
            self.share = self.share_after(cost, limit.part(servers), now);
        }
    }

    /// What to say when `cost` calls are wanted: more each time, since whoever asks often needs much.
    pub(super) fn ask(&mut self, cost: u32, limit: Limit, now: Moment) -> Report {
        self.limit = Some(limit);
        let report = self.report(!self.is_held(now));
        let most = (limit.capacity / LARGEST_PART).max(1);
        self.wanted = self.wanted.saturating_mul(2).clamp(1, most);
        let needed = cost.saturating_sub(self.left);
        Report { needed, wanted: self.wanted.max(needed), ..report }
    }

    /// What to say of a slice that nobody has taken from since the last look, or, if it is to go, in any case. What is
    /// left of it is given back. `None` if there is nothing to say.
    pub(super) fn settle(&mut self, goes: bool) -> Option<(Report, Limit)> {
        if std::mem::take(&mut self.busy) && !goes {
            return None;
        }
        self.wanted /= 2;
        let limit = self.limit.filter(|_| self.left > 0 || self.used > 0)?;
        Some((self.report(true), limit))
    }

    /// What is reported is never reported again, even if nobody hears it: then it counts as held until the lease ends,
    /// and as used after that.
    fn report(&mut self, gives_back: bool) -> Report {
        let returned = if gives_back { std::mem::take(&mut self.left) } else { 0 };
        Report { used: std::mem::take(&mut self.used), returned, needed: 0, wanted: 0 }
    }

    /// Takes in what was answered to a question that was asked at `asked`.
    pub(super) fn credit(&mut self, report: Report, granted: Granted, asked: Moment) {
        self.elsewhere = granted.left;
        if granted.calls == 0 {
            let until = Moment(asked.0.saturating_add(ticks(granted.wait)));
            self.dry_until = until.min(Moment(asked.0.saturating_add(ticks(DRY_FOR))));
            self.dry = (report.wanted > 0).then_some((report.needed, until));
            return;
        }
        self.dry = None;
        self.left = self.left.saturating_add(granted.calls);
        self.until = Moment(asked.0.saturating_add(ticks(HELD_FOR)));
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_idle(&self, now: Moment) -> bool {
        let is_dry = self.dry.is_some() && now < self.dry_until;
        self.left == 0 && self.used == 0 && !self.busy && !is_dry && self.share <= now
    }

    /// Whether this server's share of the bucket, one part of `servers`, has `cost` calls: what counts while nobody can
    /// be asked.
    ///
    /// # Errors
    /// How long it takes until it has.
    pub(super) fn share_has(
        &self,
        cost: u32,
        limit: Limit,
        servers: u32,
        now: Moment,
    ) -> Result<(), Duration> {
        let part = limit.part(servers);
        let backlog = self.share_after(cost, part, now).0 - now.0;
        if backlog > part.depth() { Err(span(backlog - part.depth())) } else { Ok(()) }
    }

    fn share_after(&self, cost: u32, part: Limit, now: Moment) -> Moment {
        Moment(self.share.max(now).0.saturating_add(part.of_calls(cost)))
    }

    fn left(&self, now: Moment) -> u32 {
        if self.is_held(now) { self.left } else { 0 }
    }

    fn is_held(&self, now: Moment) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::Rate, *};

    const SECOND: u128 = 1_024_000_000_000;

    fn limit() -> Limit {
        Limit::new(Rate { capacity: 80, refill_per_second: 10.0 })
    }

    fn at(secs: u128) -> Moment {
        Moment(secs * SECOND)
    }

    fn granted(calls: u32, left: u32, wait_ms: u64) -> Granted {
        Granted { calls, left, wait: Duration::from_millis(wait_ms) }
    }

    #[test]
    fn a_slice_is_given_away_call_by_call_and_grows_with_demand() {
        let mut slice = Slice::default();
        assert_eq!(slice.has(1, limit(), at(0)), Has::Unknown);
        for (round, wanted) in [1, 2, 4, 8, 10, 10].into_iter().enumerate() {
            let used = if round == 0 { 0 } else { [1, 2, 4, 8, 10][round - 1] };
            let report = slice.ask(1, limit(), at(0));
            assert_eq!(report, Report { used, returned: 0, needed: 1, wanted });
            slice.credit(report, granted(wanted, 40, 0), at(0));
            for _ in 0..wanted {
                assert_eq!(slice.has(1, limit(), at(1)), Has::Enough);
                slice.take(1, limit(), 1, at(1));
            }
            assert_eq!(slice.has(1, limit(), at(1)), Has::Unknown);
        }
    }

    #[test]
    fn a_slice_that_grew_old_is_given_back_and_not_away() {
        let mut slice = Slice::default();
        let report = slice.ask(1, limit(), at(0));
        slice.credit(report, granted(5, 0, 0), at(0));
        slice.take(1, limit(), 1, at(0));
        assert_eq!(slice.has(4, limit(), at(4)), Has::Enough);
        assert_eq!(slice.has(1, limit(), at(5)), Has::Unknown);
        assert_eq!(slice.ask(1, limit(), at(5)), Report { used: 1, returned: 4, needed: 1, wanted: 2 });
    }

    #[test]
    fn a_bucket_that_was_said_to_be_dry_for_long_is_asked_again_after_a_second() {
        let mut slice = Slice::default();
        let report = slice.ask(3, limit(), at(0));
        slice.credit(report, granted(0, 2, 90_000), at(0));
        let short = Has::Short { remaining: 2, wait: Duration::from_millis(89_500) };
        assert_eq!(slice.has(3, limit(), Moment(SECOND / 2)), short, "the wait is the whole one");
        assert_eq!(slice.has(3, limit(), at(1)), Has::Unknown, "others may have given back");
    }

    #[test]
    fn a_dry_bucket_is_not_asked_again_before_its_time() {
        let mut slice = Slice::default();
        let report = slice.ask(3, limit(), at(0));
        slice.credit(report, granted(0, 2, 900), at(0));
        let short = Has::Short { remaining: 2, wait: Duration::from_millis(400) };
        let soon = Moment(SECOND / 2);
        assert_eq!(slice.has(3, limit(), soon), short);
        assert_eq!(slice.has(4, limit(), soon), short);
        assert_eq!(slice.has(2, limit(), soon), Has::Unknown, "for less there may be enough");
        assert_eq!(slice.has(3, limit(), at(1)), Has::Unknown);
        assert!(matches!(slice.has(81, limit(), at(1)), Has::Short { .. }), "never");
        assert!(!slice.is_idle(soon) && slice.is_idle(at(1)));
    }

    #[test]
    fn what_nobody_takes_from_goes_back() {
        let mut slice = Slice::default();
        let report = slice.ask(1, limit(), at(0));
        slice.credit(report, granted(8, 0, 0), at(0));
        slice.take(3, limit(), 1, at(0));
        assert_eq!(slice.settle(false), None, "it was taken from");
        assert_eq!(
            slice.settle(false),
            Some((Report { used: 3, returned: 5, needed: 0, wanted: 0 }, limit()))
        );
        assert_eq!(slice.settle(true), None);
        assert!(slice.is_idle(at(0)));
    }

    /// Calls of one that the share gives away at `now`, and the wait for the next.
    fn shared_out(slice: &mut Slice, servers: u32, now: Moment) -> (u32, Duration) {
        let mut taken = 0;
        loop {
            match slice.share_has(1, limit(), servers, now) {
                Ok(()) => slice.take(1, limit(), servers, now),
                Err(wait) => return (taken, wait),
            }
            taken += 1;
        }
    }

    #[test]
    fn a_share_is_its_part_of_the_bucket_and_fills_at_its_part_of_the_rate() {
        let mut slice = Slice::default();
        assert_eq!(shared_out(&mut slice, 4, at(0)), (20, Duration::from_millis(400)));
        assert_eq!(shared_out(&mut slice, 4, at(2)), (5, Duration::from_millis(400)));
        let mut small = Slice::default();
        assert_eq!(shared_out(&mut small, 1_000, at(0)).0, 1, "one call is the least that a share holds");
    }

    #[test]
    fn what_is_held_counts_before_the_share_does() {
        let mut slice = Slice::default();
        let report = slice.ask(1, limit(), at(0));
        slice.credit(report, granted(3, 0, 0), at(0));
        assert_eq!(slice.has(3, limit(), at(0)), Has::Enough);
        slice.take(3, limit(), 4, at(0));
        assert_eq!(
            slice.settle(true),
            Some((Report { used: 3, returned: 0, needed: 0, wanted: 0 }, limit()))
        );
        assert_eq!(shared_out(&mut slice, 4, at(0)).0, 20);
    }
}
