//! The filter's log.

use std::fmt::Write;

use proxy_wasm_abi::enums::{LogLevel, Status};

use super::CallResult;
use crate::state::ChainState;

impl ChainState {
    /// `proxy_log`: one line, `[level] plugin #context: text`; control characters are escaped, so that a filter can't
    /// write a line that looks like another's.
    pub fn log(&self, level: u32, text: &[u8]) -> CallResult {
        let level = LogLevel::from_u32(level).ok_or(Status::BadArgument)?;
        if level as u32 >= self.get_log_level() {
            self.write(level, text);
        }
        Ok(())
    }

    /// Writes one record, whatever the least severe level is that a filter's must have.
    pub(crate) fn write(&self, level: LogLevel, text: &[u8]) {
        let plugin = self.plugin();
        let mut line = format!("[{}]", level.name());
        for part in [&plugin.name, &plugin.root_id, &plugin.vm_id] {
            if !part.is_empty() {
                line.push(' ');
                push_escaped(&mut line, part.as_bytes());
            }
        }
        if self.acting().is_some() {
            // Writing to a string does not fail.
            let _ = write!(line, " #{}", self.context());
        }
        if line.ends_with(']') {
            line.push_str(" plugin");
        }
        line.push_str(": ");
        push_escaped(&mut line, text);
        self.write_line(line);
    }

    /// `proxy_get_log_level`
    pub fn get_log_level(&self) -> u32 {
        self.plugin().log_level.into()
    }
}

/// Appends text that is not ours to a log line, its control characters escaped.
pub fn push_escaped(line: &mut String, text: &[u8]) {
    for character in String::from_utf8_lossy(text).chars() {
        if character.is_control() && character != '\t' {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
}
