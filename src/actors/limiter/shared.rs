//! What outlives the actor: tables, tools, what was restored, what is being summed up.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;

use super::{
    LimiterConfig, Mode, Scope, ToolRule,
    bucket::{Bucket, Class, Clock, Limit, Limits, Moment},
    fleet::Fleet,
    restored::{Restored, Slowest},
    table::{Id, Table},
    tally::Tally,
};
use crate::{actors::audit::Lane, domain::Principal};

/// The limit of addresses, and that of their failures.
pub(super) const ADDRESS: Class = 0;
/// The limit of failed authentications.
pub(super) const FAILURES: Class = 1;
/// The limit of principals without a role that has one.
pub(super) const FALLBACK: Class = 2;

/// State that outlives the actor.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) mode: Mode,
    pub(super) clock: Clock,
    pub(super) limits: Limits,
    pub(super) tools: HashMap<Box<str>, ToolGate>,
    pub(super) tally: Tally,
    addresses: Table,
    failures: Table,
    users: Table,
    keys: Table,
    roles: HashMap<Box<str>, Class>,
    restored: Mutex<Restored>,
    pub(super) slowest: Slowest,
    /// Set if limits are shared with other servers; then only failures are counted in the tables above.
    pub(super) fleet: Option<Fleet>,
}

/// What one call of a tool takes.
#[derive(Debug)]
pub(super) struct ToolGate {
    pub(super) cost: u32,
    pub(super) bucket: Option<(Arc<Bucket>, Class)>,
    pub(super) room: Option<Arc<Room>>,
}

/// Room for calls that run at the same time.
#[derive(Debug)]
pub(super) struct Room {
    running: AtomicU32,
    pub(super) most: u32,
}

/// One running call of a tool; dropping it makes room for the next.
#[derive(Debug)]
pub struct InFlight(Arc<Room>);

impl Room {
    /// Enters, if there is room.
    pub(super) fn enter(self: &Arc<Self>) -> Option<InFlight> {
        let more = |running| (running < self.most).then_some(running + 1);
        self.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(InFlight(Arc::clone(self)))
    }

    /// Enters in the place of somebody who is about to leave, so that there need be no room.
    fn take_over(self: &Arc<Self>) -> InFlight {
        self.running.fetch_add(1, Ordering::AcqRel);
        InFlight(Arc::clone(self))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Shared {
    /// Everything at the start, with what was used up before.
    pub(super) fn new(
        config: &LimiterConfig,
        (restored, slowest): (Restored, Slowest),
        lane: Lane,
        is_shared: bool,
    ) -> Self {
        let fixed = [config.address, config.failures, config.fallback];
        let mut limits: Vec<Limit> = fixed.into_iter().map(Limit::new).collect();
        let mut class_of = |limit: Limit| {
            limits.push(limit);
            Class::try_from(limits.len() - 1).unwrap_or(FALLBACK)
        };
        let roles = config.roles.iter().map(|(name, rate)| (name.clone(), class_of(Limit::new(*rate))));
        let roles = roles.collect();
        let tools: HashMap<Box<str>, ToolGate> = config
            .tools
            .iter()
            .map(|(name, rule)| (name.clone(), gate(name, rule, &restored, &mut class_of)))
            .collect();
        let table = |class| Table::new(config.max_buckets, Bucket::new(class, Moment::default()));
        Self {
            mode: config.mode,
            clock: Clock::from(Instant::now()),
            limits: Limits(limits.into()),
            tools,
            tally: Tally::new(lane),
            addresses: table(ADDRESS),
            failures: table(FAILURES),
            users: table(FALLBACK),
            keys: table(FALLBACK),
            roles,
            restored: Mutex::new(restored),
            slowest,
            fleet: is_shared.then(|| Fleet::new(config.on_loss, config.max_buckets, config.store_wait)),
        }
    }

    /// A place for a call of `tool` that goes on when its request has ended, which has one itself.
    pub(super) fn go_on(&self, tool: &str) -> Option<InFlight> {
        self.tools.get(tool)?.room.as_ref().map(Room::take_over)
    }

    /// The buckets of `scope`; tools have theirs in their [gates](ToolGate).
    pub(super) fn table(&self, scope: Scope) -> &Table {
        match scope {
            Scope::Address => &self.addresses,
            Scope::Failures => &self.failures,
            Scope::User | Scope::Tool => &self.users,
            Scope::Key => &self.keys,
        }
    }

    /// The class of a principal: that of its role of largest capacity.
    pub(super) fn class_of(&self, principal: &Principal) -> Class {
        let classes = principal.roles.iter().filter_map(|role| self.roles.get(role).copied());
        classes.max_by_key(|class| self.limits.of(*class).capacity).unwrap_or(FALLBACK)
    }

    /// The bucket of an identity, as it would be now had the server never stopped. For the actor alone.
    pub(super) fn open(&self, scope: Scope, id: Id, class: Class) -> Option<Arc<Bucket>> {
        self.table(scope).open(&id, || {
            let full_again = self.restored.lock().take(scope, id, self.limits.of(class));
            Bucket::new(class, full_again)
        })
    }

    /// Drops what was restored and is full by now. For the actor alone.
    pub(super) fn forget_restored(&self, now: Moment) {
        self.restored.lock().forget(now);
    }

    /// Shows every bucket and forgets those that nobody needs. For the actor alone.
    pub(super) fn sweep(&self, now: Moment, mut see: impl FnMut(Scope, &Id, &Bucket)) {
        // Addresses last: they are the most, and must not push out the others where only some can be saved.
        for (name, gate) in &self.tools {
            if let Some((bucket, _)) = &gate.bucket {
                see(Scope::Tool, &Id::of_name(name), bucket);
            }
        }
        for scope in [Scope::Failures, Scope::User, Scope::Key, Scope::Address] {
            self.table(scope).sweep(now, |id, bucket| see(scope, id, bucket));
        }
    }

    /// What was told of these buckets was not kept: it will be told again.
    pub(super) fn touch(&self, scope: Scope, id: &Id) {
        let tools = || self.tools.values().filter_map(|gate| gate.bucket.as_ref());
        match scope {
            Scope::Tool => tools().for_each(|(bucket, _)| bucket.touch()),
            _ => self.table(scope).find(id).into_iter().for_each(|bucket| bucket.touch()),
        }
    }
}

fn gate(
    name: &str,
    rule: &ToolRule,
    restored: &Restored,
    class_of: &mut impl FnMut(Limit) -> Class,
) -> ToolGate {
    let bucket = rule.rate.map(|rate| {
        let limit = Limit::new(rate);
        let full_again = restored.find(Scope::Tool, Id::of_name(name), limit);
        let class = class_of(limit);
        (Arc::new(Bucket::new(class, full_again)), class)
    });
    let room = rule.max_in_flight.map(|most| Arc::new(Room { running: AtomicU32::new(0), most }));
    ToolGate { cost: rule.cost, bucket, room }
}
