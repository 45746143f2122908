//! Handles and their table: every use is counted once, and nothing that has changed is relied on.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use proptest::prelude::*;

use super::{
    KeyHandle, KeyRequest,
    shared::Shared,
    table::{NotTaken, Table},
};
use crate::{
    domain::{ApiKey, KeyDigest, KeyId, Timestamp},
    store,
};

fn minted() -> (KeyDigest, ApiKey) {
    let request = KeyRequest {
        owner: "ada".parse().unwrap(),
        name: "n".parse().unwrap(),
        permissions: vec!["weather:read".into(), "files:read".into()],
        life: Duration::from_secs(60),
        cidrs: Vec::new(),
        created_by: "tests".into(),
    };
    let (secret, key) = request.mint(Timestamp::now()).unwrap();
    (secret.digest(), key)
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

#[test]
fn a_handle_counts_until_it_is_closed_and_what_it_counted_is_taken_once() {
    let handle = KeyHandle::new(minted().1);
    assert_eq!(handle.collect(), None);
    assert!(handle.count(at(1)) && handle.count(at(2)));
    assert_eq!(handle.collect(), Some((2, at(2))));
    assert!(handle.count(at(3)));
    assert!(!handle.close_if_idle(at(9)), "a use waits");
    assert_eq!(handle.close(), Some((1, at(3))));
    assert!(!handle.is_open() && !handle.count(at(4)));
    assert_eq!((handle.close(), handle.collect()), (None, None));
    assert!(!handle.is_open());
}

#[test]
fn what_was_read_before_a_change_is_not_taken_in_after_it() {
    let table = Table::new(10);
    let (digest, key) = minted();
    let before = table.changes();
    table.forget(Some(&HashSet::from([key.id])));
    assert_eq!(table.take(digest, key.clone(), before).unwrap_err(), NotTaken::Changed);
    let handle = table.take(digest, key.clone(), table.changes()).unwrap();
    let same = table.take(digest, key.clone(), table.changes()).unwrap();
    assert!(Arc::ptr_eq(&handle, &same) && Arc::ptr_eq(&handle, &table.find(&digest).unwrap()));

    assert!(handle.count(at(1)));
    table.forget(Some(&HashSet::from([KeyId::new()])));
    assert!(handle.is_open(), "another key has changed");
    table.forget(Some(&HashSet::from([key.id])));
    assert!(!handle.is_open() && table.find(&digest).is_none());
    let again = table.take(digest, key.clone(), table.changes()).unwrap();
    assert!(again.count(at(2)));
    let [uses] = table.collect()[..] else { panic!("one key") };
    assert_eq!((uses.id, uses.count, uses.last_used), (key.id, 2, at(2)));
    table.forget(None);
    assert!(!again.is_open());
}

#[test]
fn too_many_idle_handles_go_and_one_with_an_uncounted_use_stays() {
    let table = Table::new(10);
    let handles: Vec<_> = (0..50)
        .map(|n| {
            let (digest, key) = minted();
            let handle = table.take(digest, key, 0).unwrap();
            assert!(n % 10 != 0 || handle.count(at(5)));
            handle
        })
        .collect();
    table.shrink(at(9));
    assert_eq!(table.len(), 10);
    assert!(handles.iter().step_by(10).all(|handle| handle.is_open()), "their uses wait");
    assert_eq!(table.collect().len(), 5);
    assert_eq!(handles.iter().filter(|handle| handle.is_open()).count(), 10);
}

#[test]
fn a_key_in_use_takes_less_than_640_bytes() {
    let (digest, key) = minted();
    let texts = key.name.as_str().len() + key.created_by.capacity();
    let lists: usize = key.permissions.iter().map(|name| name.capacity() + size_of::<String>()).sum();
    // The digest and the pointer, at the emptiest that a map is before it grows again; counts of an `Arc`.
    let entry = 2 * (size_of_val(&digest) + size_of::<Arc<KeyHandle>>() + 1) + 16;
    let bytes = size_of::<KeyHandle>() + texts + lists + entry;
    assert!(bytes < 640, "{bytes}: say so where KEPT is");
}

/// Four workers use sixteen keys while an actor forgets, shrinks and collects: nothing is lost or doubled.
#[test]
fn ten_thousand_uses_at_once_are_ten_thousand_whatever_the_actor_does_meanwhile() {
    const EACH: u64 = 2_500;
    let table = Table::new(4);
    let keys: Vec<_> = (0..16).map(|_| minted()).collect();
    let (done, clock) = (AtomicBool::new(false), AtomicU64::new(1));
    let mut counted: HashMap<KeyId, u64> = HashMap::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut held: HashMap<KeyDigest, Arc<KeyHandle>> = HashMap::new();
                    for n in 0..EACH {
                        let (digest, key) = &keys[usize::try_from(n % 16).unwrap()];
                        let now = at(clock.fetch_add(1, Ordering::Relaxed));
                        while !held.get(digest).is_some_and(|handle| handle.count(now)) {
                            let as_of = table.changes();
                            if let Ok(handle) = table.take(*digest, key.clone(), as_of) {
                                held.insert(*digest, handle);
                            }
                        }
                    }
                })
            })
            .collect();
        let actor = scope.spawn(|| {
            let mut sums: HashMap<KeyId, u64> = HashMap::new();
            while !done.load(Ordering::Acquire) {
                table.forget(Some(&keys.iter().take(3).map(|(_, key)| key.id).collect()));
                table.shrink(at(clock.load(Ordering::Relaxed)));
                table.collect().iter().for_each(|used| *sums.entry(used.id).or_default() += used.count);
            }
            sums
        });
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        done.store(true, Ordering::Release);
        counted = actor.join().unwrap();
    });
    table.collect().iter().for_each(|used| *counted.entry(used.id).or_default() += used.count);
    assert_eq!(counted.values().sum::<u64>(), 4 * EACH);
    assert_eq!(counted.len(), 16);
}

#[tokio::test]
async fn two_flushes_at_once_and_one_that_was_cut_off_count_once() {
    let folder = tempfile::tempdir().unwrap();
    let stores = store::open(&format!("sqlite:{}", folder.path().join("p.db").display())).unwrap();
    let shared = Shared::new(Table::new(10), stores.clone(), 0);
    let (digest, key) = minted();
    stores.keys.insert(&digest, &key).await.unwrap();
    let handle = shared.table.take(digest, key.clone(), 0).unwrap();
    for _ in 0..3 {
        assert!(handle.count(at(7)));
    }
    // Polled once: the batch is on its way into the store and nobody hears of it, as when the actor dies.
    let mut cut_off = Box::pin(shared.flush());
    assert!(futures_util::FutureExt::now_or_never(cut_off.as_mut()).is_none());
    drop(cut_off);
    assert!(handle.count(at(8)));
    let (one, two) = tokio::join!(shared.flush(), shared.flush());
    assert!(one.is_ok() && two.is_ok());
    let kept = stores.keys.show(key.id).await.unwrap().unwrap();
    assert_eq!((kept.usage_count, kept.last_used), (4, Some(at(8))));
}

proptest! {
    #[test]
    fn whatever_happens_to_handles_in_whatever_order_each_use_is_collected_once(
        deeds in prop::collection::vec(0..6_u8, 0..200),
    ) {
        let table = Table::new(1);
        let keys = [minted(), minted()];
        let (mut used, mut collected, mut time) = ([0_u64; 2], HashMap::new(), 1);
        for deed in deeds {
            time += 1;
            match deed {
                which @ (0 | 1) => {
                    let (digest, key) = &keys[usize::from(which)];
                    let handle = table.take(*digest, key.clone(), table.changes()).unwrap();
                    prop_assert!(handle.count(at(time)));
                    used[usize::from(which)] += 1;
                }
                2 => table.forget(Some(&HashSet::from([keys[0].1.id]))),
                3 => table.forget(None),
                4 => table.shrink(at(time)),
                _ => table.collect().iter().for_each(|u| *collected.entry(u.id).or_default() += u.count),
            }
        }
        table.collect().iter().for_each(|u| *collected.entry(u.id).or_default() += u.count);
        for ((_, key), used) in keys.iter().zip(used) {
            prop_assert_eq!(collected.get(&key.id).copied().unwrap_or(0), used);
        }
    }
}
