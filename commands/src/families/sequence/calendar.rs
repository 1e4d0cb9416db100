//! Where the days, months and years of a time zone begin, by the database of the IANA, which is compiled in: what a
//! machine has of it, if anything, differs from machine to machine.

use std::sync::LazyLock;

use crate::model::Error;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};
use tidegate_data::types::sequence::{Calendar, Period};

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Longest part of a name that an error shows.
const SHOWN_MAX: usize = 64;

fn zone(name: &[u8]) -> Result<TimeZone, Error> {
    let known = std::str::from_utf8(name).ok().and_then(|name| ZONES.get(name).ok());
    known.ok_or_else(|| {
        let mut text = b"ERR unknown time zone '".to_vec();
        text.extend_from_slice(&name[..name.len().min(SHOWN_MAX)]);
        text.push(b'\'');
        Error::text(text)
    })
}

/// The period in the zone of this name, in any case.
pub(super) fn calendar(period: Period, name: &[u8]) -> Result<Calendar, Error> {
    let zone = zone(name)?;
    let name = zone.iana_name().unwrap_or("UTC");
    Ok(Calendar { period, zone: name.into() })
}

/// Where the present period began, Unix ms.
pub(super) fn period_start_ms(calendar: &Calendar, now_ms: i64) -> Result<i64, Error> {
    let zone = zone(calendar.zone.as_bytes())?;
    let start = |now: Zoned| {
        match calendar.period {
            Period::Day => now,
            Period::Month => now.first_of_month().ok()?,
            Period::Year => now.first_of_year().ok()?,
        }
        .start_of_day()
        .ok()
    };
    let now = Timestamp::from_millisecond(now_ms).ok();
    let start = now.and_then(|now| start(now.to_zoned(zone)));
    start
        .map(|start| start.timestamp().as_millisecond())
        .ok_or(Error::new("ERR the clock is beyond all calendars"))
}
