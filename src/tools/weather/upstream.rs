//! The HTTP side of Open-Meteo: two questions, bounded in time and size, no redirects, no proxies.

use std::time::Duration;

use reqwest::{Client, StatusCode, redirect::Policy};
use url::Url;

use super::{
    Observation, WeatherError, WeatherSettings,
    answer::{self, Site, garbled},
    config::endpoint,
};
use crate::tools::{ToolError, error::clean_to};

/// Longest answer that is read, bytes.
const MAX_BODY: usize = 256 * 1024;
/// Longest wait for a connection, part of the whole timeout.
const CONNECT: Duration = Duration::from_secs(2);

/// Why there is no observation, and whether the service is to blame.
#[derive(Debug)]
pub(super) enum Failure {
    /// The service answered; it was the question. Says nothing about the service's health, or else any
    /// caller could cut all others off by asking nonsense.
    Question(ToolError),
    /// The service did not answer, or not as it should.
    Service(ToolError),
}

/// Asks one service. Must be used on one runtime only, since its connections live on that runtime.
#[derive(Debug)]
pub(super) struct Upstream {
    client: Client,
    search: Url,
    forecast: Url,
    timeout: Duration,
}

impl Upstream {
    /// A client for the addresses in `config`; nothing is connected yet.
    ///
    /// # Errors
    /// [`WeatherError`] if an address cannot be used or TLS cannot be set up.
    pub(super) fn new(config: &WeatherSettings) -> Result<Self, WeatherError> {
        install_crypto();
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT.min(config.timeout))
            .timeout(config.timeout)
            .pool_max_idle_per_host(4)
            .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| WeatherError::Client(e.to_string()))?;
        let search = endpoint(&config.geocoding_url, "search")?;
        let forecast = endpoint(&config.base_url, "forecast")?;
        Ok(Self { client, search, forecast, timeout: config.timeout })
    }

    /// Finds `city`, then asks for its weather, both within the timeout. With the `parent` of a trace the service is
    /// told of that, and of nothing else that the client has said of it.
    pub(super) async fn observe(&self, city: &str, parent: Option<&str>) -> Result<Observation, Failure> {
        let both = async {
            let Some(site) = self.locate(city, parent).await? else {
                return Err(Failure::Question(unknown(city)));
            };
            self.current(site, parent).await
        };
        tokio::time::timeout(self.timeout, both).await.unwrap_or_else(|_| Err(Failure::Service(late())))
    }

    async fn locate(&self, city: &str, parent: Option<&str>) -> Result<Option<Site>, Failure> {
        let mut url = self.search.clone();
        url.query_pairs_mut()
            .append_pair("name", city)
            .append_pair("count", "1")
            .append_pair("language", "en")
            .append_pair("format", "json");
        answer::site(&self.fetch(url, parent).await?).map_err(Failure::Service)
    }

    async fn current(&self, site: Site, parent: Option<&str>) -> Result<Observation, Failure> {
        let mut url = self.forecast.clone();
        url.query_pairs_mut()
            .append_pair("latitude", &site.latitude.to_string())
            .append_pair("longitude", &site.longitude.to_string())
            .append_pair("current", "temperature_2m,weather_code")
            .append_pair("timezone", "UTC");
        answer::observation(&self.fetch(url, parent).await?, site.name).map_err(Failure::Service)
    }

    /// The body of a 200 answer, at most [`MAX_BODY`].
    async fn fetch(&self, url: Url, parent: Option<&str>) -> Result<Vec<u8>, Failure> {
        let mut request = self.client.get(url);
        if let Some(parent) = parent {
            request = request.header("traceparent", parent);
        }
        let mut response = request.send().await.map_err(|e| Failure::Service(lost(&e)))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| Failure::Service(lost(&e)))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(Failure::Service(garbled()));
            }
            body.extend_from_slice(&chunk);
        }
        match status {
            StatusCode::OK => Ok(body),
            StatusCode::BAD_REQUEST => Err(Failure::Question(rejected(&body))),
            _ => {
                let text =
                    format!("the weather service answered with status {}; try again later", status.as_u16());
                Err(Failure::Service(ToolError::Upstream(text)))
            }
        }
    }
}

/// Installs the process's TLS cryptography, unless somebody has already: one provider for all of us.
pub(super) fn install_crypto() {
    // `Err` means that there is one, which is all that is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

fn unknown(city: &str) -> ToolError {
    ToolError::NotFound(format!("no place called {} is known; try another spelling", clean_to(city, 100)))
}

/// The service does not like the question; its own words say why.
fn rejected(body: &[u8]) -> ToolError {
    let reason = serde_json::from_slice::<serde_json::Value>(body).ok();
    let reason = reason.as_ref().and_then(|v| v.get("reason")?.as_str()).unwrap_or("no reason given");
    ToolError::Upstream(format!("the weather service rejects the request: {}", crate::tools::clean(reason)))
}

fn late() -> ToolError {
    ToolError::Upstream("the weather service did not answer in time; try again later".into())
}

/// The connection failed. The library's text would name the address, which is not the caller's business.
fn lost(cause: &reqwest::Error) -> ToolError {
    if cause.is_timeout() {
        return late();
    }
    ToolError::Upstream("the weather service cannot be reached; try again later".into())
}
