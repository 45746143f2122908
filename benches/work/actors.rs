//! Cores that read what actors own: who shows a token that was seen before, and what its limits have left.

use std::{
    cell::RefCell,
    hint::black_box,
    net::Ipv4Addr,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use actix::{Arbiter, SystemRunner};
use portcullis::{
    actors::{
        api_keys::{ApiKeys, RotationRules},
        audit::{Audit, AuditConfig},
        epoch::Epoch,
        limiter::{Limiter, Mode, Rate, Turnstile, Visit},
        tokens::{OnStale, Tokens},
        users::{HashCost, Hasher, Users},
    },
    app,
    auth::{Against, At, Caches, Credential, authenticate},
    domain::{Principal, RequestId},
    policy::Roles,
    store::{self, Granted, LeaseAsk, Leases, StoreFuture, Stores},
    telemetry::Metrics,
};
use tempfile::TempDir;
use tokio::runtime::{EnterGuard, Handle};
use uuid::Uuid;

use super::{
    Core,
    requests::{TOOL, ada, offered},
    tokens::{minted, now, of_secret},
};

/// What everybody may have: no bench ever uses it up.
const WIDE: Rate = Rate { capacity: 1_000_000_000, refill_per_second: 1e9 };
/// A bench may last: what actors know does not grow old in it.
const FRESH: OnStale = OnStale::Grace(Duration::from_secs(86_400));

/// Actors, each on a thread of its own, and the thread that asks them.
struct Threads {
    /// Whoever asks an actor needs the clock of a runtime, though it runs outside of it.
    _entered: EnterGuard<'static>,
    system: SystemRunner,
    arbiters: Vec<Arbiter>,
}

impl Threads {
    fn new() -> Self {
        let system = actix::System::new();
        let runtime: &'static Handle = Box::leak(Box::new(system.block_on(async { Handle::current() })));
        Self { _entered: runtime.enter(), system, arbiters: Vec::new() }
    }

    fn add(&mut self) -> actix::ArbiterHandle {
        let arbiter = self.system.block_on(async { Arbiter::new() });
        let handle = arbiter.handle();
        self.arbiters.push(arbiter);
        handle
    }

    /// What `future` comes to: at once as good as always, since workers hold what they need.
    fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => self.system.block_on(future),
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.arbiters.iter().for_each(|arbiter| _ = arbiter.stop());
    }
}

/// A token that this worker has verified before is looked up, and held against what may have changed.
pub(crate) struct CacheHit {
    tokens: Tokens,
    users: Users,
    keys: ApiKeys,
    roles: Roles,
    epoch: Epoch,
    caches: RefCell<Caches>,
    clock: Instant,
    token: String,
    _audit: Audit,
    threads: Threads,
    _dir: TempDir,
}

impl Core for CacheHit {
    fn ready() -> Self {
        let mut threads = Threads::new();
        let (stores, dir) = (store::open("memory:").unwrap(), tempfile::tempdir().unwrap());
        let (epoch, ring) = (Epoch::default(), of_secret());
        let token = minted(&ring);
        let at = [(); 4].map(|()| threads.add());
        let cost = HashCost { memory_kib: 32, passes: 1 };
        let hasher = Arc::new(Hasher::new(cost).unwrap());
        let rules = RotationRules { grace: Duration::ZERO, before_end: Duration::ZERO };
        let (tokens, users, keys, audit) = threads.run(async {
            let audit = Audit::start(&at[0], AuditConfig::new(dir.path())).await.unwrap();
            let tokens = Tokens::start(&at[1], ring, (&stores, 0), (FRESH, &epoch)).await.unwrap();
            let users = Users::start(&at[2], (&stores, 0), (hasher, &epoch)).await.unwrap();
            let keys = ApiKeys::start(&at[3], (&stores, 0), rules, (&epoch, audit.lane())).await.unwrap();
            (tokens, users, keys, audit)
        });
        let (_, roles, _) = offered();
        let (caches, clock) = (RefCell::default(), Instant::now());
        Self { tokens, users, keys, roles, epoch, caches, clock, token, _audit: audit, threads, _dir: dir }
    }

    fn run(&mut self) {
        let Self { tokens, users, keys, roles, epoch, .. } = &*self;
        let against = Against { tokens, users, keys, roles, epoch };
        let at = At { now: now(), clock: self.clock, address: None, again: false };
        let credential = Credential::Bearer(black_box(&self.token));
        let seen = self.threads.run(authenticate(credential, against, &self.caches, at)).unwrap();
        black_box(seen);
    }
}

/// A worker's way through the limits, and who takes it.
struct Gate {
    turnstile: Turnstile,
    caller: Arc<Principal>,
    clock: Instant,
    _audit: Audit,
    threads: Threads,
    _dir: TempDir,
}

impl Gate {
    fn of(stores: &Stores) -> Self {
        let mut threads = Threads::new();
        let dir = tempfile::tempdir().unwrap();
        let (settings, roles, registry) = offered();
        let mut limits = app::limits(&settings, &roles, &registry).unwrap();
        (limits.mode, limits.address, limits.fallback) = (Mode::Enforce, WIDE, WIDE);
        limits.roles.values_mut().for_each(|rate| *rate = WIDE);
        let metrics = Arc::new(Metrics::new(&[], &[], &stores.failures));
        let at = [(); 2].map(|()| threads.add());
        let (audit, limiter) = threads.run(async {
            let audit = Audit::start(&at[0], AuditConfig::new(dir.path())).await.unwrap();
            let recorded = (audit.lane(), &metrics);
            let limiter = Limiter::start(&at[1], &limits, stores, recorded).await.unwrap();
            (audit, limiter)
        });
        let (turnstile, caller) = (limiter.turnstile(), ada(&roles));
        Self { turnstile, caller, clock: Instant::now(), _audit: audit, threads, _dir: dir }
    }

    fn run(&self) {
        let visit = Visit {
            request: RequestId::at(now()),
            time: now(),
            clock: self.clock,
            ip: Some(Ipv4Addr::LOCALHOST.into()),
            path: "/mcp",
            epoch: 1,
        };
        self.threads.run(self.turnstile.address(black_box(&visit))).unwrap();
        let taken = self.turnstile.principal(&visit, black_box(&self.caller), Some(TOOL));
        black_box(self.threads.run(taken)).unwrap();
    }
}

/// A call is taken from the buckets of its address and of its principal, which both have called before.
pub(crate) struct Limit(Gate);

impl Core for Limit {
    fn ready() -> Self {
        Self(Gate::of(&store::open("memory:").unwrap()))
    }

    fn run(&mut self) {
        self.0.run();
    }
}

/// The same where servers share the buckets, and this one holds slices of them.
pub(crate) struct Lease(Gate);

impl Core for Lease {
    fn ready() -> Self {
        let stores = store::open("memory:").unwrap();
        Self(Gate::of(&Stores { leases: Some(Arc::new(Generous)), ..stores }))
    }

    fn run(&mut self) {
        self.0.run();
    }
}

/// Gives whoever asks as much as is welcome.
struct Generous;

impl Leases for Generous {
    fn lease(&self, asks: Vec<LeaseAsk>) -> StoreFuture<'_, Vec<Granted>> {
        let give =
            |ask: LeaseAsk| Granted { calls: ask.wanted, left: WIDE.capacity / 2, wait: Duration::ZERO };
        Box::pin(std::future::ready(Ok(asks.into_iter().map(give).collect())))
    }

    fn beat(&self, _: Uuid) -> StoreFuture<'_, u32> {
        Box::pin(std::future::ready(Ok(1)))
    }
}
