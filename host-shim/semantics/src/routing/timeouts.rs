//! The time that an upstream has.

use proxy_wasm_abi::routing::Forward;

use crate::headers::HeaderMap;

/// Milliseconds from the end of the request to the end of the response; 0 is no limit. Source: Envoy's
/// `FilterUtility::finalTimeout`.
pub(super) fn of(forward: &Forward, is_grpc: bool, headers: &HeaderMap) -> u64 {
    match forward.max_grpc_timeout_ms {
        Some(most) if is_grpc => {
            // No timeout is infinite.
            let asked = headers.get(b"grpc-timeout").and_then(grpc_timeout_ms).unwrap_or(0);
            if most != 0 && (asked == 0 || asked > most) { most } else { asked }
        }
        _ => forward.timeout_ms,
    }
}

/// Tells the upstream of a gRPC request the time that it has, where that may be another one than the client said. Source:
/// Envoy's `FilterUtility::setTimeoutHeaders`, `routes/timeouts`.
pub(super) fn tell(forward: &Forward, is_grpc: bool, timeout_ms: u64, headers: &mut HeaderMap) {
    if is_grpc && forward.max_grpc_timeout_ms.is_some() && timeout_ms > 0 {
        headers.set(b"grpc-timeout", shown(timeout_ms));
    }
}

/// In the finest unit that eight digits allow. Source: Envoy's `Grpc::Common::toGrpcTimeout`.
fn shown(timeout_ms: u64) -> String {
    const MOST: u64 = 99_999_999;
    let (number, unit) = match timeout_ms {
        0..=MOST => (timeout_ms, 'm'),
        _ if timeout_ms / 1000 <= MOST => (timeout_ms / 1000, 'S'),
        _ if timeout_ms / 60_000 <= MOST => (timeout_ms / 60_000, 'M'),
        _ => ((timeout_ms / 3_600_000).min(MOST), 'H'),
    };
    format!("{number}{unit}")
}

/// What `grpc-timeout` says: up to eight digits and a unit. Source: Envoy's `Grpc::Common::getGrpcTimeout`.
fn grpc_timeout_ms(value: &[u8]) -> Option<u64> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(number * 3_600_000),
        b'M' => Some(number * 60_000),
        b'S' => Some(number * 1000),
        b'm' => Some(number),
        b'u' => Some(number.div_ceil(1000)),
        b'n' => Some(number.div_ceil(1_000_000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_that_are_told() {
        for (ms, text) in [(150, "150m"), (99_999_999, "99999999m"), (100_000_000, "100000S"), (u64::MAX, "99999999H")]
        {
            assert_eq!(shown(ms), text);
        }
    }

    #[test]
    fn grpc_timeouts() {
        let cases: [(&[u8], _); 7] = [
            (b"1H", Some(3_600_000)),
            (b"2S", Some(2000)),
            (b"15m", Some(15)),
            (b"1500u", Some(2)),
            (b"1n", Some(1)),
            (b"123456789m", None),
            (b"S", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(grpc_timeout_ms(text), wanted, "{}", String::from_utf8_lossy(text));
        }
    }
}
