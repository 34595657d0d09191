//! The functions and operators that Envoy has.

use std::cmp::Ordering;
use std::rc::Rc;

use regex_lite::RegexBuilder;

use super::attributes::Attributes;
use super::evaluate::{Evaluation, Fault, LISTING_STEPS, Outcome};
use super::times::{self, Part};
use super::value::Value;

/// A function or operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Negate,
    Not,
    Equals,
    NotEquals,
    Less,
    LessEquals,
    Greater,
    GreaterEquals,
    In,
    Index,
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    Bool,
    Bytes,
    Double,
    Dyn,
    Duration,
    Int,
    String,
    Timestamp,
    Type,
    Uint,
    Part(Part),
}

/// As a member of its first argument, on its own, or either.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Member,
    Global,
    Either,
}

/// Each with its style and the numbers of arguments, the member included.
const FUNCTIONS: [(&str, Function, Style, [usize; 2]); 39] = [
    ("_+_", Function::Add, Style::Global, [2, 2]),
    ("_-_", Function::Subtract, Style::Global, [2, 2]),
    ("_*_", Function::Multiply, Style::Global, [2, 2]),
    ("_/_", Function::Divide, Style::Global, [2, 2]),
    ("_%_", Function::Modulo, Style::Global, [2, 2]),
    ("-_", Function::Negate, Style::Global, [1, 1]),
    ("!_", Function::Not, Style::Global, [1, 1]),
    ("_==_", Function::Equals, Style::Global, [2, 2]),
    ("_!=_", Function::NotEquals, Style::Global, [2, 2]),
    ("_<_", Function::Less, Style::Global, [2, 2]),
    ("_<=_", Function::LessEquals, Style::Global, [2, 2]),
    ("_>_", Function::Greater, Style::Global, [2, 2]),
    ("_>=_", Function::GreaterEquals, Style::Global, [2, 2]),
    ("@in", Function::In, Style::Global, [2, 2]),
    ("_[_]", Function::Index, Style::Global, [2, 2]),
    ("size", Function::Size, Style::Either, [1, 1]),
    ("contains", Function::Contains, Style::Either, [2, 2]),
    ("startsWith", Function::StartsWith, Style::Either, [2, 2]),
    ("endsWith", Function::EndsWith, Style::Either, [2, 2]),
    ("matches", Function::Matches, Style::Either, [2, 2]),
    ("bool", Function::Bool, Style::Global, [1, 1]),
    ("bytes", Function::Bytes, Style::Global, [1, 1]),
    ("double", Function::Double, Style::Global, [1, 1]),
    ("dyn", Function::Dyn, Style::Global, [1, 1]),
    ("duration", Function::Duration, Style::Global, [1, 1]),
    ("int", Function::Int, Style::Global, [1, 1]),
    ("string", Function::String, Style::Global, [1, 1]),
    ("timestamp", Function::Timestamp, Style::Global, [1, 1]),
    ("type", Function::Type, Style::Global, [1, 1]),
    ("uint", Function::Uint, Style::Global, [1, 1]),
    ("getFullYear", Function::Part(Part::FullYear), Style::Member, [1, 2]),
    ("getMonth", Function::Part(Part::Month), Style::Member, [1, 2]),
    ("getDate", Function::Part(Part::Date), Style::Member, [1, 2]),
    ("getDayOfMonth", Function::Part(Part::DayOfMonth), Style::Member, [1, 2]),
    ("getDayOfWeek", Function::Part(Part::DayOfWeek), Style::Member, [1, 2]),
    ("getDayOfYear", Function::Part(Part::DayOfYear), Style::Member, [1, 2]),
    ("getHours", Function::Part(Part::Hours), Style::Member, [1, 2]),
    ("getMinutes", Function::Part(Part::Minutes), Style::Member, [1, 2]),
    ("getSeconds", Function::Part(Part::Seconds), Style::Member, [1, 2]),
];

/// Bytes of a compiled pattern.
const PATTERN_MAX_BYTES: usize = 64 * 1024;

/// As many states as such a pattern can have.
const PATTERN_STATES_MAX: usize = 2048;

impl Function {
    /// The function of this name with this number of arguments, whatever their types.
    pub(super) fn named(name: &str, member: bool, arguments: usize) -> Option<Self> {
        // One more than the table has room for in its type.
        if name == "getMilliseconds" {
            return (member && (1..=2).contains(&arguments)).then_some(Self::Part(Part::Milliseconds));
        }
        let (_, function, style, [least, most]) = FUNCTIONS.iter().find(|(known, ..)| *known == name)?;
        let in_style = match style {
            Style::Member => member,
            Style::Global => !member,
            Style::Either => true,
        };
        (in_style && (*least..=*most).contains(&arguments)).then_some(*function)
    }

    pub(super) fn call<A: Attributes>(self, evaluation: &mut Evaluation<'_, A>, arguments: &[Value]) -> Outcome {
        match arguments {
            [one] => self.of_one(evaluation, one),
            [one, other] => self.of_two(evaluation, one, other),
            _ => Err(Fault::Error),
        }
    }

    fn of_one<A: Attributes>(self, evaluation: &mut Evaluation<'_, A>, value: &Value) -> Outcome {
        evaluation.spend(length(value) / 16)?;
        let result = match (self, value) {
            (Self::Negate, Value::Int(value)) => value.checked_neg().map(Value::Int),
            (Self::Negate, Value::Double(value)) => Some(Value::Double(-value)),
            (Self::Not, Value::Bool(value)) => Some(Value::Bool(!value)),
            (Self::Size, Value::Attribute(map)) => {
                evaluation.spend(LISTING_STEPS)?;
                Some(Value::Int(map.size(evaluation.attributes) as i64))
            }
            (Self::Size, value) => size(value).map(|size| Value::Int(size as i64)),
            (Self::Dyn, value) => Some(value.clone()),
            (Self::Type, value) => Some(Value::Type(value.type_name())),
            (Self::Bool, value) => to_bool(value),
            (Self::Bytes, Value::String(text)) => Some(Value::Bytes(text.as_bytes().into())),
            (Self::Bytes, Value::Bytes(_)) => Some(value.clone()),
            (Self::Double, value) => to_double(value).map(Value::Double),
            (Self::Int, value) => to_int(value).map(Value::Int),
            (Self::Uint, value) => to_uint(value).map(Value::Uint),
            (Self::String, value) => to_string(value),
            (Self::Duration, Value::String(text)) => times::duration(text).map(Value::Duration),
            (Self::Duration, Value::Duration(_)) | (Self::Timestamp, Value::Timestamp(_)) => Some(value.clone()),
            (Self::Timestamp, Value::String(text)) => times::timestamp(text).map(Value::Timestamp),
            (Self::Timestamp, Value::Int(seconds)) => Some(Value::Timestamp(i128::from(*seconds) * times::SECOND)),
            (Self::Part(part), Value::Timestamp(time)) => part.of_timestamp(*time, 0).map(Value::Int),
            (Self::Part(part), Value::Duration(duration)) => part.of_duration(*duration).map(Value::Int),
            _ => None,
        };
        result.ok_or(Fault::Error)
    }

    fn of_two<A: Attributes>(self, evaluation: &mut Evaluation<'_, A>, one: &Value, other: &Value) -> Outcome {
        match self {
            Self::Add => {
                evaluation.spend((length(one) + length(other)) / 16)?;
                add(evaluation, one, other)
            }
            Self::Subtract | Self::Multiply | Self::Divide | Self::Modulo => self.arithmetic(one, other),
            Self::Equals | Self::NotEquals => {
                evaluation.spend_on(one)?;
                evaluation.spend_on(other)?;
                Ok(Value::Bool(one.equals(other) == (self == Self::Equals)))
            }
            Self::Less | Self::LessEquals | Self::Greater | Self::GreaterEquals => {
                evaluation.spend(one.weight() + other.weight())?;
                self.order(one, other)
            }
            Self::In => evaluation.contains(other, one),
            Self::Index => evaluation.index(one, other),
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::Matches => {
                let (Value::String(text), Value::String(part)) = (one, other) else { return Err(Fault::Error) };
                evaluation.spend((text.len() + part.len()) / 16)?;
                Ok(Value::Bool(match self {
                    Self::Contains => text.contains(&**part),
                    Self::StartsWith => text.starts_with(&**part),
                    Self::EndsWith => text.ends_with(&**part),
                    _ => matches(evaluation, text, part)?,
                }))
            }
            Self::Part(part) => {
                let (Value::Timestamp(time), Value::String(zone)) = (one, other) else { return Err(Fault::Error) };
                let part = times::offset(zone).and_then(|offset| part.of_timestamp(*time, offset));
                part.map(Value::Int).ok_or(Fault::Error)
            }
            _ => Err(Fault::Error),
        }
    }

    fn arithmetic(self, one: &Value, other: &Value) -> Outcome {
        let result = match (self, one, other) {
            (Self::Subtract, Value::Int(a), Value::Int(b)) => a.checked_sub(*b).map(Value::Int),
            (Self::Multiply, Value::Int(a), Value::Int(b)) => a.checked_mul(*b).map(Value::Int),
            (Self::Divide, Value::Int(a), Value::Int(b)) => a.checked_div(*b).map(Value::Int),
            (Self::Modulo, Value::Int(a), Value::Int(b)) => a.checked_rem(*b).map(Value::Int),
            (Self::Subtract, Value::Uint(a), Value::Uint(b)) => a.checked_sub(*b).map(Value::Uint),
            (Self::Multiply, Value::Uint(a), Value::Uint(b)) => a.checked_mul(*b).map(Value::Uint),
            (Self::Divide, Value::Uint(a), Value::Uint(b)) => a.checked_div(*b).map(Value::Uint),
            (Self::Modulo, Value::Uint(a), Value::Uint(b)) => a.checked_rem(*b).map(Value::Uint),
            (Self::Subtract, Value::Double(a), Value::Double(b)) => Some(Value::Double(a - b)),
            (Self::Multiply, Value::Double(a), Value::Double(b)) => Some(Value::Double(a * b)),
            (Self::Divide, Value::Double(a), Value::Double(b)) => Some(Value::Double(a / b)),
            (Self::Subtract, Value::Timestamp(a), Value::Timestamp(b))
            | (Self::Subtract, Value::Duration(a), Value::Duration(b)) => a.checked_sub(*b).map(Value::Duration),
            (Self::Subtract, Value::Timestamp(a), Value::Duration(b)) => a.checked_sub(*b).map(Value::Timestamp),
            _ => None,
        };
        result.ok_or(Fault::Error)
    }

    fn order(self, one: &Value, other: &Value) -> Outcome {
        let Some(order) = one.compare(other) else {
            // A value that is not a number has no order among numbers.
            return if one.is_number() && other.is_number() { Ok(Value::Bool(false)) } else { Err(Fault::Error) };
        };
        Ok(Value::Bool(match self {
            Self::Less => order == Ordering::Less,
            Self::LessEquals => order != Ordering::Greater,
            Self::Greater => order == Ordering::Greater,
            _ => order != Ordering::Less,
        }))
    }
}

fn add<A: Attributes>(evaluation: &mut Evaluation<'_, A>, one: &Value, other: &Value) -> Outcome {
    let result = match (one, other) {
        (Value::Int(a), Value::Int(b)) => a.checked_add(*b).map(Value::Int),
        (Value::Uint(a), Value::Uint(b)) => a.checked_add(*b).map(Value::Uint),
        (Value::Double(a), Value::Double(b)) => Some(Value::Double(a + b)),
        (Value::String(a), Value::String(b)) => Some(Value::String([&**a, &**b].concat().into())),
        (Value::Bytes(a), Value::Bytes(b)) => Some(Value::Bytes([&**a, &**b].concat().into())),
        (Value::List(a), Value::List(b)) => {
            evaluation.spend(a.len() + b.len())?;
            Some(Value::List(Rc::new(a.iter().chain(b.iter()).cloned().collect())))
        }
        (Value::Duration(a), Value::Duration(b)) => a.checked_add(*b).map(Value::Duration),
        (Value::Timestamp(a), Value::Duration(b)) | (Value::Duration(a), Value::Timestamp(b)) => {
            a.checked_add(*b).map(Value::Timestamp)
        }
        _ => None,
    };
    result.ok_or(Fault::Error)
}

/// Whether the pattern is somewhere in the text. The time is that of the product of both sizes.
fn matches<A: Attributes>(evaluation: &mut Evaluation<'_, A>, text: &str, pattern: &str) -> Result<bool, Fault> {
    evaluation.spend((text.len() + 1).saturating_mul(states(pattern)) / 4)?;
    let pattern = RegexBuilder::new(pattern).size_limit(PATTERN_MAX_BYTES).build().map_err(|_| Fault::Error)?;
    Ok(pattern.is_match(text))
}

/// About as many states as the compiled pattern has, or more: repetitions are written out.
fn states(pattern: &str) -> usize {
    let repetitions = pattern.split('{').skip(1).filter_map(|part| {
        let most = part.split('}').next()?.rsplit(',').find(|number| !number.is_empty())?;
        most.trim().parse::<usize>().ok()
    });
    let times = repetitions.fold(1, |times: usize, next| times.saturating_mul(next.max(1)));
    (pattern.len() + 1).saturating_mul(times).min(PATTERN_STATES_MAX)
}

/// Bytes.
fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}

fn size(value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => Some(text.chars().count()),
        Value::Bytes(bytes) => Some(bytes.len()),
        Value::List(list) => Some(list.len()),
        Value::Map(map) => Some(map.len()),
        _ => None,
    }
}

fn to_bool(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(_) => Some(value.clone()),
        Value::String(text) => match &**text {
            "1" | "t" | "true" | "TRUE" | "True" => Some(Value::Bool(true)),
            "0" | "f" | "false" | "FALSE" | "False" => Some(Value::Bool(false)),
            _ => None,
        },
        _ => None,
    }
}

fn to_int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(value) => Some(*value),
        Value::Uint(value) => i64::try_from(*value).ok(),
        // Both ends of the range are refused: a double can't tell them from their neighbours.
        Value::Double(value) => (value.abs() < 9_223_372_036_854_775_807.0).then_some(*value as i64),
        Value::Bool(value) => Some((*value).into()),
        Value::String(text) => text.trim_matches(is_space).parse().ok(),
        Value::Timestamp(time) => i64::try_from(time.div_euclid(times::SECOND)).ok(),
        _ => None,
    }
}

fn to_uint(value: &Value) -> Option<u64> {
    match value {
        Value::Uint(value) => Some(*value),
        Value::Int(value) => u64::try_from(*value).ok(),
        Value::Double(value) => (*value >= 0.0 && *value < 18_446_744_073_709_551_615.0).then_some(*value as u64),
        Value::String(text) => text.trim_matches(is_space).parse().ok(),
        _ => None,
    }
}

fn to_double(value: &Value) -> Option<f64> {
    match value {
        Value::Double(value) => Some(*value),
        Value::Int(value) => Some(*value as f64),
        Value::Uint(value) => Some(*value as f64),
        Value::String(text) => text.trim_matches(is_space).parse().ok(),
        _ => None,
    }
}

fn is_space(character: char) -> bool {
    character.is_ascii_whitespace() || character == '\x0b'
}

fn to_string(value: &Value) -> Option<Value> {
    match value {
        Value::String(_) => Some(value.clone()),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(Value::string),
        Value::Int(value) => Some(Value::string(&value.to_string())),
        Value::Uint(value) => Some(Value::string(&value.to_string())),
        Value::Double(value) => Some(Value::string(&shortest(*value))),
        Value::Bool(value) => Some(Value::string(if *value { "true" } else { "false" })),
        Value::Timestamp(time) => Some(Value::string(&times::timestamp_text(*time))),
        Value::Duration(duration) => Some(Value::string(&times::duration_text(*duration))),
        _ => None,
    }
}

/// With as few digits as tell the number from others; from a million on with an exponent, as C's `%g` has it.
fn shortest(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_text() {
        for (number, text) in [
            (1.5, "1.5"),
            (1.0, "1"),
            (0.0, "0"),
            (1e100, "1e+100"),
            (0.1, "0.1"),
            (123_456_789.0, "1.23456789e+08"),
            (1e-7, "1e-07"),
            (0.0001, "0.0001"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (999_999.5, "999999.5"),
            (-2.25, "-2.25"),
        ] {
            assert_eq!(shortest(number), text);
        }
    }
}
