//! What has been revoked: a table that outlives the actor which writes it.

use std::collections::HashMap;

use parking_lot::RwLock;

use crate::{
    actors::{epoch::Epoch, freshness::Freshness},
    domain::{AccessClaims, RefreshClaims, Timestamp},
    store::{Revocation, RevocationTarget},
};

/// Everything issued up to a moment is revoked, until the last of it has expired.
#[derive(Debug, Clone, Copy)]
struct Span {
    at: Timestamp,
    until: Timestamp,
}

#[derive(Debug, Default)]
struct Tables {
    jtis: HashMap<Box<str>, Timestamp>,
    subjects: HashMap<Box<str>, Span>,
    clients: HashMap<Box<str>, Span>,
}

/// Revocations in force. Workers read it only when the epoch has moved; the actor alone writes.
#[derive(Debug)]
pub(super) struct Revoked {
    tables: RwLock<Tables>,
    epoch: Epoch,
    pub(super) fresh: Freshness,
}

impl Revoked {
    /// Nothing is revoked yet, as of row `from` of the feed.
    pub(super) fn new(from: u64, epoch: Epoch) -> Self {
        Self { tables: RwLock::default(), epoch, fresh: Freshness::new(from) }
    }

    /// Adds to the tables, then moves the epoch: in this order, so that whoever sees the new epoch also
    /// finds the entry. An entry that is there already is only ever widened.
    pub(super) fn apply(&self, revocations: &[Revocation]) {
        if revocations.is_empty() {
            return;
        }
        let mut tables = self.tables.write();
        for revocation in revocations {
            let span = Span { at: revocation.at, until: revocation.until };
            match &revocation.target {
                RevocationTarget::Jti(jti) => {
                    let until = tables.jtis.entry(jti.as_str().into()).or_insert(span.until);
                    *until = span.until.max(*until);
                }
                RevocationTarget::Subject(subject) => widen(&mut tables.subjects, subject.as_str(), span),
                RevocationTarget::Client(client) => widen(&mut tables.clients, client.as_str(), span),
            }
        }
        drop(tables);
        self.epoch.advance();
    }

    /// Those that matter at `now`, as the store keeps them.
    pub(super) fn live(&self, now: Timestamp) -> Vec<Revocation> {
        let tables = self.tables.read();
        // One credential is taken back whenever it was issued, so since when is not known here.
        let jtis = tables.jtis.iter().map(|(jti, until)| {
            let target = RevocationTarget::Jti(jti.to_string());
            Revocation { target, at: now, until: *until }
        });
        let all_of = |target, span: &Span| Revocation { target, at: span.at, until: span.until };
        let subjects = tables.subjects.iter();
        let subjects = subjects.map(|(name, span)| all_of(RevocationTarget::Subject(name.to_string()), span));
        let clients = tables.clients.iter();
        let clients = clients.map(|(name, span)| all_of(RevocationTarget::Client(name.to_string()), span));
        jtis.chain(subjects).chain(clients).filter(|one| one.is_live(now)).collect()
    }

    /// Those that matter at `now` and are not among those that are `kept` elsewhere.
    pub(super) fn missing_in(&self, kept: &[Revocation], now: Timestamp) -> Vec<Revocation> {
        let kept: HashMap<_, _> = kept.iter().map(|one| (&one.target, one)).collect();
        let mut missing = self.live(now);
        missing.retain(|one| !kept.get(&one.target).is_some_and(|kept| kept.covers(one)));
        missing
    }

    /// Whether `one` would add nothing.
    pub(super) fn covers(&self, one: &Revocation) -> bool {
        let tables = self.tables.read();
        let within = |span: Option<&Span>| span.is_some_and(|s| one.at <= s.at && one.until <= s.until);
        match &one.target {
            RevocationTarget::Jti(jti) => {
                tables.jtis.get(jti.as_str()).is_some_and(|until| one.until <= *until)
            }
            RevocationTarget::Subject(subject) => within(tables.subjects.get(subject.as_str())),
            RevocationTarget::Client(client) => within(tables.clients.get(client.as_str())),
        }
    }

    /// Whether a token with these claims, issued at `issued`, has been revoked.
    pub(super) fn contains(&self, claims: &TokenIds<'_>) -> bool {
        let tables = self.tables.read();
        let within =
            |span: Option<&Span>| span.is_some_and(|span| claims.issued.millis() <= span.at.millis());
        tables.jtis.contains_key(claims.jti)
            || within(tables.subjects.get(claims.subject))
            || within(tables.clients.get(claims.client))
    }

    /// Drops what has ended by itself: a token past its end needs no entry.
    pub(super) fn forget_ended(&self, now: Timestamp) {
        let mut tables = self.tables.write();
        tables.jtis.retain(|_, until| *until > now);
        tables.subjects.retain(|_, span| span.until > now);
        tables.clients.retain(|_, span| span.until > now);
    }
}

fn widen(spans: &mut HashMap<Box<str>, Span>, name: &str, span: Span) {
    let known = spans.entry(name.into()).or_insert(span);
    known.at = known.at.max(span.at);
    known.until = known.until.max(span.until);
}

/// What of a token revocation looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenIds<'a> {
    /// The token's id.
    pub(super) jti: &'a str,
    /// Whom it speaks for.
    pub(super) subject: &'a str,
    /// The client that holds it.
    pub(super) client: &'a str,
    /// When it was issued.
    pub(super) issued: Timestamp,
}

impl<'a> TokenIds<'a> {
    /// Of verified claims.
    pub(super) fn of(claims: &'a AccessClaims) -> Self {
        Self {
            jti: &claims.jti,
            subject: &claims.sub,
            client: &claims.client_id,
            issued: super::keyring::issued_at(claims),
        }
    }

    /// Of the verified claims of a refresh token, which names no client: its family knows that.
    pub(super) fn of_refresh(claims: &'a RefreshClaims) -> Self {
        Self {
            jti: &claims.jti,
            subject: &claims.sub,
            client: "",
            issued: super::keyring::issued(&claims.jti, claims.iat),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(jti: &'static str, at: u64) -> TokenIds<'static> {
        TokenIds { jti, subject: "ada", client: "cli", issued: Timestamp::from_millis(at) }
    }

    fn revocation(target: RevocationTarget, at: u64, until: u64) -> Revocation {
        Revocation { target, at: Timestamp::from_millis(at), until: Timestamp::from_millis(until) }
    }

    #[test]
    fn a_subject_is_revoked_up_to_the_millisecond_and_not_beyond() {
        let revoked = Revoked::new(0, Epoch::default());
        revoked.apply(&[revocation(RevocationTarget::Subject("ada".into()), 1_000, 9_000)]);
        assert!(revoked.contains(&ids("a", 1_000)));
        assert!(!revoked.contains(&ids("a", 1_001)));
    }

    #[test]
    fn the_epoch_moves_with_each_change_and_only_then() {
        let revoked = Revoked::new(0, Epoch::default());
        let before = revoked.epoch.now();
        revoked.apply(&[]);
        assert_eq!(revoked.epoch.now(), before);
        revoked.apply(&[revocation(RevocationTarget::Jti("a".into()), 1, 2)]);
        assert_ne!(revoked.epoch.now(), before);
        assert!(revoked.contains(&ids("a", 5)) && !revoked.contains(&ids("b", 5)));
    }

    #[test]
    fn what_is_kept_elsewhere_is_not_missing_and_what_is_narrower_there_is() {
        let revoked = Revoked::new(0, Epoch::default());
        let all = [
            revocation(RevocationTarget::Jti("a".into()), 1_000, 9_000),
            revocation(RevocationTarget::Subject("ada".into()), 5_000, 9_000),
            revocation(RevocationTarget::Client("cli".into()), 5_000, 3_000),
        ];
        revoked.apply(&all);
        assert!(all.iter().all(|one| revoked.covers(one)));
        let now = Timestamp::from_millis(4_000);
        let targets = |kept: &[Revocation]| {
            let mut missing = revoked.missing_in(kept, now);
            missing.sort();
            missing.into_iter().map(|one| one.target).collect::<Vec<_>>()
        };
        assert_eq!(targets(&[]), [all[0].target.clone(), all[1].target.clone()], "what has ended is nothing");
        assert_eq!(targets(&all), []);
        let early = revocation(RevocationTarget::Subject("ada".into()), 4_999, 9_000);
        assert_eq!(targets(&[all[0].clone(), early.clone()]), [all[1].target.clone()]);
        let late = revocation(RevocationTarget::Subject("ada".into()), 5_001, 9_000);
        assert!(revoked.covers(&early) && !revoked.covers(&late));
        let again = revocation(RevocationTarget::Jti("a".into()), 8_000, 9_000);
        assert!(revoked.covers(&again), "since when does not matter");
        assert_eq!(targets(&[again, all[1].clone()]), []);
    }

    #[test]
    fn an_earlier_entry_never_narrows_a_later_one_and_ended_ones_go() {
        let revoked = Revoked::new(0, Epoch::default());
        revoked.apply(&[revocation(RevocationTarget::Client("cli".into()), 5_000, 9_000)]);
        revoked.apply(&[revocation(RevocationTarget::Client("cli".into()), 1_000, 2_000)]);
        revoked.forget_ended(Timestamp::from_millis(8_999));
        assert!(revoked.contains(&ids("a", 5_000)));
        revoked.forget_ended(Timestamp::from_millis(9_000));
        assert!(!revoked.contains(&ids("a", 5_000)));
    }
}
