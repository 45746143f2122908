//! Runs one target: mutates, keeps what behaves in a new way, saves what breaks.

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs::{self, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::mutator::Mutator;

/// Longest input, bytes: beyond it only speed is left to find, which other tests hold.
pub(crate) const MAX_LEN: usize = 32 * 1024;
/// Longest time for one input, in a debug build on a busy machine.
const MAX_TIME: Duration = Duration::from_secs(2);
/// Most inputs that are kept for further mutation.
const MAX_POOL: usize = 4_096;

/// One target.
pub(crate) struct Target {
    /// Its name, which is also the name of its folder in `fuzz/corpus`.
    pub(crate) name: &'static str,
    /// Inputs to begin with, beside those of the folder.
    pub(crate) seeds: Vec<Vec<u8>>,
    /// What such inputs are made of.
    pub(crate) words: &'static [&'static str],
}

impl Target {
    /// Feeds `run` until the time is over. What it gives is a fingerprint of what the input made it do: an
    /// input with a new one is kept and mutated further. A panic in it fails the test and saves the input.
    pub(crate) fn fuzz(self, mut run: impl FnMut(&[u8]) -> u64) {
        let seed = number("PORTCULLIS_FUZZ_SEED").unwrap_or_else(rand::random);
        let time = Duration::from_secs(number("PORTCULLIS_FUZZ_SECONDS").unwrap_or(1));
        let mut pool = self.seeds;
        pool.extend(corpus(self.name));
        assert!(!pool.is_empty(), "{} has nothing to begin with", self.name);
        let mut seen = HashSet::new();
        for input in &pool {
            seen.insert(tried(self.name, input, &mut run));
        }
        let mut mutator = Mutator::new(seed, self.words);
        let (started, mut executions) = (Instant::now(), pool.len() as u64);
        while started.elapsed() < time {
            let mut input = mutator.mutated(&pool);
            input.truncate(MAX_LEN);
            executions += 1;
            if seen.insert(tried(self.name, &input, &mut run)) && pool.len() < MAX_POOL {
                pool.push(input);
            }
        }
        let (secs, kinds) = (started.elapsed().as_secs(), seen.len());
        note(&format!(
            "{}: {executions} executions in {secs} s, {kinds} kinds of behaviour, seed {seed}",
            self.name
        ));
    }
}

/// A fingerprint of whatever can be hashed.
pub(crate) fn fingerprint(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Runs one input; saves it if that panics or takes too long.
fn tried(name: &str, input: &[u8], run: &mut impl FnMut(&[u8]) -> u64) -> u64 {
    let started = Instant::now();
    match catch_unwind(AssertUnwindSafe(|| run(input))) {
        Ok(_) if started.elapsed() > MAX_TIME => {
            panic!("{name}: {:?} for {}", started.elapsed(), saved(name, input).display())
        }
        Ok(fingerprint) => fingerprint,
        Err(panic) => {
            eprintln!("{name}: the input is kept in {}", saved(name, input).display());
            resume_unwind(panic)
        }
    }
}

/// Keeps an input under `target/fuzz`; copied to `fuzz/corpus/NAME` it is run first from then on.
fn saved(name: &str, input: &[u8]) -> PathBuf {
    let folder = root().join("target/fuzz");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{name}-{:016x}", fingerprint(input)));
    fs::write(&path, input).unwrap();
    path
}

/// Every file of the target's corpus.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(root().join("fuzz/corpus").join(name)) else { return Vec::new() };
    entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
}

/// Leaves one line for the reader of the run.
fn note(line: &str) {
    println!("{line}");
    let folder = root().join("target/fuzz");
    fs::create_dir_all(&folder).unwrap();
    let mut text = String::new();
    writeln!(text, "{line}").unwrap();
    // One write: targets in several processes append at once.
    let mut file = OpenOptions::new().create(true).append(true).open(folder.join("runs.txt")).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
