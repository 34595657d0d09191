//! Metadata as it was written, for the shim.

use proxy_wasm_abi::metadata::{Fields, Metadata, Value};
use toml::Value as Toml;

use crate::settings::Entries;

/// What these tables say.
pub(super) fn metadata(told: &Entries<Entries<Toml>>) -> Metadata {
    let fields = |entries: &Entries<Toml>| entries.0.iter().map(|(key, one)| (key.clone(), value(one))).collect();
    Metadata(told.0.iter().map(|(name, entries)| (name.clone(), fields(entries))).collect())
}

/// Numbers of metadata are doubles. TOML has no null, and protobuf no dates: these are text.
fn value(told: &Toml) -> Value {
    #[allow(clippy::cast_precision_loss, reason = "numbers of metadata are doubles")]
    match told {
        Toml::String(text) => Value::Text(text.clone()),
        Toml::Integer(number) => Value::number(*number as f64),
        Toml::Float(number) => Value::number(*number),
        Toml::Boolean(is) => Value::Bool(*is),
        Toml::Datetime(time) => Value::Text(time.to_string()),
        Toml::Array(values) => Value::List(values.iter().map(value).collect()),
        Toml::Table(table) => Value::Map(map(table)),
    }
}

fn map(table: &toml::Table) -> Fields {
    table.iter().map(|(key, one)| (key.clone(), value(one))).collect()
}
