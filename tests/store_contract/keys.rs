//! The contract of API keys: found by digest whatever there is beside, two of a lineage, uses counted once.

use std::{collections::BTreeSet, path::Path, time::Duration};

use portcullis::{
    actors::api_keys::KeyRequest,
    domain::{ApiKey, ApiKeySecret, KeyDigest, KeyId, KeyState, Timestamp},
    store::{ChangeKind, KeyRotation, KeyUse, Lookup, RotateOutcome, StoreError, Stores, UseBatch},
};
use uuid::Uuid;

use super::{Backend, backends, sqlite, wait};

const HOUR: Duration = Duration::from_secs(3_600);

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

/// A key that was made at second 1000 for an hour.
pub(super) fn minted() -> (KeyDigest, ApiKey) {
    let request = KeyRequest {
        owner: "ann".parse().unwrap(),
        name: "büro \"x\" '; --".parse().unwrap(),
        permissions: vec!["weather:read".into(), "ünknown \"p\"".into()],
        life: HOUR,
        cidrs: ["10.0.0.0/8", "2001:db8::/32"].map(|net| net.parse().unwrap()).into(),
        created_by: "operator".into(),
    };
    let (secret, key) = request.mint(at(1_000)).unwrap();
    (secret.digest(), key)
}

fn added(stores: &Stores) -> (KeyDigest, ApiKey) {
    let (digest, key) = minted();
    wait(stores.keys.insert(&digest, &key)).unwrap();
    (digest, key)
}

fn shown(stores: &Stores, id: KeyId) -> ApiKey {
    wait(stores.keys.show(id)).unwrap().unwrap()
}

/// A rotation with ten minutes of grace.
pub(super) fn rotation_at(of: KeyId, at: Timestamp) -> KeyRotation {
    KeyRotation { at, ..rotation(of, false, 0) }
}

fn rotation(of: KeyId, newest: bool, secs: u64) -> KeyRotation {
    let digest = ApiKeySecret::generate().unwrap().digest();
    let (successor, grace) = (KeyId::new(), Duration::from_secs(600));
    KeyRotation { of, newest, successor, digest, by: None, at: at(secs), grace }
}

fn rotated(stores: &Stores, rotation: &KeyRotation) -> (ApiKey, ApiKey) {
    match wait(stores.keys.rotate(rotation)).unwrap() {
        RotateOutcome::Done { successor, old } => (*successor, *old),
        refused => panic!("{refused:?}"),
    }
}

fn told(stores: &Stores) -> Vec<ChangeKind> {
    wait(stores.feed.changes_after(0)).unwrap().into_iter().map(|change| change.what).collect()
}

#[test]
fn a_key_reads_as_it_was_made_by_digest_and_by_id() {
    for Backend { name, stores, .. } in backends() {
        let (digest, key) = added(&stores);
        let found = wait(stores.keys.find(&digest));
        assert_eq!(found, Ok(Lookup::Key(Box::new(key.clone()))), "{name}");
        assert_eq!(wait(stores.keys.show(key.id)), Ok(Some(key.clone())), "{name}");
        assert_eq!(wait(stores.keys.find(&minted().0)), Ok(Lookup::Nothing), "{name}");
        assert_eq!(wait(stores.keys.show(KeyId::new())), Ok(None), "{name}");
        assert_eq!(told(&stores), [], "{name}: nobody holds a copy of a new key");
    }
}

#[test]
fn an_id_and_a_digest_are_taken_once() {
    for Backend { name, stores, .. } in backends() {
        let (digest, key) = added(&stores);
        let (other_digest, other) = minted();
        let same_id = ApiKey { id: key.id, ..other.clone() };
        for (digest, key) in [(&digest, &other), (&other_digest, &same_id)] {
            assert!(matches!(wait(stores.keys.insert(digest, key)), Err(StoreError::Taken(_))), "{name}");
        }
        assert_eq!(wait(stores.keys.find(&other_digest)), Ok(Lookup::Nothing), "{name}");
        assert_eq!(shown(&stores, key.id), key, "{name}");
    }
}

#[test]
fn pages_show_every_key_once_oldest_first() {
    for Backend { name, stores, .. } in backends() {
        let ids: Vec<_> = (0..7).map(|_| added(&stores).1.id).collect();
        let (mut seen, mut last) = (Vec::new(), None);
        loop {
            let page = wait(stores.keys.page(last, 3)).unwrap();
            let Some(end) = page.last() else { break };
            assert!(page.len() <= 3, "{name}");
            last = Some(end.id);
            seen.extend(page.iter().map(|key| key.id));
        }
        assert_eq!(seen, ids, "{name}");
        assert_eq!(wait(stores.keys.page(None, 0)).unwrap().len(), 1, "{name}");
        assert_eq!(wait(stores.keys.page(None, u64::MAX)).unwrap().len(), 7, "{name}");
    }
}

#[test]
fn a_state_comes_and_goes_but_revoked_stays_and_each_change_is_told() {
    for Backend { name, stores, .. } in backends() {
        let key = added(&stores).1;
        let set = |state| wait(stores.keys.set_state(key.id, state)).unwrap().unwrap();
        for state in [KeyState::Disabled, KeyState::Active, KeyState::Revoked] {
            assert_eq!(set(state), ApiKey { state, ..key.clone() }, "{name}");
        }
        assert_eq!(set(KeyState::Active).state, KeyState::Revoked, "{name}");
        assert_eq!(shown(&stores, key.id).state, KeyState::Revoked, "{name}");
        assert_eq!(wait(stores.keys.set_state(KeyId::new(), KeyState::Revoked)), Ok(None), "{name}");
        assert_eq!(told(&stores), vec![ChangeKind::Key(key.id); 4], "{name}");
    }
}

#[test]
fn a_successor_is_the_same_key_anew_and_the_old_one_lives_on_for_the_grace() {
    for Backend { name, stores, .. } in backends() {
        let key = added(&stores).1;
        let request = rotation(key.id, false, 2_000);
        let (successor, old) = rotated(&stores, &request);
        let expected = ApiKey {
            id: request.successor,
            created_at: at(2_000),
            expires_at: at(2_000 + 3_600),
            created_by: format!("key:{}", key.id),
            predecessor: Some(key.id),
            ..key.clone()
        };
        assert_eq!((&successor, &shown(&stores, successor.id)), (&expected, &expected), "{name}");
        assert_eq!(shown(&stores, key.id), old, "{name}");
        assert_eq!((old.ends_at(), old.expires_at), (at(2_600), key.expires_at), "{name}");
        assert_eq!(wait(stores.keys.find(&request.digest)), Ok(Lookup::Key(Box::new(successor))), "{name}");
        assert_eq!(told(&stores), [ChangeKind::Key(key.id)], "{name}");
        let again = wait(stores.keys.rotate(&rotation(key.id, false, 2_001)));
        assert_eq!(again, Ok(RotateOutcome::Superseded), "{name}");
    }
}

#[test]
fn only_the_last_two_of_a_lineage_live_whichever_is_named() {
    for Backend { name, stores, .. } in backends() {
        let key = added(&stores).1;
        let (second, _) = rotated(&stores, &rotation(key.id, true, 2_000));
        let (third, _) = rotated(&stores, &rotation(key.id, true, 2_100));
        assert_eq!(third.predecessor, Some(second.id), "{name}");
        let ends = [&key, &second, &third].map(|key| shown(&stores, key.id).ends_at());
        assert_eq!(ends, [at(2_100), at(2_700), at(2_100 + 3_600)], "{name}");
        let kind = ChangeKind::Key;
        assert_eq!(told(&stores), [kind(key.id), kind(second.id), kind(key.id)], "{name}");
    }
}

#[test]
fn the_grace_never_outlasts_the_key_and_a_dead_key_has_no_successor() {
    for Backend { name, stores, .. } in backends() {
        let key = added(&stores).1;
        let (_, old) = rotated(&stores, &rotation(key.id, false, 4_500));
        assert_eq!(old.ends_at(), at(4_600), "{name}");
        let refused = |id, secs| wait(stores.keys.rotate(&rotation(id, true, secs))).unwrap();
        let over = added(&stores).1;
        assert_eq!(refused(over.id, 4_600), RotateOutcome::Unusable, "{name}");
        for state in [KeyState::Disabled, KeyState::Revoked] {
            wait(stores.keys.set_state(over.id, state)).unwrap();
            assert_eq!(refused(over.id, 2_000), RotateOutcome::Unusable, "{name}");
        }
        assert_eq!(refused(KeyId::new(), 2_000), RotateOutcome::Unknown, "{name}");
        assert_eq!(wait(stores.keys.page(None, 9)).unwrap().len(), 3, "{name}: nothing was made");
    }
}

#[test]
fn a_batch_of_uses_counts_once_however_often_it_comes() {
    for Backend { name, stores, .. } in backends() {
        let (one, two) = (added(&stores).1, added(&stores).1);
        let used = |key: &ApiKey, count, secs| KeyUse { id: key.id, count, last_used: at(secs) };
        let writer = Uuid::now_v7();
        let gone = KeyUse { id: KeyId::new(), count: 1, last_used: at(1) };
        let first =
            UseBatch { writer, number: 1, uses: vec![used(&one, 3, 1_500), gone, used(&two, 1, 1_400)] };
        let second = UseBatch { writer, number: 2, uses: vec![used(&one, 2, 1_450)] };
        let other = UseBatch { writer: Uuid::now_v7(), ..first.clone() };
        for batch in [&first, &first, &second, &first, &second, &other] {
            wait(stores.keys.add_uses(batch)).unwrap();
        }
        let counted = |key: &ApiKey| (shown(&stores, key.id).usage_count, shown(&stores, key.id).last_used);
        assert_eq!(counted(&one), (8, Some(at(1_500))), "{name}");
        assert_eq!(counted(&two), (2, Some(at(1_400))), "{name}");
        assert_eq!(told(&stores), [], "{name}: counting wakes nobody");
    }
}

#[test]
fn of_each_end_it_is_told_once_whatever_ended_the_key() {
    for Backend { name, stores, .. } in backends() {
        let (short, long, gone) = (added(&stores).1, added(&stores).1, added(&stores).1);
        rotated(&stores, &rotation(short.id, false, 2_000));
        wait(stores.keys.set_state(gone.id, KeyState::Revoked)).unwrap();
        let ended = |secs, most| -> Vec<KeyId> {
            wait(stores.keys.newly_ended(at(secs), most)).unwrap().iter().map(|key| key.id).collect()
        };
        assert_eq!(ended(2_599, 9), [], "{name}");
        assert_eq!(ended(2_600, 9), [short.id], "{name}: its grace is over");
        assert_eq!(ended(9_999, 1), [long.id], "{name}: the oldest end first");
        assert_eq!(ended(9_999, 9).len(), 1, "{name}: the successor");
        assert_eq!(ended(9_999, 9), [], "{name}");
    }
}

#[test]
fn keys_and_counts_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let stores = sqlite(dir.path());
    let (digest, key) = added(&stores);
    let batch = UseBatch {
        writer: Uuid::now_v7(),
        number: 7,
        uses: vec![KeyUse { id: key.id, count: 41, last_used: at(1_700) }],
    };
    wait(stores.keys.add_uses(&batch)).unwrap();
    drop(stores);
    let stores = sqlite(dir.path());
    wait(stores.keys.add_uses(&batch)).unwrap();
    let expected = ApiKey { usage_count: 41, last_used: Some(at(1_700)), ..key };
    assert_eq!(wait(stores.keys.find(&digest)), Ok(Lookup::Key(Box::new(expected))));
}

#[test]
fn a_copied_database_holds_digests_and_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let stores = sqlite(dir.path());
    let request = KeyRequest {
        owner: "ann".parse().unwrap(),
        name: "n".parse().unwrap(),
        permissions: vec![],
        life: HOUR,
        cidrs: vec![],
        created_by: "operator".into(),
    };
    let (secret, key) = request.mint(at(1_000)).unwrap();
    wait(stores.keys.insert(&secret.digest(), &key)).unwrap();
    drop(stores);
    let copied = std::fs::read(dir.path().join("inner/p.db")).unwrap();
    let has = |needle: &[u8]| copied.windows(needle.len()).any(|bytes| bytes == needle);
    assert!(has(secret.digest().as_bytes()), "what is looked for can be found");
    let text = secret.expose();
    assert!(!has(text.as_bytes()) && !has(&text.as_bytes()[4..]) && !has(&text.as_bytes()[4..20]));
}

/// A store with `count` keys, written as rows in the order of their digests: how a million keys come to be is
/// not what is tested.
fn crowded(dir: &Path, count: u32) -> (Stores, KeyDigest, ApiKey) {
    let stores = sqlite(dir);
    let (digest, key) = added(&stores);
    let rows = rusqlite::Connection::open(dir.join("inner/p.db")).unwrap();
    rows.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -100000").unwrap();
    rows.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO api_keys (id, digest, owner, name, permissions, created_at, expires_at, ends_at, state,
           created_by, cidrs)
         SELECT printf('%08x-0000-7000-8000-%012x', i, i), unhex(printf('%016x', i) || hex(randomblob(24))), 'u' || i, 'n', '[]', 1, 2000000000000000, 2000000000000000,
           'active', 'tests', '[]' FROM n",
        [count],
    )
    .unwrap();
    (stores, digest, key)
}

/// One key or a million: a look is one search of an index, which is as deep as the logarithm of their number.
#[test]
fn a_look_among_a_million_keys_is_one_search_of_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let (stores, digest, key) = crowded(dir.path(), 1_000_000);
    assert_eq!(wait(stores.keys.find(&digest)), Ok(Lookup::Key(Box::new(key.clone()))));
    let rows = rusqlite::Connection::open(dir.path().join("inner/p.db")).unwrap();
    let plan = |sql: &str| -> Vec<String> {
        let mut plan = rows.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = plan.query_map([], |row| row.get::<_, String>(3)).unwrap();
        steps.map(Result::unwrap).collect()
    };
    let by_digest = plan("SELECT * FROM api_keys WHERE digest = x'00'");
    assert!(by_digest.len() == 1 && by_digest[0].starts_with("SEARCH api_keys USING INDEX"), "{by_digest:?}");
    let by_end = plan(
        "SELECT id FROM api_keys WHERE end_told = 0 AND state <> 'revoked' AND ends_at <= 1 ORDER BY ends_at, id LIMIT 1",
    );
    assert!(by_end.iter().any(|step| step.contains("USING INDEX api_keys_by_end")), "{by_end:?}");
    assert!(!by_end.iter().any(|step| step.contains("TEMP B-TREE")), "{by_end:?}");

    // Opening reads no key, and neither does looking for ends where there are none.
    drop(stores);
    let opened = sqlite(dir.path());
    assert_eq!(wait(opened.keys.newly_ended(at(1_001), 64)), Ok(vec![]));
    let page = wait(opened.keys.page(None, 1_000)).unwrap();
    assert_eq!(page.iter().map(|key| key.id).collect::<BTreeSet<_>>().len(), 1_000);
    assert_eq!(shown(&opened, key.id), key);
}
