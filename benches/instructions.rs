//! How many instructions each core of a call takes, counted by callgrind: the same on a busy machine as on a quiet one.
//!
//! `benches/count` runs this and holds it against the budgets, which `benches/cores.rs` has.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a bench may panic")]

mod work;

use gungraun::prelude::*;
use work::{
    CacheHit, Chain, Core, Decide, Lease, Limit, Parse, Render, VerifyEdDsa, VerifyEs256, VerifyHs256,
};

/// Runs a core that has run before, once; whoever called lets go of it, uncounted.
fn once<C: Core>(mut core: Box<C>) -> Box<C> {
    core.run();
    core
}

#[library_benchmark]
#[bench::warm(Parse::warm())]
fn parse(core: Box<Parse>) -> Box<Parse> {
    once(core)
}

#[library_benchmark]
#[bench::warm(VerifyHs256::warm())]
fn verify_hs256(core: Box<VerifyHs256>) -> Box<VerifyHs256> {
    once(core)
}

#[library_benchmark]
#[bench::warm(VerifyEs256::warm())]
fn verify_es256(core: Box<VerifyEs256>) -> Box<VerifyEs256> {
    once(core)
}

#[library_benchmark]
#[bench::warm(VerifyEdDsa::warm())]
fn verify_eddsa(core: Box<VerifyEdDsa>) -> Box<VerifyEdDsa> {
    once(core)
}

#[library_benchmark]
#[bench::warm(CacheHit::warm())]
fn cache_hit(core: Box<CacheHit>) -> Box<CacheHit> {
    once(core)
}

#[library_benchmark]
#[bench::warm(Decide::warm())]
fn decide(core: Box<Decide>) -> Box<Decide> {
    once(core)
}

#[library_benchmark]
#[bench::warm(Limit::warm())]
fn limit(core: Box<Limit>) -> Box<Limit> {
    once(core)
}

#[library_benchmark]
#[bench::warm(Lease::warm())]
fn lease(core: Box<Lease>) -> Box<Lease> {
    once(core)
}

#[library_benchmark]
#[bench::warm(Chain::warm())]
fn chain(core: Box<Chain>) -> Box<Chain> {
    once(core)
}

#[library_benchmark]
#[bench::warm(Render::warm())]
fn render(core: Box<Render>) -> Box<Render> {
    once(core)
}

library_benchmark_group!(
    name = cores,
    benchmarks =
        [parse, verify_hs256, verify_es256, verify_eddsa, cache_hit, decide, limit, lease, chain, render]
);
main!(library_benchmark_groups = cores);
