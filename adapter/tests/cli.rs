//! The command line's contract: what goes where, and what is there afterwards.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use proxy_wasm_adapter_testing::{filter, filter_text, stand_in};
use tempfile::TempDir;

/// A directory with `filter.wasm` and the stand-in shim.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("filter.wasm"), filter("")).unwrap();
    fs::write(directory.path().join("shim.wasm"), stand_in(1)).unwrap();
    directory
}

fn command(directory: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proxy-wasm-adapter"));
    command.args(args).current_dir(directory).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

fn adapt(directory: &TempDir, args: &[&str]) -> Output {
    let options = ["--shim", "shim.wasm", "--direct-response", "200"];
    command(directory, &[&["adapt"], args, &options].concat()).output().unwrap()
}

#[track_caller]
fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn read(directory: &TempDir, name: &str) -> Vec<u8> {
    fs::read(directory.path().join(name)).unwrap()
}

#[test]
fn there_and_back() {
    let directory = directory();
    let output = adapt(&directory, &["filter.wasm", "-o", "out.wasm"]);
    done(&output);
    assert_eq!((output.stdout, output.stderr), (Vec::new(), Vec::new()), "nothing to say");
    done(&command(&directory, &["extract", "out.wasm", "-o", "back.wasm"]).output().unwrap());
    assert_eq!(read(&directory, "back.wasm"), read(&directory, "filter.wasm"));
}

#[test]
fn stdin_and_stdout() {
    let directory = directory();
    done(&adapt(&directory, &["filter.wasm", "-o", "out.wasm"]));
    let mut child = command(&directory, &["adapt", "-", "-o", "-", "--shim", "shim.wasm", "--direct-response", "200"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&read(&directory, "filter.wasm")).unwrap();
    let output = child.wait_with_output().unwrap();
    done(&output);
    assert_eq!(output.stdout, read(&directory, "out.wasm"), "the same component");
}

#[test]
fn text_is_taken() {
    let directory = directory();
    fs::write(directory.path().join("filter.wat"), filter_text("")).unwrap();
    done(&adapt(&directory, &["filter.wat", "-o", "text.wasm"]));
    done(&adapt(&directory, &["filter.wasm", "-o", "binary.wasm"]));
    assert_eq!(read(&directory, "text.wasm"), read(&directory, "binary.wasm"));
}

/// The filter in front of a service, by `--next FILE` or by `compose`.
#[test]
fn what_is_joined_is_told_apart() {
    let directory = directory();
    let run = |args: &[&str]| {
        let output = command(&directory, args).output().unwrap();
        done(&output);
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["adapt", "filter.wasm", "-o", "service.wasm", "--wasi", "0.3", "--direct-response", "200"]);
    run(&["adapt", "filter.wasm", "-o", "middleware.wasm", "--next", "handler", "--plugin-name", "auth"]);
    assert!(run(&["inspect", "middleware.wasm"]).ends_with("it is middleware: it needs a next handler\n"));
    run(&["compose", "middleware.wasm", "service.wasm", "-o", "composed.wasm"]);
    // A file that settings name is relative to them.
    fs::create_dir(directory.path().join("conf")).unwrap();
    fs::write(directory.path().join("conf/chain.toml"), "next = \"../service.wasm\"\nplugin_name = \"auth\"").unwrap();
    run(&["adapt", "filter.wasm", "-o", "next.wasm", "--settings", "conf/chain.toml"]);
    assert_eq!(read(&directory, "next.wasm"), read(&directory, "composed.wasm"));

    run(&["compose", "middleware.wasm", "composed.wasm", "-o", "three.wasm"]);
    let text = run(&["inspect", "three.wasm"]);
    for (number, what) in [(1, "middleware"), (2, "middleware"), (3, "a service")] {
        assert!(text.contains(&format!("== {number}: {what} for WASI 0.3, adapted: ")), "{text}");
    }
    let facts: serde_json::Value = serde_json::from_str(&run(&["inspect", "--json", "three.wasm"])).unwrap();
    assert_eq!(facts["hop"], "service");
    assert_eq!(facts["parts"].as_array().unwrap().len(), 3);
    assert_eq!(facts["parts"][0]["adapted"]["plugins"][0]["name"], "auth");

    run(&["extract", "three.wasm", "-o", "back.wasm"]);
    assert_eq!(read(&directory, "back.wasm"), read(&directory, "filter.wasm"));
    run(&["extract", "three.wasm", "--plugin", "3", "-o", "back.wasm"]);
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let directory = directory();
    let mut child = command(&directory, &["inspect", "filter.wasm"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_earlier_output_is_replaced() {
    let directory = directory();
    fs::write(directory.path().join("out.wasm"), "earlier").unwrap();
    done(&adapt(&directory, &["filter.wasm", "-o", "out.wasm"]));
    assert!(read(&directory, "out.wasm").starts_with(b"\0asm"));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 3, "nothing else is left");
}

#[test]
fn an_earlier_output_stays_where_there_is_no_new_one() {
    let directory = directory();
    fs::write(directory.path().join("out.wasm"), "earlier").unwrap();
    fs::write(directory.path().join("filter.wasm"), "no filter").unwrap();
    assert_eq!(adapt(&directory, &["filter.wasm", "-o", "out.wasm"]).status.code(), Some(3));
    assert_eq!(read(&directory, "out.wasm"), b"earlier");
}

#[cfg(unix)]
#[test]
fn links_and_modes_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("target.wasm"), "earlier").unwrap();
    fs::set_permissions(path("target.wasm"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("target.wasm", path("link.wasm")).unwrap();
    done(&adapt(&directory, &["filter.wasm", "-o", "link.wasm"]));
    assert!(fs::symlink_metadata(path("link.wasm")).unwrap().is_symlink());
    assert!(read(&directory, "target.wasm").starts_with(b"\0asm"));
    assert_eq!(fs::metadata(path("target.wasm")).unwrap().permissions().mode() & 0o777, 0o640);

    symlink("filter.wasm", path("input.wasm")).unwrap();
    let output = adapt(&directory, &["filter.wasm", "-o", "input.wasm"]);
    assert_eq!(output.status.code(), Some(2), "a link to the input is the input");
}

#[test]
fn color_is_by_option() {
    let directory = directory();
    let stderr = |args: &[&str]| {
        let output = command(&directory, args).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let wrong = ["extract", "filter.wasm", "-o", "out.wasm"];
    assert!(stderr(&wrong).starts_with("error: "), "not to a pipe");
    assert!(stderr(&[&wrong[..], &["--color", "always"]].concat()).starts_with("\x1b[1;31merror\x1b[0m: "));
}

#[test]
fn verbose_says_what_was_done() {
    let directory = directory();
    let output = adapt(&directory, &["-v", "filter.wasm", "-o", "out.wasm"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("adapted `filter.wasm` ("), "{stderr}");
    assert!(stderr.ends_with("\nhost calls that return UNIMPLEMENTED: none\n"), "{stderr}");

    let imports = r#"(import "env" "proxy_done" (func (result i32)))
                     (import "env" "proxy_redis_init" (func (param i32 i32 i32 i32 i32 i32 i32) (result i32)))"#;
    fs::write(directory.path().join("filter.wasm"), filter(imports)).unwrap();
    let output = adapt(&directory, &["-v", "filter.wasm", "-o", "out.wasm", "--profile", "permissive"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.ends_with("\nhost calls that return UNIMPLEMENTED: `proxy_redis_init`\n"), "{stderr}");
}

/// What plugins log when they start is shown then, and their filter is still what it was.
#[test]
fn pre_initialised_components() {
    let directory = directory();
    let run = |args: &[&str]| {
        let output = command(&directory, args).output().unwrap();
        done(&output);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let route = ["--direct-response", "200"];
    let adapt = |args: &[&str]| run(&[&["adapt", "filter.wasm", "-o"], args, &route[..]].concat()).1;
    let text = |more: &str| {
        format!(
            r#"(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
               (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
               (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32))) (data (i32.const 0) "hello")
               (func (export "proxy_on_configure") (param i32 i32) (result i32)
                 (drop (call $random (i32.const 8) (i32.const 16)))
                 (drop (call $log (i32.const 2) (i32.const 0) (i32.const 5))) {more} (i32.const 1))"#
        )
    };

    fs::write(directory.path().join("filter.wasm"), filter(&text(""))).unwrap();
    let warning = adapt(&["tried.wasm", "--preinit=try"]);
    assert!(
        warning.starts_with("[info] plugin: hello\nwarning: `filter.wasm` cannot be pre-initialised: "),
        "{warning}"
    );
    assert!(warning.contains("; the component starts its plugins in each instance\n"), "{warning}");
    assert_eq!(adapt(&["plain.wasm"]), "");
    assert_eq!(read(&directory, "tried.wasm"), read(&directory, "plain.wasm"));

    let allowed = ["--preinit", "--preinit-allow", "random"];
    for (out, more) in [("once.wasm", &[][..]), ("again.wasm", &[]), ("of-03.wasm", &["--wasi", "0.3"])] {
        assert_eq!(adapt(&[&[out], &allowed[..], more].concat()), "[info] plugin: hello\n");
        run(&["extract", out, "-o", "back.wasm"]);
        assert_eq!(read(&directory, "back.wasm"), read(&directory, "filter.wasm"));
        let report = run(&["inspect", out]).0;
        let line = "  pre-initialised   yes, all instances with the same 16 random bytes\n";
        assert!(report.contains(line), "{report}");
    }
    assert_eq!(read(&directory, "once.wasm"), read(&directory, "again.wasm"));

    fs::write(
        directory.path().join("filter.wasm"),
        filter(&text("(drop (call $clock (i32.const 0) (i64.const 0) (i32.const 8)))")),
    )
    .unwrap();
    let warning = adapt(&[&["dated.wasm"], &allowed[..]].concat());
    assert!(warning.contains("warning: `filter.wasm` looks what time it is when it starts"), "{warning}");
    assert!(run(&["inspect", "dated.wasm"]).0.contains(", and they take the time of that start for their own\n"));
}

/// A settings file says all that options say, and the component is the same.
#[test]
fn a_settings_file_says_what_options_say() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    fs::create_dir(path("conf")).unwrap();
    fs::write(path("conf/plugin.json"), r#"{"a":1}"#).unwrap();
    fs::write(
        path("conf/plugin.toml"),
        r#"
            plugin_name = "name"
            root_id = "root"
            vm_id = "vm"
            configuration_file = "plugin.json"
            vm_configuration = "vm text"
            environment = { A = "1", B = "2" }
            allow_on_headers_stop_iteration = true
            log_level = "debug"
            upstream = "https://example.org"
            upstream_timeout = "0"
            x_forwarded_proto = false
            x_request_id = false
            buffer_limit = "1KiB"
            stream_idle_timeout = 5000
            grpc_transport = "grpc-web"
            bridge = "portable"
            stub_unknown_imports = true

            [properties]
            source.address = "192.0.2.1:4711"
            source.port = 4711
            connection.mtls = true

            [property_headers]
            xds.cluster_name = "X-Cluster"

            [clusters]
            auth = "http://127.0.0.1:9000"
        "#,
    )
    .unwrap();
    let run = |args: &[&str]| {
        let adapt = ["adapt", "filter.wasm", "-o", "out.wasm", "--shim", "shim.wasm"];
        done(&command(&directory, &[&adapt, args].concat()).output().unwrap());
        read(&directory, "out.wasm")
    };
    let by_file = run(&["--settings", "conf/plugin.toml"]);
    let options = "--plugin-name name --root-id root --vm-id vm --config conf/plugin.json --env A=1 --env B=2 \
        --allow-on-headers-stop-iteration --log-level debug --upstream https://example.org --upstream-timeout 0 \
        --no-x-forwarded-proto --no-x-request-id --buffer-limit 1024 --stream-idle-timeout 5s --bridge portable \
        --grpc-transport grpc-web \
        --stub-unknown-imports --property connection.mtls=true --property source.address=192.0.2.1:4711 \
        --property source.port=4711 --property-header xds.cluster_name=x-cluster --cluster auth=http://127.0.0.1:9000";
    let options: Vec<&str> = options.split_whitespace().chain(["--vm-config-text", "vm text"]).collect();
    assert!(by_file == run(&options), "another component");
    assert!(by_file != run(&["--settings", "conf/plugin.toml", "--root-id", "other"]), "options count over the file");
}

/// Shells take the completions, and each command has a page with its options.
#[test]
fn completions_and_pages() {
    let directory = directory();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = command(&directory, &["completions", shell]).output().unwrap();
        done(&output);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("allow-on-headers-stop-iteration"), "{shell}");
        fs::write(directory.path().join(shell), text).unwrap();
    }
    let complete = "source ./bash && COMP_WORDS=(proxy-wasm-adapter adapt --ups) COMP_CWORD=2 && \
                    $(complete -p proxy-wasm-adapter | sed 's/.*-F \\([^ ]*\\) .*/\\1/') proxy-wasm-adapter --ups adapt && echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", complete]).current_dir(&directory).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "--upstream --upstream-timeout\n", "{output:?}");

    done(&command(&directory, &["man", "share/man1"]).output().unwrap());
    let page = |name: &str| String::from_utf8(read(&directory, &format!("share/man1/{name}.1"))).unwrap();
    for (name, part) in [
        ("proxy-wasm-adapter", "proxy\\-wasm\\-adapter\\-adapt(1)"),
        ("proxy-wasm-adapter-adapt", "\\-\\-upstream"),
        ("proxy-wasm-adapter-serve", "\\-\\-listen"),
        ("proxy-wasm-adapter-test", "\\-\\-junit"),
    ] {
        assert!(page(name).contains(part), "{name}\n{}", page(name));
    }
    let output = command(&directory, &["man", "filter.wasm"]).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "a file is there");
}

/// Filters by the settings file, or on the command line in the same order.
#[test]
fn a_chain_by_its_settings_or_by_its_files() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    fs::create_dir(path("conf")).unwrap();
    fs::write(path("conf/limit.wat"), filter_text("(func)")).unwrap();
    fs::write(path("conf/limit.json"), r#"{"per_second":10}"#).unwrap();
    let chain = r#"
        direct_response = 200

        [[plugin]]
        filter = "../filter.wasm"
        name = "auth"
        environment = { A = "1" }

        [[plugin]]
        filter = "limit.wat"
        name = "limit"
        configuration_file = "limit.json"
        vm_id = "own"

        [[plugin]]
        filter = "limit.wat"
        configuration = { per_second = 20 }
    "#;
    fs::write(path("conf/chain.toml"), chain).unwrap();
    let without: Vec<&str> = chain.lines().filter(|line| !line.contains("filter =")).collect();
    fs::write(path("conf/files.toml"), without.join("\n")).unwrap();
    let run = |args: &[&str]| {
        let adapt = ["adapt", "-v", "-o", "out.wasm", "--shim", "shim.wasm"];
        let output = command(&directory, &[&adapt, args].concat()).output().unwrap();
        done(&output);
        (read(&directory, "out.wasm"), String::from_utf8(output.stderr).unwrap())
    };
    let (component, told) = run(&["--settings", "conf/chain.toml"]);
    assert!(told.starts_with("adapted `conf/../filter.wasm` ("), "{told}");
    let files = ["filter.wasm", "conf/limit.wat", "conf/limit.wat", "--settings"];
    assert!(component == run(&[&files[..], &["conf/files.toml"]].concat()).0, "another component");
    assert!(component == run(&[&files[..], &["conf/chain.toml"]].concat()).0, "the command counts over the file");

    let extract = |plugin| {
        done(&command(&directory, &["extract", "out.wasm", "-o", "back.wasm", "--plugin", plugin]).output().unwrap());
        read(&directory, "back.wasm")
    };
    assert!(extract("auth") == read(&directory, "filter.wasm") && extract("2") == filter("(func)"));

    let output = command(&directory, &["inspect", "out.wasm"]).output().unwrap();
    let json = command(&directory, &["inspect", "out.wasm", "--json"]).output().unwrap().stdout;
    golden("chain.txt", String::from_utf8(output.stdout).unwrap(), &String::from_utf8(json).unwrap());
}

/// `BLESS=1` writes them.
#[test]
fn inspect_reports_are_as_written_down() {
    let directory = directory();
    let text = filter_text(
        r#"(import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
           (import "env" "proxy_clear_route_cache" (func (result i32)))
           (import "env" "proxy_magic" (func))
           (import "env" "envoy_resolve_dns" (func (param i32 i32 i32) (result i32)))
           (func (export "proxy_on_request_headers") (param i32 i32) (result i32) i32.const 0)
           (func (export "proxy_on_new_connection") (param i32) (result i32) i32.const 0)
           (func $begin) (start $begin) (func (export "_start"))
           (table 30000 funcref)"#,
    );
    fs::write(directory.path().join("filter.wat"), text).unwrap();
    let component = adapt(
        &directory,
        &[
            "filter.wat",
            "-o",
            "component.wasm",
            "--stub-unknown-imports",
            "--property",
            "a.b=c",
            "--env",
            "K=V",
            "--config-text",
            "{\"a\": 1}\n",
        ],
    );
    done(&component);
    fs::write(directory.path().join("not-wasm"), "hello").unwrap();
    fs::write(directory.path().join("no-marker.wat"), "(module)").unwrap();
    let fork = filter_text("").replace("proxy_abi_version_0_2_1", "proxy_abi_mosn_version_0_2_0");
    fs::write(directory.path().join("fork.wat"), fork).unwrap();
    let run = |args: &[&str]| {
        let output = command(&directory, &[&["inspect"], args].concat()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    };
    let json = run(&["component.wasm", "--json"]).0;
    for (name, args, code) in [
        ("filter.txt", &["filter.wat"][..], 3),
        ("filter.json", &["filter.wat", "--json"], 3),
        ("component.txt", &["component.wasm"], 0),
        ("component.json", &["component.wasm", "--json"], 0),
        ("not-wasm.txt", &["not-wasm"], 3),
        ("no-marker.txt", &["no-marker.wat"], 3),
        ("fork.txt", &["fork.wat"], 3),
    ] {
        let (found, status) = run(args);
        assert_eq!(status, Some(code), "{name}");
        golden(name, found, &json);
    }
}

/// Compares a report of `inspect` with the file in `inspect/`. What depends on the shim, and so on the table of host calls,
/// is masked: `json` is the component's report.
#[track_caller]
fn golden(name: &str, mut found: String, json: &str) {
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    let masked = [("SIZE", &json["size"]), ("SHA256", &json["sha256"]), ("SHIM", &json["adapted"]["shim_sha256"])];
    for (mask, value) in masked {
        found = found.replace(value.to_string().trim_matches('"'), mask);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inspect").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, &found).unwrap();
    }
    assert!(fs::read_to_string(&file).unwrap() == found, "{name} is otherwise:\n{found}");
}
