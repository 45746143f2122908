//! A weather provider on loopback that takes its time, so that a call can be in flight on purpose.

use std::time::Duration;

use serde_json::json;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

use super::home::Home;

/// A stand-in for the two upstream services.
pub(crate) struct Station {
    server: MockServer,
}

impl Station {
    /// A station whose forecasts take `delay`.
    pub(crate) async fn slow(delay: Duration) -> Self {
        let server = MockServer::start().await;
        let place = json!({ "name": "Anywhere", "latitude": 59.9, "longitude": 10.7, "country": "Norway" });
        let found = ResponseTemplate::new(200).set_body_json(json!({ "results": [place] }));
        let current = json!({ "time": "2026-11-22T10:00", "temperature_2m": 3.5, "weather_code": 0 });
        let observed =
            ResponseTemplate::new(200).set_body_json(json!({ "current": current })).set_delay(delay);
        Mock::given(path("/v1/search")).respond_with(found).mount(&server).await;
        Mock::given(path("/v1/forecast")).respond_with(observed).mount(&server).await;
        Self { server }
    }

    /// `home` with this station as its provider.
    pub(crate) fn serves(&self, home: Home) -> Home {
        home.without("TOOLS__WEATHER__PROVIDER")
            .with("TOOLS__WEATHER__PROVIDER", "open_meteo")
            .with("TOOLS__WEATHER__BASE_URL", &format!("{}/v1/forecast", self.server.uri()))
            .with("TOOLS__WEATHER__GEOCODING_URL", &format!("{}/v1/search", self.server.uri()))
            .with("TOOLS__WEATHER__TIMEOUT", "8s")
    }

    /// Waits until `count` forecasts were asked for.
    pub(crate) async fn until_asked(&self, count: usize) {
        let wait = async {
            loop {
                let asked = self.server.received_requests().await.unwrap_or_default();
                if asked.iter().filter(|request| request.url.path() == "/v1/forecast").count() >= count {
                    return;
                }
                tokio::time::sleep(super::server::LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait)
            .await
            .expect("the calls did not reach the station");
    }
}
