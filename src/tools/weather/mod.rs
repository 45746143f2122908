//! `get_weather`: the current weather of one city, by the latest report of a station or from whichever provider
//! the settings name; and `report_weather`.

mod answer;
mod breaker;
mod codes;
mod config;
mod fixed;
mod flight;
mod open_meteo;
mod report;
mod reported;
mod upstream;

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use config::WeatherError;
pub use fixed::Fixed;
pub use open_meteo::OpenMeteo;
pub use report::{ReportWeather, Sighting};
pub use reported::Reported;

use super::{Call, Hints, LocalFuture, Spec, Tool, ToolError, Trace, error::is_visible};
use crate::{
    domain::Timestamp,
    settings::{WeatherProvider, WeatherSettings},
};

/// Where observations come from; the settings choose one, tests bring their own.
pub trait Stations: Send + Sync {
    /// The latest observation at `city`, which is trimmed, not empty and of at most 100 characters.
    ///
    /// # Errors
    /// [`ToolError::NotFound`] if there is no such place; [`ToolError::Upstream`] or
    /// [`ToolError::Unavailable`] if nobody can tell now.
    fn latest<'a>(&'a self, city: &'a str) -> LocalFuture<'a, Result<Observation, ToolError>>;

    /// The same for a call that is a part of `trace`, of which a service is told that is asked over the network.
    ///
    /// # Errors
    /// Those of [`latest`](Self::latest).
    fn latest_in<'a>(
        &'a self,
        city: &'a str,
        _trace: Option<&'a Trace>,
    ) -> LocalFuture<'a, Result<Observation, ToolError>> {
        self.latest(city)
    }
}

/// The provider that `config` names, ready to be asked from every worker thread.
///
/// # Errors
/// [`WeatherError`] if an address cannot be used or the HTTP client cannot be made.
pub fn open(config: &WeatherSettings) -> Result<Arc<dyn Stations>, WeatherError> {
    match config.provider {
        WeatherProvider::Fixed => Ok(Arc::new(Fixed)),
        WeatherProvider::OpenMeteo => Ok(Arc::new(OpenMeteo::open(config)?)),
    }
}

/// `get_weather`.
pub struct GetWeather {
    /// Where observations come from.
    pub stations: Arc<dyn Stations>,
    /// What was reported: asked first.
    pub reported: Reported,
}

/// Which city.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Name of the city in any script, for example `Oslo`, `São Paulo` or `東京`.
    #[schemars(length(min = 1, max = 100), regex(pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"))]
    city: String,
}

/// What was observed.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Observation {
    /// The place, as the provider or the station calls it.
    pub city: String,
    /// Air temperature 2 m above the ground, degrees Celsius.
    pub temperature: f64,
    /// The weather in a few words.
    pub condition: String,
    /// When it was observed, RFC 3339 in UTC.
    #[schemars(extend("format" = "date-time"))]
    pub timestamp: String,
    /// Who says so: `fixed`, `open-meteo`, or `station` for a report.
    pub source: String,
}

impl Tool for GetWeather {
    const SPEC: Spec = Spec {
        name: "get_weather",
        title: "Current weather",
        about: "Tells the current temperature (degrees Celsius) and weather of one city.",
        needs: "weather:read",
        hints: Hints::READ_OUTSIDE,
        cost: 1,
        deadline: Duration::from_secs(10),
    };
    type Args = Place;
    type Output = Observation;

    async fn call(&self, place: Place, call: &Call<'_>) -> Result<Observation, ToolError> {
        let city = city_of(&place.city)?;
        match self.reported.latest(city, Timestamp::now) {
            Some(report) => Ok(report),
            None => self.stations.latest_in(city, call.trace()).await,
        }
    }
}

/// The name of a place in `text`.
///
/// # Errors
/// [`ToolError::Arguments`] if there is none.
fn city_of(text: &str) -> Result<&str, ToolError> {
    let city = text.trim();
    if !city.is_empty() && city.chars().all(is_visible) {
        return Ok(city);
    }
    let wrong = "Invalid arguments: /city must be the name of a place, without invisible characters";
    Err(ToolError::Arguments(wrong.into()))
}

#[cfg(test)]
mod tests;
