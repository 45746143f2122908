//! The port [`FleetLog`] on Redis: a stream for each chain, in a slot of its own on a cluster, and hashes of counts.
//!
//! An entry of a stream holds records that follow each other, [`packed`], and its id is the number of the last one: to
//! write each into an entry of its own cost Redis ten times the work, and it shares a machine with others.

use std::{sync::LazyLock, time::Duration};

use deadpool_redis::redis::{self, Script};

use super::{Redis, db::Db, packed};
use crate::{
    domain::Timestamp,
    store::{
        FleetAppended, FleetBatch, FleetChain, FleetCounts, FleetEnd, FleetLog, FleetRow, StoreError,
        StoreFuture,
    },
};

/// Most rows of one entry.
const MOST_TOGETHER: u64 = 32;
/// An entry has at most this part of all rows that stay, since whole entries are dropped.
const LARGEST_PART: u64 = 16;
/// How long the time of an entry's rows is at most, microseconds: whole entries grow too old.
const LONGEST_TOGETHER: u64 = 60_000_000;
/// Entries that one step of forgetting looks at.
const FORGOTTEN_AT_ONCE: u64 = 32;
/// How long what a node counts stays: a day longer than anybody asks for.
const COUNTS_KEPT: Duration = Duration::from_hours(8 * 24);
/// Most nodes whose counts are read at once, those that told last.
const MOST_NODES: usize = 1_000;
/// The field that is there as long as all else that was told is.
const TOLD: &str = "told";

static END: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("end.lua")));
static SHIP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("ship.lua")));
static FORGET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("forget.lua")));

/// An entry as the server gives it: its id, and its members.
type Entry = (String, Vec<Vec<u8>>);

impl FleetLog for Redis {
    fn begin(&self, node: &str, chain: &str) -> StoreFuture<'_, FleetEnd> {
        let (node, chain) = (node.to_owned(), chain.to_owned());
        self.ask(async move |db| {
            recognise(&db).await?;
            let end = end(&db, &chain).await?;
            if end.seq > 0 {
                announce(&db, &node, &chain).await?;
            }
            Ok(end)
        })
    }

    fn append(&self, batch: FleetBatch) -> StoreFuture<'_, FleetAppended> {
        self.ask(async move |db| {
            // A chain that ends as it should is in no other store: only where it begins has to be looked at.
            if batch.after == 0 {
                recognise(&db).await?;
            }
            append(&db, batch).await
        })
    }

    fn forget(&self, chain: &str) -> StoreFuture<'_, ()> {
        let chain = chain.to_owned();
        self.ask(async move |db| {
            recognise(&db).await?;
            db.ask(redis::cmd("DEL").arg(db.names.audit(&chain))).await
        })
    }

    fn forget_before(&self, before: Timestamp) -> StoreFuture<'_, u64> {
        self.ask(async move |db| forget_before(&db, before).await)
    }

    fn chains(&self) -> StoreFuture<'_, Vec<FleetChain>> {
        self.ask(async move |db| {
            recognise(&db).await?;
            chains(&db).await
        })
    }

    fn rows(&self, chain: &str, after: Option<&str>, most: usize) -> StoreFuture<'_, Vec<FleetRow>> {
        let (chain, after) = (chain.to_owned(), after.map(str::to_owned));
        self.ask(async move |db| oldest(&db, &chain, after.as_deref(), most).await)
    }

    fn newest(&self, chain: &str, most: usize) -> StoreFuture<'_, Vec<FleetRow>> {
        let chain = chain.to_owned();
        self.ask(async move |db| newest(&db, &chain, most).await)
    }

    fn tell_counts(&self, node: &str, counts: Vec<(String, String)>, anew: bool) -> StoreFuture<'_, bool> {
        let node = node.to_owned();
        self.ask(async move |db| tell_counts(&db, &node, &counts, anew).await)
    }

    fn counts_but(
        &self,
        node: &str,
        since: Timestamp,
        fields: Vec<String>,
    ) -> StoreFuture<'_, Vec<FleetCounts>> {
        let node = node.to_owned();
        self.ask(async move |db| counts_but(&db, &node, since, &fields).await)
    }
}

/// What is written into another store than the one that was opened would be told to strangers.
async fn recognise(db: &Db) -> Result<(), StoreError> {
    db.recognise(db.get(&db.names.generation()).await?.as_deref())
}

async fn end(db: &Db, chain: &str) -> Result<FleetEnd, StoreError> {
    let mut script = END.prepare_invoke();
    let (seq, entry): (u64, Option<Vec<u8>>) = db.run(script.key(db.names.audit(chain))).await?;
    // What does not unpack is no line of anybody's.
    let lines = entry.map(|entry| packed::unpack(&entry).unwrap_or(entry));
    let line = lines.and_then(|lines| lines.rsplit(|byte| *byte == b'\n').next().map(<[u8]>::to_vec));
    Ok(FleetEnd { seq, line })
}

/// Makes it known who writes a chain that is there: of one that is not others forget it.
async fn announce(db: &Db, node: &str, chain: &str) -> Result<(), StoreError> {
    db.ask(redis::cmd("HSET").arg(db.names.audit_chains()).arg(chain).arg(node)).await
}

async fn append(db: &Db, batch: FleetBatch) -> Result<FleetAppended, StoreError> {
    let FleetBatch { node, chain, after, rows, most, kept } = batch;
    let Some(&(last, ..)) = rows.last() else { return Ok(FleetAppended::Done { dropped: 0 }) };
    let together = (most / LARGEST_PART).clamp(1, MOST_TOGETHER);
    // An entry that begins before the oldest row that may stay ends before this one.
    let floor = (last + together).saturating_sub(most);
    let mut script = SHIP.prepare_invoke();
    script.key(db.names.audit(&chain)).arg(after).arg(floor).arg(millis(kept));
    for rows in rows.chunk_by(follows).flat_map(|run| run.chunks(index(together))) {
        let Some((seq, at, _)) = rows.last() else { continue };
        let lines: Vec<&[u8]> = rows.iter().map(|(.., line)| line.as_slice()).collect();
        script.arg(seq).arg(at.micros()).arg(lines.len()).arg(packed::pack(&lines));
    }
    // If it was done the chain ends elsewhere, and nothing is done again.
    let dropped: i64 = db.run_or(&script, &script).await?;
    let Ok(dropped) = u64::try_from(dropped) else { return Ok(FleetAppended::Elsewhere) };
    if after == 0 {
        announce(db, &node, &chain).await?;
    }
    Ok(FleetAppended::Done { dropped })
}

/// Whether both may stand in one entry.
fn follows((seq, at, _): &(u64, Timestamp, Vec<u8>), (next, then, _): &(u64, Timestamp, Vec<u8>)) -> bool {
    seq.checked_add(1) == Some(*next) && at.micros() / LONGEST_TOGETHER == then.micros() / LONGEST_TOGETHER
}

async fn forget_before(db: &Db, before: Timestamp) -> Result<u64, StoreError> {
    recognise(db).await?;
    let mut all = 0;
    for FleetChain { chain, .. } in chains(db).await? {
        loop {
            let mut script = FORGET.prepare_invoke();
            script.key(db.names.audit(&chain)).arg(before.micros()).arg(FORGOTTEN_AT_ONCE);
            let forgotten: i64 = db.run(&script).await?;
            let Ok(forgotten) = u64::try_from(forgotten) else {
                // Whoever writes it makes it known again.
                () = db.ask(redis::cmd("HDEL").arg(db.names.audit_chains()).arg(&chain)).await?;
                break;
            };
            all += forgotten;
            if forgotten == 0 {
                break;
            }
        }
    }
    let gone = Timestamp::now().minus(COUNTS_KEPT).micros();
    let mut question = redis::cmd("ZREMRANGEBYSCORE");
    () = db.ask(question.arg(db.names.audit_nodes()).arg("-inf").arg(gone)).await?;
    Ok(all)
}

async fn chains(db: &Db) -> Result<Vec<FleetChain>, StoreError> {
    let all: Vec<(String, String)> = db.ask(redis::cmd("HGETALL").arg(db.names.audit_chains())).await?;
    let mut chains: Vec<_> = all.into_iter().map(|(chain, node)| FleetChain { node, chain }).collect();
    // Any other name is none of ours, and may be that of something else.
    chains.retain(|it| is_name(&it.chain) && is_name(&it.node));
    chains.sort_unstable();
    Ok(chains)
}

/// The first `most` rows behind the one with the id `after`.
async fn oldest(db: &Db, chain: &str, after: Option<&str>, most: usize) -> Result<Vec<FleetRow>, StoreError> {
    let from = after.map_or_else(|| "-".to_owned(), |id| format!("({id}"));
    // The entry that holds that row may hold others behind it.
    let seen = after.and_then(number);
    let is_new = |row: &FleetRow| row.seq.is_none() || row.seq > seen;
    let entries = entries(db, ("XRANGE", chain), (from, "+"), most, is_new).await?;
    Ok(entries.into_iter().flatten().take(most).collect())
}

/// The last `most` rows.
async fn newest(db: &Db, chain: &str, most: usize) -> Result<Vec<FleetRow>, StoreError> {
    let mut entries = entries(db, ("XREVRANGE", chain), ("+".to_owned(), "-"), most, |_| true).await?;
    entries.reverse();
    let mut rows = entries.concat();
    Ok(rows.split_off(rows.len().saturating_sub(most)))
}

/// The entries from one bound towards another, until they hold `most` rows of those that are wanted.
async fn entries(
    db: &Db,
    (command, chain): (&str, &str),
    (mut from, to): (String, &str),
    most: usize,
    is_wanted: impl Fn(&FleetRow) -> bool,
) -> Result<Vec<Vec<FleetRow>>, StoreError> {
    let (mut all, mut found) = (Vec::new(), 0);
    loop {
        // As many as should be enough, going by those that were read: a busy server's hold many rows, an idle one's one.
        let each = if all.is_empty() { index(MOST_TOGETHER) } else { (found / all.len()).max(1) };
        let count = (most - found).div_ceil(each).max(1);
        let mut question = redis::cmd(command);
        question.arg(db.names.audit(chain)).arg(&from).arg(to).arg("COUNT").arg(count);
        let some: Vec<Entry> = db.ask(&question).await?;
        let is_over = some.len() < count;
        for entry in some {
            from = format!("({}", entry.0);
            let mut rows = rows(entry);
            rows.retain(&is_wanted);
            found += rows.len();
            all.push(rows);
        }
        if is_over || found >= most {
            return Ok(all);
        }
    }
}

async fn tell_counts(
    db: &Db,
    node: &str,
    counts: &[(String, String)],
    anew: bool,
) -> Result<bool, StoreError> {
    recognise(db).await?;
    let key = db.names.audit_counts(node);
    let mut questions = redis::pipe();
    questions.atomic().cmd("HEXISTS").arg(&key).arg(TOLD);
    if anew {
        questions.cmd("DEL").arg(&key).ignore();
    }
    questions.cmd("HSET").arg(&key).arg(TOLD).arg(1).ignore();
    for (field, text) in counts {
        questions.cmd("HSET").arg(&key).arg(field).arg(text).ignore();
    }
    questions.cmd("PEXPIRE").arg(&key).arg(millis(COUNTS_KEPT)).ignore();
    let now = Timestamp::now().micros();
    questions.cmd("ZADD").arg(db.names.audit_nodes()).arg(now).arg(node).ignore();
    let (known,): (bool,) = db.together(&questions).await?;
    Ok(known)
}

async fn counts_but(
    db: &Db,
    node: &str,
    since: Timestamp,
    fields: &[String],
) -> Result<Vec<FleetCounts>, StoreError> {
    recognise(db).await?;
    let mut question = redis::cmd("ZREVRANGEBYSCORE");
    question.arg(db.names.audit_nodes()).arg("+inf").arg(since.micros());
    let nodes: Vec<String> = db.ask(question.arg("LIMIT").arg(0).arg(MOST_NODES)).await?;
    let mut all = Vec::new();
    for node in nodes.into_iter().filter(|other| other != node && is_name(other)) {
        let mut question = redis::cmd("HMGET");
        question.arg(db.names.audit_counts(&node)).arg(fields);
        let texts: Vec<Option<Vec<u8>>> = match db.ask(&question).await {
            // What one node's name stands for says nothing of the others.
            Err(StoreError::Corrupt(_)) => vec![None; fields.len()],
            told => told?,
        };
        let texts = texts.into_iter().map(|text| String::from_utf8(text?).ok()).collect();
        all.push(FleetCounts { node, texts });
    }
    Ok(all)
}

/// The rows of one entry, oldest first. One that is not as we write them is one row that is no record.
fn rows((id, members): Entry) -> Vec<FleetRow> {
    let mut pairs = members.chunks_exact(2);
    let entry =
        pairs.find(|pair| pair.first().is_some_and(|name| name == b"lz4")).and_then(|pair| pair.get(1));
    let entry = entry.map_or(&[][..], Vec::as_slice);
    let lines = packed::unpack(entry).unwrap_or_default();
    let others = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
    let last = number(&id).filter(|last| !lines.is_empty() && others < MOST_TOGETHER.min(*last));
    let Some(last) = last else {
        return vec![FleetRow { seq: number(&id), id, line: entry.to_vec() }];
    };
    let row =
        |(seq, line): (u64, &[u8])| FleetRow { id: format!("{seq}-0"), seq: Some(seq), line: line.to_vec() };
    (last - others..=last).zip(lines.split(|byte| *byte == b'\n')).map(row).collect()
}

/// The number of the record that gives an entry its id.
fn number(id: &str) -> Option<u64> {
    id.strip_suffix("-0").and_then(|seq| seq.parse().ok())
}

/// Whether it is the name of a chain or a node: hexadecimal digits and hyphens.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn index(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
