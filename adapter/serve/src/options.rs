//! What a user can set.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::uri::Authority;

use super::access_log::{AccessFormat, Place};
use super::log_format::LogFormat;
use super::policy::FailurePolicy;
use super::tags::StatsTag;
use proxy_wasm_adapter::composition::{Hop, takes_exchanges};
use proxy_wasm_adapter::values::{parse_address, parse_bytes, parse_time};
use proxy_wasm_adapter_embed::Optimization;
use proxy_wasm_adapter_embed::epoch::TICK;
use tokio_rustls::rustls::pki_types::ServerName;

/// The largest head of a request, and of an answer in HTTP/2: Envoy's default. Larger ones are answered 431, or fail the
/// upstream.
pub(super) const HEAD_LIMIT_BYTES: u32 = 60 * 1024;

/// What one `fields` of a component may cost: no head that was let in, however it is cut, costs as much.
pub(super) const FIELDS_LIMIT_BYTES: usize = 256 * 1024;

/// How to serve. A development and small-deployment host: plain HTTP in, one component, no reload.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[non_exhaustive]
pub struct Options {
    /// Address to listen on; port 0 takes any that is free, and the line `listening on …` tells which
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = parse_address)]
    pub listen: SocketAddr,

    /// Requests that one instance serves before it is replaced, 1000 unless given; 1 gives each request a new one. By
    /// exchanges instances are not replaced, so any other number means `--drive wasi-http`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_instance_reuse: Option<u32>,

    /// Start the plugins anew with each instance. Without it they are started once for all, where an instance serves fewer
    /// than 100 requests and their start asks for nothing that instances may not share, such as random bytes
    #[arg(long)]
    pub no_preinit: bool,

    /// Requests that one instance of a component for WASI 0.3 has at the same time [default: 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_instance_concurrency: Option<u32>,

    /// How requests go through a component for WASI 0.2 [default: by exchanges where the component takes them and neither
    /// --failure-policy open nor a --max-instance-reuse above 1 is given]
    #[arg(long, value_name = "WAY", value_enum)]
    pub drive: Option<Drive>,

    /// By exchanges, how many instances there are, as Envoy has one a worker; one a processor unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub vms: Option<u32>,

    /// Requests that run at the same time, by `wasi:http` 0.2 each in an instance of its own. Further ones wait; where one does, that request
    /// ends which is furthest behind: its client sent or took less than 1 KiB for each second that it is waited for, then the
    /// answer is 408; or its filter has answered 16 callouts with another one, for a second or more, then it is 504; or it is
    /// broken off
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_concurrency: u32,

    /// Requests that wait for their turn; further ones are answered 503
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub max_queue: u32,

    /// How long a request waits for its turn; then it is answered 503
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = parse_time)]
    pub queue_timeout: Duration,

    /// Connections that are open at the same time. Where there are as many, the one that is idle for longest is closed, and
    /// where none is, further ones wait; half as many as the process may open files unless given, and 50,000 at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub max_connections: Option<u32>,

    /// Add no `date` to responses: a comparison has a component answer as it does where it is linked
    #[arg(long, hide = true)]
    pub no_date: bool,

    /// How long a client may take to send a request's head, as Envoy's `request_headers_timeout`, and the first one on a
    /// connection counted from when that was made; then the answer is 408. 0 is no limit
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_time)]
    pub request_headers_timeout: Duration,

    /// How long a connection may be without a request, as Envoy's `idle_timeout`; 0 is no limit
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_time)]
    pub idle_timeout: Duration,

    /// Requests within requests: how deep those may be that callouts or the upstream send to this host itself; deeper ones
    /// are answered 508
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(..=100))]
    pub max_nesting: u32,

    /// Memory that one instance may have, filter and shim together, such as `64MiB`; one that asked for more serves no
    /// further request
    #[arg(long, value_name = "BYTES", default_value = "512MiB", value_parser = parse_memory)]
    pub max_memory: usize,

    /// Memory that all instances together may take on top of what each begins with; three quarters of what the machine, or
    /// the control group, has unless given
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub max_total_memory: Option<usize>,

    /// Stop a filter that computes for this long without waiting for anything, such as `500ms` or `10s`; it is seen every
    /// 10 ms
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_computing)]
    pub cpu_timeout: Duration,

    /// What becomes of requests after the plugin failed; the one that failed is answered 503 [default: reload, or what a
    /// configuration of Envoy's says]
    #[arg(long, value_name = "POLICY", value_enum)]
    pub failure_policy: Option<FailurePolicy>,

    /// With `--failure-policy reload`, answer 503 where a new instance is needed before one that failed is this old;
    /// Envoy's is 1s
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = parse_time)]
    pub reload_backoff: Duration,

    /// Directory to keep compiled code in, so that the same component starts at once the next time; made if it is missing.
    /// Whoever can write there decides what this process runs
    #[arg(long, value_name = "DIRECTORY", env = "PROXY_WASM_ADAPTER_CACHE")]
    pub cache: Option<PathBuf>,

    /// Whether time is spent on compiling, or on running
    #[arg(long, value_name = "FOR", value_enum, default_value_t)]
    pub optimize: Optimize,

    /// Address to show metrics at, under `/stats/prometheus` and `/stats`, whether it is ready, under `/ready`, and what
    /// runs, under `/server_info`
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    pub admin: Option<SocketAddr>,

    /// What stands in the names of metrics where Envoy has its connection manager's `stat_prefix`
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub stat_prefix: String,

    /// Make a part of metrics' names a label of this name, as Envoy's `stats_tags`: the expression's first group is taken
    /// out of the name, and its second one, or the first where it is alone, is the value; may be repeated
    #[arg(long, value_name = "NAME=REGEX", value_parser = StatsTag::parse, requires = "admin")]
    pub stats_tag: Vec<StatsTag>,

    /// Write a line for each request that is over to this file, which is opened anew on SIGUSR1; `-` is stdout
    #[arg(long, value_name = "FILE", value_parser = parse_place)]
    pub access_log: Option<Place>,

    /// The form of these lines, as Envoy's `text_format`; Envoy's own form unless given
    #[arg(long, value_name = "FORMAT", value_parser = AccessFormat::text, requires = "access_log")]
    pub access_log_format: Option<AccessFormat>,

    /// The form of these lines as JSON, as Envoy's `json_format`: an object of such texts
    #[arg(long, value_name = "OBJECT", value_parser = AccessFormat::json, requires = "access_log",
        conflicts_with = "access_log_format")]
    pub access_log_json: Option<AccessFormat>,

    /// What log lines on stderr look like, the filter's and those of `serve` itself: text, `TIME [LEVEL] request NUMBER:
    /// MESSAGE`, or JSON. The number is `%REQUEST_NUMBER%` of the access log; lines that belong to no request have none
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// On SIGTERM or SIGINT, wait this long for the requests that are being served; a second one ends it at once
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_time)]
    pub shutdown_grace: Duration,

    /// Speak HTTP/2 without TLS to this upstream or cluster, `HOST:PORT`; may be repeated. Without it only gRPC callouts
    /// are sent so; over TLS both ends agree. An answer's head may have 80 KiB and 100 fields, in HTTP/2 60 KiB
    #[arg(long, value_name = "AUTHORITY", value_parser = parse_authority)]
    pub upstream_h2c: Vec<String>,

    /// PEM file of certificate authorities to trust for upstreams, on top of the public ones
    #[arg(long, value_name = "FILE")]
    pub upstream_ca: Option<PathBuf>,

    /// Ask an upstream with TLS, `HOST:PORT`, for the certificate of another name than its own, as Envoy's `sni`; may be
    /// repeated
    #[arg(long, value_name = "AUTHORITY=NAME", value_parser = ServerNameOf::parse)]
    pub upstream_sni: Vec<ServerNameOf>,
}

/// The name that an upstream is to prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerNameOf {
    /// Host and port of the upstream, in small letters.
    pub authority: String,
    /// The name in its certificate.
    pub name: String,
}

impl ServerNameOf {
    /// As it is written in an option.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || "write HOST:PORT=NAME, as in `10.0.0.1:443=api.example`".to_owned();
        let (authority, name) = text.split_once('=').ok_or_else(form)?;
        let (host, port) = authority.rsplit_once(':').ok_or_else(form)?;
        if host.is_empty() || port.parse::<u16>().is_err() {
            return Err(form());
        }
        if ServerName::try_from(name).is_err() {
            return Err(format!("`{name}` is no name that a certificate can have"));
        }
        Ok(Self { authority: authority.to_ascii_lowercase(), name: name.into() })
    }
}

/// How requests go through a component for WASI 0.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Drive {
    /// By `wasi:http/incoming-handler`, each in an instance of its own, as on other hosts
    #[value(name = "wasi-http")]
    WasiHttp,
    /// By `proxy-wasm:adapter/exchange`, many at once in a few instances, as in Envoy's workers, or each in one of its own:
    /// it costs less
    Exchange,
}

/// What a component is compiled to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Optimize {
    /// Code that runs fast
    #[default]
    Speed,
    /// Code that runs slower, in a fraction of the time: where a filter is tried out
    None,
}

impl From<Optimize> for Optimization {
    fn from(optimize: Optimize) -> Self {
        match optimize {
            Optimize::Speed => Self::Speed,
            Optimize::None => Self::None,
        }
    }
}

/// Requests that an instance serves unless the user says how many.
const REUSE: u32 = 1000;

impl Options {
    /// How requests are to go through a component that takes them in both ways.
    pub fn preferred_drive(&self) -> Drive {
        // An instance by exchanges has one request or many at once: it is not replaced after some, and none passes by its
        // filters.
        let is_replaced = self.max_instance_reuse.is_some_and(|count| count > 1);
        let wants_own = is_replaced || self.failure_policy == Some(FailurePolicy::Open);
        self.drive.unwrap_or(if wants_own { Drive::WasiHttp } else { Drive::Exchange })
    }

    /// How requests go through this component.
    pub(super) fn drive_through(&self, component: &[u8]) -> Drive {
        match self.drive {
            None if !takes_exchanges(component) => Drive::WasiHttp,
            // There is one way only.
            Some(_) if Hop::of(component) == Some(Hop::Service) => Drive::WasiHttp,
            _ => self.preferred_drive(),
        }
    }

    /// Requests that one instance serves.
    pub(super) fn reuse(&self) -> u32 {
        self.max_instance_reuse.unwrap_or(REUSE)
    }
}

/// Memory of an instance: one with less than this does not start, whatever its filter is.
fn parse_memory(text: &str) -> Result<usize, String> {
    const LEAST: usize = 1 << 20;
    let bytes = parse_bytes(text)?;
    if bytes < LEAST { Err("no filter starts with less than `1MiB`".into()) } else { Ok(bytes) }
}

fn parse_computing(text: &str) -> Result<Duration, String> {
    match parse_time(text)? {
        time if time < TICK => Err("no filter starts within less than `10ms`".into()),
        time => Ok(time),
    }
}

fn parse_authority(text: &str) -> Result<String, String> {
    let authority: Option<Authority> = text.parse().ok();
    match authority.filter(|authority| !authority.host().is_empty() && !text.contains('@')) {
        Some(_) => Ok(text.into()),
        None => Err("write `HOST:PORT`, without a scheme".into()),
    }
}

fn parse_place(text: &str) -> Result<Place, std::convert::Infallible> {
    Ok(Place::parse(text))
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            max_instance_reuse: None,
            no_preinit: false,
            max_instance_concurrency: None,
            drive: None,
            vms: None,
            max_concurrency: 1000,
            max_queue: 1000,
            queue_timeout: Duration::from_secs(15),
            max_connections: None,
            no_date: false,
            request_headers_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(3600),
            max_nesting: 3,
            max_memory: 512 << 20,
            max_total_memory: None,
            cpu_timeout: Duration::from_secs(10),
            failure_policy: None,
            reload_backoff: Duration::ZERO,
            cache: None,
            optimize: Optimize::default(),
            admin: None,
            stat_prefix: "main".into(),
            stats_tag: Vec::new(),
            access_log: None,
            access_log_format: None,
            access_log_json: None,
            log_format: LogFormat::default(),
            shutdown_grace: Duration::from_secs(30),
            upstream_h2c: Vec::new(),
            upstream_ca: None,
            upstream_sni: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn values_that_can_be_nothing_are_refused() {
        for (option, value) in
            [("--upstream-h2c", ":::"), ("--upstream-h2c", "http://a:1"), ("--upstream-h2c", ""), ("--max-memory", "1")]
        {
            assert!(<Command as clap::Parser>::try_parse_from(["serve", option, value]).is_err(), "{option} {value}");
        }
    }

    #[test]
    fn defaults_are_the_same_on_both_ways() {
        let parsed = <Command as clap::Parser>::parse_from(["serve"]).options;
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Options::default()));
    }
}
