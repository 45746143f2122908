//! Wall-clock time as the house counts it: microseconds since 1970, UTC.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// A moment, in microseconds since the Unix epoch.
///
/// Cores take it as a parameter, so each of them can be tested without sleeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// This moment by the system's clock; the epoch if the clock stands before it.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    /// From microseconds since the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// From whole seconds since the epoch, the `NumericDate` of RFC 7519 §2.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// From RFC 3339, such as `2027-01-31T12:00:00Z`; `None` for anything else, and for a moment before 1970.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let moment = DateTime::parse_from_rfc3339(text).ok()?;
        u64::try_from(moment.timestamp_micros()).ok().map(Self)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.0 / 1_000
    }

    /// Whole seconds since the epoch.
    pub const fn secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The moment `wait` later; the end of time if that cannot be written down.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The moment `wait` earlier; the epoch if that is before it.
    #[must_use]
    pub fn minus(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
    }

    /// As a date; `None` beyond the years that chrono can show.
    pub fn date(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(i64::try_from(self.0).ok()?)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with microseconds, for example `2026-11-22T09:30:00.000000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.date() {
            Some(date) if date.year() <= 9999 => {
                f.write_str(str::from_utf8(&written(date.date_naive(), self.0)).unwrap_or_default())
            }
            _ => f.write_str("9999-12-31T23:59:59.999999Z"),
        }
    }
}

/// The moment `micros` on `day`, each number at its place. chrono's own way takes four times as long, and a
/// moment stands in every answer of a tool.
fn written(day: NaiveDate, micros: u64) -> [u8; 27] {
    let year = u64::try_from(day.year()).unwrap_or_default();
    let [a, b] = two(year / 100);
    let [c, d] = two(year % 100);
    let [e, f] = two(day.month().into());
    let [g, h] = two(day.day().into());
    let second = micros / 1_000_000;
    let [i, j] = two(second / 3_600 % 24);
    let [k, l] = two(second / 60 % 60);
    let [m, n] = two(second % 60);
    let [o, p] = two(micros / 10_000 % 100);
    let [q, r] = two(micros / 100 % 100);
    let [s, t] = two(micros % 100);
    [a, b, c, d, b'-', e, f, b'-', g, h, b'T', i, j, b':', k, l, b':', m, n, b'.', o, p, q, r, s, t, b'Z']
}

/// The two digits of a number below 100.
fn two(number: u64) -> [u8; 2] {
    let digit = |digit: u64| b'0' + (digit % 10) as u8;
    [digit(number / 10), digit(number)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_in_utc_with_microseconds() {
        assert_eq!(Timestamp::from_micros(1_500_000).to_string(), "1970-01-01T00:00:01.500000Z");
        assert_eq!(Timestamp::from_micros(u64::MAX).to_string(), "9999-12-31T23:59:59.999999Z");
    }

    proptest::proptest! {
        #[test]
        fn a_moment_is_written_as_chrono_writes_it(micros in 0..253_402_300_800_000_000_u64) {
            let moment = Timestamp::from_micros(micros);
            let theirs = moment.date().unwrap().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
            proptest::prop_assert_eq!(moment.to_string(), theirs);
        }
    }

    #[test]
    fn a_moment_is_read_with_its_zone_and_not_without() {
        let read = Timestamp::from_rfc3339;
        assert_eq!(read("1970-01-01T01:00:01.5+01:00"), Some(Timestamp::from_micros(1_500_000)));
        assert_eq!(read("2027-01-31T12:00:00Z").unwrap().to_string(), "2027-01-31T12:00:00.000000Z");
        for wrong in ["", "2027-01-31", "2027-01-31T12:00:00", "1969-12-31T23:59:59Z", "2027-02-30T00:00:00Z"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
