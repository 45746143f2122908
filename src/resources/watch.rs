//! Notices files that change, whoever changes them, as long as somebody listens.
//!
//! The folders are looked through time and again: that holds on every file system, needs no place in the kernel for
//! each folder, and is bounded by what a list looks at. What the file tools change they tell at once themselves.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    domain::{Change, Timestamp},
    tools::files::Files,
};

/// How often it is looked whether somebody listens.
const IDLE: Duration = Duration::from_millis(100);
/// How often the folders are looked through while somebody does, so that many changes are told as one.
const EVERY: Duration = Duration::from_millis(500);
/// The pause after a look, in times of what it took: a large folder is looked at more rarely.
const REST: u32 = 10;
/// How long ago a file that is seen for the first time may have changed and is still told of: whoever listens has
/// begun to since the last time that nobody did.
const JUST_NOW: Duration = Duration::from_millis(300);

/// Every file by its URI: bytes, and when it was last written.
type Seen = BTreeMap<String, (u64, u64)>;

/// Tells of changes of `files` until it is dropped.
pub async fn watch(files: Files) {
    let mut before: Option<Seen> = None;
    loop {
        if files.changes().listeners() == 0 {
            before = None;
            tokio::time::sleep(IDLE).await;
            continue;
        }
        let (began, now) = (Instant::now(), Timestamp::now());
        // A folder that cannot be looked at now may be there again the next time.
        if let Ok(seen) = files.seen().await {
            let old = before.take().unwrap_or_else(|| settled(&seen, now));
            changed(&old, &seen).into_iter().for_each(|change| files.changes().tell(change));
            before = Some(seen);
        }
        tokio::time::sleep(EVERY.max(began.elapsed() * REST)).await;
    }
}

/// What was there before somebody began to listen: everything that was not written just now.
fn settled(seen: &Seen, now: Timestamp) -> Seen {
    let since = now.micros().saturating_sub(u64::try_from(JUST_NOW.as_micros()).unwrap_or_default());
    let is_old = |(_, (_, modified)): &(&String, &(u64, u64))| *modified < since;
    seen.iter().filter(is_old).map(|(uri, look)| (uri.clone(), *look)).collect()
}

/// What clients are told of between two looks.
fn changed(before: &Seen, now: &Seen) -> Vec<Change> {
    let came = now.iter().filter(|(uri, look)| before.get(*uri) != Some(look)).map(|(uri, _)| uri);
    let went = before.keys().filter(|uri| !now.contains_key(*uri));
    let all: Vec<_> = came.chain(went).map(|uri| Change::Resource(uri.as_str().into())).collect();
    // Sizes and times stand in the list too.
    let list = (!all.is_empty()).then_some(Change::Resources);
    list.into_iter().chain(all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(files: &[(&str, u64, u64)]) -> Seen {
        files.iter().map(|(uri, size, modified)| ((*uri).to_owned(), (*size, *modified))).collect()
    }

    #[test]
    fn what_came_changed_or_went_is_told_and_nothing_else() {
        let before = seen(&[("a", 1, 1), ("b", 1, 1), ("c", 1, 1), ("d", 1, 1)]);
        let now = seen(&[("a", 1, 1), ("b", 2, 1), ("c", 1, 2), ("e", 1, 1)]);
        let told = ["b", "c", "e", "d"].map(|uri| Change::Resource(uri.into()));
        assert_eq!(changed(&before, &now), [&[Change::Resources][..], &told].concat());
        assert!(changed(&now, &now).is_empty());
    }

    #[test]
    fn a_file_that_was_written_while_somebody_began_to_listen_is_told() {
        let now = Timestamp::from_secs(100);
        let files = seen(&[("new", 1, 99_900_000), ("old", 1, 99_600_000)]);
        assert_eq!(settled(&files, now), seen(&[("old", 1, 99_600_000)]));
    }
}
