//! Settings that are wrong, on the command line and in files.

use proxy_wasm_adapter_testing::filter;

use super::{Case, settings, settings_file};

pub(super) fn cases() -> Vec<Case> {
    vec![
        settings("no-route", filter(""), &[]),
        settings("two-routes", filter(""), &["--upstream", "http://a", "--direct-response", "200"]),
        settings("next-and-upstream", filter(""), &["--next", "handler", "--upstream", "http://a"]),
        settings("next-on-wasi-0-2", filter(""), &["--next", "handler", "--wasi", "0.2"]),
        settings("timeout-without-upstream", filter(""), &["--direct-response", "200", "--upstream-timeout", "5"]),
        settings("bad-url", filter(""), &["--upstream", "ftp://example.org", "--cluster", "auth=http://auth/path"]),
        settings("bad-status", filter(""), &["--direct-response", "99:hello"]),
        settings("bad-log-level", filter(""), &["--direct-response", "200", "--log-level", "loud"]),
        settings("unreadable-config", filter(""), &["--direct-response", "200", "--config", "missing.json"]),
        settings("unreadable-settings", filter(""), &["--settings", "missing.toml"]),
        settings(
            "environment",
            filter(""),
            &["--direct-response", "200", "--env", "A=1", "--env", "A=2", "--env", "=3"],
        ),
        settings("pair-without-equals", filter(""), &["--direct-response", "200", "--env", "A"]),
        settings(
            "properties",
            filter(""),
            &[
                "--direct-response",
                "200",
                "--property",
                "a..b=1",
                "--property",
                "source.port=http",
                "--property-header",
                "source.address=x y",
            ],
        ),
        {
            let mut case = settings_file(
                "settings-one-route-in-place-of-several",
                "[[route]]\nmatch = { path = '/' }\ndirect_response = '200'\n[[route]]\ndirect_response = '404'\n",
            );
            case.args.extend(["--direct-response", "200"]);
            case
        },
        settings_file("settings-unknown-key", "upstream = 'http://a'\nrootid = 'b'\n"),
        settings_file("settings-unknown-key-within", "direct_response = { status = 200, text = 'a' }\n"),
        settings_file("settings-type", "upstream = 80\n"),
        settings_file("settings-syntax", "upstream = 'http://a\n"),
        settings_file("settings-key-twice", "upstream = 'http://a'\n[environment]\nA = '1'\nA = '2'\n"),
        settings_file("settings-configuration", "upstream = 'http://a'\nconfiguration = 5\n"),
        settings_file("settings-configuration-twice", "configuration = 'a'\nconfiguration_file = 'b'\n"),
        settings_file("settings-property", "upstream = 'http://a'\nproperties.a.b = [1]\n"),
        settings_file("settings-two-routes", "upstream = 'http://a'\ndirect_response = 200\n"),
        settings_file("settings-file-missing", "upstream = 'http://a'\nconfiguration_file = 'dir/missing.json'\n"),
        settings("quantity-of-time", filter(""), &["--upstream", "http://a", "--upstream-timeout", "soon"]),
        settings("quantity-of-bytes", filter(""), &["--upstream", "http://a", "--buffer-limit", "64MB"]),
        settings("quantity-that-is-not-whole", filter(""), &["--upstream", "http://a", "--upstream-timeout", "0.1ms"]),
        settings_file("settings-quantity", "upstream = 'http://a'\nbuffer_limit = '1 megabyte'\n"),
        settings_file("settings-route-in-a-table", "[clusters]\nauth = 'http://a'\nupstream = 'http://b'\n"),
        settings_file("route-besides-an-upstream", "upstream = 'http://a'\n[[route]]\ncluster = 'b'\n"),
        settings_file("route-of-nothing", "[[route]]\ntimeout = '1s'\n"),
        settings_file("route-to-no-cluster", "[[route]]\ncluster = 'b'\n[clusters.a]\nurl = 'http://a'\n"),
        settings_file("route-unknown-key", "[[route]]\ncluster = 'a'\nprefix = '/'\n"),
        settings_file(
            "routes-wrong-in-many-ways",
            "upstream = 'http://a'
             [[virtual_host]]
             name = 'a'
             domains = ['A.example', 'a.*.b']
             [[virtual_host.route]]
             match = { regex = '(?=a)' }
             cluster = 'nowhere'
             request_headers = { add = [{ name = 'host', value = '%NO%' }] }
             [[virtual_host.route]]
             name = 'r'
             match = { prefix = '/', path = '/' }
             redirect = { status = 200 }
             timeout = '1s'
             [[virtual_host]]
             domains = ['a.example']
             [[virtual_host]]
             name = 'c'
             ",
        ),
        settings_file("cluster-of-the-upstreams-name", "upstream = 'http://a'\nclusters.upstream = 'http://b'\n"),
        settings_file("cluster-without-a-url", "upstream = 'http://a'\n[clusters.b]\nuri = 'http://b'\n"),
        settings_file("settings-bridge", "upstream = 'http://a'\nbridge = 'drawbridge'\n"),
    ]
}
