//! Reports made by hand.

use proxy_wasm_adapter_compare::report::{Kind, Part, Report, ReportedFilter, Row, Section, Side};

/// What would harm if it were not text.
pub(crate) const HOSTILE: &str = "</script><script>window.harmed = 1</script><!-- <script> <img src=x onerror=harmed=1> \
    \u{2028}\u{2029} & &lt; {{report}} $& ${harmed} \u{202e}desrever\u{202c} \0\u{1b}[31m\ttab ']]>\"";

pub(crate) fn report(parts: Vec<Part>) -> Report {
    Report {
        version: 1,
        command: Some("proxy-wasm-adapter compare auth-callout.wasm --requests requests.yaml".into()),
        filters: vec![ReportedFilter {
            file: "examples/auth-callout.wasm".into(),
            sha256: "9f2c41d07be7a6f3c1b2".repeat(4)[..64].into(),
            bytes: 183_204,
        }],
        envoy: Side {
            name: "Envoy 1.40.0".into(),
            command: Some("envoy -c envoy.yaml --concurrency 1 --component-log-level wasm:trace".into()),
        },
        here: Side {
            name: "proxy-wasm-adapter 0.1.0".into(),
            command: Some("proxy-wasm-adapter serve --trace auth-callout.component.wasm".into()),
        },
        same: parts.iter().all(|part| part.same),
        parts,
        normalised: vec![
            "the header `date` of a response".into(),
            "`x-request-id`, which Envoy makes at random".into(),
        ],
        known: Vec::new(),
        notes: Vec::new(),
    }
}

pub(crate) fn part(name: &str, sections: Vec<Section>) -> Part {
    Part { name: name.into(), same: sections.iter().all(|section| section.same), sections, unmet: Vec::new() }
}

pub(crate) fn section(kind: Kind, rows: Vec<Row>) -> Section {
    let name = (kind == Kind::Callout).then(|| "auth".into());
    Section { kind, name, same: rows.iter().all(|row| row.same), rows }
}

/// Lines that are the same.
fn both(lines: &[&str]) -> Vec<Row> {
    lines.iter().map(|line| pair(Some(line), Some(line))).collect()
}

pub(crate) fn pair(envoy: Option<&str>, here: Option<&str>) -> Row {
    Row {
        phase: None,
        depth: 0,
        envoy: envoy.map(Into::into),
        here: here.map(Into::into),
        same: envoy == here,
        known: None,
    }
}

/// Makes a trace, a callback after another.
#[derive(Default)]
struct Calls {
    rows: Vec<Row>,
    phase: String,
}

impl Calls {
    fn add(&mut self, depth: u32, envoy: Option<String>, here: Option<String>) {
        let same = envoy == here;
        self.rows.push(Row { phase: Some(self.phase.clone()), depth, envoy, here, same, known: None });
    }

    fn same(&mut self, depth: u32, line: String) {
        self.add(depth, Some(line.clone()), Some(line));
    }

    fn callback(&mut self, name: &str, arguments: &str, calls: impl FnOnce(&mut Self)) {
        self.phase = name.into();
        self.same(0, format!("[host->vm] {name}({arguments})"));
        calls(self);
        self.same(0, format!("[host<-vm] {name} return: 0"));
    }

    /// A host call that returns something else here.
    fn call(&mut self, name: &str, arguments: &str, envoy: u32, here: u32) {
        self.same(1, format!("[vm->host] env.{name}({arguments})"));
        let returns = |status| Some(format!("[vm<-host] env.{name} return: {status}"));
        self.add(1, returns(envoy), returns(here));
    }

    /// A host call that asks the filter for memory.
    fn read(&mut self, name: &str, arguments: &str) {
        self.same(1, format!("[vm->host] env.{name}({arguments})"));
        self.same(2, "[host->vm] proxy_on_memory_allocate(64)".into());
        self.same(2, "[host<-vm] proxy_on_memory_allocate return: 1058208".into());
        self.same(1, format!("[vm<-host] env.{name} return: 0"));
    }
}

fn start() -> Part {
    let mut calls = Calls::default();
    calls.callback("_initialize", "", |_| {});
    calls.callback("proxy_on_context_create", "1, 0", |_| {});
    calls.callback("proxy_on_vm_start", "1, 0", |calls| calls.call("proxy_set_tick_period_milliseconds", "500", 0, 0));
    calls.callback("proxy_on_configure", "1, 24", |calls| {
        calls.read("proxy_get_buffer_bytes", "7, 0, 24, 1048420, 1048424")
    });
    part("start", vec![section(Kind::Log, both(&["info: configured"])), section(Kind::Trace, calls.rows)])
}

fn request(name: &str, differs: bool) -> Part {
    let mut calls = Calls::default();
    calls.callback("proxy_on_context_create", "2, 1", |_| {});
    calls.callback("proxy_on_request_headers", "2, 8, 1", |calls| {
        for header in 0..10 {
            calls.read("proxy_get_header_map_value", &format!("0, {}, 8, 1048420, 1048424", 1_048_600 + header * 16));
        }
        calls.call("proxy_get_property", "1048704, 14, 1048420, 1048424", 0, u32::from(differs));
        for line in 0..10 {
            calls.call("proxy_log", &format!("2, {}, 20", 1_048_900 + line * 16), 0, 0);
        }
        let arguments =
            |path| Some(format!("[vm->host] env.proxy_http_call(1049000, 4, {path}, 78, 0, 0, 0, 0, 500, 1048424)"));
        calls.add(1, arguments(1_049_010), arguments(if differs { 1_049_026 } else { 1_049_010 }));
        calls.same(1, "[vm<-host] env.proxy_http_call return: 0".into());
        if differs {
            calls.add(1, None, Some("[vm->host] env.proxy_done()".into()));
            calls.add(1, None, Some("[vm<-host] env.proxy_done return: 0".into()));
        }
    });
    calls.callback("proxy_on_http_call_response", "1, 4, 3, 17, 0", |calls| {
        calls.call("proxy_set_effective_context", "2", 0, 0);
        calls.read("proxy_get_buffer_bytes", "4, 0, 17, 1048420, 1048424");
        calls.call("proxy_continue_stream", "0", 0, 0);
    });
    for (callback, arguments) in [("headers", "2, 5, 0"), ("body", "2, 1024, 0"), ("body", "2, 0, 1")] {
        calls.callback(&format!("proxy_on_response_{callback}"), arguments, |calls| {
            calls.call("proxy_log", "1, 64, 40", 0, 0)
        });
    }
    for callback in ["log", "done", "delete"] {
        calls.callback(&format!("proxy_on_{callback}"), "2", |_| {});
    }
    let mut response = both(&[":status: 200", "content-type: text/plain"]);
    let date = Row {
        same: true,
        ..pair(Some("date: Mon, 23 Nov 2026 05:06:49 GMT"), Some("date: Mon, 23 Nov 2026 05:06:50 GMT"))
    };
    response.push(date);
    if differs {
        response.push(pair(Some("server: envoy"), None));
        response.push(pair(Some("x-auth: allow; user=ada; ttl=300"), Some("x-auth: allow; user=ada; ttl=0")));
    }
    response.extend(both(&["", "hello, world"]));
    let upstream = both(&[":method: GET", ":path: /private/a?q=1", ":authority: example.com", "x-user: ada"]);
    let callout = both(&[":method: POST", ":path: /check", ":authority: auth", "content-length: 0"]);
    part(
        name,
        vec![
            section(Kind::Response, response),
            section(Kind::Upstream, upstream),
            section(Kind::Callout, callout),
            section(Kind::Log, both(&["info: #2 GET /private/a", "info: #2 allowed"])),
            section(Kind::Trace, calls.rows),
        ],
    )
}

pub(crate) fn same() -> Report {
    report(vec![start(), request("GET /private/a", false), request("POST /upload with trailers", false)])
}

/// Two requests of four have four differences each: six lines.
pub(crate) fn different() -> Report {
    report(vec![
        start(),
        request("GET /private/a", true),
        request("HEAD /", false),
        request("POST /upload with trailers", false),
        request("POST /upload, reset after 2 chunks", true),
    ])
}

/// Nothing in it is the same.
pub(crate) fn only_differences() -> Report {
    let mut calls = Calls { phase: "proxy_on_configure".into(), ..Calls::default() };
    calls.add(0, Some("[host->vm] proxy_on_configure(1, 24)".into()), None);
    calls.add(1, Some("[vm->host] env.proxy_log(2, 64, 3)".into()), None);
    let response = vec![pair(Some(":status: 503"), Some(":status: 200")), pair(None, Some("hello, world"))];
    report(vec![
        part("start", vec![section(Kind::Trace, calls.rows)]),
        part("GET /", vec![section(Kind::Response, response)]),
    ])
}

/// A trace of this many lines; five of them differ.
pub(crate) fn large(lines: usize) -> Report {
    let mut calls = Calls::default();
    for number in 0.. {
        let (callback, buffer) =
            if number % 2 == 0 { ("proxy_on_request_body", 0) } else { ("proxy_on_response_body", 1) };
        calls.callback(callback, &format!("2, {}, 0", number * 64), |calls| {
            for chunk in 0..9 {
                calls.read("proxy_get_buffer_bytes", &format!("{buffer}, {}, 64, 1048420, 1048424", chunk * 64));
            }
        });
        if calls.rows.len() >= lines {
            break;
        }
    }
    calls.rows.truncate(lines);
    for number in 0..5 {
        let row = &mut calls.rows[lines / 5 * number + lines / 10];
        (row.same, row.here) = (false, row.here.as_ref().map(|line| format!("{line} or not")));
    }
    report(vec![start(), part("POST /large", vec![section(Kind::Trace, calls.rows)])])
}

/// Text that would harm, everywhere.
pub(crate) fn hostile() -> Report {
    let other = format!("{HOSTILE}!");
    let response = vec![pair(Some(HOSTILE), Some(&other)), pair(Some(HOSTILE), Some(HOSTILE))];
    let mut callout = section(Kind::Callout, vec![pair(Some(HOSTILE), None)]);
    callout.name = Some(HOSTILE.into());
    let mut calls = Calls::default();
    calls.callback(HOSTILE, HOSTILE, |_| {});
    let mut report =
        report(vec![part(HOSTILE, vec![section(Kind::Response, response), callout, section(Kind::Trace, calls.rows)])]);
    report.filters[0].file = HOSTILE.into();
    report.filters[0].sha256 = HOSTILE.into();
    (report.envoy.name, report.here.name) = (HOSTILE.into(), HOSTILE.into());
    report.envoy.command = Some(HOSTILE.into());
    report.here.command = None;
    (report.normalised, report.notes) = (vec![HOSTILE.into()], vec![HOSTILE.into()]);
    report.parts[0].unmet = vec![HOSTILE.into()];
    report
}

/// The sides agree, though not with what the request file expects.
pub(crate) fn unmet() -> Report {
    let mut report = same();
    report.parts[1].unmet = vec!["`status: 204`, but Envoy answered 200".into()];
    report.parts[1].same = false;
    report.same = false;
    report.notes = vec!["Properties that the settings name are told to the component only.".into()];
    report
}
