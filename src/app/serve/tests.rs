//! A listener that ends while it serves: the same way out as a stop that was asked for.

use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Instant,
};

use super::*;
use crate::{
    actors::{
        api_keys::KeyRequest,
        audit::{Filter, Record, query, verify},
        limiter::Visit,
    },
    app::stores,
    domain::{ApiKey, RequestId},
    store,
};

fn settings(dir: &Path) -> Settings {
    let mut settings = Settings::development(dir).unwrap();
    (settings.server.port, settings.admin.port, settings.server.workers) = (0, 0, 1);
    settings.server.shutdown_grace = Duration::from_secs(1);
    settings
}

/// A key that is used `times` times, before anybody has written that down.
async fn use_a_key(server: &Server, stores: &store::Stores, times: u64) -> ApiKey {
    let request = KeyRequest {
        owner: "robot".parse().unwrap(),
        name: "n".parse().unwrap(),
        permissions: vec!["weather:read".into()],
        life: Duration::from_secs(600),
        cidrs: Vec::new(),
        created_by: "tests".into(),
    };
    let now = Timestamp::now();
    let (secret, key) = request.mint(now).unwrap();
    stores.keys.insert(&secret.digest(), &key).await.unwrap();
    let handle = server.house.services.keys.look(&secret.digest(), now).await.unwrap();
    assert!((0..times).all(|_| handle.count(now)));
    key
}

async fn use_up_an_address(server: &Server, times: u32) {
    let through = server.house.services.limiter.turnstile();
    let (ip, path) = ("192.0.2.1".parse().ok(), "/mcp");
    let (time, clock) = (Timestamp::now(), Instant::now());
    for _ in 0..times {
        let visit = Visit { request: RequestId::new(), time, clock, ip, path, epoch: 0 };
        through.address(&visit).await.unwrap();
    }
}

fn last_two(dir: &Path) -> [Record; 2] {
    let records = query(dir, Filter::default()).unwrap().map(|found| found.unwrap().record);
    records.collect::<Vec<_>>().last_chunk().unwrap().clone()
}

async fn when_the_second_listener_ends(with: io::Result<()>) {
    let home = tempfile::tempdir().unwrap();
    let settings = settings(home.path());
    let mut server = start(&settings, Vec::new()).await.unwrap();
    let main: SocketAddr = server.mcp_url().split('/').nth(2).unwrap().parse().unwrap();
    let stores = stores::open_store(&settings).await.unwrap();
    let key = use_a_key(&server, &stores, 7).await;
    use_up_an_address(&server, 900).await;
    // Where the real one would be: what is left of it must not keep the main one from stopping.
    server.serving[1] = Box::pin(async { with });

    let failed = server.run().await.unwrap_err();

    assert!(matches!(failed, AppError::Serving(_)), "{failed}");
    assert!(TcpStream::connect(main).is_err(), "the main listener has stopped too");
    let [stopped, checkpoint] = last_two(home.path());
    assert_eq!((&*stopped.event, &*stopped.outcome), ("server.stopped", "failed"));
    assert_eq!(checkpoint.event, "audit.checkpoint");
    assert!(verify(home.path(), None).unwrap().ok());
    let levels = stores.quota.levels().await.unwrap();
    assert!(levels.iter().any(|level| level.scope == "address"), "what was used up is kept: {levels:?}");
    assert_eq!(stores.keys.show(key.id).await.unwrap().unwrap().usage_count, 7);
}

#[actix::test]
async fn a_listener_that_fails_stops_the_server_in_order_and_as_a_failure() {
    when_the_second_listener_ends(Err(io::Error::other("no descriptor is left"))).await;
}

#[actix::test]
async fn a_listener_that_ends_unasked_has_failed() {
    when_the_second_listener_ends(Ok(())).await;
}

#[actix::test]
async fn a_stop_that_was_asked_for_is_no_failure() {
    let home = tempfile::tempdir().unwrap();
    let server = start(&settings(home.path()), Vec::new()).await.unwrap();
    server.run_until(std::future::ready(())).await.unwrap();
    let [stopped, checkpoint] = last_two(home.path());
    assert_eq!((&*stopped.event, &*stopped.outcome), ("server.stopped", "ok"));
    assert_eq!(checkpoint.event, "audit.checkpoint");
}
