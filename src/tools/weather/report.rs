//! `report_weather`: a station says what it sees, and `get_weather` says so for three hours.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Observation, Reported, city_of};
use crate::{
    domain::Timestamp,
    store::Report,
    tools::{Call, Hints, Spec, Tool, ToolError, error::is_visible},
};

/// Coldest and hottest air that a station may report, °C; the records are −89.2 and 56.7.
const COLDEST: f64 = -100.0;
const HOTTEST: f64 = 70.0;

/// `report_weather`.
pub struct ReportWeather {
    /// What was reported.
    pub reported: Reported,
}

/// What a station sees.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sighting {
    /// Name of the city in any script, for example `Oslo`, `São Paulo` or `東京`.
    #[schemars(length(min = 1, max = 100), regex(pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"))]
    city: String,
    /// Air temperature in degrees Celsius; hundredths are kept.
    #[schemars(range(min = COLDEST, max = HOTTEST))]
    temperature: f64,
    /// The weather in a few words, for example `Light rain`.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"))]
    condition: String,
}

impl Tool for ReportWeather {
    const SPEC: Spec = Spec {
        name: "report_weather",
        title: "Report the weather",
        about: "Reports the weather that a station observes in one city now; get_weather answers with it for 3 hours.",
        needs: "weather:write",
        hints: Hints { read_only: false, idempotent: false, ..Hints::READ },
        cost: 1,
        deadline: Duration::from_secs(10),
    };
    type Args = Sighting;
    type Output = Observation;

    async fn call(&self, seen: Sighting, _: &Call<'_>) -> Result<Observation, ToolError> {
        let city = city_of(&seen.city)?.to_owned();
        let condition = seen.condition.trim();
        if condition.is_empty() || !condition.chars().all(is_visible) {
            let wrong = "Invalid arguments: /condition must be a few words, without invisible characters";
            return Err(ToolError::Arguments(wrong.into()));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "within the schema's range, of which `clamp` makes sure"
        )]
        let hundredths = (seen.temperature.clamp(COLDEST, HOTTEST) * 100.0).round() as i32;
        let condition = condition.to_owned();
        self.reported.report(Report { city, hundredths, condition, at: Timestamp::now() }).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        domain::Catalogue,
        policy::permit_for_tests,
        store,
        tools::{
            Registry,
            weather::{Fixed, GetWeather},
        },
    };

    /// Both tools, on one table of reports.
    fn registry() -> Registry {
        let reported = Reported::none(&store::open("memory:").unwrap());
        let get = GetWeather { stations: Arc::new(Fixed), reported: reported.clone() };
        let report = ReportWeather { reported };
        let catalogue = Catalogue::new::<&str>(&[]).unwrap();
        Registry::new(vec![Box::new(get), Box::new(report)], &catalogue).unwrap()
    }

    async fn call(registry: &Registry, tool: &str, arguments: Value) -> Result<Value, ToolError> {
        let text = arguments.to_string();
        let tree = crate::protocol::Tree::of_text(&text).unwrap();
        let produced = registry.find(tool).unwrap().run(&tree, &Call::new(&permit_for_tests())).await?;
        Ok(serde_json::from_str(produced.output().unwrap()).unwrap())
    }

    #[tokio::test]
    async fn what_is_reported_is_what_is_told_and_of_other_cities_the_provider_tells() {
        let registry = registry();
        for temperature in [-100.0, -0.01, 0.0, 22.3, 70.0] {
            let sighting = json!({ "city": " Oslo ", "temperature": temperature, "condition": "Light rain" });
            let seen = call(&registry, "report_weather", sighting).await.unwrap();
            assert_eq!(seen["city"], "Oslo");
            assert_eq!((&seen["temperature"], &seen["source"]), (&json!(temperature), &json!("station")));
            let told = call(&registry, "get_weather", json!({ "city": "oslo" })).await.unwrap();
            assert_eq!(told, seen);
        }
        let bergen = call(&registry, "get_weather", json!({ "city": "Bergen" })).await.unwrap();
        assert_eq!(bergen["source"], "fixed");
    }

    #[tokio::test]
    async fn what_no_station_can_see_is_refused() {
        let registry = registry();
        let good = json!({ "city": "Oslo", "temperature": 1, "condition": "Rain" });
        for (member, value, told) in [
            ("temperature", json!(-100.1), "/temperature must be at least -100"),
            ("temperature", json!(70.1), "/temperature must be at most 70"),
            ("temperature", json!("12"), "/temperature must be a number"),
            ("temperature", json!(1e300), "/temperature must be at most"),
            ("condition", json!(""), "/condition must not be empty"),
            ("condition", json!("  "), "/condition must be a few words"),
            ("condition", json!("x".repeat(65)), "/condition must be at most 64"),
            ("condition", json!("a\u{1b}[31m"), "/condition must match"),
            ("condition", json!("a\u{202e}b"), "/condition must be a few words"),
            ("city", json!("x".repeat(101)), "/city must be at most 100"),
            ("city", json!("\u{200b}"), "/city must be the name of a place"),
            ("more", json!(1), "/more is not a known property"),
        ] {
            let mut sighting = good.clone();
            sighting[member] = value;
            match call(&registry, "report_weather", sighting).await {
                Err(ToolError::Arguments(text)) => assert!(text.contains(told), "{text}"),
                other => panic!("{member}: {other:?}"),
            }
        }
        let told = call(&registry, "get_weather", json!({ "city": "Oslo" })).await.unwrap();
        assert_eq!(told["source"], "fixed", "nothing of it is kept");
    }
}
