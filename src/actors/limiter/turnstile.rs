//! What a worker holds of the limiter: the buckets of those it serves. None of them costs a message, except
//! an identity's first sight.

use std::{cell::RefCell, net::IpAddr, sync::Arc, time::Instant};

use super::{
    Exceeded, InFlight, LimitError, Limiter, Mode, Scope,
    actor::LimiterActor,
    bucket::{Bucket, Claim, Class, Moment, Short, take},
    fleet::Wanted,
    messages::Open,
    shared::{ADDRESS, FAILURES, FALLBACK, Shared, ToolGate},
    table::Id,
    tally::Refused,
};
use crate::{
    actors::{kit::Seat, recent::Recent},
    domain::{Principal, PrincipalKind, RequestId, Timestamp},
};

/// Half of the addresses, and half of the principals, whose buckets one worker holds.
const HALF: usize = 4_096;
/// Wait that is told where all places for calls of a tool are taken: nobody knows when one ends.
const ROOM_WAIT: std::time::Duration = std::time::Duration::from_millis(100);

/// One request, as far as limits are concerned.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// Which.
    pub request: RequestId,
    /// When, by the wall clock: for the record.
    pub time: Timestamp,
    /// When, by the clock that never jumps: what counts.
    pub clock: Instant,
    /// From where.
    pub ip: Option<IpAddr>,
    /// What it asks for.
    pub path: &'a str,
    /// The epoch of the credentials, read before its own was looked at: what its principal is worth holds as
    /// of then.
    pub epoch: u64,
}

/// One worker's way through the limits. It must stay on its thread.
///
/// Whoever looks at credentials asks [`may_try`](Self::may_try) before, and tells [`failed`](Self::failed) of
/// each that does not hold; whoever serves a known caller asks [`principal`](Self::principal). A refusal by
/// an empty bucket ([`LimitError::Exceeded`], which alone has a [`Quota`](crate::error::Quota)) is recorded
/// and counted here: the request's own record is then given up unwritten.
pub struct Turnstile {
    limiter: Limiter,
    addresses: RefCell<Recent<Id, Arc<Bucket>>>,
    /// By where the principal stands in memory: it is held, so no other one can stand there.
    principals: RefCell<Recent<usize, Known>>,
}

/// A principal whose buckets a worker holds.
struct Known {
    principal: Arc<Principal>,
    class: Class,
    user: Held,
    key: Option<Held>,
}

/// A bucket with the identity that it belongs to.
struct Held {
    id: Id,
    bucket: Arc<Bucket>,
    /// False for the one that identities share for which there is no place.
    own: bool,
}

impl Known {
    fn claim<'a>(&self, scope: Scope, held: &'a Held, (cost, epoch): (u32, u64)) -> Claim<'a> {
        let class = if held.own { self.class } else { FALLBACK };
        Claim { scope, bucket: &held.bucket, class, epoch, cost }
    }

    fn id_of(&self, scope: Scope) -> Id {
        match (&self.key, scope) {
            (Some(key), Scope::Key) => key.id,
            _ => self.user.id,
        }
    }
}

impl Turnstile {
    pub(super) fn new(limiter: Limiter) -> Self {
        Self {
            limiter,
            addresses: RefCell::new(Recent::new(HALF)),
            principals: RefCell::new(Recent::new(HALF)),
        }
    }

    /// Takes one request from the address, before anybody is asked who it is.
    ///
    /// # Errors
    /// [`LimitError`]; the caller then writes no record of its own if it is [`LimitError::Exceeded`].
    pub async fn address(&self, visit: &Visit<'_>) -> Result<(), LimitError> {
        if self.is_off() {
            return Ok(());
        }
        let id = Id::of_address(visit.ip);
        let now = self.now(visit);
        if let Some(fleet) = &self.shared().fleet {
            let wanted =
                Wanted { scope: Scope::Address, id, limit: self.shared().limits.of(ADDRESS), cost: 1 };
            let taken = match fleet.take(&[Some(wanted), None, None], now) {
                Err(lack) => Box::pin(self.ask_for(fleet, [Some(wanted), None, None], lack)).await?,
                Ok(()) => return Ok(()),
            };
            return taken.or_else(|short| self.refuse(short.exceeded, id, (visit, None, None)));
        }
        let of_known = |bucket: &mut Arc<Bucket>| self.take_one(Scope::Address, bucket, now);
        let known = self.addresses.borrow_mut().find(&id).map(of_known);
        let taken = match known {
            Some(taken) => taken,
            None => {
                // Boxed, as it is rare: the future of every request would carry it.
                let held = Box::pin(self.open(Scope::Address, id, ADDRESS)).await?;
                let taken = self.take_one(Scope::Address, &held.bucket, now);
                if held.own {
                    self.addresses.borrow_mut().add(id, held.bucket);
                }
                taken
            }
        };
        taken.or_else(|short| self.refuse(short.into(), id, (visit, None, None)))
    }

    /// Whether so many credentials from this address have failed that no further one is looked at. Counts
    /// nothing; what a worker has verified already needs no look.
    pub fn has_failed_often(&self, visit: &Visit<'_>) -> bool {
        self.failed_often(visit).is_some()
    }

    /// Refuses to look at a credential if too many from this address have failed.
    ///
    /// # Errors
    /// [`LimitError::Exceeded`], or [`LimitError::Audit`].
    pub fn may_try(&self, visit: &Visit<'_>) -> Result<(), LimitError> {
        let Some(short) = self.failed_often(visit) else { return Ok(()) };
        if self.shared().mode != Mode::Enforce {
            // Looked at all the same, and counted once it has failed.
            return Ok(());
        }
        self.refuse(short.into(), Id::of_address(visit.ip), (visit, None, None))
    }

    /// Takes one failure from the address. Call it for each credential that was looked at and does not hold.
    ///
    /// # Errors
    /// [`LimitError::Exceeded`]: so many failed at once that this one is refused as such, not as a failure.
    pub async fn failed(&self, visit: &Visit<'_>) -> Result<(), LimitError> {
        if self.is_off() {
            return Ok(());
        }
        let id = Id::of_address(visit.ip);
        let held = self.open(Scope::Failures, id, FAILURES).await?;
        let now = self.now(visit);
        let Err(short) = self.take_one(Scope::Failures, &held.bucket, now) else { return Ok(()) };
        // It was looked at all the same, beside others that came at once: the address pays for it later.
        let owed = held.bucket.owe(&self.shared().limits, &single(Scope::Failures, &held.bucket), now);
        self.refuse(owed.unwrap_or(short).into(), id, (visit, None, None))
    }

    /// Takes one request, or the cost of `tool`, from the principal, its key and the tool: from all or from
    /// none. What comes with success is to be held while the tool runs.
    ///
    /// # Errors
    /// [`LimitError`]; the caller then writes no record of its own if it is [`LimitError::Exceeded`].
    pub async fn principal(
        &self,
        visit: &Visit<'_>,
        principal: &Arc<Principal>,
        tool: Option<&'static str>,
    ) -> Result<Option<InFlight>, LimitError> {
        if self.is_off() {
            return Ok(None);
        }
        let gate = tool.and_then(|name| self.shared().tools.get(name));
        if let Some(fleet) = &self.shared().fleet {
            let passed = self.pass_shared(fleet, principal, (gate, tool), self.now(visit)).await?;
            return passed.or_else(|stopped| self.stop(stopped, (visit, Some(principal), tool)));
        }
        let now = (self.now(visit), visit.epoch);
        let passed = match self.pass_known(principal, gate, now) {
            Some(passed) => passed,
            None => {
                let known = Box::pin(self.meet(principal)).await?;
                let passed = self.pass(&known, gate, now);
                if known.user.own && known.key.as_ref().is_none_or(|key| key.own) {
                    self.principals.borrow_mut().add(place(principal), known);
                }
                passed
            }
        };
        passed.or_else(|stopped| self.stop(stopped, (visit, Some(principal), tool)))
    }

    /// Takes one request from a principal who will not come back soon: this worker keeps nothing of it, so
    /// that those stay at hand who do.
    ///
    /// # Errors
    /// As of [`principal`](Self::principal).
    pub async fn passing(&self, visit: &Visit<'_>, principal: &Arc<Principal>) -> Result<(), LimitError> {
        if self.is_off() {
            return Ok(());
        }
        if self.shared().fleet.is_some() {
            return self.principal(visit, principal, None).await.map(drop);
        }
        let known = self.meet(principal).await?;
        let passed = self.pass(&known, None, (self.now(visit), visit.epoch)).map(drop);
        passed.or_else(|stopped| self.refuse(stopped.exceeded, stopped.id, (visit, Some(principal), None)))
    }

    /// Takes from the buckets of a principal that this worker knows; `None` if it does not.
    fn pass_known(
        &self,
        principal: &Arc<Principal>,
        gate: Option<&ToolGate>,
        now: (Moment, u64),
    ) -> Option<Result<Option<InFlight>, Stopped>> {
        let mut principals = self.principals.borrow_mut();
        let known =
            principals.find(&place(principal)).filter(|known| Arc::ptr_eq(&known.principal, principal));
        known.map(|known| self.pass(known, gate, now))
    }

    /// Takes from buckets that are at hand.
    fn pass(
        &self,
        known: &Known,
        gate: Option<&ToolGate>,
        (now, epoch): (Moment, u64),
    ) -> Result<Option<InFlight>, Stopped> {
        let entered = enter(gate, known.user.id)?;
        let (cost, epoch) = (gate.map_or(1, |gate| gate.cost), epoch);
        let claim = |scope, held| known.claim(scope, held, (cost, epoch));
        let tools_own = gate.and_then(|gate| gate.bucket.as_ref());
        let claims = [
            Some(claim(Scope::User, &known.user)),
            known.key.as_ref().map(|key| claim(Scope::Key, key)),
            tools_own.map(|(bucket, class)| Claim { scope: Scope::Tool, bucket, class: *class, epoch, cost }),
        ];
        let taken = take(&self.shared().limits, claims, now);
        taken.map(|()| entered).map_err(|short| Stopped::by(short, known.id_of(short.scope)))
    }

    /// The buckets of a principal that this worker does not know.
    async fn meet(&self, principal: &Arc<Principal>) -> Result<Known, LimitError> {
        let class = self.shared().class_of(principal);
        let user = self.open(Scope::User, Id::of_name(principal.id.as_str()), class).await?;
        let key = match principal.kind {
            PrincipalKind::ApiKey => {
                Some(self.open(Scope::Key, Id::of_name(&principal.credential), class).await?)
            }
            PrincipalKind::Jwt | PrincipalKind::Local | PrincipalKind::Unknown => None,
        };
        Ok(Known { principal: Arc::clone(principal), class, user, key })
    }

    async fn open(&self, scope: Scope, id: Id, class: Class) -> Result<Held, LimitError> {
        let table = self.shared().table(scope);
        let own = match table.find(&id) {
            Some(known) => Some(known),
            None if table.is_at_its_end() => None,
            None => self.limiter.seat.ask(Open { scope, id, class }).await?,
        };
        Ok(match own {
            Some(bucket) => Held { id, bucket, own: true },
            None => Held { id, bucket: table.overflow(), own: false },
        })
    }

    fn take_one(&self, scope: Scope, bucket: &Arc<Bucket>, now: Moment) -> Result<(), Short> {
        take(&self.shared().limits, [Some(single(scope, bucket)), None, None], now)
    }

    fn failed_often(&self, visit: &Visit<'_>) -> Option<Short> {
        let failures = self.shared().table(Scope::Failures);
        // Where nobody has failed lately, nobody pays for looking.
        if self.is_off() || failures.len() == 0 {
            return None;
        }
        let id = Id::of_address(visit.ip);
        let own = failures.find(&id);
        let bucket = own.or_else(|| failures.is_at_its_end().then(|| failures.overflow()))?;
        bucket.peek(&self.shared().limits, &single(Scope::Failures, &bucket), self.now(visit)).err()
    }

    /// What comes of a call for which there was not enough.
    fn stop(&self, stopped: Stopped, caller: Caller<'_>) -> Result<Option<InFlight>, LimitError> {
        let Stopped { exceeded, id, hopeless } = stopped;
        match hopeless {
            Some(error) if self.shared().mode == Mode::Enforce => Err(error),
            _ => self.refuse(exceeded, id, caller).map(|()| None),
        }
    }

    /// Counts a refusal and has it recorded; an error only where limits are enforced.
    fn refuse(
        &self,
        exceeded: Exceeded,
        id: Id,
        (visit, principal, tool): Caller<'_>,
    ) -> Result<(), LimitError> {
        let scope = exceeded.scope;
        self.limiter.metrics.rate_limited(scope.as_str());
        self.shared().tally.count(&Refused { id, scope, visit, principal, tool })?;
        if self.shared().mode == Mode::Enforce { Err(LimitError::Exceeded(exceeded)) } else { Ok(()) }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.limiter.shared
    }

    pub(super) fn seat(&self) -> &Seat<LimiterActor> {
        &self.limiter.seat
    }

    /// Now, where the moment at which a request began is long ago.
    pub(super) fn moment(&self) -> Moment {
        self.shared().clock.moment(Instant::now())
    }

    fn is_off(&self) -> bool {
        self.shared().mode == Mode::Off
    }

    fn now(&self, visit: &Visit<'_>) -> Moment {
        self.shared().clock.moment(visit.clock)
    }
}

/// Enters the room of a tool that has one.
pub(super) fn enter(gate: Option<&ToolGate>, who: Id) -> Result<Option<InFlight>, Stopped> {
    let Some(room) = gate.and_then(|gate| gate.room.as_ref()) else { return Ok(None) };
    room.enter().map(Some).ok_or_else(|| Stopped::for_room(who, room.most))
}

/// Where a principal stands in memory.
fn place(principal: &Arc<Principal>) -> usize {
    Arc::as_ptr(principal).addr()
}

/// Who asks for what.
type Caller<'a> = (&'a Visit<'a>, Option<&'a Arc<Principal>>, Option<&'static str>);

/// Nothing was taken.
pub(super) struct Stopped {
    exceeded: Exceeded,
    /// Whose bucket it was that held too little.
    id: Id,
    /// Set if no wait would help.
    hopeless: Option<LimitError>,
}

impl Stopped {
    /// Too little in a bucket.
    pub(super) fn by(short: Short, id: Id) -> Self {
        let (cost, capacity) = (short.cost, short.limit.capacity);
        let hopeless = (cost > capacity).then_some(LimitError::TooCostly { cost, capacity });
        Self { exceeded: short.into(), id, hopeless }
    }

    /// `most` calls of the tool run already.
    pub(super) fn for_room(id: Id, most: u32) -> Self {
        let (capacity, retry_after) = (most.into(), ROOM_WAIT);
        let exceeded = Exceeded { scope: Scope::Tool, capacity, window_secs: 1, remaining: 0, retry_after };
        Self { exceeded, id, hopeless: None }
    }
}

/// One call from a bucket whose limit is the same for everybody.
fn single(scope: Scope, bucket: &Bucket) -> Claim<'_> {
    let class = if scope == Scope::Address { ADDRESS } else { FAILURES };
    Claim { scope, bucket, class, epoch: 0, cost: 1 }
}
