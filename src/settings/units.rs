//! Durations and sizes as people write them: `30m`, `7d`, `250ms`; `1MiB`, `512B`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::domain::Timestamp;

/// Units of time in milliseconds, the largest first.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Units of size in bytes, the largest first.
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A whole number of one unit of time, without a space; `None` for anything else.
pub(super) fn duration(text: &str) -> Option<Duration> {
    scaled(text, &TIMES).map(Duration::from_millis)
}

/// A whole number of one unit of size in bytes, without a space; `None` for anything else.
pub(super) fn size(text: &str) -> Option<u64> {
    scaled(text, &SIZES)
}

/// `span` in the largest unit that holds it whole.
pub(super) fn show_duration(span: Duration) -> String {
    shown(u64::try_from(span.as_millis()).unwrap_or(u64::MAX), &TIMES)
}

/// `bytes` in the largest unit that holds it whole.
pub(super) fn show_size(bytes: u64) -> String {
    shown(bytes, &SIZES)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn shown(amount: u64, units: &[(&str, u64)]) -> String {
    let whole = units.iter().find(|(_, factor)| amount != 0 && amount.is_multiple_of(*factor));
    let (unit, factor) = whole.copied().unwrap_or(("s", 1));
    format!("{}{unit}", amount / factor)
}

/// Reads a duration for a struct.
pub(super) fn read_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    duration(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("not a duration"))
}

/// Reads a size in bytes for a struct.
pub(super) fn read_size<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let bytes = size(&String::deserialize(from)?).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| D::Error::custom("not a size"))
}

/// Reads a text of which the empty one means "not set".
pub(super) fn read_optional<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: From<String>,
{
    let text = String::deserialize(from)?;
    Ok((!text.is_empty()).then(|| text.into()))
}

/// Reads a moment (RFC 3339) that need not stand there.
pub(super) fn read_moment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(from)?;
    Timestamp::from_rfc3339(&text).map(Some).ok_or_else(|| D::Error::custom("not a moment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, ms) in
            [("250ms", 250), ("5s", 5_000), ("30m", 1_800_000), ("24h", 86_400_000), ("7d", 604_800_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
            assert_eq!(duration(&show_duration(Duration::from_millis(ms))), duration(text));
        }
        for text in
            ["", "5", "s", "5 s", "-5s", "5S", "1.5h", "1h30m", "99999999999999999999s", "300000000000d"]
        {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_a_number_and_a_binary_unit() {
        for (text, bytes) in [("512B", 512), ("16KiB", 16_384), ("4MiB", 4_194_304), ("1GiB", 1 << 30)] {
            assert_eq!(size(text), Some(bytes), "{text}");
            assert_eq!(show_size(bytes), text);
        }
        for text in ["", "5", "1MB", "1mib", "1.5MiB", "MiB", "18446744073709551615GiB"] {
            assert_eq!(size(text), None, "{text:?}");
        }
    }
}
