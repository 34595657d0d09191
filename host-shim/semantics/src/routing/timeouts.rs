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

/// Tells a gRPC server of the time that it has, where the route bounds what clients ask for. Source: Envoy's
/// `FilterUtility::setTimeoutHeaders` and `Grpc::Common::toGrpcTimeout`.
pub(super) fn tell(max_grpc_timeout_ms: Option<u64>, is_grpc: bool, timeout_ms: u64, headers: &mut HeaderMap) {
    const MOST: u64 = 99_999_999;
    if !is_grpc || max_grpc_timeout_ms.is_none() || timeout_ms == 0 {
        return;
    }
    let (mut time, mut unit) = (timeout_ms, 'm');
    for (divisor, larger) in [(1000, 'S'), (60, 'M'), (60, 'H')] {
        if time > MOST {
            (time, unit) = (time / divisor, larger);
        }
    }
    headers.set(b"grpc-timeout", format!("{}{unit}", time.min(MOST)));
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
    use crate::headers::Kind;

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

    #[test]
    fn servers_are_told_in_a_unit_that_holds_it() {
        for (milliseconds, most, is_grpc, wanted) in [
            (300, Some(300), true, Some("300m")),
            (99_999_999, Some(0), true, Some("99999999m")),
            (100_000_000, Some(0), true, Some("100000S")),
            (u64::MAX, Some(0), true, Some("99999999H")),
            (0, Some(0), true, None),
            (300, None, true, None),
            (300, Some(300), false, None),
        ] {
            let mut headers = HeaderMap::new(Kind::Request);
            tell(most, is_grpc, milliseconds, &mut headers);
            assert_eq!(headers.get(b"grpc-timeout"), wanted.map(str::as_bytes), "{milliseconds}");
        }
    }
}
