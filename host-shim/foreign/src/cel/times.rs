//! Timestamps and durations, in nanoseconds.

pub(super) const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;

/// The longest duration: ten thousand years. Source: protobuf's `Duration`.
const DURATION_MAX: i128 = 315_576_000_000 * SECOND;

/// A part of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

impl Part {
    /// With this offset, in nanoseconds east of Greenwich.
    pub(super) fn of_timestamp(self, time: i128, offset: i128) -> Option<i64> {
        let time = time.checked_add(offset)?;
        let days = i64::try_from(time.div_euclid(DAY)).ok()?;
        let within = time.rem_euclid(DAY);
        let (year, month, day) = date_of(days)?;
        let count = |unit: i128, modulus: i128| (within / unit % modulus) as i64;
        Some(match self {
            Self::FullYear => year,
            Self::Month => month - 1,
            Self::Date => day,
            Self::DayOfMonth => day - 1,
            // The first day of 1970 was a Thursday.
            Self::DayOfWeek => (days + 4).rem_euclid(7),
            Self::DayOfYear => days - days_until(year, 1, 1),
            Self::Hours => count(3600 * SECOND, 24),
            Self::Minutes => count(60 * SECOND, 60),
            Self::Seconds => count(SECOND, 60),
            Self::Milliseconds => count(SECOND / 1000, 1000),
        })
    }

    /// Of a duration the whole in that unit, but the milliseconds within a second.
    pub(super) fn of_duration(self, duration: i128) -> Option<i64> {
        let unit = match self {
            Self::Hours => 3600 * SECOND,
            Self::Minutes => 60 * SECOND,
            Self::Seconds => SECOND,
            Self::Milliseconds => return Some((duration % SECOND / (SECOND / 1000)) as i64),
            _ => return None,
        };
        i64::try_from(duration / unit).ok()
    }
}

/// Year, month and day of a day, counted from the first of 1970.
fn date_of(days: i64) -> Option<(i64, i64, i64)> {
    // An era is the 400 years after which the calendar repeats, from the first of March of year 0.
    let days = days.checked_add(719_468)?;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    Some((year_of_era + era * 400 + i64::from(month <= 2), month, day))
}

/// The days from the first of 1970 to this one.
fn days_until(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// From text as in RFC 3339.
pub(super) fn timestamp(text: &str) -> Option<i128> {
    let (date, time) = text.split_once(['T', 't'])?;
    let mut date = date.split('-');
    let mut next = |least, most| digits(date.next()?, least, most);
    let (year, month, day) = (next(4, 6)?, next(2, 2)?, next(2, 2)?);
    if date.next().is_some() || !(1..=12).contains(&month) {
        return None;
    }
    let days = days_until(year, month, day);
    // A day that the month does not have is one of the next.
    if date_of(days)? != (year, month, day) {
        return None;
    }
    let end = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at_checked(end)?;
    let offset = if zone.eq_ignore_ascii_case("z") { 0 } else { offset(zone)? };
    let (time, fraction) = time.split_once('.').map_or((time, None), |(time, fraction)| (time, Some(fraction)));
    let mut time = time.split(':');
    let mut next = |limit| digits(time.next()?, 2, 2).filter(|value| *value < limit);
    // The last is a leap second.
    let (hours, minutes, seconds) = (next(24)?, next(60)?, next(61)?);
    if time.next().is_some() {
        return None;
    }
    let seconds = i128::from(days) * 86_400 + i128::from(hours * 3600 + minutes * 60 + seconds);
    Some(seconds * SECOND + fraction.map_or(Some(0), nanoseconds)? - offset)
}

fn digits(text: &str, least: usize, most: usize) -> Option<i64> {
    let is_number = (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// The digits behind a point; those past the ninth do not count.
fn nanoseconds(fraction: &str) -> Option<i128> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    Some(digits.fold(0, |number, digit| number * 10 + i128::from(digit - b'0')))
}

/// Nanoseconds east of Greenwich, of `UTC` or hours and minutes. The zones' names are not known.
pub(super) fn offset(zone: &str) -> Option<i128> {
    if zone == "UTC" {
        return Some(0);
    }
    let (sign, zone) = match zone.as_bytes().first()? {
        b'+' => (1, &zone[1..]),
        b'-' => (-1, &zone[1..]),
        _ => (1, zone),
    };
    let (hours, minutes) = zone.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2, 2)?, digits(minutes, 2, 2)?);
    (hours < 24 && minutes < 60).then(|| i128::from(sign * (hours * 60 + minutes)) * 60 * SECOND)
}

/// From numbers with units, such as `1h30m`.
pub(super) fn duration(text: &str) -> Option<i128> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut sum = 0_i128;
    while !rest.is_empty() || text.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, behind) = rest.split_at_checked(end)?;
        let units =
            [("ns", 1), ("us", 1000), ("ms", 1_000_000), ("s", SECOND), ("m", 60 * SECOND), ("h", 3600 * SECOND)];
        let (name, unit) = units.into_iter().find(|(name, _)| behind.starts_with(name))?;
        rest = &behind[name.len()..];
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let whole: i128 = if whole.is_empty() && !fraction.is_empty() { 0 } else { digits(whole, 1, 18)?.into() };
        let fraction = if fraction.is_empty() { 0 } else { nanoseconds(fraction)? };
        sum = sum.checked_add(whole.checked_mul(unit)?)?.checked_add(fraction * unit / SECOND)?;
    }
    let is_given = text.bytes().any(|byte| byte.is_ascii_digit());
    (is_given && sum <= DURATION_MAX).then_some(sign * sum)
}

pub(super) fn timestamp_text(time: i128) -> String {
    let days = i64::try_from(time.div_euclid(DAY)).unwrap_or(0);
    let (year, month, day) = date_of(days).unwrap_or((0, 1, 1));
    let seconds = time.rem_euclid(DAY) / SECOND;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = fraction_text(time.rem_euclid(SECOND));
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}{fraction}Z")
}

pub(super) fn duration_text(duration: i128) -> String {
    let sign = if duration < 0 { "-" } else { "" };
    let duration = duration.unsigned_abs() as i128;
    format!("{sign}{}{}s", duration / SECOND, fraction_text(duration % SECOND))
}

/// In groups of three digits, as many as there are.
fn fraction_text(nanoseconds: i128) -> String {
    if nanoseconds == 0 {
        String::new()
    } else if nanoseconds % 1_000_000 == 0 {
        format!(".{:03}", nanoseconds / 1_000_000)
    } else if nanoseconds % 1000 == 0 {
        format!(".{:06}", nanoseconds / 1000)
    } else {
        format!(".{nanoseconds:09}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_and_days_agree() {
        for days in (-800_000..3_000_000).step_by(97) {
            let (year, month, day) = date_of(days).unwrap();
            assert_eq!(days_until(year, month, day), days);
        }
        assert_eq!(timestamp("2020-02-29T12:00:00.5+01:30").map(timestamp_text).unwrap(), "2020-02-29T10:30:00.500Z");
        for bad in
            ["2021-02-29T00:00:00Z", "2020-01-01", "2020-13-01T00:00:00Z", "2020-01-01T24:00:00Z", "x", "T", "TZ"]
        {
            assert_eq!(timestamp(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_of_several_units() {
        for (text, shown) in
            [("1h30m", "5400s"), ("-1.5s", "-1.500s"), (".5s", "0.500s"), ("0", "0s"), ("1ms2us", "0.001002s")]
        {
            assert_eq!(duration(text).map(duration_text).as_deref(), Some(shown), "{text}");
        }
        for bad in ["", "1", "x", "1d", "s", "-", "+", "1h-1m", ".s", "315576000001s"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "[-+0-9:.TZhmsun]{0,30}") {
            let _ = (timestamp(&text), duration(&text), offset(&text));
        }

        #[test]
        fn any_time_is_answered(time in any::<i128>(), shift in any::<i64>()) {
            for part in [Part::FullYear, Part::DayOfYear, Part::Milliseconds, Part::Hours] {
                let _ = (part.of_timestamp(time, shift.into()), part.of_duration(time));
            }
            let _ = (timestamp_text(time), duration_text(time));
        }
    }
}
