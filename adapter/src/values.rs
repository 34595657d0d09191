//! Values that a user writes on a command line.

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

/// A number with a unit of a table, or without one, which is the table's first.
fn parse_quantity(text: &str, units: &[(&str, u64)], example: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let factor = if unit.is_empty() {
        units.first().map(|(_, factor)| *factor)
    } else {
        units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor)
    };
    number
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .ok_or_else(|| format!("`{text}` is not a quantity such as `{example}`"))
}

/// A number of bytes: `67108864`, `64MiB`.
///
/// # Errors
/// It is none; says what one looks like.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let units = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let bytes = parse_quantity(text, &units, "64MiB")?;
    usize::try_from(bytes).map_err(|_| format!("`{text}` is more than this machine can address"))
}

/// A time: `10`, `10s`, `500ms`, `2m`, `1h`.
///
/// # Errors
/// It is none; says what one looks like.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    parse_quantity(text, &[("s", 1000), ("ms", 1), ("m", 60_000), ("h", 3_600_000)], "10s").map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_quantities() {
        assert_eq!(parse_bytes("1024"), Ok(1024));
        assert_eq!(parse_bytes("64MiB"), Ok(64 << 20));
        assert_eq!(parse_bytes("2 gib"), Ok(2 << 30));
        assert_eq!(parse_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("10"), Ok(Duration::from_secs(10)));
        for bad in ["", "MiB", "12parsecs", "99999999999999999999", "99999999999999999GiB", "-1"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
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
