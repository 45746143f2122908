//! Tests of `get_weather` against a stand-in of Open-Meteo on this machine.

mod trace;

use std::{
    sync::{Barrier, Mutex},
    thread,
    time::Instant,
};

use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path, query_param},
};

use super::{breaker, open_meteo::FRESH, *};
use crate::{domain::Catalogue, policy::permit_for_tests, store, tools::Registry};

/// A stand-in, and the real provider that asks it.
struct Bench {
    server: MockServer,
    stations: Arc<OpenMeteo>,
    now: Arc<Mutex<Instant>>,
}

impl Bench {
    async fn new() -> Self {
        let server = MockServer::start().await;
        let now = Arc::new(Mutex::new(Instant::now()));
        let clock = Arc::clone(&now);
        let config = config(&server.uri(), Duration::from_secs(5));
        let stations = OpenMeteo::with_clock(&config, Arc::new(move || *clock.lock().unwrap())).unwrap();
        Self { server, stations: Arc::new(stations), now }
    }

    /// A stand-in that answers as the service does, for every city.
    async fn healthy() -> Self {
        let bench = Self::new().await;
        bench.answer("/v1/search", ResponseTemplate::new(200).set_body_json(oslo())).await;
        bench.answer("/v1/forecast", ResponseTemplate::new(200).set_body_json(overcast())).await;
        bench
    }

    async fn answer(&self, at: &str, with: ResponseTemplate) {
        Mock::given(method("GET")).and(path(at)).respond_with(with).mount(&self.server).await;
    }

    async fn asked(&self, at: &str) -> usize {
        self.server
            .received_requests()
            .await
            .unwrap()
            .iter()
            .filter(|request| request.url.path() == at)
            .count()
    }

    fn pass(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }
}

fn config(uri: &str, timeout: Duration) -> WeatherSettings {
    WeatherSettings {
        provider: WeatherProvider::OpenMeteo,
        base_url: uri.parse().unwrap(),
        geocoding_url: uri.parse().unwrap(),
        timeout,
    }
}

fn oslo() -> Value {
    json!({ "results": [{ "id": 3_143_244, "name": "Oslo", "latitude": 59.91273, "longitude": 10.74609, "country": "Norway" }] })
}

fn overcast() -> Value {
    json!({
        "latitude": 59.9, "longitude": 10.7, "utc_offset_seconds": 0, "timezone": "GMT",
        "current": { "time": "2026-11-22T21:15", "interval": 900, "temperature_2m": -1.5, "weather_code": 3 }
    })
}

fn upstream_text(outcome: Result<Observation, ToolError>) -> String {
    match outcome {
        Err(ToolError::Upstream(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_city_is_looked_up_and_its_weather_asked_for() {
    let bench = Bench::new().await;
    Mock::given(path("/v1/search"))
        .and(query_param("name", "são paulo"))
        .and(query_param("count", "1"))
        .and(query_param("language", "en"))
        .and(query_param("format", "json"))
        .respond_with(ResponseTemplate::new(200).set_body_json(oslo()))
        .mount(&bench.server)
        .await;
    Mock::given(path("/v1/forecast"))
        .and(query_param("latitude", "59.91273"))
        .and(query_param("longitude", "10.74609"))
        .and(query_param("current", "temperature_2m,weather_code"))
        .and(query_param("timezone", "UTC"))
        .respond_with(ResponseTemplate::new(200).set_body_json(overcast()))
        .mount(&bench.server)
        .await;

    let seen = bench.stations.latest("São Paulo").await.unwrap();

    let expected = Observation {
        city: "Oslo".into(),
        temperature: -1.5,
        condition: "Overcast".into(),
        timestamp: "2026-11-22T21:15:00Z".into(),
        source: "open-meteo".into(),
    };
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_city_that_nobody_knows_is_told_by_name_and_asked_for_once() {
    let bench = Bench::new().await;
    bench
        .answer("/v1/search", ResponseTemplate::new(200).set_body_json(json!({ "generationtime_ms": 0.1 })))
        .await;
    for _ in 0..breaker::FAILURES + 1 {
        let error = bench.stations.latest("Nowhereville").await.unwrap_err();
        assert_eq!(
            error,
            ToolError::NotFound("no place called nowhereville is known; try another spelling".into())
        );
    }
    assert_eq!(bench.asked("/v1/search").await, 1);
    assert_eq!(bench.asked("/v1/forecast").await, 0);
}

#[tokio::test]
async fn a_service_that_fails_is_told_without_its_text() {
    let bench = Bench::new().await;
    bench.answer("/v1/search", ResponseTemplate::new(500).set_body_string("stack trace")).await;
    let text = upstream_text(bench.stations.latest("Oslo").await);
    assert_eq!(text, "the weather service answered with status 500; try again later");
}

#[tokio::test]
async fn a_slow_service_is_given_up_at_the_timeout() {
    let bench = Bench::new().await;
    bench.answer("/v1/search", ResponseTemplate::new(200).set_delay(Duration::from_secs(30))).await;
    let quick = OpenMeteo::open(&config(&bench.server.uri(), Duration::from_millis(100))).unwrap();
    let started = Instant::now();
    assert!(upstream_text(quick.latest("Oslo").await).contains("did not answer in time"));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_told_without_its_address() {
    let lonely = OpenMeteo::open(&config("http://127.0.0.1:1", Duration::from_secs(5))).unwrap();
    let text = upstream_text(lonely.latest("Oslo").await);
    assert_eq!(text, "the weather service cannot be reached; try again later");
}

#[tokio::test]
async fn an_answer_over_the_limit_or_not_as_documented_is_garbled() {
    for body in [
        "x".repeat(1 << 20),
        " ".repeat(1 << 20) + &oslo().to_string(),
        "{\"results\":".into(),
        "<html>".into(),
    ] {
        let bench = Bench::new().await;
        bench.answer("/v1/search", ResponseTemplate::new(200).set_body_string(body)).await;
        assert!(upstream_text(bench.stations.latest("Oslo").await).contains("cannot be understood"));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let bench = Bench::healthy().await;
    let moved = Bench::new().await;
    let target = format!("{}/v1/search", bench.server.uri());
    moved.answer("/v1/search", ResponseTemplate::new(302).insert_header("location", target.as_str())).await;
    assert!(upstream_text(moved.stations.latest("Oslo").await).contains("status 302"));
    assert_eq!(bench.asked("/v1/search").await, 0);
}

#[tokio::test]
async fn a_question_that_the_service_rejects_is_no_failure_of_the_service() {
    let bench = Bench::new().await;
    let reason = json!({ "error": true, "reason": format!("bad\u{1b}[31m {}", "name ".repeat(200)) });
    bench.answer("/v1/search", ResponseTemplate::new(400).set_body_json(reason)).await;
    for _ in 0..breaker::FAILURES * 2 {
        let text = upstream_text(bench.stations.latest("Oslo").await);
        assert!(text.starts_with("the weather service rejects the request: bad\\u{1b}[31m name"), "{text}");
        assert!(text.chars().count() < 300);
    }
}

#[tokio::test]
async fn a_failing_service_is_left_alone_until_its_rest_is_over() {
    let bench = Bench::new().await;
    let failing = Mock::given(path("/v1/search"))
        .respond_with(ResponseTemplate::new(503))
        .mount_as_scoped(&bench.server)
        .await;
    for _ in 0..breaker::FAILURES {
        upstream_text(bench.stations.latest("Oslo").await);
    }
    let refused = bench.stations.latest("Bergen").await.unwrap_err();
    let open = ToolError::Unavailable { code: crate::error::Code::Overloaded, retry_after: breaker::REST };
    assert_eq!(refused, open);
    assert_eq!(bench.asked("/v1/search").await, breaker::FAILURES as usize);

    bench.pass(breaker::REST);
    upstream_text(bench.stations.latest("Oslo").await);
    assert_eq!(bench.stations.latest("Oslo").await, Err(open));

    drop(failing);
    bench.answer("/v1/search", ResponseTemplate::new(200).set_body_json(oslo())).await;
    bench.answer("/v1/forecast", ResponseTemplate::new(200).set_body_json(overcast())).await;
    bench.pass(breaker::REST);
    assert!(bench.stations.latest("Oslo").await.is_ok());
    assert!(bench.stations.latest("Bergen").await.is_ok());
}

#[tokio::test]
async fn an_answer_is_good_for_ten_minutes_however_the_city_is_written() {
    let bench = Bench::healthy().await;
    bench.stations.latest("Oslo").await.unwrap();
    bench.pass(FRESH - Duration::from_millis(1));
    bench.stations.latest("OSLO").await.unwrap();
    assert_eq!(bench.asked("/v1/forecast").await, 1);
    bench.pass(Duration::from_millis(1));
    bench.stations.latest("oslo").await.unwrap();
    assert_eq!(bench.asked("/v1/forecast").await, 2);
}

#[tokio::test]
async fn a_failure_is_not_remembered() {
    let bench = Bench::new().await;
    let failing = Mock::given(path("/v1/search"))
        .respond_with(ResponseTemplate::new(503))
        .mount_as_scoped(&bench.server)
        .await;
    upstream_text(bench.stations.latest("Oslo").await);
    drop(failing);
    bench.answer("/v1/search", ResponseTemplate::new(200).set_body_json(oslo())).await;
    bench.answer("/v1/forecast", ResponseTemplate::new(200).set_body_json(overcast())).await;
    assert!(bench.stations.latest("Oslo").await.is_ok());
}

/// Runs `ask` on a runtime of its own on each of `workers` threads, all at once, as actix workers do.
fn on_workers(workers: usize, ask: impl AsyncFn(usize) + Sync) {
    let together = Barrier::new(workers);
    thread::scope(|scope| {
        for worker in 0..workers {
            let (ask, together) = (&ask, &together);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                together.wait();
                runtime.block_on(ask(worker));
            });
        }
    });
}

#[tokio::test]
async fn fifty_first_calls_on_five_workers_are_one_question() {
    let bench = Bench::new().await;
    let slowly = ResponseTemplate::new(200).set_body_json(oslo()).set_delay(Duration::from_millis(200));
    bench.answer("/v1/search", slowly).await;
    bench.answer("/v1/forecast", ResponseTemplate::new(200).set_body_json(overcast())).await;

    on_workers(5, async |_| {
        let ten = (0..10).map(|_| bench.stations.latest("Oslo"));
        for outcome in futures_util::future::join_all(ten).await {
            assert_eq!(outcome.unwrap().temperature, -1.5);
        }
    });

    assert_eq!(bench.asked("/v1/search").await, 1);
    assert_eq!(bench.asked("/v1/forecast").await, 1);
}

#[tokio::test]
async fn fifty_calls_at_once_to_a_failing_service_are_one_question_too() {
    let bench = Bench::new().await;
    bench.answer("/v1/search", ResponseTemplate::new(500).set_delay(Duration::from_millis(200))).await;
    let fifty = (0..50).map(|_| bench.stations.latest("Oslo"));
    for outcome in futures_util::future::join_all(fifty).await {
        upstream_text(outcome);
    }
    assert_eq!(bench.asked("/v1/search").await, 1);
}

#[tokio::test]
async fn connections_outlive_the_worker_that_asked_first() {
    let bench = Bench::healthy().await;
    for round in 0..3 {
        on_workers(4, async |worker| {
            for call in 0..5 {
                bench.stations.latest(&format!("City {round} {worker} {call}")).await.unwrap();
            }
        });
    }
    assert_eq!(bench.asked("/v1/forecast").await, 60);
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_cancel_what_others_wait_for() {
    let bench = Bench::new().await;
    let slowly = ResponseTemplate::new(200).set_body_json(oslo()).set_delay(Duration::from_millis(200));
    bench.answer("/v1/search", slowly).await;
    bench.answer("/v1/forecast", ResponseTemplate::new(200).set_body_json(overcast())).await;

    let impatient = tokio::time::timeout(Duration::from_millis(20), bench.stations.latest("Oslo")).await;
    assert!(impatient.is_err());
    bench.stations.latest("Oslo").await.unwrap();

    assert_eq!(bench.asked("/v1/search").await, 1);
}

#[tokio::test]
async fn more_cities_at_once_than_we_ask_for_are_told_to_come_again() {
    let bench = Bench::new().await;
    let slowly = ResponseTemplate::new(200).set_body_json(oslo()).set_delay(Duration::from_millis(200));
    bench.answer("/v1/search", slowly).await;
    bench.answer("/v1/forecast", ResponseTemplate::new(200).set_body_json(overcast())).await;
    let ask = async |n: usize| bench.stations.latest(&format!("City {n}")).await;
    let outcomes = futures_util::future::join_all((0..=flight::MAX_FLIGHTS).map(ask)).await;
    let (served, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((served.len(), refused.len()), (flight::MAX_FLIGHTS, 1));
    assert!(matches!(refused[0], Err(ToolError::Unavailable { .. })));
}

#[test]
fn only_usable_addresses_open() {
    let second = Duration::from_secs(1);
    assert!(matches!(OpenMeteo::open(&config("ftp://x.example", second)), Err(WeatherError::Address(_))));
    assert!(OpenMeteo::open(&config("https://x.example", second)).is_ok());
    let fixed = WeatherSettings { provider: WeatherProvider::Fixed, ..config("ftp://x.example", second) };
    assert!(open(&fixed).is_ok());
}

/// Calls the tool as the endpoint does, with the fixed provider.
async fn call(arguments: Value) -> Result<Value, ToolError> {
    let tool =
        GetWeather { stations: Arc::new(Fixed), reported: Reported::none(&store::open("memory:").unwrap()) };
    let registry = Registry::new(vec![Box::new(tool)], &Catalogue::new::<&str>(&[]).unwrap()).unwrap();
    let text = arguments.to_string();
    let tree = crate::protocol::Tree::of_text(&text).unwrap();
    let produced = registry.find("get_weather").unwrap().run(&tree, &Call::new(&permit_for_tests())).await?;
    Ok(serde_json::from_str(produced.output().unwrap()).unwrap())
}

#[tokio::test]
async fn the_fixed_provider_says_22_and_sunny_of_any_city_in_any_script() {
    let longest = "é".repeat(100);
    for city in ["Oslo", " São Paulo ", "東京", "مسجد\u{200c}سلیمان", "Saint-Jean-d'Angély", &longest]
    {
        let seen = call(json!({ "city": city })).await.unwrap();
        assert_eq!(seen["city"], city.trim());
        assert_eq!((&seen["temperature"], &seen["condition"]), (&json!(22.0), &json!("Sunny")));
        assert_eq!(seen["source"], "fixed");
        let age = chrono::Utc::now()
            - chrono::DateTime::parse_from_rfc3339(seen["timestamp"].as_str().unwrap()).unwrap().to_utc();
        assert!(age.num_seconds().abs() < 5);
    }
}

#[tokio::test]
async fn a_city_that_is_none_is_told_what_would_be_one() {
    let too_long = "x".repeat(101);
    for (city, told) in [
        (json!(""), "/city must not be empty"),
        (json!(too_long), "/city must be at most 100 characters long"),
        (json!("a\nb"), "/city must match the pattern"),
        (json!("a\u{0}"), "/city must match the pattern"),
        (json!("   "), "/city must be the name of a place"),
        (json!("Os\u{202e}lo"), "/city must be the name of a place"),
        (json!(7), "/city must be a string"),
        (json!(null), "/city must be a string"),
    ] {
        match call(json!({ "city": city })).await {
            Err(ToolError::Arguments(text)) => assert!(text.contains(told), "{text}"),
            other => panic!("{city}: {other:?}"),
        }
    }
}
