//! Revocations that the store has taken from us, until its feed brings them: one that it does not bring was lost with a
//! node of the store, and nobody else knows of it.

use std::time::Instant;

use crate::store::Revocation;

/// Those that the feed has not brought yet, and since when.
#[derive(Debug, Default)]
pub(super) struct Awaited(Vec<(Revocation, Instant)>);

impl Awaited {
    /// The store had taken these at `now`.
    pub(super) fn add(&mut self, revocations: impl IntoIterator<Item = Revocation>, now: Instant) {
        self.0.extend(revocations.into_iter().map(|one| (one, now)));
    }

    /// The feed was at its end at `at`, and has brought these since it was there last. Gives those which it should have
    /// brought by then.
    pub(super) fn lost(&mut self, brought: &[Revocation], at: Instant) -> Vec<Revocation> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let covers = |one: &Revocation| brought.iter().any(|b| b.target == one.target && b.covers(one));
        self.0.retain(|(one, _)| !covers(one));
        self.0.extract_if(.., |(_, since)| *since < at).map(|(one, _)| one).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{domain::Timestamp, store::RevocationTarget};

    fn revocation(jti: &str) -> Revocation {
        let (at, until) = (Timestamp::from_secs(1), Timestamp::from_secs(2));
        Revocation { target: RevocationTarget::Jti(jti.into()), at, until }
    }

    #[test]
    fn what_the_feed_brings_is_awaited_no_more_and_what_it_should_have_brought_is_lost() {
        let (mut awaited, began) = (Awaited::default(), Instant::now());
        let after = |ms| began + Duration::from_millis(ms);
        awaited.add([revocation("a"), revocation("b")], after(10));
        assert_eq!(awaited.lost(&[], after(9)), [], "the feed was read before");
        assert_eq!(awaited.lost(&[revocation("a")], after(10)), []);
        awaited.add([revocation("c")], after(20));
        assert_eq!(awaited.lost(&[], after(15)), [revocation("b")]);
        assert_eq!(awaited.lost(&[revocation("c")], after(30)), []);
        assert_eq!(awaited.lost(&[], after(40)), [], "each is lost once");
    }
}
