//! Marks requests and responses, and answers requests to forbidden paths itself.

use log::{info, warn};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Plugin::default()));
}}

/// The plugin: its configuration is lines of `key=value`.
#[derive(Default)]
struct Plugin {
    settings: Settings,
}

#[derive(Clone, Default)]
struct Settings {
    /// Value of the header that requests and responses get.
    mark: String,
    /// A path prefix that is not let through.
    forbidden: Option<String>,
}

impl Settings {
    fn parse(text: &str) -> Result<Self, String> {
        let mut settings = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (key, value) = line.split_once('=').ok_or_else(|| format!("`{line}` is no `key=value`"))?;
            match key.trim() {
                "mark" => settings.mark = value.trim().to_string(),
                "forbidden" => settings.forbidden = Some(value.trim().to_string()),
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
                info!("configured with mark `{}`", settings.mark);
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
        Some(Box::new(Exchange { settings: self.settings.clone(), path: String::new() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// One request and its response.
struct Exchange {
    settings: Settings,
    path: String,
}

impl Context for Exchange {}

impl HttpContext for Exchange {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        self.path = self.get_http_request_header(":path").unwrap_or_default();
        if let Some(forbidden) = &self.settings.forbidden {
            if self.path.starts_with(forbidden.as_str()) {
                warn!("refused {}", self.path);
                self.send_http_response(403, vec![("x-refused", "yes")], Some(b"forbidden\n"));
                return Action::Pause;
            }
        }
        if let Some(agent) = self.get_http_request_header("x-client") {
            info!("request to {} from {agent}", self.path);
        }
        self.add_http_request_header("x-mark", &self.settings.mark);
        self.set_http_request_header("x-secret", None);
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        let status = self.get_http_response_header(":status").unwrap_or_default();
        info!("answer to {}: {status}", self.path);
        self.set_http_response_header("x-powered-by", None);
        self.add_http_response_header("x-mark", &self.settings.mark);
        Action::Continue
    }
}
