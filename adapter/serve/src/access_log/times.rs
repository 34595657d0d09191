//! The formats of times, as `%START_TIME(FORMAT)%` takes them: those of `strftime`, and `%3f` for fractions of a second.

use std::fmt::Write;
use std::time::SystemTime;

use time::OffsetDateTime;

/// A format that was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TimeFormat(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    /// So many digits of the fraction of a second.
    Fraction(usize),
    Specifier(char),
}

/// What `strftime` knows that stands for several others.
const SHORT: [(char, &str); 5] =
    [('F', "%Y-%m-%d"), ('T', "%H:%M:%S"), ('D', "%m/%d/%y"), ('R', "%H:%M"), ('c', "%a %b %e %H:%M:%S %Y")];

/// What stands for itself.
const KNOWN: &str = "YmdHMSyejaAbBhIplsZznt%uw";

impl TimeFormat {
    /// Envoy's.
    pub(super) fn default() -> Self {
        // A test sees that it can be read.
        Self::parse("%FT%T.%3fZ").unwrap_or(Self(Vec::new()))
    }

    /// Reads one. The error is what is not known.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            if character != '%' {
                parts.push(text_of(character));
                continue;
            }
            let specifier = rest.next().ok_or("it ends in `%`")?;
            if let Some((_, long)) = SHORT.into_iter().find(|(short, _)| *short == specifier) {
                parts.extend(Self::parse(long)?.0);
            } else if let Some(digits) = specifier.to_digit(10).filter(|digits| (1..=9).contains(digits)) {
                if rest.next() != Some('f') {
                    return Err(format!("`%{digits}` is no specifier without `f` behind it"));
                }
                parts.push(Part::Fraction(digits as usize));
            } else if specifier == 'f' {
                parts.push(Part::Fraction(9));
            } else if KNOWN.contains(specifier) {
                parts.push(Part::Specifier(specifier));
            } else {
                return Err(format!("`%{specifier}` is no specifier"));
            }
        }
        Ok(Self(parts))
    }

    /// The time in this format, in UTC.
    pub(super) fn write(&self, time: SystemTime) -> String {
        let time = OffsetDateTime::from(time);
        let mut text = String::with_capacity(32);
        for part in &self.0 {
            // Writing to a string does not fail.
            let _ = match part {
                Part::Text(piece) => text.write_str(piece),
                Part::Fraction(digits) => {
                    let nanoseconds = format!("{:09}", time.nanosecond());
                    text.write_str(nanoseconds.get(..*digits).unwrap_or(&nanoseconds))
                }
                Part::Specifier(specifier) => write_specifier(&mut text, *specifier, time),
            };
        }
        text
    }
}

fn text_of(character: char) -> Part {
    Part::Text(character.into())
}

fn write_specifier(text: &mut String, specifier: char, time: OffsetDateTime) -> std::fmt::Result {
    let (weekday, month) = (time.weekday().to_string(), time.month().to_string());
    let hour12 = (time.hour() + 11) % 12 + 1;
    match specifier {
        'Y' => write!(text, "{}", time.year()),
        'm' => write!(text, "{:02}", u8::from(time.month())),
        'd' => write!(text, "{:02}", time.day()),
        'H' => write!(text, "{:02}", time.hour()),
        'M' => write!(text, "{:02}", time.minute()),
        'S' => write!(text, "{:02}", time.second()),
        'y' => write!(text, "{:02}", time.year().rem_euclid(100)),
        'e' => write!(text, "{:2}", time.day()),
        'j' => write!(text, "{:03}", time.ordinal()),
        'a' => text.write_str(weekday.get(..3).unwrap_or(&weekday)),
        'A' => text.write_str(&weekday),
        'b' | 'h' => text.write_str(month.get(..3).unwrap_or(&month)),
        'B' => text.write_str(&month),
        'I' => write!(text, "{hour12:02}"),
        'l' => write!(text, "{hour12:2}"),
        'p' => text.write_str(if time.hour() < 12 { "AM" } else { "PM" }),
        's' => write!(text, "{}", time.unix_timestamp()),
        'Z' => text.write_str("UTC"),
        'z' => text.write_str("+0000"),
        'n' => text.write_str("\n"),
        't' => text.write_str("\t"),
        'u' => write!(text, "{}", time.weekday().number_from_monday()),
        'w' => write!(text, "{}", time.weekday().number_days_from_sunday()),
        _ => text.write_str("%"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Seen on Envoy 1.40.
    #[test]
    fn times_are_envoys() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_712_766_391_671);
        assert_eq!(TimeFormat::default().write(time), "2026-11-26T17:06:06.391Z");
        for (format, expected) in [
            (
                "%Y/%m/%d %H:%M:%S %3f %6f %9f %s %e %Z %z",
                "2026/11/26 17:06:06 391 391671 391671000 1795712766 26 UTC +0000",
            ),
            ("%s.%3f", "1795712766.391"),
            ("%FT%T", "2026-11-26T17:06:06"),
            ("%D %R", "11/26/26 17:06"),
        ] {
            assert_eq!(TimeFormat::parse(format).unwrap().write(time), expected);
        }
        for wrong in ["%", "%3", "%Q"] {
            assert!(TimeFormat::parse(wrong).is_err(), "{wrong}");
        }
    }
}
