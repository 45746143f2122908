//! Copies of stores that are large, and stores that fail in the middle of one.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use portcullis::{
    domain::{ApiKey, ApiKeySecret, KeyId, Timestamp},
    store::{
        FamilyAccess, IDENTITY_RING, StoreError, StoreFuture, Stores,
        moving::{
            Found, Listing, MOST_BYTES, MOST_LISTED, Mark, Moving, Record, RecordKind, Traits, UsedRefresh,
            WholeFamily, copy,
        },
    },
};

use super::{Nodes, families::family, keys::minted, unhurried, wait};

/// A store that answers so many questions and no more; every second time the last one is done and not answered.
pub(super) struct Dies {
    inner: Arc<dyn Moving>,
    left: AtomicUsize,
    after: usize,
    /// Happens just before it is marked first.
    before_mark: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Dies {
    pub(super) fn after(questions: usize, inner: Arc<dyn Moving>) -> Self {
        Self { inner, left: AtomicUsize::new(questions), after: questions, before_mark: Mutex::default() }
    }

    /// So that `what` happens just before it is marked.
    pub(super) fn but_first(self, what: impl FnOnce() + Send + 'static) -> Self {
        Self { before_mark: Mutex::new(Some(Box::new(what))), ..self }
    }

    fn ask<'a, T: Send + 'a>(&'a self, question: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let gone = || Err(StoreError::Unavailable("as the test wants".into()));
            match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
                Ok(1) if self.after.is_multiple_of(2) => question.await.and_then(|_answer| gone()),
                Ok(_) => question.await,
                Err(_) => gone(),
            }
        })
    }
}

impl Moving for Dies {
    fn list(&self, kind: RecordKind, after: Option<String>, now: Timestamp) -> StoreFuture<'_, Listing> {
        self.ask(self.inner.list(kind, after, now))
    }

    fn look_up(&self, kind: RecordKind, ids: Vec<String>) -> StoreFuture<'_, Found> {
        self.ask(self.inner.look_up(kind, ids))
    }

    fn put_all<'a>(&'a self, mark: &'a Mark, records: Vec<Record>) -> StoreFuture<'a, ()> {
        self.ask(self.inner.put_all(mark, records))
    }

    fn drop_all<'a>(&'a self, mark: &'a Mark, kind: RecordKind, ids: Vec<String>) -> StoreFuture<'a, ()> {
        self.ask(self.inner.drop_all(mark, kind, ids))
    }

    fn mark(&self) -> StoreFuture<'_, Option<Mark>> {
        self.ask(self.inner.mark())
    }

    fn mark_as<'a>(&'a self, mark: &'a Mark) -> StoreFuture<'a, Option<Mark>> {
        if let Some(what) = self.before_mark.lock().unwrap().take() {
            what();
        }
        self.ask(self.inner.mark_as(mark))
    }

    fn unmark<'a>(&'a self, mark: &'a Mark) -> StoreFuture<'a, ()> {
        // Whose last answer is lost asks for it; this one answers nothing more, so it is not done either.
        Box::pin(async move {
            self.ask(self.inner.mark()).await?;
            self.inner.unmark(mark).await
        })
    }

    fn traits(&self) -> StoreFuture<'_, Traits> {
        self.ask(self.inner.traits())
    }
}

/// A store that notes how much it is given and gives at a time.
struct Weighed {
    inner: Arc<dyn Moving>,
    most: AtomicUsize,
}

impl Weighed {
    fn new(stores: &Stores) -> Self {
        Self { inner: Arc::clone(&stores.moving), most: AtomicUsize::new(0) }
    }

    /// Counts, and what the records hold that is not small.
    fn weigh(&self, records: &[Record]) {
        assert!(records.len() <= MOST_LISTED, "{} records at once", records.len());
        let bytes = records.iter().map(|record| match record {
            Record::Family(whole) => whole.used.iter().map(|used| used.sealed.len()).sum(),
            Record::Task(row) => row.ended.as_ref().map_or(0, |end| end.body.len()),
            _ => 0,
        });
        let bytes: usize = bytes.sum();
        assert!(bytes <= MOST_BYTES + LARGE, "{bytes} bytes at once");
        self.most.fetch_max(bytes, Ordering::Relaxed);
    }
}

impl Moving for Weighed {
    fn list(&self, kind: RecordKind, after: Option<String>, now: Timestamp) -> StoreFuture<'_, Listing> {
        Box::pin(async move {
            let page = self.inner.list(kind, after, now).await?;
            assert!(page.ids.len() <= MOST_LISTED, "{} ids at once", page.ids.len());
            Ok(page)
        })
    }

    fn look_up(&self, kind: RecordKind, ids: Vec<String>) -> StoreFuture<'_, Found> {
        Box::pin(async move {
            let found = self.inner.look_up(kind, ids).await?;
            self.weigh(&found.records);
            Ok(found)
        })
    }

    fn put_all<'a>(&'a self, mark: &'a Mark, records: Vec<Record>) -> StoreFuture<'a, ()> {
        self.weigh(&records);
        self.inner.put_all(mark, records)
    }

    fn drop_all<'a>(&'a self, mark: &'a Mark, kind: RecordKind, ids: Vec<String>) -> StoreFuture<'a, ()> {
        self.inner.drop_all(mark, kind, ids)
    }

    fn mark(&self) -> StoreFuture<'_, Option<Mark>> {
        self.inner.mark()
    }

    fn mark_as<'a>(&'a self, mark: &'a Mark) -> StoreFuture<'a, Option<Mark>> {
        self.inner.mark_as(mark)
    }

    fn unmark<'a>(&'a self, mark: &'a Mark) -> StoreFuture<'a, ()> {
        self.inner.unmark(mark)
    }

    fn traits(&self) -> StoreFuture<'_, Traits> {
        self.inner.traits()
    }
}

const MANY: usize = 20_000;
/// What the sealed successors of every hundredth family have, bytes.
const LARGE: usize = 200_000;

/// So many keys and families, put there as a copy would.
fn fill_with_many(stores: &Stores) {
    let (now, day) = (Timestamp::now(), Duration::from_hours(24));
    let mark = Mark::new("many".into());
    wait(stores.moving.mark_as(&mark)).unwrap();
    let (_, model) = minted();
    let key = |n: usize| {
        let digest = ApiKeySecret::generate().unwrap().digest();
        let (id, usage_count) = (KeyId::new(), n as u64);
        let key = ApiKey { id, usage_count, created_at: now, expires_at: now.plus(day), ..model.clone() };
        Record::Key { digest, key: Box::new(key), told_ended: false }
    };
    let whole = |n: usize| {
        let family = family(&format!("f{n}"), &format!("u{}", n / 8));
        let family = portcullis::store::Family { expires_at: now.plus(day), ..family };
        let access = vec![FamilyAccess { jti: format!("a{n}"), until: now.plus(day) }];
        let sealed = vec![7; if n.is_multiple_of(100) { LARGE } else { 100 }];
        let used = vec![UsedRefresh { jti: format!("r{n}"), at: now, sealed }];
        Record::Family(Box::new(WholeFamily { family, used_at: now, access, used }))
    };
    let all: Vec<Record> = (0..MANY).map(key).chain((0..MANY).map(whole)).collect();
    for some in all.chunks(4_000) {
        wait(stores.moving.put_all(&mark, some.to_vec())).unwrap();
    }
    wait(stores.moving.unmark(&mark)).unwrap();
    wait(stores.rings.secret(IDENTITY_RING)).unwrap();
}

#[test]
fn a_large_store_is_copied_in_small_pages() {
    let nodes = Arc::new(Nodes::start());
    let [_, sqlite, redis, ..] = unhurried(&nodes, "a:");
    let [_, back, ..] = unhurried(&nodes, "b:");
    fill_with_many(&sqlite.stores);
    for (from, to) in [(&sqlite, &redis), (&redis, &back)] {
        let started = Instant::now();
        let (source, target) = (Weighed::new(&from.stores), Weighed::new(&to.stores));
        let copied = wait(copy(&source, &target, |_| {})).unwrap();
        println!("{} records from {} to {}: {:?}", 2 * MANY, from.name, to.name, started.elapsed());
        assert!(copied.kinds.iter().all(|one| one.source == one.target), "{copied:?}");
        let counts = copied.kinds.iter().map(|one| one.target.count() as usize);
        assert!(counts.eq([1, 0, 0, MANY, MANY, 0, 0, 0]), "{copied:?}");
        for side in [source, target] {
            let most = side.most.load(Ordering::Relaxed);
            assert!(most > MOST_BYTES / 2, "the bound was never near: {most}");
        }
    }
}
