//! What the help of several commands says at its end.
//!
//! Of every such text a paragraph is one line, which is broken where the terminal ends; what is indented is not, and has 80
//! columns at the most.

/// Settings files.
pub(super) const SETTINGS_FILE: &str = r#"Settings file:
  plugin_name = "auth"
  root_id = ""
  vm_id = ""
  configuration = "text"               # a table or an array becomes JSON
  # configuration_file = "plugin.json" # relative to the settings file
  vm_configuration = ""
  # vm_configuration_file = "vm.json"
  environment = { NAME = "VALUE" }
  log_level = "info"
  allow_on_headers_stop_iteration = false
  # Without it, all host calls and callbacks:
  # allowed_capabilities = ["proxy_log", "proxy_on_request_headers"]
  disabled = false                     # true: runs only where a route says so
  properties = { source.address = "192.0.2.1:4711", connection.mtls = true }
  property_headers = { source.address = "x-forwarded-for" }
  wasi = "0.2"                         # or "0.3"
  # Or direct_response = "200:body", or next = "handler":
  upstream = "http://127.0.0.1:9000"
  upstream_timeout = "15s"             # a number alone is milliseconds
  # Or, behind all else, [clusters.auth] with url = "…":
  clusters = { auth = "http://127.0.0.1:9001" }
  # Where the host tells none, and no header does:
  authority = "example.test"
  authority_header = "x-forwarded-host"
  x_forwarded_proto = true
  x_request_id = true
  buffer_limit = "1MiB"                # a number alone is bytes
  stream_idle_timeout = "5m"           # a number alone is milliseconds
  startup_ticks = 0
  # instance_concurrency = 16          # requests in one instance; for WASI 0.3
  grpc_transport = "http2"             # or "grpc-web"
  state = "vm"                         # or "host"
  profile = "envoy"                    # or "permissive"
  metrics = "none"                     # or "log"
  exports = "handler"                  # or "exchange", or "both"; for WASI 0.2
  bridge = "memory-copy"               # or "portable"
  stub_unknown_imports = false
  foreign_functions = ["compress"]

Instead of upstream and direct_response, both of which are short for it, a settings file has the route itself. It leads to one of the clusters, or to a direct_response:
  [[route]]
  cluster = "backend"
  timeout = "15s"
  [clusters.backend]
  url = "http://127.0.0.1:9000"

Several routes are a table; the first that matches counts, in a virtual host if there are any:
  plugin_name = "auth"
  [[virtual_host]]
  name = "all"
  domains = ["*"]                      # or "a.example", "*.example", "a.*"
  [[virtual_host.route]]
  name = "v1"
  # Or path, separated_prefix, regex; and headers, query, grpc:
  match = { prefix = "/v1/" }
  # Or weighted_clusters, cluster_header, redirect, direct_response:
  cluster = "backend"
  # Or regex_rewrite; and host_rewrite, auto_host_rewrite:
  prefix_rewrite = "/"
  # Whether plugins run for it; virtual hosts and [routes] have it too:
  plugins = { auth = false }
  # xds.route_metadata.filter_metadata.ns.key; virtual hosts, clusters too:
  metadata = { ns = { key = "value" } }
  retry_policy = { retry_on = ["5xx"], num_retries = 2 }
  request_headers = { add = [{ name = "x-a", value = "%REQ(:path)%" }] }
  response_headers = { remove = ["server"] }
  # [routes], virtual hosts and weighted clusters have it too; each key counts
  # from where it is said nearest:
  [virtual_host.route.cors]
  # Or exact, prefix, contains, regex:
  allow_origins = [{ suffix = ".a.example" }]
  # And allow_headers, expose_headers, max_age:
  allow_methods = "GET, POST"
  # And allow_private_network, forward_not_matching_preflights, enabled:
  allow_credentials = true
  [clusters.backend]
  # Or url = "http://127.0.0.1:9000"; and hostname:
  endpoints = ["http://a:9000", { url = "http://b:9001", weight = 2 }]
  http2 = true

Settings file of a chain, whose plugins requests pass in this order. The keys above down to disabled are each plugin's own, plugin_name as `name`; the others stand first:
  upstream = "http://127.0.0.1:9000"
  [[plugin]]
  name = "auth"
  # Relative to the settings file, or else on the command:
  filter = "auth.wasm"
  [[plugin]]
  name = "limit"
  filter = "limit.wasm"
  configuration = { per_second = 10 }
"#;

/// How quantities are written.
pub(super) const QUANTITIES: &str = "\
Quantities: TIME is a number with `ms`, `s`, `m` or `h`, as in `15s`, and BYTES one with `B`, `KiB`, `MiB` or `GiB`, as in \
`1MiB`. A number alone is seconds or bytes, and milliseconds where the option says so.
";

#[cfg(test)]
mod tests {
    use proxy_wasm_adapter::settings;

    use super::*;

    #[test]
    fn settings_files_of_the_help_are_right() {
        let files: Vec<&str> = SETTINGS_FILE.split("\n\n").collect();
        assert_eq!(files.len(), 4);
        for (file, filters) in files.into_iter().zip([1, 1, 1, 2]) {
            let text = file.lines().filter(|line| line.starts_with("  ")).collect::<Vec<_>>().join("\n");
            settings::parse("help", &text).unwrap().resolve(filters, &|_| Ok(Vec::new())).unwrap();
        }
    }
}
