//! What stations report of the weather: the latest of each city, for a while.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::StoreFuture;
use crate::domain::Timestamp;

/// Most cities of which reports are kept at once.
pub const MOST_REPORTS: u64 = 10_000;
/// How far ahead of now a report may be dated: clocks of several processes differ a little. One that is further
/// ahead was dated by a clock that was wrong; it counts for nothing and gives way to any other.
pub const MOST_AHEAD: Duration = Duration::from_secs(5);

/// One observation by a station. A later one of the same city takes its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Report {
    /// The city, as the reporter writes it.
    pub city: String,
    /// Air temperature, hundredths of a degree Celsius.
    pub hundredths: i32,
    /// The weather in a few words.
    pub condition: String,
    /// When it was reported.
    pub at: Timestamp,
}

impl Report {
    /// What the city is kept under.
    pub fn key(&self) -> String {
        city_key(&self.city)
    }

    /// Whether it is dated so far ahead of `now` that it counts for nothing.
    pub fn is_ahead(&self, now: Timestamp) -> bool {
        self.at > now.plus(MOST_AHEAD)
    }

    /// Whether it goes on being the report of its city, given a `new` one, which was made now.
    pub fn outlasts(&self, new: &Self) -> bool {
        self.at > new.at && !self.is_ahead(new.at)
    }
}

/// One text for all spellings of a city that differ in case, composition or width only.
pub fn city_key(city: &str) -> String {
    city.trim().nfkc().flat_map(char::to_lowercase).nfc().collect()
}

/// Reports of the last hours. Losing them is borne: there is a provider too.
pub trait Reports: Send + Sync {
    /// Keeps `report`, made now, unless a later one of the same city [outlasts](Report::outlasts) it; drops those
    /// of `oldest` and before, and, if [`MOST_REPORTS`] other cities have one, the oldest; tells the feed. Gives
    /// the report that the city then has.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError): it is not known to be kept.
    fn report<'a>(&'a self, report: &'a Report, oldest: Timestamp) -> StoreFuture<'a, Report>;

    /// All that are younger than `oldest`, in no particular order.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn reports(&self, oldest: Timestamp) -> StoreFuture<'_, Vec<Report>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_city_is_the_same_in_any_case_and_composition() {
        for (one, other) in
            [("Oslo", " OSLO "), ("São Paulo", "sa\u{303}o paulo"), ("Ｏslo", "oslo"), ("ÅRHUS", "århus")]
        {
            assert_eq!(city_key(one), city_key(other), "{one}");
        }
        assert_ne!(city_key("Oslo"), city_key("Osl o"));
    }
}
