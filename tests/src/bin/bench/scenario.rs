//! What is measured: a filter, a request, and where that goes.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use proxy_wasm_abi::settings::{Origin, Plugin, Settings};
use proxy_wasm_adapter_tests::examples::Example;
use proxy_wasm_adapter_tests::hosts::Chain;
use proxy_wasm_adapter_tests::settings;

/// Exchanges of one kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// What the command and the table call it.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    example: &'static str,
    /// Of the plugins; a plugin that has none writes no log either.
    configuration: &'static str,
    /// How many plugins of it.
    plugins: u16,
    /// How many routes there are, the last one for all requests, where they are a table.
    routes: Option<usize>,
    to: To,
    method: &'static str,
    path: &'static str,
    /// Headers of the request besides those that every client sends.
    headers: usize,
    /// Bytes of the request's body.
    body: usize,
    pub(crate) status: u16,
    /// The same in Lua, for Envoy's own filter.
    pub(crate) lua: Option<&'static str>,
}

/// Where requests go.
#[derive(Clone, Copy, Debug)]
enum To {
    /// The host answers by itself.
    Direct,
    /// An upstream on kept connections, which answers so many bytes.
    Upstream(usize),
}

/// One request, as its client writes it.
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    pub(crate) status: u16,
}

const HEADER: Scenario = Scenario {
    name: "header",
    about: "one header is added each way, two are removed, four are read; direct response",
    example: "rust-headers",
    configuration: "mark = seen\n",
    plugins: 1,
    routes: None,
    to: To::Direct,
    method: "GET",
    path: "/hello",
    headers: 0,
    body: 0,
    status: 200,
    lua: Some(
        "function envoy_on_request(handle)
           local headers = handle:headers()
           handle:streamInfo():dynamicMetadata():set('lua', 'path', headers:get(':path'))
           headers:get('x-client')
           headers:add('x-mark', 'seen')
           headers:remove('x-secret')
         end
         function envoy_on_response(handle)
           local headers = handle:headers()
           headers:get(':status')
           headers:remove('x-powered-by')
           headers:add('x-mark', 'seen')
         end",
    ),
};

/// All of them.
pub(crate) const ALL: [Scenario; 13] = [
    HEADER,
    Scenario {
        name: "thirty-headers",
        about: "the same, of a request with thirty headers more",
        headers: 30,
        lua: None,
        ..HEADER
    },
    Scenario {
        name: "local-response",
        about: "the filter answers 403",
        configuration: "forbidden = /hello\n",
        status: 403,
        lua: None,
        ..HEADER
    },
    Scenario {
        name: "upstream",
        about: "one header each way, to an upstream on kept connections",
        to: To::Upstream(64),
        lua: None,
        ..HEADER
    },
    Scenario {
        name: "unread",
        about: "1 MiB from an upstream, which the filter does not look at",
        to: To::Upstream(1 << 20),
        lua: None,
        ..HEADER
    },
    Scenario {
        name: "streamed",
        about: "10 MiB from an upstream, of which the filter sees each piece and changes none",
        to: To::Upstream(10 << 20),
        lua: None,
        ..HEADER
    },
    Scenario {
        name: "rewritten",
        about: "64 KiB each way, all of which the filter (in C++) holds, searches and writes anew",
        example: "cpp-body",
        configuration: "",
        to: To::Upstream(64 << 10),
        method: "POST",
        body: 64 << 10,
        lua: None,
        ..HEADER
    },
    Scenario { name: "chain-2", about: "one header each way by each of two plugins", plugins: 2, lua: None, ..HEADER },
    Scenario { name: "chain-4", about: "the same by four", plugins: 4, lua: None, ..HEADER },
    Scenario { name: "chain-8", about: "the same by eight", plugins: 8, lua: None, ..HEADER },
    Scenario {
        name: "routes-1",
        about: "one header each way, and a table of one route",
        routes: Some(1),
        lua: None,
        ..HEADER
    },
    Scenario {
        name: "routes-10",
        about: "the same of ten, of which the last one matches",
        routes: Some(10),
        lua: None,
        ..HEADER
    },
    Scenario { name: "routes-1000", about: "the same of a thousand", routes: Some(1000), lua: None, ..HEADER },
];

impl Scenario {
    /// Bytes that its upstream answers with, if it has one.
    pub(crate) fn upstream(&self) -> Option<usize> {
        match self.to {
            To::Direct => None,
            To::Upstream(bytes) => Some(bytes),
        }
    }

    /// Whether its filter stands in it once.
    pub(crate) fn is_of_one_plugin(&self) -> bool {
        self.plugins == 1
    }

    /// Its filters and settings.
    pub(crate) fn chain(&self, upstream: Option<SocketAddr>) -> Result<Chain> {
        let examples = Example::all()?;
        let example = examples.iter().find(|example| example.name == self.example).context("no such example")?;
        let filter = example.filter()?;
        let settings = self.settings(upstream)?;
        Ok(Chain { filters: vec![filter; self.plugins.into()], ..Chain::one(Vec::new(), settings) })
    }

    fn settings(&self, upstream: Option<SocketAddr>) -> Result<Settings> {
        let mut settings = settings::direct();
        match upstream {
            Some(address) => {
                settings.set_upstream(Origin { tls: false, authority: address.to_string() }, 15_000);
            }
            None => match self.routes {
                Some(count) => settings = settings::routed(count)?,
                None => settings.set_direct_response(200, "hello"),
            },
        }
        settings.plugins = (0..self.plugins)
            .map(|number| Plugin {
                // One virtual machine: the modules are the same.
                name: format!("bench-{number}"),
                configuration: self.configuration.into(),
                // A log would measure who reads it.
                log_level: 4,
                ..Plugin::default()
            })
            .collect();
        Ok(settings)
    }

    pub(crate) fn request(&self) -> Request {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: example.test\r\nuser-agent: bench\r\naccept: */*\r\n",
            self.method, self.path
        );
        for number in 0..self.headers {
            let _ = write!(head, "x-header-{number}: the value of header {number}\r\n");
        }
        if self.body > 0 {
            let _ = write!(head, "content-length: {}\r\n", self.body);
        }
        let mut bytes = (head + "\r\n").into_bytes();
        bytes.resize(bytes.len() + self.body, b'a');
        Request { bytes, status: self.status }
    }
}
