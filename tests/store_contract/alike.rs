//! Whatever is done to them, the backends answer alike.

use std::{cell::Cell, sync::Arc};

use portcullis::{
    domain::Timestamp,
    store::{Revocation, RevocationTarget},
};
use proptest::{prelude::*, test_runner::TestRunner};

use super::{Backend, backends_on, jti, live, nodes::Nodes, wait};

/// What the backends tell of `deeds`, each for itself.
fn answers(
    nodes: &Arc<Nodes>,
    case: &str,
    deeds: &[(u8, String, u64, u64, bool)],
    now: u64,
) -> [impl PartialEq + std::fmt::Debug + use<>; 5] {
    backends_on(nodes, case).map(|Backend { stores, .. }| {
        for (kind, id, at, until, forgets) in deeds {
            let target = [RevocationTarget::Jti, RevocationTarget::Subject, RevocationTarget::Client];
            let revocation =
                Revocation { target: target[usize::from(*kind)](id.clone()), ..jti("", *at, *until) };
            wait(stores.revocations.revoke(&revocation)).unwrap();
            if *forgets {
                wait(stores.revocations.forget_ended(Timestamp::from_secs(*at))).unwrap();
            }
        }
        let told = wait(stores.feed.changes_after(0)).unwrap().into_iter().map(|c| (c.id, c.what));
        (live(&stores, now), told.collect::<Vec<_>>())
    })
}

#[test]
fn every_backend_answers_alike() {
    let (nodes, case) = (Arc::new(Nodes::start()), Cell::new(0));
    let deeds = prop::collection::vec((0..3_u8, "[ab]", 0..9_u64, 0..9_u64, any::<bool>()), 0..20);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(24));
    let same = |(deeds, now): (Vec<_>, u64)| {
        case.set(case.get() + 1);
        let [memory, others @ ..] = answers(&nodes, &format!("case{}:", case.get()), &deeds, now);
        for other in others {
            prop_assert_eq!(&memory, &other);
        }
        Ok(())
    };
    runner.run(&(deeds, 0..10_u64), same).unwrap();
}
