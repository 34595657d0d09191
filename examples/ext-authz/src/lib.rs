//! Asks an authorization server about each request, by the gRPC service that Envoy's own `ext_authz` filter asks:
//! `envoy.service.auth.v3.Authorization/Check`. A server that says nothing lets nothing through.

mod messages;

use std::time::Duration;

use log::{info, warn};
use prost::Message;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

use messages::{
    AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderAppendAction, HeaderValueOption,
    HttpRequest, HttpResponse, OkHttpResponse, Request,
};

const SERVICE: &str = "envoy.service.auth.v3.Authorization";
const METHOD: &str = "Check";

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Plugin { settings: Settings::default() }));
}}

/// The plugin: its configuration is lines of `key = value`.
struct Plugin {
    settings: Settings,
}

#[derive(Clone)]
struct Settings {
    /// The cluster of the authorization server.
    cluster: String,
    /// How long it may take.
    timeout: Duration,
    /// The answer where it can't be asked.
    status_on_error: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cluster: "grpc-authz".into(), timeout: Duration::from_secs(5), status_on_error: 403 }
    }
}

impl Settings {
    fn parse(text: &str) -> Result<Self, String> {
        let mut settings = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (key, value) = line.split_once('=').ok_or_else(|| format!("`{line}` is no `key = value`"))?;
            let (key, value) = (key.trim(), value.trim());
            let number = || value.parse::<u32>().map_err(|_| format!("`{value}` is no number"));
            match key {
                "cluster" => settings.cluster = value.into(),
                "timeout_ms" => settings.timeout = Duration::from_millis(number()?.into()),
                "status_on_error" => settings.status_on_error = number()?,
                other => return Err(format!("unknown key `{other}`")),
            }
        }
        Ok(settings)
    }
}

impl Context for Plugin {}

impl RootContext for Plugin {
    fn on_configure(&mut self, _size: usize) -> bool {
        let bytes = self.get_plugin_configuration().unwrap_or_default();
        match Settings::parse(&String::from_utf8_lossy(&bytes)) {
            Ok(settings) => {
                self.settings = settings;
                true
            }
            Err(problem) => {
                warn!("bad configuration: {problem}");
                false
            }
        }
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Exchange { settings: self.settings.clone(), response_headers: Vec::new() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// One request and its response.
struct Exchange {
    settings: Settings,
    /// What the server wants the response to have, once it comes.
    response_headers: Vec<HeaderValueOption>,
}

impl HttpContext for Exchange {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        let request = self.check_request().encode_to_vec();
        let Settings { cluster, timeout, .. } = &self.settings;
        match self.dispatch_grpc_call(cluster, SERVICE, METHOD, Vec::new(), Some(&request), *timeout) {
            Ok(_) => {}
            Err(status) => self.fail(&format!("the call was refused: {status:?}")),
        }
        Action::Pause
    }

    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        for option in std::mem::take(&mut self.response_headers) {
            apply(
                &option,
                |name| self.get_http_response_header(name),
                |name, value, append| {
                    if append {
                        self.add_http_response_header(name, value);
                    } else {
                        self.set_http_response_header(name, Some(value));
                    }
                },
            );
        }
        Action::Continue
    }
}

impl Context for Exchange {
    fn on_grpc_call_response(&mut self, _token: u32, status: u32, size: usize) {
        if status != 0 {
            self.fail(&format!("the server answered with gRPC status {status}"));
            return;
        }
        let bytes = self.get_grpc_call_response_body(0, size).unwrap_or_default();
        let Ok(response) = CheckResponse::decode(bytes.as_slice()) else {
            self.fail("the server's answer is no `CheckResponse`");
            return;
        };
        let allowed = response.status.map_or(true, |status| status.code == 0);
        match response.http_response {
            Some(HttpResponse::Denied(denied)) if !allowed => self.deny(&denied),
            Some(HttpResponse::Ok(ok)) if allowed => self.allow(ok),
            _ if allowed => self.allow(OkHttpResponse::default()),
            _ => self.deny(&DeniedHttpResponse::default()),
        }
    }
}

impl Exchange {
    fn check_request(&self) -> CheckRequest {
        let pseudo = |name: &str| self.get_http_request_header(name).unwrap_or_default();
        let mut http = HttpRequest {
            id: pseudo("x-request-id"),
            method: pseudo(":method"),
            path: pseudo(":path"),
            host: pseudo(":authority"),
            scheme: pseudo(":scheme"),
            ..HttpRequest::default()
        };
        for (name, value) in self.get_http_request_headers() {
            // Several values of one name are joined, as Envoy joins them here.
            let joined = http.headers.entry(name).or_default();
            if !joined.is_empty() {
                joined.push(',');
            }
            joined.push_str(&value);
        }
        let request = Some(Request { http: Some(http) });
        CheckRequest { attributes: Some(AttributeContext { request }) }
    }

    fn allow(&mut self, response: OkHttpResponse) {
        for name in &response.headers_to_remove {
            self.set_http_request_header(name, None);
        }
        for option in &response.headers {
            apply(
                option,
                |name| self.get_http_request_header(name),
                |name, value, append| {
                    if append {
                        self.add_http_request_header(name, value);
                    } else {
                        self.set_http_request_header(name, Some(value));
                    }
                },
            );
        }
        self.response_headers = response.response_headers_to_add;
        self.resume_http_request();
    }

    fn deny(&self, response: &DeniedHttpResponse) {
        let status = response.status.as_ref().map_or(403, |status| status.code as u32);
        let headers = response.headers.iter().filter_map(|option| option.header.as_ref());
        let headers = headers.map(|header| (header.key.as_str(), header.value.as_str())).collect();
        info!("denied with {status}");
        self.send_http_response(status, headers, Some(response.body.as_bytes()));
    }

    fn fail(&self, reason: &str) {
        warn!("no authorization: {reason}");
        self.send_http_response(self.settings.status_on_error, Vec::new(), None);
    }
}

/// Hands a header to `write`, by name, value and whether it is one more, unless the option says that nothing be done.
fn apply(option: &HeaderValueOption, read: impl Fn(&str) -> Option<String>, write: impl Fn(&str, &str, bool)) {
    let Some(header) = &option.header else { return };
    let present = read(&header.key).is_some();
    match option.append_action() {
        HeaderAppendAction::AppendIfExistsOrAdd => write(&header.key, &header.value, true),
        HeaderAppendAction::AddIfAbsent if !present => write(&header.key, &header.value, true),
        HeaderAppendAction::OverwriteIfExistsOrAdd => write(&header.key, &header.value, false),
        HeaderAppendAction::OverwriteIfExists if present => write(&header.key, &header.value, false),
        HeaderAppendAction::AddIfAbsent | HeaderAppendAction::OverwriteIfExists => {}
    }
}
