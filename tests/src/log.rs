//! Log records, as the hosts print them.

use proxy_wasm_abi::enums::LogLevel;

/// The level of a record: the first in brackets. Envoy names one otherwise.
pub fn level(line: &str) -> Option<&'static str> {
    line.split('[').skip(1).find_map(|rest| {
        let name = rest.split_once(']')?.0;
        let name = if name == "warning" { "warn" } else { name };
        (0..=5).filter_map(LogLevel::from_u32).map(LogLevel::name).find(|level| *level == name)
    })
}

/// Whether this line is a record of this level with this text in it.
pub fn is_record(line: &str, of_level: &str, text: &str) -> bool {
    line.contains(text) && level(line) == Some(of_level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_every_host() {
        assert_eq!(level("[warning][wasm] wasm log probe: [info]"), Some("warn"));
        assert_eq!(level("stderr [0] :: [error] probe #2: text"), Some("error"));
        assert_eq!(level("no record [at all]"), None);
    }
}
