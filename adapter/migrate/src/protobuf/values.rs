//! Numbers, texts, and what is written as text, as Envoy reads them; nothing, where it refuses them.

use std::ops::RangeInclusive;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use prost::Message as _;
use prost_reflect::Kind;

use super::enum_number;
use super::wire::Wire;
use crate::node::{Node, Value};

/// A value that is no message.
pub(super) fn read(kind: &Kind, node: &Node) -> Option<Wire> {
    Some(match kind {
        Kind::Double => Wire::double(float(node)?),
        Kind::Float => {
            let wide = float(node)?;
            #[allow(clippy::cast_possible_truncation, reason = "it is looked at next")]
            let narrow = wide as f32;
            if wide.is_finite() && !narrow.is_finite() {
                return None;
            }
            Wire::Fixed32(narrow.to_le_bytes())
        }
        Kind::Bool => Wire::Varint(u64::from(boolean(node)?)),
        Kind::String => Wire::Bytes(node.as_text()?.as_bytes().to_vec()),
        Kind::Bytes => Wire::Bytes(base64(node.as_text()?)?),
        Kind::Enum(kind) => match node.value() {
            Value::Text(text) => signed(enum_number(kind, text)?.into()),
            // Null comes here for the enum alone whose one value it is.
            Value::Null => Wire::Varint(0),
            _ => return read(&Kind::Int32, node),
        },
        kind => integer(kind, whole(kind, node)?),
    })
}

/// A key of a map; they are all text.
pub(super) fn map_key(kind: &Kind, text: &str) -> Option<Wire> {
    Some(match kind {
        Kind::String => Wire::Bytes(text.as_bytes().to_vec()),
        Kind::Bool => Wire::Varint(u64::from(text.parse::<bool>().ok()?)),
        kind => {
            let number = text.trim_ascii().parse().ok()?;
            let (range, _, _) = range(kind)?;
            range.contains(&number).then(|| integer(kind, number))?
        }
    })
}

/// Which numbers an integer may be; as which it may be written, and between which bounds where it is written as a fraction.
fn range(kind: &Kind) -> Option<(RangeInclusive<i128>, RangeInclusive<i128>, RangeInclusive<f64>)> {
    let (signed, unsigned) = (i64::MIN.into()..=i64::MAX.into(), 0..=u64::MAX.into());
    let (whole, positive) = (-9_007_199_254_740_992.0..=9_007_199_254_740_992.0, 0.0..=18_014_398_509_481_984.0);
    Some(match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => (i32::MIN.into()..=i32::MAX.into(), signed, whole),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => (signed.clone(), signed, whole),
        Kind::Uint32 | Kind::Fixed32 => (0..=u32::MAX.into(), unsigned, positive),
        Kind::Uint64 | Kind::Fixed64 => (unsigned.clone(), unsigned, positive),
        _ => return None,
    })
}

/// A whole number, which may be written as text and as a fraction of nothing.
fn whole(kind: &Kind, node: &Node) -> Option<i128> {
    let (range, written, bounds) = range(kind)?;
    let exact = match node.value() {
        Value::Int(int) => Some(i128::from(*int)),
        Value::Text(text) if text.contains(|letter: char| letter.is_ascii_whitespace()) => return None,
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    #[allow(clippy::cast_possible_truncation, reason = "it is whole, and far from the bounds")]
    let number = match exact.filter(|exact| written.contains(exact)) {
        Some(exact) => exact,
        None => Some(float(node)?).filter(|float| bounds.contains(float) && float.fract() == 0.0)? as i128,
    };
    range.contains(&number).then_some(number)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within what the kind holds")]
fn integer(kind: &Kind, number: i128) -> Wire {
    match kind {
        Kind::Sint32 | Kind::Sint64 => Wire::Varint(((number << 1) ^ (number >> 127)) as u64),
        Kind::Fixed32 | Kind::Sfixed32 => Wire::Fixed32((number as u32).to_le_bytes()),
        Kind::Fixed64 | Kind::Sfixed64 => Wire::Fixed64((number as u64).to_le_bytes()),
        _ => signed(number as i64),
    }
}

fn signed(number: i64) -> Wire {
    Wire::Varint(number.cast_unsigned())
}

/// A number, which may be written as text; blanks around it and hexadecimal digits are fine. Of those Envoy also reads a
/// fraction, as `0x1p3`, which nobody writes.
fn float(node: &Node) -> Option<f64> {
    #[allow(clippy::cast_precision_loss, reason = "it is asked for as a double")]
    match node.value() {
        Value::Int(int) => Some(*int as f64),
        Value::Float(float) => Some(*float),
        Value::Text(text) => {
            let text = text.trim_ascii();
            let (sign, digits) = text.strip_prefix('-').map_or((1.0, text), |digits| (-1.0, digits));
            let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
            match hex.filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit())) {
                Some(hex) => u64::from_str_radix(hex, 16).ok().map(|number| sign * number as f64),
                None => text.parse().ok(),
            }
        }
        _ => None,
    }
}

fn boolean(node: &Node) -> Option<bool> {
    match node.value() {
        Value::Bool(is) => Some(*is),
        Value::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Base64 as protobuf's JSON reads it: of either alphabet, or both, padded or not.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&STANDARD, config).decode(text.replace('-', "+").replace('_', "/")).ok()
}

/// `1.5s`
pub(super) fn duration(node: &Node) -> Option<Vec<u8>> {
    const MAX: i64 = 3_652_500 * 86_400;
    let text = node.as_text()?;
    let whole = text.find(|letter: char| letter != '-' && !letter.is_ascii_digit())?;
    let (digits, rest) = text.split_at_checked(whole)?;
    let seconds: i64 = digits.parse().ok()?;
    let (nanos, rest) = nanos(rest)?;
    let nanos = if digits.starts_with('-') { -nanos } else { nanos };
    let is_right = rest == "s" && (-MAX..=MAX).contains(&seconds);
    is_right.then(|| prost_types::Duration { seconds, nanos }.encode_to_vec())
}

/// `2026-11-27T00:00:00.5+01:00`; whether there is such a day nobody looks.
pub(super) fn timestamp(node: &Node) -> Option<Vec<u8>> {
    let text = node.as_text().filter(|text| text.len() >= 20)?;
    let (year, rest) = digits(text, 4, "-")?;
    let (month, rest) = digits(rest, 2, "-")?;
    let (day, rest) = digits(rest, 2, "T")?;
    let (hour, rest) = digits(rest, 2, ":")?;
    let (minute, rest) = digits(rest, 2, ":")?;
    let (second, rest) = digits(rest, 2, "")?;
    if year == 0 || month == 0 || day == 0 {
        return None;
    }
    // A year begins in March, so that the day that is not in each year is the last.
    let carry = i64::from(month < 3);
    let (month, year) = (month - 3 + 12 * carry, year + 4800 - carry);
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 62_719 + 769) / 2048 + (day - 1) - 2_472_632;
    let (nanos, rest) = nanos(rest)?;
    let ahead = match rest.split_at_checked(1)? {
        ("Z", "") => 0,
        (sign @ ("+" | "-"), offset) if offset.len() == 5 => {
            let (hours, rest) = digits(offset, 2, ":")?;
            let (minutes, _) = digits(rest, 2, "")?;
            let offset = (hours * 60 + minutes) * 60;
            if sign == "-" { -offset } else { offset }
        }
        _ => return None,
    };
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - ahead;
    Some(prost_types::Timestamp { seconds, nanos }.encode_to_vec())
}

/// So many digits at most, or none, and what has to stand behind them.
fn digits<'t>(text: &'t str, most: usize, behind: &str) -> Option<(i64, &'t str)> {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(count).filter(|_| count <= most)?;
    let number = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    Some((number, rest.strip_prefix(behind)?))
}

/// A fraction of a second, if there is one.
fn nanos(text: &str) -> Option<(i32, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = rest.split_at_checked(count).filter(|_| (1..=9).contains(&count))?;
    Some((format!("{digits:0<9}").parse().ok()?, rest))
}

/// Paths in lowerCamelCase, with commas between them.
pub(super) fn field_mask(node: &Node) -> Option<Vec<u8>> {
    let snake = |path: &str| {
        path.chars().fold(String::new(), |mut path, letter| {
            if letter.is_ascii_uppercase() {
                path.push('_');
            }
            path.push(letter.to_ascii_lowercase());
            path
        })
    };
    let text = node.as_text()?;
    let paths = if text.is_empty() { Vec::new() } else { text.split(',').map(snake).collect() };
    Some(prost_types::FieldMask { paths }.encode_to_vec())
}
