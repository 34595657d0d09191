//! What the help of several commands says at its end.

/// Settings files, for the help.
pub(super) const SETTINGS_FILE: &str = r#"Settings file:
  plugin_name = "auth"
  root_id = ""
  vm_id = ""
  configuration = "text"                    # a table or an array becomes JSON
  # configuration_file = "plugin.json"      # relative to the settings file
  vm_configuration = ""
  # vm_configuration_file = "vm.json"
  environment = { NAME = "VALUE" }
  log_level = "info"
  allow_on_headers_stop_iteration = false
  # allowed_capabilities = ["proxy_log", "proxy_on_request_headers"]  # without it, all host calls and callbacks
  disabled = false                          # or true: it runs only where a route says so
  properties = { source.address = "192.0.2.1:4711", source.port = 4711, connection.mtls = true }
  property_headers = { source.address = "x-forwarded-for" }
  wasi = "0.2"                              # or "0.3"
  upstream = "http://127.0.0.1:9000"        # or direct_response = "200:body", or next = "handler"
  upstream_timeout = "15s"                  # a number alone is milliseconds
  clusters = { auth = "http://127.0.0.1:9001" }  # or, behind all else, [clusters.auth] with url = "…"
  authority = "example.test"                # where the host tells none, and no header does:
  authority_header = "x-forwarded-host"
  x_forwarded_proto = true
  x_request_id = true
  buffer_limit = "1MiB"                     # a number alone is bytes
  stream_idle_timeout = "5m"                # a number alone is milliseconds
  startup_ticks = 0
  # instance_concurrency = 16               # requests in one instance at once; for WASI 0.3
  grpc_transport = "http2"
  state = "vm"                              # or "host"
  profile = "envoy"                         # or "permissive"
  metrics = "none"                          # or "log"
  exports = "handler"                       # or "exchange", or "both"; for WASI 0.2
  bridge = "memory-copy"
  stub_unknown_imports = false
  foreign_functions = ["compress"]

Instead of upstream and direct_response, both of which are short for it, a settings file has the route itself. It leads to
one of the clusters, or to a direct_response:
  [[route]]
  cluster = "backend"
  timeout = "15s"
  [clusters.backend]
  url = "http://127.0.0.1:9000"

Several routes are a table; the first that matches counts, in a virtual host if there are any:
  plugin_name = "auth"
  [[virtual_host]]
  name = "all"
  domains = ["*"]                           # or "a.example", "*.example", "a.*"
  [[virtual_host.route]]
  name = "v1"
  match = { prefix = "/v1/" }               # or path, separated_prefix, regex; headers, query, grpc
  cluster = "backend"                       # or weighted_clusters, cluster_header, redirect, direct_response
  prefix_rewrite = "/"                      # or regex_rewrite; host_rewrite, auto_host_rewrite
  plugins = { auth = false }                # whether plugins run for its requests; the virtual host and [routes] have it too
  metadata = { ns = { key = "value" } }     # xds.route_metadata.filter_metadata.ns.key; virtual hosts and clusters have it too
  retry_policy = { retry_on = ["5xx"], num_retries = 2, per_try_timeout = "1s" }
  request_headers = { add = [{ name = "x-a", value = "%REQ(:path)%" }], remove = ["cookie"] }
  [virtual_host.route.cors]                 # [routes], virtual hosts and weighted clusters have it too; each key counts
  allow_origins = [{ suffix = ".a.example" }] # from where it is said nearest; or exact, prefix, contains, regex
  allow_methods = "GET, POST"               # allow_headers, expose_headers, max_age
  allow_credentials = true                  # allow_private_network, forward_not_matching_preflights, enabled
  [clusters.backend]
  endpoints = ["http://127.0.0.1:9000", { url = "http://127.0.0.1:9001", weight = 2 }] # or url; hostname
  http2 = true

Settings file of a chain, whose plugins requests pass in this order. The keys above down to
disabled are each plugin's own, plugin_name as `name`; the others stand first:
  upstream = "http://127.0.0.1:9000"
  [[plugin]]
  name = "auth"
  filter = "auth.wasm"                      # relative to the settings file, or else on the command
  [[plugin]]
  name = "limit"
  filter = "limit.wasm"
  configuration = { per_second = 10 }
"#;

/// How quantities are written, for the help.
pub(super) const QUANTITIES: &str = "\
Quantities: TIME is a number with `ms`, `s`, `m` or `h`, as in `15s`, and BYTES one with `B`, `KiB`, `MiB` or `GiB`, as in
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
