//! The settings file.

use super::keys::Keys;
use super::{Input, PluginInput, Problem};

/// The longest line of a file that a message shows, in bytes.
const LONGEST_LINE: usize = 400;

/// What a settings file says; messages call it by this name. File names in it stay as they are written: relative to the settings file.
///
/// # Errors
/// [`Problem::Syntax`], with line and column.
pub fn parse(name: &str, text: &str) -> Result<Input, Problem> {
    let wrong = |message: &str| Problem::Syntax { file: name.into(), message: message.trim_end().into() };
    let mut input: Input = toml::from_str(text).map_err(|error| {
        let mut message = error.to_string();
        // A file that is none of text can be one line of megabytes: its place is told without it.
        let is_shown = |line: &str| line.starts_with(|first: char| first.is_ascii_digit());
        if message.lines().any(|line| is_shown(line) && line.len() > LONGEST_LINE) {
            let place = message.lines().next().unwrap_or_default();
            message = format!("{place}\n{}", error.message());
        }
        wrong(&explained(message.strip_prefix("TOML parse error ").unwrap_or(&message)))
    })?;
    let alone = input.take_alone();
    if let Some(key) = alone.twice().or_else(|| input.plugin.iter().find_map(PluginInput::twice)) {
        return Err(wrong(&format!("it has both `{key}` and `{key}_file`")));
    }
    input.set_alone(|_| alone);
    Ok(input)
}

/// A settings file that says this, for people to review: [`parse`] reads it as the same.
pub fn write(input: &Input) -> String {
    toml::to_string(input).expect("TOML has all that settings say")
}

/// Whether this key is said once for all plugins.
fn is_of_all(key: &str) -> bool {
    Input::KEYS.contains(&key) && !PluginInput::KEYS.contains(&key) && key != "plugin_name"
}

/// What the parser says, and what the user most likely meant.
fn explained(message: &str) -> String {
    let unknown = message.split_once("unknown field `").filter(|(_, rest)| rest.contains("expected one of `filter`"));
    let unknown = unknown.and_then(|(_, rest)| rest.split('`').next());
    let meant = match unknown {
        Some(key) if is_of_all(key) => {
            format!(
                "`{key}` is said for all plugins: it stands before the first `[[plugin]]`, as all behind one is that plugin's"
            )
        }
        Some("plugin_name") => "in a `[[plugin]]` it is `name`".into(),
        _ if message.contains("[plugin]") && !message.contains("[[plugin]") => {
            "write `[[plugin]]`, in two brackets".into()
        }
        _ => return by_nearest(message).unwrap_or_else(|| message.trim_end().into()),
    };
    format!("{}\n{meant}", message.trim_end())
}

/// What the parser says of a key that is none, with the one that it is almost in place of all that there are.
fn by_nearest(message: &str) -> Option<String> {
    /// The most slips that make one key of another.
    const SLIPS: usize = 2;
    let (before, rest) = message.split_once("unknown field `")?;
    let (key, known) = rest.split_once("`, expected one of ")?;
    let slips = |known: &&str| strsim::damerau_levenshtein(known, key);
    let nearest =
        known.lines().next()?.split('`').filter(|name| name.starts_with(char::is_alphabetic)).min_by_key(slips)?;
    let is_near = slips(&nearest) <= SLIPS && nearest.len() > SLIPS;
    is_near.then(|| format!("{before}unknown field `{key}`; did you mean `{nearest}`?"))
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::*;

    #[test]
    fn a_line_without_an_end_is_not_shown() {
        let wrong = parse("t", &format!("# ok\nupstream = 'a' {}", "b".repeat(1_000_000))).unwrap_err().to_string();
        assert!(wrong.contains("at line 2, column 16") && wrong.len() < 200, "{wrong}");
    }

    #[test]
    fn properties_by_either_way_of_writing() {
        let input =
            parse("t", "[properties]\nsource.address = 'a'\n'source.port' = 80\nx.y.z = true\nr = 0.5\n").unwrap();
        assert_eq!(
            input.properties.0,
            [
                ("r".into(), Value::Float(0.5)),
                ("source.address".into(), Value::Text("a".into())),
                ("source.port".into(), Value::Int(80)),
                ("x.y.z".into(), Value::Bool(true)),
            ]
        );
    }

    #[test]
    fn configurations() {
        let bytes = |text: &str| parse("t", text).unwrap().configuration.unwrap().bytes();
        assert_eq!(bytes("configuration = 'a'"), b"a");
        assert_eq!(bytes("[configuration]\nb = [1, 2.5]\na.c = 'x'\n"), br#"{"a":{"c":"x"},"b":[1,2.5]}"#);
    }

    #[test]
    fn plugins_in_order() {
        let text =
            "log_level = 'warn'\n[[plugin]]\nfilter = 'a.wasm'\nname = 'a'\n[[plugin]]\nconfiguration_file = 'b'\n";
        let input = parse("t", text).unwrap().relative_to(std::path::Path::new("dir"));
        assert_eq!(input.clone().take_alone().keys(), ["log_level"]);
        let [a, b] = input.plugin.as_slice() else { panic!("{:?}", input.plugin) };
        assert_eq!((a.filter.as_deref(), a.name.as_deref()), (Some(std::path::Path::new("dir/a.wasm")), Some("a")));
        assert_eq!(b.configuration_file.as_deref(), Some(std::path::Path::new("dir/b")));
        let Err(Problem::Syntax { message, .. }) = parse("t", "[[plugin]]\nplugin_name = 'a'\n") else {
            panic!("no error")
        };
        assert!(message.contains("unknown field `plugin_name`") && message.ends_with("it is `name`"), "{message}");
    }

    /// A key of the file itself behind a `[[plugin]]` is that plugin's for TOML.
    #[test]
    fn keys_behind_a_plugin() {
        for key in Input::KEYS.iter().copied().filter(|key| is_of_all(key)) {
            let message = |text: &str| match parse("t", text) {
                Err(Problem::Syntax { message, .. }) => message,
                other => panic!("{key}: {other:?}"),
            };
            let behind = message(&format!("[[plugin]]\nfilter = 'a.wasm'\n{key} = -1\n"));
            assert!(behind.contains("line 3") && behind.contains("before the first `[[plugin]]`"), "{behind}");
            // By itself it may be wrong only in its value.
            if let Err(Problem::Syntax { message, .. }) = parse("t", &format!("{key} = -1\n")) {
                assert!(!message.contains("unknown field"), "{key}: {message}");
            }
        }
    }

    #[test]
    fn a_route_astray() {
        for (table, text) in [
            ("clusters", "[clusters]\nauth = 'http://a'\nupstream = 'http://b'\n"),
            ("properties", "[properties]\nupstream = 'http://b'\n"),
            ("property_headers", "[property_headers]\nupstream = 'http://b'\n"),
            ("environment", "[environment]\nupstream = 'http://b'\n"),
            ("configuration", "[configuration]\nupstream = 'http://b'\n"),
            ("plugin.configuration", "[[plugin]]\n[plugin.configuration]\nupstream = 'http://b'\n"),
        ] {
            let problems = parse("t", text).unwrap().resolve(1, &|_| Ok(Vec::new())).unwrap_err();
            // A name that no header can have is told besides.
            assert_eq!(problems.first(), Some(&Problem::RouteAstray { key: "upstream", table }));
        }
    }

    #[test]
    fn quantities() {
        let input = parse("t", "upstream_timeout = '15s'\nbuffer_limit = '2MiB'\nstream_idle_timeout = 7\n").unwrap();
        let found = (input.upstream_timeout, input.buffer_limit, input.stream_idle_timeout);
        assert_eq!(found, (Some(15_000), Some(2 << 20), Some(7)));
        let no_time = "is not a time: write a number";
        let wrong = ["'15 parsecs'", "-1", "true", "[]"].map(|wrong| (wrong, no_time));
        for (wrong, why) in wrong.into_iter().chain([("1.5", "does not come to a whole number of `ms`")]) {
            let Err(Problem::Syntax { message, .. }) = parse("t", &format!("upstream_timeout = {wrong}\n")) else {
                panic!("{wrong}")
            };
            assert!(message.contains("line 1") && message.contains(why), "{message}");
        }
    }

    #[test]
    fn unknown_keys_have_a_place() {
        let Err(Problem::Syntax { message, .. }) = parse("t", "root_id = 'a'\nrootid = 'b'\n") else {
            panic!("no error")
        };
        assert!(message.contains("line 2, column 1"), "{message}");
        assert!(message.ends_with("unknown field `rootid`; did you mean `root_id`?"), "{message}");
    }

    /// Whatever is read is written as it was, in a form that people read.
    #[test]
    fn files_are_written_as_they_are_read() {
        let text = r#"properties = { "source.address" = "192.0.2.1:4711", "source.port" = 4711, "connection.mtls" = true }
direct_response = { status = 200, body = "hi" }
stream_idle_timeout = 300000
state = "host"
foreign_functions = ["compress"]

[environment]
A = "1"

[[plugin]]
filter = "a.wasm"
name = "a"

[plugin.configuration]
per_second = 10

[[plugin]]
configuration = "text"

[[route]]
cluster = "backend"
timeout = 5000

[clusters.auth]
url = "http://127.0.0.1:9001"

[clusters.backend]
url = "http://127.0.0.1:9000"
"#;
        let input = parse("t", text).unwrap();
        let written = write(&input);
        assert_eq!(parse("written", &written).unwrap(), input, "{written}");
        assert_eq!(write(&parse("written", &written).unwrap()), written);
        assert!(written.contains("\n[[route]]\ncluster = \"backend\"\ntimeout = 5000\n"), "{written}");
        assert!(written.contains("\n[clusters.auth]\nurl = \"http://127.0.0.1:9001\"\n"), "{written}");
        assert_eq!(write(&Input::default()), "");
    }

    #[test]
    fn clusters_in_either_way() {
        let short = parse("t", "clusters = { a = 'http://a' }").unwrap();
        assert_eq!(short, parse("t", "[clusters.a]\nurl = 'http://a'\n").unwrap());
    }
}
