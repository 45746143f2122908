//! A store full of API keys: a start reads none of them, and the first use reads one.
//!
//! `PORTCULLIS_FULL=1` fills in a million.

use std::time::Instant;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::{
    home::Home,
    output, process,
    server::{LOOK_EVERY, Server},
};

/// What a start may read more with many keys than with one: a few pages of the index.
const FEW_BYTES: u64 = 128 * 1024;
/// What it may occupy more, KiB.
const FEW_KIB: u64 = 2 * 1024;

/// What a key may occupy while it is in use, bytes: its handle, its bucket, and what finds it on a worker.
const EACH_IN_USE: u64 = 3 * 1024;

/// Puts so many keys beside the one that is there, each with a digest of its own.
fn fill(home: &Home, count: u64) {
    let database = rusqlite::Connection::open(home.data_dir().join("portcullis.db")).unwrap();
    let added = database
        .execute(
            "WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
             INSERT INTO api_keys (id, digest, owner, name, permissions, created_at, expires_at, ends_at, state, created_by, cidrs)
             SELECT printf('%08x-0000-7000-8000-%012x', n, n), randomblob(32), owner, name, permissions, created_at,
                    expires_at, ends_at, state, created_by, cidrs
             FROM n, (SELECT * FROM api_keys LIMIT 1)",
            [i64::try_from(count).unwrap()],
        )
        .unwrap();
    assert_eq!(added as u64, count);
}

/// A server that was just started: bytes read by then, KiB occupied.
async fn started(home: &Home, with: &str) -> (Server, u64, u64) {
    let began = Instant::now();
    let server = Server::start(home).await;
    let took = began.elapsed();
    let (read, occupied) = (process::read_bytes(server.pid()), process::rss_kib(server.pid()));
    output::figure(&format!(
        "start with {with}: {took:?}, looked at every {LOOK_EVERY:?}; {read} bytes read, {occupied} KiB"
    ));
    (server, read, occupied)
}

#[tokio::test]
async fn a_start_reads_no_key_however_many_there_are() {
    let count = if output::full() { 1_000_000 } else { 20_000 };
    let home = Home::for_load("many_keys");
    let verb = ["key", "create", "--user", "ci", "--name", "build server", "--permission", "weather:read"];
    let key = home.ok(&verb).await.trim().to_owned();
    output::secret(&key);
    Server::start(&home).await.stopped().await;
    let (server, few_read, few_occupied) = started(&home, "one key").await;
    server.stopped().await;
    fill(&home, count);
    let (server, read, occupied) = started(&home, &format!("{count} keys more")).await;
    assert!(read <= few_read + FEW_BYTES, "{read} bytes read with {count} keys, {few_read} with one");
    assert!(occupied <= few_occupied + FEW_KIB, "{occupied} KiB with {count} keys, {few_occupied} with one");

    let before = process::read_bytes(server.pid());
    let caller = server.caller(Some(&key));
    assert_eq!(caller.weather("Oslo").await.unwrap().status, 200);
    let used = process::read_bytes(server.pid()) - before;
    assert!(used <= FEW_BYTES, "the first use of one key has read {used} bytes");
    server.stopped().await;
}

#[tokio::test]
async fn a_key_in_use_occupies_no_more_than_is_said() {
    let count: u64 = if output::full() { 60_000 } else { 6_000 };
    let home = Home::for_load("keys_in_use");
    let verb = ["key", "create", "--user", "ci", "--name", "build server", "--permission", "weather:read"];
    let key = home.ok(&verb).await.trim().to_owned();
    output::secret(&key);
    fill(&home, count);
    let texts: Vec<String> = (1..=count)
        .map(|n| format!("mcp_{}", URL_SAFE_NO_PAD.encode(Sha256::digest(n.to_le_bytes()))))
        .collect();
    let database = rusqlite::Connection::open(home.data_dir().join("portcullis.db")).unwrap();
    database.execute_batch("BEGIN").unwrap();
    for (n, text) in (1..=count).zip(&texts) {
        let id = format!("{n:08x}-0000-7000-8000-{n:012x}");
        let digest = Sha256::digest(text).to_vec();
        let changed =
            database.execute("UPDATE api_keys SET digest = ?1 WHERE id = ?2", rusqlite::params![digest, id]);
        assert_eq!(changed, Ok(1));
    }
    database.execute_batch("COMMIT").unwrap();
    drop(database);

    let server = Server::start(&home).await;
    let caller = server.caller(Some(&key));
    let mut before = 0;
    // A third of them is for what is grown once for all.
    for (n, text) in (0..).zip(&texts) {
        if n == count / 3 {
            before = process::rss_kib(server.pid());
        }
        assert_eq!(caller.with_token(text).weather("Oslo").await.unwrap().status, 200);
    }
    let each = process::rss_kib(server.pid()).saturating_sub(before) * 1024 / (count - count / 3);
    output::figure(&format!("{count} keys in use: {each} bytes each"));
    assert!(each <= EACH_IN_USE, "{each} bytes each");
    server.stopped().await;
}
