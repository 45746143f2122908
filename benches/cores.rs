//! How long each core of a call takes, and the budget of each.
//!
//! Budgets are instructions; `benches/count` counts them and fails where a core takes 5 % more. They were counted with
//! rustc 1.95.0. The times beside them are what to expect, on the machine that benches/README.md names.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a bench may panic")]

mod work;

use criterion::{Criterion, criterion_group, criterion_main};
use work::{
    CacheHit, Chain, Core, Decide, Lease, Limit, Parse, Render, VerifyEdDsa, VerifyEs256, VerifyHs256,
};

/// Reading the body of a `tools/call` of 2026-07-28: envelope, params, `_meta` and arguments.
///
/// Budget: 6,827 instructions; about 0.8 µs.
fn parse(criterion: &mut Criterion) {
    measured::<Parse>("parse", criterion);
}

/// Verifying a token that nobody has seen, signed by HS256: form, signature and claims.
///
/// Budget: 41,358 instructions; about 2.9 µs.
fn verify_hs256(criterion: &mut Criterion) {
    measured::<VerifyHs256>("verify_hs256", criterion);
}

/// The same of ES256.
///
/// Budget: 764,400 instructions; about 67 µs.
fn verify_es256(criterion: &mut Criterion) {
    measured::<VerifyEs256>("verify_es256", criterion);
}

/// The same of EdDSA.
///
/// Budget: 504,392 instructions; about 45 µs.
fn verify_eddsa(criterion: &mut Criterion) {
    measured::<VerifyEdDsa>("verify_eddsa", criterion);
}

/// Knowing a token again that this worker has verified, and holding it against what may have changed.
///
/// Budget: 2,956 instructions; about 0.33 µs.
fn cache_hit(criterion: &mut Criterion) {
    measured::<CacheHit>("cache_hit", criterion);
}

/// Finding the tool, and deciding whether the caller may call it.
///
/// Budget: 241 instructions; about 0.05 µs.
fn decide(criterion: &mut Criterion) {
    measured::<Decide>("decide", criterion);
}

/// Taking a call from the buckets of an address and of a principal that have called before.
///
/// Budget: 3,207 instructions; about 0.55 µs.
fn limit(criterion: &mut Criterion) {
    measured::<Limit>("limit", criterion);
}

/// The same from the slices that this server holds of buckets that servers share.
///
/// Budget: 7,876 instructions; about 0.7 µs.
fn lease(criterion: &mut Criterion) {
    measured::<Lease>("lease", criterion);
}

/// Writing the record of a call as a line, and linking it into the chain.
///
/// Budget: 26,556 instructions; about 1.0 µs.
fn chain(criterion: &mut Criterion) {
    measured::<Chain>("chain", criterion);
}

/// Putting the result of a tool into the answer.
///
/// Budget: 2,131 instructions; about 0.18 µs.
fn render(criterion: &mut Criterion) {
    measured::<Render>("render", criterion);
}

fn measured<C: Core>(name: &str, criterion: &mut Criterion) {
    let mut core = C::warm();
    criterion.bench_function(name, |bencher| bencher.iter(|| core.run()));
}

criterion_group!(
    cores,
    parse,
    verify_hs256,
    verify_es256,
    verify_eddsa,
    cache_hit,
    decide,
    limit,
    lease,
    chain,
    render
);
criterion_main!(cores);
