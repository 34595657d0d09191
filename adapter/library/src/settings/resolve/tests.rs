use super::*;
use crate::settings::parse;

fn no_files(_: &Path) -> Result<Vec<u8>, String> {
    Err("no such file".into())
}

/// What a file says.
fn file(text: &str) -> Input {
    parse("t", text).unwrap()
}

fn settings(input: Input) -> Settings {
    input.resolve(1, &no_files).unwrap().settings
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn problems(input: Input, filters: usize) -> Vec<String> {
    input.resolve(filters, &no_files).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_are_envoys() {
    let input = file("upstream = 'http://a'");
    for filters in 1..3 {
        let settings = input.clone().resolve(filters, &no_files).unwrap().settings;
        assert_eq!(settings.plugins, vec![Plugin { log_level: 2, ..Plugin::default() }; filters]);
        assert_eq!(settings.connection, Connection::default());
        let action = Action::Forward { cluster: "upstream".into(), timeout_ms: 15_000 };
        assert_eq!(settings.default_route(), Some(&Route { action }));
        assert_eq!(settings.upstream().unwrap().origin.authority, "a");
    }
}

#[test]
fn instances_have_several_requests_on_wasi_03_alone() {
    let input = file("upstream = 'http://a'\ninstance_concurrency = 4");
    let wants_03 = "with WASI 0.2 an instance has one request at a time, so `instance_concurrency` says nothing there";
    assert_eq!(problems(input.clone(), 1), [wants_03]);
    let settings = Input { wasi: Some(Wasi::V0_3), ..input }.resolve(1, &no_files).unwrap().settings;
    assert_eq!(settings.upkeep.instance_concurrency, Some(4));
}

#[test]
fn every_problem_at_once() {
    let mut input = file("log_level = 'loud'\nconfiguration_file = 'missing.json'\nclusters.auth = 'auth:80'\n");
    input.environment = vec![pair("A", "1"), pair("A", "2"), pair("", "3")].into();
    input.properties =
        vec![("source.port".into(), Value::Text("http".into())), ("a..b".into(), Value::Bool(true))].into();
    input.property_headers = vec![pair("source.address", "x y")].into();
    input.authority = Some("user@example.test".into());
    input.authority_header = Some("x host".into());
    assert_eq!(
        problems(input, 1),
        [
            "there is neither an upstream nor a direct response",
            "`A` stands twice among the environment variables",
            "`missing.json`, for the configuration, cannot be read: no such file",
            "`` cannot be an environment variable as it is",
            "`loud` is not a log level",
            "the cluster `auth` cannot be at `auth:80`: it has no scheme",
            "`http` is not a value for the property `source.port`",
            "`a..b` is not the path of a property",
            "`x y`, for the property `source.address`, is not a header's name",
            "`user@example.test` is not an authority",
            "`x host`, for the authority, is not a header's name",
        ]
    );
}

#[test]
fn problems_of_several_plugins() {
    let loud = |name: &str| format!("[[plugin]]\nname = '{name}'\nlog_level = 'loud'\n");
    let plugins = format!("[[plugin]]\n{}{}", loud("auth"), loud(""));
    let input = file(&format!("upstream = 'http://a'\nplugin_name = 'a'\nvm_id = 'b'\n{plugins}"));
    assert_eq!(
        problems(input, 1),
        [
            "`plugin_name`, `vm_id` are said for all plugins at once",
            "there is 1 filter for 3 plugins",
            "plugin 2 (`auth`): `loud` is not a log level",
            "plugin 3: `loud` is not a log level",
        ]
    );
    assert_eq!(problems(file("upstream = 'http://a'"), 0), ["there is no filter"]);
    let named = file("upstream = 'http://a'\nplugin_name = 'a'");
    assert_eq!(problems(named, 2), ["`plugin_name` is said for all plugins at once"]);
}

#[test]
fn options_count_over_the_file() {
    let keys = "root_id = 'file'\nvm_id = 'file'\nconfiguration_file = 'c'\nenvironment = { A = 'file', B = 'file' }\n";
    let above = "root_id = 'option'\nconfiguration = 'option'\nenvironment = { A = 'option' }\ndirect_response = 204\n";
    for plugin in ["", "[[plugin]]\n"] {
        let below = file(&format!("upstream = 'http://a'\nupstream_timeout = 1\n{plugin}{keys}"));
        let settings = settings(file(above).over(below));
        let plugin = &settings.plugins[0];
        assert_eq!((plugin.root_id.as_str(), plugin.vm_id.as_str()), ("option", "file"));
        assert_eq!(plugin.configuration, b"option");
        assert_eq!(settings.default_route().unwrap().action, Action::Respond { status: 204, body: Vec::new() });
        assert_eq!(plugin.environment, [pair("B", "file"), pair("A", "option")]);
    }
}

const ROUTED: &str = "[[route]]\ncluster = 'b'\ntimeout = '5s'\n[clusters]\nb = 'http://b'\nc = 'http://c'\n";

/// The name and place of the cluster that requests go to, and the time that it has.
fn leads(settings: &Settings) -> (&str, &str, u64) {
    let cluster = settings.upstream().unwrap();
    let Action::Forward { timeout_ms, .. } = settings.default_route().unwrap().action else { panic!("no cluster") };
    (&cluster.name, &cluster.origin.authority, timeout_ms)
}

#[test]
fn a_route_leads_to_a_cluster() {
    assert_eq!(leads(&settings(file(ROUTED))), ("b", "b", 5000));
    let untimed = ROUTED.replace("timeout = '5s'\n", "");
    assert_eq!(leads(&settings(file(&untimed))), ("b", "b", 15_000));
    assert_eq!(leads(&settings(file(&format!("upstream_timeout = 7\n{untimed}")))), ("b", "b", 7));
    let answer = settings(file("[[route]]\ndirect_response = '404:no'\n"));
    assert_eq!(answer.default_route().unwrap().action, Action::Respond { status: 404, body: b"no".into() });
}

/// A short form on the command line takes the place of the file's route, or the part of it that it speaks of.
#[test]
fn short_forms_count_over_routes() {
    let over = |above: &str| settings(file(above).over(file(ROUTED)));
    assert_eq!(leads(&over("upstream = 'http://d'")), ("upstream", "d", 5000));
    assert_eq!(leads(&over("upstream_timeout = 3")), ("b", "b", 3));
    assert_eq!(over("direct_response = 204").upstream(), None);
    let timed = file("upstream_timeout = 3").over(file("[[route]]\ndirect_response = 204\n"));
    assert_eq!(problems(timed, 1), ["there is a time limit for the upstream, but a direct response instead of one"]);
    let above = "[[route]]\ncluster = 'c'\n";
    assert_eq!(leads(&settings(file(above).over(file("upstream = 'http://a'\nclusters.c = 'http://c'")))).0, "c");
}

#[test]
fn routes_that_lead_nowhere() {
    for (text, problem) in [
        (
            "upstream = 'http://a'\n[[route]]\ncluster = 'a'\n",
            "there is a `[[route]]`, and `upstream` besides, which is short for one",
        ),
        ("[[route]]\n", "a `[[route]]` leads to one cluster or to one direct response"),
        (
            "[[route]]\ncluster = 'a'\ndirect_response = 200\n",
            "a `[[route]]` leads to one cluster or to one direct response",
        ),
        ("[[route]]\ncluster = 'a'\n", "a `[[route]]` leads to the cluster `a`, which is not there"),
        (
            "[[route]]\ndirect_response = 200\ntimeout = '1s'\n",
            "there is a time limit for the upstream, but a direct response instead of one",
        ),
        (
            "upstream = 'http://a'\nclusters.upstream = 'http://b'\n",
            "there is a cluster `upstream`, which is the upstream's own name",
        ),
    ] {
        assert_eq!(problems(file(text), 1), [problem], "{text}");
    }
}

#[test]
fn typed_values() {
    let encoded = |path, value| encode(path, kind(&path::parse(path).unwrap()), value).unwrap();
    assert_eq!(encoded("source.port", Value::Text("80".into())), 80_i64.to_le_bytes());
    assert_eq!(encoded("my.number", Value::Int(-1)), [0xff; 8]);
    assert_eq!(encoded("connection.mtls", Value::Bool(true)), [1]);
    assert_eq!(encoded("my.text", Value::Text("80".into())), b"80");
}
