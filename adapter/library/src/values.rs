//! Values that a user writes on a command line, in a settings file or in a request file.

use std::net::SocketAddr;
use std::time::Duration;

/// An address to listen on: `127.0.0.1:8080`, `[::1]:0`.
///
/// # Errors
/// It is none; says what one looks like.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!(
            "`{text}` is not an IP address and a port: write `127.0.0.1:8080`, or `0.0.0.0:8080` for all interfaces"
        )
    })
}

/// What is counted, and in which units.
struct Quantity {
    what: &'static str,
    /// Each with how many of the smallest it is.
    units: &'static [(&'static str, u64)],
    example: &'static str,
}

const BYTES: Quantity = Quantity {
    what: "a number of bytes",
    units: &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)],
    example: "64MiB",
};

const TIME: Quantity =
    Quantity { what: "a time", units: &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)], example: "15s" };

impl Quantity {
    /// How many of the smallest unit the text is. A number alone counts these; none: it needs a unit, unless it is 0.
    fn parse(&self, text: &str, plain: Option<&str>) -> Result<u64, String> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = match unit.trim() {
            "" if number == "0" => self.units.first().map(|(name, _)| *name),
            "" => plain,
            unit => Some(unit),
        };
        let known = |unit: &str| self.units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let factor = unit.and_then(known).map(|(_, factor)| *factor).ok_or_else(|| self.refused(text, plain))?;
        let (whole, rest) = times(number, factor).ok_or_else(|| match is_number(number) {
            true => format!("`{text}` is too large, or has too many digits"),
            false => self.refused(text, plain),
        })?;
        match rest {
            0 => Ok(whole),
            // Rounded it might be none at all, which often means no limit.
            _ => Err(format!("`{text}` does not come to a whole number of `{}`", self.units[0].0)),
        }
    }

    fn refused(&self, text: &str, plain: Option<&str>) -> String {
        let Self { what, units, example } = self;
        let names: Vec<String> = units.iter().map(|(name, _)| format!("`{name}`")).collect();
        let (last, first) = names.split_last().expect("there are units");
        let plain = match plain {
            Some(unit) => format!("; a number alone counts `{unit}`"),
            None => String::new(),
        };
        format!(
            "`{text}` is not {what}: write a number with {} or {last}, such as `{example}`{plain}",
            first.join(", ")
        )
    }
}

/// Whether it is a decimal number, whatever its size.
fn is_number(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// So many of these, and whether something is left of a decimal fraction.
fn times(number: &str, factor: u64) -> Option<(u64, u64)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let parts = fraction.parse::<u64>().ok()?.checked_mul(factor)?;
    Some((whole.checked_add(parts / scale)?, parts % scale))
}

/// A number of bytes: `67108864`, `64MiB`.
///
/// # Errors
/// It is none; says what one looks like.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let bytes = BYTES.parse(text, Some("B"))?;
    usize::try_from(bytes).map_err(|_| format!("`{text}` is more than this machine can address"))
}

/// A number of bytes that a component's settings can hold.
///
/// # Errors
/// It is none, or too large; says what one looks like.
pub fn parse_buffer(text: &str) -> Result<u32, String> {
    u32::try_from(BYTES.parse(text, Some("B"))?).map_err(|_| format!("`{text}` is more than the 4 GiB of a memory"))
}

/// A time: `10`, `10s`, `500ms`, `2m`. A number alone counts seconds.
///
/// # Errors
/// It is none; says what one looks like.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    TIME.parse(text, Some("s")).map(Duration::from_millis)
}

/// A time in milliseconds: `15000`, `15s`. A number alone counts milliseconds.
///
/// # Errors
/// It is none; says what one looks like.
pub fn parse_milliseconds(text: &str) -> Result<u64, String> {
    TIME.parse(text, Some("ms"))
}

/// A time with its unit: `10s`, `500ms`.
///
/// # Errors
/// It is none; says what one looks like.
pub fn parse_time_with_unit(text: &str) -> Result<Duration, String> {
    TIME.parse(text, None).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_quantities() {
        assert_eq!(parse_bytes("1024"), Ok(1024));
        assert_eq!(parse_bytes("64MiB"), Ok(64 << 20));
        assert_eq!(parse_bytes("2 gib"), Ok(2 << 30));
        assert_eq!(parse_bytes("1.5KiB"), Ok(1536));
        assert_eq!(parse_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("10"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_time("0.25s"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_milliseconds("15000"), parse_milliseconds("15s"));
        assert_eq!(parse_milliseconds("2m"), Ok(120_000));
        assert_eq!(parse_time_with_unit("0"), Ok(Duration::ZERO));
        for bad in ["", "MiB", "12parsecs", "99999999999999999999", "99999999999999999GiB", "-1", "1.", "1.2.3KiB"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_time("0.0001s").unwrap_err(), "`0.0001s` does not come to a whole number of `ms`");
        for large in ["99999999999999999999", "99999999999999999GiB", "1.00000000000000000000"] {
            assert_eq!(parse_bytes(large).unwrap_err(), format!("`{large}` is too large, or has too many digits"));
        }
        assert!(parse_time_with_unit("10").is_err());
        assert!(parse_buffer("4GiB").is_err());
    }

    #[test]
    fn refusals_name_the_units() {
        assert_eq!(
            parse_bytes("64MB").unwrap_err(),
            "`64MB` is not a number of bytes: write a number with `B`, `KiB`, `MiB` or `GiB`, such as `64MiB`; a number \
             alone counts `B`"
        );
        assert_eq!(
            parse_time_with_unit("soon").unwrap_err(),
            "`soon` is not a time: write a number with `ms`, `s`, `m` or `h`, such as `15s`"
        );
    }

    #[test]
    fn reads_addresses() {
        assert_eq!(parse_address("127.0.0.1:0"), Ok(SocketAddr::from(([127, 0, 0, 1], 0))));
        assert!(parse_address("[::1]:80").is_ok());
        for bad in ["", ":0", "8080", "localhost:8080", "127.0.0.1"] {
            assert!(parse_address(bad).unwrap_err().contains("127.0.0.1:8080"), "{bad}");
        }
    }
}
