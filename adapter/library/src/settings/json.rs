//! TOML values as JSON, for filters that are configured with JSON.

use toml::Value;

/// The value as JSON, or what JSON cannot say.
pub(super) fn from_toml(value: &Value) -> Result<serde_json::Value, &'static str> {
    Ok(match value {
        Value::String(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => serde_json::Number::from_f64(*number).ok_or("JSON has no infinity and no NaN")?.into(),
        Value::Boolean(value) => (*value).into(),
        Value::Datetime(time) => time.to_string().into(),
        Value::Array(values) => values.iter().map(from_toml).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Table(table) => {
            let mut object = serde_json::Map::new();
            for (key, value) in table {
                object.insert(key.clone(), from_toml(value)?);
            }
            object.into()
        }
    })
}
