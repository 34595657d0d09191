//! Access logs of a connection manager: what has `serve` write the same one.

use crate::any;
use crate::json;
use crate::node::{Node, Value};
use crate::read::Reader;

/// Says of each what becomes of it.
pub(crate) fn report(reader: Reader<'_>, manager: &Node) {
    let mut written = 0;
    for log in reader.list(manager, "access_log") {
        log.mark_all();
        let lost = |what: String, remedy: &str| reader.report.lost(reader.object, log.place(), what, remedy);
        let config = log.peek("typed_config").and_then(any::content);
        let Some((name, config)) = config else {
            lost("an access log is not carried".into(), ANY);
            continue;
        };
        let Some(place) = place(name, config) else {
            if name.ends_with(".WasmAccessLog") {
                let remedy = "Do it in `proxy_on_log` of a filter, which has all of an exchange.";
                lost("an access logger in Wasm is not carried".into(), remedy);
            } else {
                let remedy = "Let what collects logs read the file of `serve --access-log FILE`.";
                lost(format!("an access log by `{name}` is not carried"), remedy);
            }
            continue;
        };
        let mut what = "an access log is written only where `serve` is told to".to_owned();
        if log.peek("filter").is_some() {
            what.push_str(", and has all requests, whatever its `filter` says");
        }
        if written > 0 {
            what.push_str("; it has one log, not several");
        }
        written += 1;
        let options = options(&place, config);
        lost(what, options.as_deref().unwrap_or(ANY));
    }
}

const ANY: &str = "Give `serve` an access log: `--access-log FILE`, with `--access-log-format`.";

/// What `serve` calls the place where it is written to.
fn place(name: &str, config: &Node) -> Option<String> {
    match name.rsplit('.').next()? {
        "StdoutAccessLog" => Some("-".into()),
        "StderrAccessLog" => Some("/dev/stderr".into()),
        "FileAccessLog" => config.peek_text("path").map(|path| if path == "/dev/stdout" { "-" } else { path }.into()),
        _ => None,
    }
}

/// The options that say where and how; nothing, where the form can't be written into a command of one line.
fn options(place: &str, config: &Node) -> Option<String> {
    let form = config.peek("log_format");
    let texts = [
        form.and_then(|form| form.peek("text_format_source")?.peek("inline_string")),
        form.and_then(|form| form.peek("text_format")),
        config.peek("format"),
    ];
    let objects =
        [form.and_then(|form| form.peek("json_format")), config.peek("json_format"), config.peek("typed_json_format")];
    let form = if let Some(text) = texts.into_iter().flatten().find_map(Node::as_text) {
        // `serve` ends lines itself.
        Some(("--access-log-format", text.trim_end_matches('\n').to_owned()))
    } else if let Some(object) = objects.into_iter().flatten().find(|object| object.is_map()) {
        Some(("--access-log-json", json::of(object)))
    } else if form.is_some_and(|form| form.value() != &Value::Null) {
        return None;
    } else {
        None
    };
    let mut options = format!("--access-log {}", quoted(place)?);
    if let Some((option, form)) = form.filter(|(_, form)| !form.is_empty()) {
        options.push_str(&format!(" {option} {}", quoted(&form)?));
    }
    Some(format!("Give `serve` the like: `{options}`"))
}

/// A word of a command.
fn quoted(text: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    if text.contains(['\n', '\r', '`']) {
        return None;
    }
    Some(if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) })
}
