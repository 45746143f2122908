//! Counters and histograms for what every request counts: each thread adds to a line of memory of its own, and whoever
//! looks adds the lines up. What is shared by all would go from core to core with each request.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric, counter, histogram::exponential_buckets},
};

/// Most lines of one of them: with more threads than that some share one.
const MOST_LINES: usize = 64;
/// The upper bound of the first bucket, nanoseconds: 50 µs. Each further one is twice that of the one before.
const FIRST_BOUND: u64 = 50_000;
/// Buckets with an upper bound, up to 6.5 s.
const BOUNDS: u16 = 18;

/// A counter.
pub(super) type Counter = counter::Counter<u64, Striped>;

/// How many lines there are: as many as threads can run at once here.
fn lines() -> usize {
    thread::available_parallelism().map_or(1, usize::from).next_power_of_two().min(MOST_LINES)
}

/// The number of this thread, counted from the first one that asked.
fn own() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed));
    // A thread that is ending counts like the first.
    OWN.try_with(|own| *own).unwrap_or_default()
}

/// Numbers that no other line of the processor's memory holds a part of: it fetches two lines at once.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

/// One of `T` for each line.
struct Lines<T>(Box<[Line<T>]>);

impl<T: Default> Default for Lines<T> {
    fn default() -> Self {
        Self((0..lines()).map(|_| Line::default()).collect())
    }
}

impl<T> Lines<T> {
    /// Of this thread.
    fn own(&self) -> Option<&T> {
        // Their number is a power of two.
        self.0.get(own() & (self.0.len() - 1)).map(|line| &line.0)
    }

    fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|line| &line.0)
    }
}

/// The number behind a [`Counter`].
#[derive(Default)]
pub(super) struct Striped(Lines<AtomicU64>);

impl fmt::Debug for Striped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Striped({})", counter::Atomic::get(self))
    }
}

impl counter::Atomic<u64> for Striped {
    fn inc(&self) -> u64 {
        self.inc_by(1)
    }

    /// Answers what this thread's line held before, since nobody asks for more.
    fn inc_by(&self, more: u64) -> u64 {
        self.0.own().map_or(0, |line| line.fetch_add(more, Ordering::Relaxed))
    }

    fn get(&self) -> u64 {
        self.0.all().map(|line| line.load(Ordering::Relaxed)).sum()
    }
}

/// What one thread has observed.
#[derive(Debug, Default)]
struct Observed {
    /// How many in each bucket, those over the last bound too.
    counts: [AtomicU64; BOUNDS as usize + 1],
    /// Nanoseconds in all.
    sum: AtomicU64,
}

/// A histogram of spans of time: 50 µs to 6.5 s, doubling. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Spans(Arc<Lines<Observed>>);

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spans(..)")
    }
}

impl Spans {
    /// Counts one.
    pub(super) fn observe(&self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let Some(own) = self.0.own() else { return };
        if let Some(count) = own.counts.get(bucket(nanos)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        own.sum.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// Which bucket holds it: the first whose bound is not below it.
fn bucket(nanos: u64) -> usize {
    let whole = nanos.saturating_sub(1) / FIRST_BOUND;
    ((u64::BITS - whole.leading_zeros()) as usize).min(usize::from(BOUNDS))
}

impl EncodeMetric for Spans {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = exponential_buckets(50e-6, 2.0, BOUNDS);
        let mut buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).map(|bound| (bound, 0)).collect();
        let mut sum = Duration::ZERO;
        for observed in self.0.all() {
            for ((_, all), one) in buckets.iter_mut().zip(&observed.counts) {
                *all += one.load(Ordering::Relaxed);
            }
            sum += Duration::from_nanos(observed.sum.load(Ordering::Relaxed));
        }
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum.as_secs_f64(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Spans {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, metrics::histogram::Histogram, registry::Registry};

    use super::*;

    #[test]
    fn many_threads_lose_no_count_and_no_span() {
        let (counter, spans) = (Counter::default(), Spans::default());
        thread::scope(|scope| {
            for _ in 0..3 * lines() {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        counter.inc();
                        spans.observe(Duration::from_millis(2));
                    }
                });
            }
        });
        let all = 30_000 * lines() as u64;
        assert_eq!(counter.get(), all);
        let counts = |line: &Observed| line.counts.iter().map(|n| n.load(Ordering::Relaxed)).sum::<u64>();
        assert_eq!(spans.0.all().map(counts).sum::<u64>(), all);
    }

    #[test]
    fn no_two_threads_of_a_few_share_a_line() {
        assert_eq!(size_of::<Line<AtomicU64>>(), 128);
        let numbers: Vec<usize> = (0..2).map(|_| thread::spawn(own).join().unwrap()).collect();
        assert_ne!(numbers[0], numbers[1]);
        assert_eq!(own(), own());
    }

    #[test]
    fn it_reads_like_the_library_s_own() {
        let text = |ours: bool| {
            let (spans, theirs) = (Spans::default(), Histogram::new(exponential_buckets(50e-6, 2.0, 18)));
            let exact = (0..20).map(|n| Duration::from_nanos(FIRST_BOUND << n));
            let near =
                |span: Duration| [span - Duration::from_nanos(1), span, span + Duration::from_nanos(1)];
            for span in exact.flat_map(near).chain([Duration::ZERO]) {
                spans.observe(span);
                theirs.observe(span.as_secs_f64());
            }
            let mut registry = Registry::default();
            if ours {
                registry.register("x", "X", spans)
            } else {
                registry.register("x", "X", theirs)
            }
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        let sum = |text: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix("x_sum ")).unwrap();
            line.parse::<f64>().unwrap()
        };
        let but_sum = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.starts_with("x_sum")).map(str::to_owned).collect()
        };
        let (ours, theirs) = (text(true), text(false));
        assert_eq!(but_sum(&ours), but_sum(&theirs));
        assert!((sum(&ours) - sum(&theirs)).abs() < 1e-6, "{ours}\n{theirs}");
    }
}
