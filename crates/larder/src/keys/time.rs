//! Times as people write them in `trust.yml` and on the command line: `2026-11-21`, `2026-11-21T10:00:00Z`.
//!
//! A date is its first second, UTC. A time of day needs its zone: no result may be believed longer because of where the
//! reader is. Inside, a time is seconds since 1970.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Reads a time.
///
/// # Errors
/// What is wrong, as a fragment.
pub fn parse(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is no time: write it as `2026-11-21` or `2026-11-21T10:00:00Z`");
    let found = if text.len() == "2026-11-21".len() {
        let date: Date = text.parse().map_err(|_| bad())?;
        date.to_zoned(TimeZone::UTC).map_err(|_| bad())?.timestamp()
    } else {
        text.parse::<Timestamp>().map_err(|_| bad())?
    };
    u64::try_from(found.as_second()).map_err(|_| format!("`{text}` is before 1970"))
}

/// Writes a time as [`parse`] reads it.
#[must_use]
pub fn format(seconds: u64) -> String {
    let shown = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    shown.map_or_else(|| seconds.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_read_and_nothing_that_is_neither() {
        assert_eq!(parse("1970-01-02"), Ok(86_400));
        assert_eq!(parse("2026-11-21T10:00:00Z"), Ok(1_795_255_200));
        assert_eq!(parse("2026-11-21T12:00:00+02:00"), Ok(1_795_255_200));
        assert_eq!(format(1_795_255_200), "2026-11-21T10:00:00Z");
        assert_eq!(format(u64::MAX), u64::MAX.to_string());
        for bad in
            ["", "2026", "21.11.2026", "2026-13-01", "2026-11-21T10:00", "1969-12-31", "now", "2026-11-2é"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
