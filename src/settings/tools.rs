//! `[tools.<name>]`: the built-in tools.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::{FilesSettings, kind::Kind, problem::Report, schema::Key, units};

/// The keys of `[tools]`.
pub(super) const KEYS: &[Key] = &[
    Key::new(
        "tools.weather.provider",
        Kind::OneOf(&["open_meteo", "fixed"]),
        "Where the weather comes from: open_meteo asks the two addresses below, fixed invents it without \
         a network.",
    ),
    Key::new("tools.weather.base_url", Kind::HttpUrl, "Forecasts, in the form of Open-Meteo's API."),
    Key::new(
        "tools.weather.geocoding_url",
        Kind::HttpUrl,
        "Names of places to coordinates, in the form of Open-Meteo's API.",
    ),
    Key::new(
        "tools.weather.timeout",
        Kind::Span(Duration::from_millis(1), Duration::from_secs(60)),
        "Time for one question to the provider, 1ms to 1m.",
    ),
];

/// `[tools]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolsSettings {
    /// `[tools.files]`.
    pub files: FilesSettings,
    /// `[tools.weather]`.
    pub weather: WeatherSettings,
}

/// `[tools.weather]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeatherSettings {
    /// Where the weather comes from.
    pub provider: WeatherProvider,
    /// Forecasts.
    pub base_url: Url,
    /// Names of places to coordinates.
    pub geocoding_url: Url,
    /// Time for one question to the provider, at most 1 minute.
    #[serde(deserialize_with = "units::read_duration")]
    pub timeout: Duration,
}

/// Where the weather comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeatherProvider {
    /// Open-Meteo, or something with its API.
    OpenMeteo,
    /// Invented, the same at every call; needs no network.
    Fixed,
}

impl WeatherSettings {
    pub(super) fn check(&self, report: &mut Report) {
        for (key, url) in
            [("tools.weather.base_url", &self.base_url), ("tools.weather.geocoding_url", &self.geocoding_url)]
        {
            // A credential in a URL ends up in logs and error texts.
            let bare = url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none();
            let fix = "write scheme, host and path only";
            report.require(bare, key, ("holds a user, password, query or fragment", fix));
        }
    }
}
