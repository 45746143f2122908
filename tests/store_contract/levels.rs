//! How much of each limit is used up: what is kept of it, and for how long.

use portcullis::{
    domain::Timestamp,
    store::{Level, Stores},
};

use super::{Backend, backends, wait};

pub(super) fn level(id: u8, spent: u64, until: u64) -> Level {
    let (at, until) = (Timestamp::from_secs(1), Timestamp::from_secs(until));
    Level { scope: "user".into(), id: [id; 16], spent, at, until }
}

/// The levels that are kept, by id.
pub(super) fn levels(stores: &Stores) -> Vec<Level> {
    let mut levels = wait(stores.quota.levels()).unwrap();
    levels.sort_by_key(|level| (level.id, level.scope.clone()));
    levels
}

#[test]
fn a_level_takes_the_place_of_the_one_before_and_goes_when_it_is_full() {
    for Backend { name, stores, .. } in backends() {
        let save = |levels: &[Level], now| {
            wait(stores.quota.save(levels.to_vec(), Timestamp::from_secs(now))).unwrap();
        };
        let key = Level { scope: "key".into(), ..level(1, 3, 30) };
        save(&[level(1, 5, 10), level(2, u64::MAX >> 1, 20), key.clone()], 0);
        save(&[level(1, 7, 12)], 2);
        let all = [key.clone(), level(1, 7, 12), level(2, u64::MAX >> 1, 20)];
        assert_eq!(levels(&stores), all, "{name}");
        save(&[], 11);
        assert_eq!(levels(&stores), all, "{name}: not before its end");
        save(&[], 12);
        assert_eq!(levels(&stores).len(), 2, "{name}: full at its end");
        save(&[], 20);
        assert_eq!(levels(&stores), std::slice::from_ref(&key), "{name}: what is full is dropped");
        save(&[level(3, 1, 25)], 24);
        save(&[level(3, 1, 40)], 30);
        assert_eq!(levels(&stores), [level(3, 1, 40)], "{name}: prolonged in the moment of its end");
        let told = wait(stores.feed.latest());
        assert_eq!(told, Ok(0), "{name}: nobody else needs to know");
    }
}
