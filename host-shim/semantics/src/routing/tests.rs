//! The rules of routes, without a stream.

use proxy_wasm_abi::metadata::{Metadata, Value};
use proxy_wasm_abi::routing::{
    Action, AppendAction, Forward, HeaderAddition, HeaderMatch, HeaderValueMatch, HostRewrite, Match, PathMatch,
    PathRewrite, QueryMatch, Redirect, RedirectPath, RouteTable, Substitution, Target, TextMatch, TextMatchKind,
    VirtualHost, Weighted,
};

use super::{expressions::Expressions, hosts, matches, metadata, pick, rewrites};
use crate::headers::{HeaderMap, Kind};

fn request(authority: &str, path: &str, more: &[(&str, &str)]) -> HeaderMap {
    let head = [(":authority", authority), (":path", path), (":method", "GET"), (":scheme", "http")];
    HeaderMap::from_pairs(Kind::Request, head.iter().chain(more).copied())
}

fn to(path: PathMatch) -> Match {
    Match { path, ignore_case: false, headers: Vec::new(), query: Vec::new(), grpc: false }
}

#[test]
fn virtual_hosts() {
    let domains = ["*", "a.example", "*.example", "*.b.example", "a.*", "a.b.*", "port.example:8080"];
    let host = |domain: &&str| VirtualHost { domains: vec![(*domain).into()], ..VirtualHost::default() };
    let mut table = RouteTable { virtual_hosts: domains.iter().map(host).collect(), ..RouteTable::default() };
    for (authority, wanted) in [
        ("a.example", "a.example"),
        ("A.Example", "a.example"),
        ("x.example", "*.example"),
        ("x.b.example", "*.b.example"),
        (".example", "*"),
        ("a.other", "a.*"),
        ("a.b.other", "a.b.*"),
        ("a.", "*"),
        ("port.example:8080", "port.example:8080"),
        ("port.example", "*.example"),
        ("a.example:80", "a.*"),
        ("", "*"),
    ] {
        assert_eq!(hosts::find(&table, authority.as_bytes()).map(|at| domains[at]), Some(wanted), "{authority}");
    }
    table.ignore_port = true;
    assert_eq!(hosts::find(&table, b"a.example:80").map(|at| domains[at]), Some("a.example"));
    assert_eq!(hosts::without_port(b"[::1]:80"), b"[::1]");
    assert_eq!(hosts::without_port(b"[::1]"), b"[::1]");
}

#[test]
fn paths() {
    let all = Expressions::default();
    let is = |path: PathMatch, target: &str| matches::Asked::of(&request("a", target, &[]), &all).fulfils(&to(path));
    assert!(is(PathMatch::Prefix("/a".into()), "/ab?q"));
    assert!(!is(PathMatch::Prefix("/a".into()), "/A"));
    assert!(is(PathMatch::Exact("/a".into()), "/a?q#f"));
    assert!(!is(PathMatch::Exact("/a".into()), "/a/"));
    assert!(is(PathMatch::SeparatedPrefix("/a".into()), "/a/b"));
    assert!(is(PathMatch::SeparatedPrefix("/a".into()), "/a?b"));
    assert!(!is(PathMatch::SeparatedPrefix("/a".into()), "/ab"));
    assert!(is(PathMatch::Regex("/[0-9]+".into()), "/12?x"));
    assert!(!is(PathMatch::Regex("/[0-9]+".into()), "/12/"));
    assert!(is(PathMatch::Regex("/a|/b".into()), "/b"));
}

#[test]
fn headers_and_parameters() {
    let all = Expressions::default();
    let is = |condition: &Match, target: &str, head: &[(&str, &str)]| {
        matches::Asked::of(&request("a", target, head), &all).fulfils(condition)
    };
    let header = |value, invert, missing_as_empty| {
        let condition = HeaderMatch { name: "x".into(), value, invert, missing_as_empty };
        Match { headers: vec![condition], ..to(PathMatch::Prefix("/".into())) }
    };
    let text = |kind| TextMatch { kind, text: "Ab".into(), ignore_case: true };
    let is_x = |condition: &Match, value: &str| is(condition, "/", &[("x", value)]);
    let exact = |invert, missing| header(HeaderValueMatch::Text(text(TextMatchKind::Exact)), invert, missing);
    assert!(is_x(&exact(false, false), "aB") && !is_x(&exact(true, false), "ab"));
    assert!(is_x(&exact(true, false), "c") && !is(&exact(true, false), "/", &[]));
    assert!(is(&exact(true, true), "/", &[]));
    let contains = header(HeaderValueMatch::Text(text(TextMatchKind::Contains)), false, false);
    assert!(is_x(&contains, "xABx") && !is_x(&contains, "axb"));
    let range = header(HeaderValueMatch::Range(-1, 3), false, false);
    assert!(is_x(&range, "-1") && is_x(&range, "2") && !is_x(&range, "3") && !is_x(&range, "2x"));
    let present = |present, invert| header(HeaderValueMatch::Present(present), invert, false);
    assert!(is_x(&present(true, false), "") && is(&present(false, false), "/", &[]));
    assert!(is(&present(true, true), "/", &[]) && !is_x(&present(true, true), "1"));

    let query =
        |value| Match { query: vec![QueryMatch { name: "q".into(), value }], ..to(PathMatch::Prefix("/".into())) };
    let wanted = query(Ok(TextMatch { kind: TextMatchKind::Exact, text: "a%20b".into(), ignore_case: false }));
    assert!(is(&wanted, "/?x=1&q=a%20b&q=c", &[]) && !is(&wanted, "/?q=c", &[]) && !is(&wanted, "/", &[]));
    assert!(is(&query(Err(true)), "/?q", &[]) && !is(&query(Err(true)), "/?qq", &[]));
}

#[test]
fn substitutions() {
    let all = Expressions::default();
    let replace = |regex: &str, substitution: &str, text: &str| {
        let by = Substitution { regex: regex.into(), substitution: substitution.into() };
        String::from_utf8(all.replace(&by, text.as_bytes())).unwrap()
    };
    assert_eq!(replace("^/service/([^/]+)(/.*)$", r"\2/instance/\1", "/service/foo/v1/api"), "/v1/api/instance/foo");
    assert_eq!(replace("one", "two", "/xxx/one/yyy/one/zzz"), "/xxx/two/yyy/two/zzz");
    assert_eq!(replace("b", r"<\0\\>$1", "abc"), r"a<b\>$1c");
}

#[test]
fn authorities() {
    let all = Expressions::default();
    let rewritten = |of_route: Option<HostRewrite>, of_cluster: Option<&str>| {
        let forward = Forward {
            target: Target::Weighted(Vec::new()),
            path: None,
            host: of_route,
            timeout_ms: 0,
            max_grpc_timeout_ms: None,
            cluster_not_found: 503,
            retry: None,
        };
        let mut head = request("client", "/a/b?c", &[("x-host", "named")]);
        rewrites::host(&forward, of_cluster, &mut head, &all);
        String::from_utf8(head.get(b":authority").unwrap().to_vec()).unwrap()
    };
    let literal = || Some(HostRewrite::Literal("route".into()));
    let header = |name: &str| Some(HostRewrite::Header(name.into()));
    let path = Substitution { regex: "^/([^/]+)/.*$".into(), substitution: r"\1.example".into() };
    assert_eq!(rewritten(None, None), "client");
    assert_eq!(rewritten(None, Some("cluster")), "cluster");
    assert_eq!(rewritten(literal(), Some("cluster")), "route");
    assert_eq!(rewritten(header("x-host"), None), "named");
    assert_eq!(rewritten(header("x-other"), Some("cluster")), "cluster");
    assert_eq!(rewritten(Some(HostRewrite::Path(path)), None), "a.example");
}

#[test]
fn redirects() {
    let all = Expressions::default();
    let plain = Redirect { scheme: None, host: None, port: None, path: None, status: 301, strip_query: false };
    let go = |redirect: &Redirect, authority: &str, target: &str| {
        let head = request(authority, target, &[("x-forwarded-proto", "http")]);
        let matched = to(PathMatch::Prefix("/old".into()));
        String::from_utf8(rewrites::location(redirect, &matched, &head, &all)).unwrap()
    };
    let https = Redirect { scheme: Some("https".into()), ..plain.clone() };
    assert_eq!(go(&https, "a:80", "/old?q"), "https://a/old?q");
    assert_eq!(go(&https, "a:8080", "/old"), "https://a:8080/old");
    assert_eq!(go(&https, "[::1]:80", "/"), "https://[::1]/");
    assert_eq!(go(&Redirect { port: Some(81), ..plain.clone() }, "a:80", "/"), "http://a:81/");
    let path = |path: &str| Redirect { path: Some(RedirectPath::Path(path.into())), ..plain.clone() };
    assert_eq!(go(&path("/new"), "a", "/old?q=1"), "http://a/new?q=1");
    assert_eq!(go(&path("/new?p"), "a", "/old?q=1"), "http://a/new?p");
    assert_eq!(go(&Redirect { strip_query: true, ..plain.clone() }, "a", "/old?q=1"), "http://a/old");
    let prefix = RedirectPath::Rewrite(PathRewrite::Prefix("/new".into()));
    assert_eq!(go(&Redirect { path: Some(prefix), ..plain }, "a", "/old/x?q"), "http://a/new/x?q");
}

#[test]
fn weights() {
    let all = [("a", 1), ("b", 0), ("c", 2)].map(|(cluster, weight)| Weighted {
        cluster: cluster.into(),
        weight,
        host: None,
        headers: Default::default(),
        cors: None,
    });
    let picked: Vec<_> = (0..4).map(|random| pick(&all, random).unwrap()).collect();
    assert_eq!(picked, [0, 2, 2, 0]);
    assert_eq!(pick(&[], 1), None);
}

#[test]
fn a_table_is_read_as_it_was_written() {
    let addition =
        HeaderAddition { name: "x".into(), value: Vec::new(), action: AppendAction::Overwrite, keep_empty: true };
    let mut table = RouteTable { most_specific_wins: true, ..RouteTable::default() };
    table.headers.request.add.push(addition);
    let route = proxy_wasm_abi::routing::Route {
        name: "r".into(),
        matches: to(PathMatch::Prefix("/".into())),
        action: Action::Respond { status: 200, body: b"x".into() },
        headers: Default::default(),
        plugins: vec![(0, true)],
        metadata: Metadata(vec![("n".into(), vec![("k".into(), Value::Null)])]),
        cors: Some(1),
    };
    table.virtual_hosts.push(VirtualHost { routes: vec![route], ..VirtualHost::default() });
    assert_eq!(RouteTable::decode(&table.encode()), Some(table));
}

/// The protobuf bytes are written out by hand, after its encoding; `routes/metadata` has more kinds.
#[test]
fn metadata_as_a_whole_and_in_part() {
    let fields = vec![
        ("text".to_owned(), Value::Text("t".into())),
        ("number".to_owned(), Value::number(2.0)),
        ("map".to_owned(), Value::Map(vec![("in".into(), Value::Bool(true))])),
    ];
    let all = Metadata(vec![("a.b".into(), fields)]);
    let read = |path: &[&str]| metadata::read(&all, path);
    assert_eq!(read(&["filter_metadata", "a.b", "text"]).unwrap(), b"t");
    assert_eq!(read(&["filter_metadata", "a.b", "number"]).unwrap(), 2f64.to_le_bytes());
    assert_eq!(read(&["filter_metadata", "a.b", "map", "in"]).unwrap(), [1]);
    for missing in [&["filter_metadata", "a"][..], &["filter_metadata", "a.b", "x"], &["other"]] {
        assert!(read(missing).is_err(), "{missing:?}");
    }
    let one = Metadata(vec![("n".into(), vec![("k".into(), Value::Bool(true))])]);
    let value = b"\x20\x01";
    let structure = [b"\x0a\x07\x0a\x01k\x12\x02".as_slice(), value].concat();
    let whole = [b"\x0a\x0e\x0a\x01n\x12\x09".as_slice(), &structure].concat();
    assert_eq!(metadata::read(&one, &[]).unwrap(), whole);
}
