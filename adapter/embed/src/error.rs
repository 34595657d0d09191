//! Errors, by who is at fault.

use std::fmt;

use proxy_wasm_adapter::Error as AdaptError;

/// Why there is no filter, or no instance of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The filter, or its settings, can't be adapted.
    #[error("the filter can't be adapted: {0}")]
    Adapt(#[source] AdaptError),
    /// It is a core module.
    #[error("this is a filter, and no component: use `Filter::from_filter`, which adapts it")]
    NotAdapted,
    /// It does not export what this crate calls.
    #[error(
        "the component does not export `{interface}`: adapt the filter anew, with `--exports exchange`",
        interface = crate::wit::INTERFACE
    )]
    NoExchange,
    /// Wasmtime does not compile or link it.
    #[error("the component can't be compiled: {0}")]
    Compile(String),
    /// It can't be instantiated.
    #[error("the component can't be instantiated: {0}")]
    Instantiate(String),
    /// The pool has no place for another one now: see [`Options::pool`](crate::Options::pool).
    #[error("there is no place in the pool: {0}")]
    NoPlace(String),
    /// The plugin refused to start.
    #[error("the plugin refused to start: {0}")]
    Refused(String),
    /// The plugin trapped while it started.
    #[error("the plugin trapped while it started: {0}")]
    StartTrapped(Trapped),
    /// There is no thread that ends what computes for too long.
    #[error("there is no thread for the time limit: {0}")]
    Thread(#[from] std::io::Error),
}

/// A filter trapped: its instance can't be used again, and all its exchanges are lost.
#[derive(Debug)]
pub struct Trapped(wasmtime::Error);

impl Trapped {
    pub(crate) fn new(error: wasmtime::Error) -> Self {
        Self(error)
    }

    /// Whether it was ended for having computed for longer than [`Options::time_limit`](crate::Options::time_limit) allows.
    pub fn took_too_long(&self) -> bool {
        self.0.downcast_ref() == Some(&wasmtime::Trap::Interrupt)
    }

    /// What Wasmtime says of it.
    pub fn error(&self) -> &wasmtime::Error {
        &self.0
    }

    /// Where it was, innermost first, a line for each function.
    pub fn backtrace(&self) -> Vec<String> {
        let frames = self.0.downcast_ref::<wasmtime::WasmBacktrace>().map(wasmtime::WasmBacktrace::frames);
        let name = |frame: &wasmtime::FrameInfo| {
            let module = frame.module().name().unwrap_or("filter");
            format!("{module}!{}", frame.func_name().unwrap_or("?"))
        };
        frames.unwrap_or_default().iter().map(name).collect()
    }
}

impl fmt::Display for Trapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.took_too_long() {
            return f.write_str("it computed for longer than the time limit allows");
        }
        write!(f, "{}", self.0.root_cause())
    }
}

impl std::error::Error for Trapped {}

/// Why an exchange was not opened, or could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The head has more fields, or bytes, than a filter can be shown: 1024, and 1 MiB. The instance is as it was.
    #[error("the head is too large for the filter: answer it 431")]
    HeadTooLarge,
    /// The instance is lost, and every exchange in it.
    #[error("the filter trapped: {0}")]
    Trapped(#[from] Trapped),
}
