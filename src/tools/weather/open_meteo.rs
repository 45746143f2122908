//! The provider that asks Open-Meteo: a cache in front, one question per city, a breaker behind.
//!
//! Every actix worker is a runtime of its own, and a pooled connection is driven by the runtime that
//! opened it. A client used from several workers would lose answers whenever the worker that opened
//! a connection is busy or gone. So one thread of ours owns the client, and workers wait for its
//! answers: connections are shared, a caller who leaves does not cancel what others wait for, and
//! the only price, a wake-up, is paid on a cache miss that goes out on the network anyway.

use std::{
    fmt,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::{runtime, sync::oneshot};
use tracing::{Instrument, field::Empty};

use super::{
    Observation, Stations, WeatherError, WeatherSettings,
    breaker::Breaker,
    flight::{Boarding, Flight, Flights, Outcome},
    upstream::{Failure, Upstream},
};
use crate::{
    error::Code,
    tools::{LocalFuture, ToolError, Trace},
};

/// What the service is called in logs.
const NAME: &str = "open-meteo";
/// Most cities that are remembered.
const MAX_CITIES: u64 = 1_000;
/// How long an answer is good for.
pub(super) const FRESH: Duration = Duration::from_secs(600);

/// Tells the time; tests bring their own.
type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Open-Meteo, or a service of its shape.
pub struct OpenMeteo {
    desk: Arc<Desk>,
    runtime: runtime::Handle,
    /// Dropping it ends the thread.
    _stop: oneshot::Sender<()>,
}

impl OpenMeteo {
    /// Starts the thread that asks; nothing is asked yet.
    ///
    /// # Errors
    /// [`WeatherError`] if an address cannot be used or the client cannot be made.
    pub fn open(config: &WeatherSettings) -> Result<Self, WeatherError> {
        Self::with_clock(config, Arc::new(Instant::now))
    }

    /// As [`OpenMeteo::open`], with a clock of the caller's for the cache and the breaker.
    pub(super) fn with_clock(config: &WeatherSettings, clock: Clock) -> Result<Self, WeatherError> {
        let broken = |e: std::io::Error| WeatherError::Client(e.to_string());
        let upstream = Upstream::new(config)?;
        let asking = runtime::Builder::new_current_thread().enable_all().build().map_err(broken)?;
        let handle = asking.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new()
            .name("weather".into())
            .spawn(move || asking.block_on(stopped))
            .map_err(broken)?;
        let desk = Desk {
            upstream,
            clock,
            cache: Cache::new(MAX_CITIES),
            flights: Arc::default(),
            breaker: Mutex::default(),
        };
        Ok(Self { desk: Arc::new(desk), runtime: handle, _stop: stop })
    }
}

impl Stations for OpenMeteo {
    fn latest<'a>(&'a self, city: &'a str) -> LocalFuture<'a, Result<Observation, ToolError>> {
        self.latest_in(city, None)
    }

    // Of those who ask for one city at once the service is told of the first one's trace.
    fn latest_in<'a>(
        &'a self,
        city: &'a str,
        trace: Option<&'a Trace>,
    ) -> LocalFuture<'a, Result<Observation, ToolError>> {
        Box::pin(async move {
            let city: Arc<str> = city.to_lowercase().into();
            if let Some(outcome) = self.desk.remembered(&city) {
                return outcome;
            }
            let mut waiting = match self.desk.flights.board(&city, || self.desk.remembered(&city)) {
                Boarding::Landed(outcome) => return outcome,
                Boarding::Full => return Err(unavailable(Duration::from_secs(1))),
                Boarding::Join(waiting) => waiting,
                Boarding::Lead(flight, waiting) => {
                    let parent = trace.and_then(Trace::parent).map(Box::from);
                    self.runtime.spawn(Arc::clone(&self.desk).ask(flight, city, parent));
                    waiting
                }
            };
            match waiting.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(outcome)) => outcome.clone(),
                // The asking task is gone without an answer.
                _ => Err(unavailable(Duration::from_secs(1))),
            }
        })
    }
}

impl fmt::Debug for OpenMeteo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenMeteo").field("upstream", &self.desk.upstream).finish_non_exhaustive()
    }
}

/// What the asking thread and the workers share.
struct Desk {
    upstream: Upstream,
    clock: Clock,
    cache: Cache<Arc<str>, (Instant, Outcome)>,
    flights: Arc<Flights>,
    breaker: Mutex<Breaker>,
}

impl Desk {
    /// The answer for `city` if there is one that is still good.
    fn remembered(&self, city: &Arc<str>) -> Option<Outcome> {
        let (since, outcome) = self.cache.get(city)?;
        ((self.clock)().saturating_duration_since(since) < FRESH).then_some(outcome)
    }

    /// Asks for `city`, keeps the answer and tells everybody who waits.
    async fn ask(self: Arc<Self>, flight: Flight, city: Arc<str>, parent: Option<Box<str>>) {
        let admitted = self.breaker.lock().admit((self.clock)());
        let outcome = match admitted {
            Err(wait) => Err(unavailable(wait)),
            Ok(()) => self.asked(&city, parent.as_deref()).await,
        };
        flight.land(outcome);
    }

    async fn asked(&self, city: &Arc<str>, parent: Option<&str>) -> Outcome {
        // Without the city: arguments are not logged.
        let span =
            tracing::info_span!("upstream.ask", upstream.name = NAME, outcome = Empty, duration_ms = Empty);
        let started = Instant::now();
        let answer = self.upstream.observe(city, parent).instrument(span.clone()).await;
        span.record("duration_ms", started.elapsed().as_secs_f64() * 1e3);
        span.record("outcome", if answer.is_ok() { "ok" } else { "error" });
        let now = (self.clock)();
        let failed = matches!(answer, Err(Failure::Service(_)));
        let changed = self.breaker.lock().record(!failed, now);
        if changed {
            tracing::warn!(upstream.name = NAME, open = failed, "circuit breaker changed");
        }
        let outcome = match answer {
            Ok(seen) => Ok(seen),
            // A name that is not known stays unknown for a while, else typing errors cost us the service's quota.
            Err(Failure::Question(error @ ToolError::NotFound(_))) => Err(error),
            Err(Failure::Question(error) | Failure::Service(error)) => return Err(error),
        };
        self.cache.insert(Arc::clone(city), (now, outcome.clone()));
        outcome
    }
}

/// The service is resting, or too much is asked of it.
fn unavailable(retry_after: Duration) -> ToolError {
    ToolError::Unavailable { code: Code::Overloaded, retry_after }
}
