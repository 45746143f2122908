//! What the two questions to Open-Meteo are answered with, read without trust. Pure.

use chrono::{NaiveDateTime, SecondsFormat};
use serde::Deserialize;

use super::{Observation, codes};
use crate::tools::{ToolError, error::clean_to};

/// Hottest and coldest air that we believe, °C; the records are 56.7 and −89.2.
const BELIEVABLE: std::ops::RangeInclusive<f64> = -120.0..=80.0;
/// Most characters of a place's name that we pass on.
const MAX_NAME: usize = 100;

/// Where a city is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Site {
    /// As the service calls it.
    pub(super) name: String,
    /// Degrees north, −90 to 90.
    pub(super) latitude: f64,
    /// Degrees east, −180 to 180.
    pub(super) longitude: f64,
}

#[derive(Deserialize)]
struct Sites {
    #[serde(default)]
    results: Vec<Site>,
}

/// The first place of a geocoding answer; `None` if there is none of that name.
///
/// # Errors
/// [`ToolError::Upstream`] for anything that is not such an answer.
pub(super) fn site(body: &[u8]) -> Result<Option<Site>, ToolError> {
    let sites: Sites = serde_json::from_slice(body).map_err(|_| garbled())?;
    let Some(mut site) = sites.results.into_iter().next() else { return Ok(None) };
    let on_earth = (-90.0..=90.0).contains(&site.latitude) && (-180.0..=180.0).contains(&site.longitude);
    if !on_earth || site.name.trim().is_empty() {
        return Err(garbled());
    }
    site.name = clean_to(site.name.trim(), MAX_NAME);
    Ok(Some(site))
}

#[derive(Deserialize)]
struct Forecast {
    current: Current,
}

#[derive(Deserialize)]
struct Current {
    time: String,
    temperature_2m: f64,
    weather_code: f64,
}

/// The observation in a forecast answer for the place called `city`.
///
/// # Errors
/// [`ToolError::Upstream`] for anything that is not such an answer.
pub(super) fn observation(body: &[u8], city: String) -> Result<Observation, ToolError> {
    let Forecast { current } = serde_json::from_slice(body).map_err(|_| garbled())?;
    // Asked with `timezone=UTC`, so the time has no offset; seconds are left out.
    let time = NaiveDateTime::parse_from_str(&current.time, "%Y-%m-%dT%H:%M").map_err(|_| garbled())?;
    if !BELIEVABLE.contains(&current.temperature_2m) {
        return Err(garbled());
    }
    let code = current.weather_code;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked on the same line")]
    let code = if code.fract() == 0.0 && (0.0..=99.0).contains(&code) { Some(code as u8) } else { None };
    Ok(Observation {
        city,
        temperature: current.temperature_2m,
        condition: code.and_then(codes::describe).unwrap_or("Unknown").into(),
        timestamp: time.and_utc().to_rfc3339_opts(SecondsFormat::Secs, true),
        source: "open-meteo".into(),
    })
}

/// The service answered, but not with what it is documented to.
pub(super) fn garbled() -> ToolError {
    ToolError::Upstream(
        "the weather service answered in a way that cannot be understood; try again later".into(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn bytes(value: &Value) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    #[test]
    fn an_answer_as_documented_is_read() {
        let body =
            bytes(&json!({ "results": [{ "id": 1, "name": "Oslo", "latitude": 59.9, "longitude": 10.7 }] }));
        let oslo = Site { name: "Oslo".into(), latitude: 59.9, longitude: 10.7 };
        assert_eq!(site(&body), Ok(Some(oslo)));
        let body = bytes(&json!({
            "utc_offset_seconds": 0,
            "current": { "time": "2026-11-22T21:15", "interval": 900, "temperature_2m": -3.5, "weather_code": 71 }
        }));
        let seen = observation(&body, "Oslo".into()).unwrap();
        assert_eq!((seen.temperature, seen.condition.as_str()), (-3.5, "Slight snowfall"));
        assert_eq!(seen.timestamp, "2026-11-22T21:15:00Z");
    }

    #[test]
    fn no_result_is_no_place() {
        assert_eq!(site(b"{\"generationtime_ms\":0.5}"), Ok(None));
        assert_eq!(site(b"{\"results\":[]}"), Ok(None));
    }

    #[test]
    fn a_place_that_cannot_be_is_garbled() {
        for (latitude, longitude) in [(91.0, 0.0), (0.0, -181.0)] {
            let body = json!({ "results": [{ "name": "X", "latitude": latitude, "longitude": longitude }] });
            assert_eq!(site(&bytes(&body)), Err(garbled()));
        }
        for body in ["", "[]", "null", "<html>", "{\"results\":{}}", "{\"results\":[{\"name\":\"X\"}]}"] {
            let read = site(body.as_bytes());
            assert!(matches!(read, Err(_) | Ok(None)), "{body}");
            assert!(!matches!(read, Ok(Some(_))), "{body}");
        }
    }

    #[test]
    fn an_observation_with_anything_missing_or_mad_is_garbled() {
        let good = json!({ "time": "2026-11-22T21:15", "temperature_2m": 1.0, "weather_code": 0 });
        for (member, value) in [
            ("time", json!(null)),
            ("time", json!("yesterday")),
            ("time", json!("2026-11-22T21:15+09:00")),
            ("temperature_2m", json!(null)),
            ("temperature_2m", json!("NaN")),
            ("temperature_2m", json!(1e300)),
            ("temperature_2m", json!(80.5)),
            ("weather_code", json!(null)),
        ] {
            let mut current = good.clone();
            current[member] = value.clone();
            let body = bytes(&json!({ "current": current }));
            assert_eq!(observation(&body, "X".into()), Err(garbled()), "{member} {value}");
        }
        assert_eq!(observation(b"{\"current\":{\"temperature_2m\":NaN}}", "X".into()), Err(garbled()));
    }

    #[test]
    fn a_code_that_nobody_knows_is_still_an_observation() {
        for code in [json!(4), json!(255), json!(-1), json!(1.5), json!(1e300)] {
            let body = json!({ "current": { "time": "2026-11-22T21:15", "temperature_2m": 1.0, "weather_code": code } });
            assert_eq!(observation(&bytes(&body), "X".into()).unwrap().condition, "Unknown");
        }
    }

    #[test]
    fn the_name_of_a_place_is_made_fit_to_be_shown() {
        let body = json!({ "results": [{ "name": format!("A\u{1b}{}", "b".repeat(500)), "latitude": 0, "longitude": 0 }] });
        let name = site(&bytes(&body)).unwrap().unwrap().name;
        assert!(name.starts_with("A\\u{1b}b") && name.chars().count() == 100);
    }
}
