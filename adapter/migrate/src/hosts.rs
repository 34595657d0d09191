//! The files by which a host runs a component.
//!
//! What a component may reach comes from its clusters. Where an image is named, it is a place that has to be filled in: the
//! comment above it says with which command.

use std::fmt::Write;

use crate::output::{Component, Output};

/// What runs components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// `proxy-wasm-adapter serve`, as a service of systemd's.
    Serve,
    /// Spin.
    Spin,
    /// Spin on Kubernetes.
    SpinKube,
    /// wasmCloud, on Kubernetes and by `wash dev`.
    WasmCloud,
    /// Wasmtime below containerd, as a pod.
    Runwasi,
}

impl Host {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Serve, Self::Spin, Self::SpinKube, Self::WasmCloud, Self::Runwasi];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Spin => "spin",
            Self::SpinKube => "spinkube",
            Self::WasmCloud => "wasmcloud",
            Self::Runwasi => "runwasi",
        }
    }
}

/// A file, and the command that takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFile {
    /// The file; its name may have a directory in it.
    pub file: Output,
    /// The command, as typed in the directory that was written.
    pub command: String,
}

impl Component {
    /// The files by which a host runs it.
    pub fn run_files(&self, host: Host) -> Vec<RunFile> {
        let name = &self.name;
        let file = |name: String, text: String, command: String| RunFile {
            file: Output { name, bytes: text.into_bytes() },
            command,
        };
        match host {
            Host::Serve => {
                let unit = format!("{name}.service");
                let command = format!(
                    "install -D -t /etc/proxy-wasm-adapter {name}.component.wasm && install -t /etc/systemd/system {unit} && systemctl enable --now {unit}"
                );
                vec![file(unit, self.unit(), command)]
            }
            Host::Spin => {
                let manifest = format!("{name}.spin.toml");
                let command = format!("spin up -f {manifest} --listen {}", self.address());
                vec![file(manifest, self.spin(), command)]
            }
            Host::SpinKube => {
                let manifest = format!("{name}.spin.toml");
                let app = format!("{name}.spinapp.yaml");
                let push = format!("spin registry push -f {manifest} {}", image(name));
                let apply = format!("kubectl apply -f {app}");
                vec![file(manifest, self.spin(), push), file(app, self.spin_app(), apply)]
            }
            Host::WasmCloud => {
                let workload = format!("{name}.workload.yaml");
                let push = format!("wash oci push {} {name}.component.wasm", image(name));
                let apply = format!("{push} && kubectl apply -f {workload}");
                let project = format!("{name}.wasmcloud/.wash/config.yaml");
                let dev = format!("cd {name}.wasmcloud && wash dev");
                vec![file(workload, self.workload(), apply), file(project, self.wash(), dev)]
            }
            Host::Runwasi => {
                let pod = format!("{name}.pod.yaml");
                let command = format!("kubectl apply -f {pod}");
                vec![file(pod, self.pod(), command)]
            }
        }
    }

    /// The command that runs it on stock Wasmtime.
    pub fn wasmtime(&self) -> String {
        format!("wasmtime serve --addr {} {}.component.wasm", self.address(), self.name)
    }

    /// The command that runs it on our own host.
    pub fn serve(&self) -> String {
        let options = self.serve_options.join(" ");
        format!("proxy-wasm-adapter serve {}.component.wasm --listen {} {options}", self.name, self.address())
    }

    fn address(&self) -> &str {
        self.listen.as_deref().unwrap_or("127.0.0.1:8080")
    }

    fn port(&self) -> u16 {
        self.address().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(8080)
    }

    fn unit(&self) -> String {
        let (name, options) = (&self.name, self.serve_options.join(" "));
        let warning = if self.is_unguarded {
            "# It lets in requests that Envoy refuses: see \"Unguarded\" in migration.md.\n"
        } else {
            ""
        };
        let below = if self.port() < 1024 { "AmbientCapabilities=CAP_NET_BIND_SERVICE\n" } else { "" };
        format!(
            "[Unit]\nDescription={name}, migrated from Envoy\nWants=network-online.target\nAfter=network-online.target\n\n\
             [Service]\n{warning}ExecStart=/usr/local/bin/proxy-wasm-adapter serve /etc/proxy-wasm-adapter/{name}.component.wasm \
             --listen {} {options}\nRestart=on-failure\nDynamicUser=yes\nProtectSystem=strict\nProtectHome=yes\n\
             PrivateTmp=yes\nNoNewPrivileges=yes\n{below}\n[Install]\nWantedBy=multi-user.target\n",
            self.address(),
        )
    }

    fn spin(&self) -> String {
        let id = identifier(&self.name);
        let hosts: toml::Value = self.outbound.clone().into();
        format!(
            "spin_manifest_version = 2\n\n[application]\nname = \"{id}\"\nversion = \"0.1.0\"\n\n\
             [[trigger.http]]\nroute = \"/...\"\ncomponent = \"{id}\"\n\n\
             [component.{id}]\nsource = \"{}.component.wasm\"\nallowed_outbound_hosts = {hosts}\n",
            self.name
        )
    }

    fn spin_app(&self) -> String {
        let (id, image) = (identifier(&self.name), image(&self.name));
        format!(
            "apiVersion: core.spinkube.dev/v1alpha1\nkind: SpinApp\nmetadata:\n  name: {id}\nspec:\n  \
             # Put your registry here, and push it: spin registry push -f {}.spin.toml {image}\n  \
             image: {image}\n  executor: containerd-shim-spin\n  replicas: 2\n",
            self.name
        )
    }

    fn workload(&self) -> String {
        let (id, image) = (identifier(&self.name), image(&self.name));
        format!(
            "apiVersion: runtime.wasmcloud.dev/v1alpha1\nkind: WorkloadDeployment\nmetadata:\n  name: {id}\nspec:\n  \
             replicas: 2\n  template:\n    spec:\n      hostSelector:\n        hostgroup: default\n      hostInterfaces:\n      \
             - namespace: wasi\n        package: http\n        interfaces: [incoming-handler, outgoing-handler]\n        \
             config:\n          # The host that clients ask for: requests are told apart by it.\n          host: {id}.example\n      \
             components:\n      - name: {id}\n        \
             # Put your registry here, and push it: wash oci push {image} {}.component.wasm\n        image: {image}\n        \
             localResources:\n          allowedHosts: {}\n",
            self.name,
            list(&self.outbound),
        )
    }

    fn wash(&self) -> String {
        format!(
            "build:\n  # There is nothing to build.\n  command: \"true\"\n  component_path: ../{}.component.wasm\nworkload:\n  \
             allowedHosts: {}\n",
            self.name,
            list(&self.outbound),
        )
    }

    fn pod(&self) -> String {
        let (id, image) = (identifier(&self.name), image(&self.name));
        let port = self.port();
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {id}\n  labels:\n    app: {id}\nspec:\n  \
             # The class whose handler is runwasi's shim for Wasmtime.\n  runtimeClassName: wasmtime\n  containers:\n  \
             - name: {id}\n    # Put your registry here, and push an image with {}.component.wasm alone in it.\n    \
             image: {image}\n    command: [\"/{}.component.wasm\"]\n    env:\n    - name: WASMTIME_HTTP_PROXY_SOCKET_ADDR\n      \
             value: \"0.0.0.0:{port}\"\n    ports:\n    - containerPort: {port}\n",
            self.name, self.name
        )
    }
}

/// A list within a line of YAML, which takes JSON's.
fn list(items: &[String]) -> String {
    serde_json::Value::from(items).to_string()
}

fn image(name: &str) -> String {
    format!("registry.example/{}:0.1.0", identifier(name))
}

/// A name as both Kubernetes and Spin take it: words in lower case that begin with a letter, with `-` between them.
fn identifier(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut id = String::new();
    for word in words {
        if !id.is_empty() {
            id.push('-');
        }
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            id.push('n');
        }
        write!(id, "{word}").expect("a string takes all text");
    }
    let id: String = id.chars().take(63).collect();
    let id = id.trim_end_matches('-');
    if id.is_empty() { "component".into() } else { id.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(name: &str) -> Component {
        Component {
            listener: name.into(),
            listen: Some("0.0.0.0:443".into()),
            name: name.into(),
            settings: Output { name: format!("{name}.toml"), bytes: Vec::new() },
            files: Vec::new(),
            filters: Vec::new(),
            serve_options: vec!["--failure-policy".into(), "closed".into()],
            has_routes: true,
            is_routed: true,
            is_unguarded: false,
            outbound: vec!["http://a.internal:80".into(), "https://b.internal:443".into()],
        }
    }

    #[test]
    fn identifiers() {
        for (name, id) in [("Web", "web"), ("port-8080", "port-n8080"), ("a_b..c", "a-b-c"), ("§", "component")] {
            assert_eq!(identifier(name), id, "{name}");
        }
        assert!(identifier(&"x-".repeat(60)).len() <= 63);
    }

    /// Each file is what its host's format is: TOML, YAML, or lines of a unit; and names the component and the clusters.
    #[test]
    fn files_have_their_formats() {
        let component = component("port-443");
        for host in Host::ALL {
            for RunFile { file, command } in component.run_files(host) {
                let text = String::from_utf8(file.bytes).unwrap();
                assert!(!command.is_empty());
                match file.name.rsplit('.').next().unwrap() {
                    "toml" => {
                        let manifest: toml::Table = toml::from_str(&text).unwrap();
                        let part = &manifest["component"]["port-n443"];
                        assert_eq!(part["source"].as_str(), Some("port-443.component.wasm"));
                        assert_eq!(part["allowed_outbound_hosts"].as_array().unwrap().len(), 2);
                        assert_eq!(manifest["trigger"]["http"][0]["component"].as_str(), Some("port-n443"));
                        assert_eq!(manifest["spin_manifest_version"].as_integer(), Some(2));
                    }
                    "yaml" => {
                        let documents = crate::yaml::read(0, &file.name, text.as_bytes()).unwrap();
                        let document = documents.first().unwrap();
                        assert!(document.peek("kind").is_some() || document.peek("build").is_some(), "{text}");
                        let spec =
                            document.peek("spec").and_then(|spec| spec.peek("template")).and_then(|it| it.peek("spec"));
                        if let Some(components) = spec.and_then(|spec| spec.peek("components")) {
                            let hosts =
                                components.many()[0].peek("localResources").unwrap().peek("allowedHosts").unwrap();
                            assert_eq!(hosts.many().len(), 2);
                        }
                    }
                    "service" => {
                        let is_line = |line: &str| line.is_empty() || line.starts_with('[') || line.contains('=');
                        assert!(text.lines().all(is_line), "{text}");
                        assert!(text.contains("--listen 0.0.0.0:443 --failure-policy closed\n"), "{text}");
                        assert!(text.contains("CAP_NET_BIND_SERVICE"));
                    }
                    other => panic!("{other}"),
                }
            }
        }
        assert_eq!(component.wasmtime(), "wasmtime serve --addr 0.0.0.0:443 port-443.component.wasm");
    }

    /// The value at this path; a number is a place in a list.
    fn at<'n>(node: &'n crate::node::Node, path: &str) -> Option<&'n crate::node::Node> {
        path.split('.').try_fold(node, |node, step| match step.parse::<usize>() {
            Ok(place) => node.items().get(place),
            Err(_) => node.peek(step),
        })
    }

    /// What each kind of object has to have, by the references of SpinKube (`SpinApp`, v1alpha1), wasmCloud
    /// (`WorkloadDeployment`, v1alpha1) and Kubernetes (`Pod`, v1); and no other fields than theirs.
    #[test]
    fn objects_have_the_fields_of_their_kinds() {
        let component = component("web_1");
        for (host, kind, required, spec) in [
            (
                Host::SpinKube,
                "SpinApp",
                &["spec.image", "spec.executor", "spec.replicas"][..],
                &["image", "executor", "replicas"][..],
            ),
            (
                Host::WasmCloud,
                "WorkloadDeployment",
                &[
                    "spec.replicas",
                    "spec.template.spec.components.0.name",
                    "spec.template.spec.components.0.image",
                    "spec.template.spec.components.0.localResources.allowedHosts.1",
                    "spec.template.spec.hostInterfaces.0.namespace",
                    "spec.template.spec.hostInterfaces.0.package",
                    "spec.template.spec.hostInterfaces.0.interfaces.0",
                    "spec.template.spec.hostInterfaces.0.config.host",
                ],
                &["replicas", "template"],
            ),
            (
                Host::Runwasi,
                "Pod",
                &[
                    "spec.runtimeClassName",
                    "spec.containers.0.name",
                    "spec.containers.0.image",
                    "spec.containers.0.command.0",
                ],
                &["runtimeClassName", "containers"],
            ),
        ] {
            let files = component.run_files(host);
            let objects = files.iter().filter(|run| run.file.name.ends_with(".yaml"));
            let mut nodes = objects.map(|run| crate::yaml::read(0, "t.yaml", &run.file.bytes).unwrap().remove(0));
            let object = nodes.find(|node| node.peek_text("kind") == Some(kind)).unwrap();
            for path in ["apiVersion", "kind", "metadata.name"].iter().chain(required) {
                let value = at(&object, path).unwrap_or_else(|| panic!("{kind} has no {path}"));
                assert!(!value.is_null(), "{kind}: {path}");
            }
            let tops: Vec<&str> = object.entries().iter().map(|entry| entry.key.as_str()).collect();
            assert_eq!(tops, ["apiVersion", "kind", "metadata", "spec"]);
            for entry in at(&object, "spec").unwrap().entries() {
                assert!(spec.contains(&entry.key.as_str()), "{kind}: {}", entry.key);
            }
            // RFC 1123's label: what Kubernetes takes for a name.
            let name = at(&object, "metadata.name").and_then(crate::node::Node::as_text).unwrap();
            let is_label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.chars().all(is_label) && !name.starts_with('-') && !name.ends_with('-'), "{name}");
        }
        let spin = &component.run_files(Host::Spin)[0].file;
        let manifest: toml::Table = toml::from_str(std::str::from_utf8(&spin.bytes).unwrap()).unwrap();
        let id = manifest["trigger"]["http"][0]["component"].as_str().unwrap();
        assert!(manifest["component"].get(id).is_some() && manifest["trigger"]["http"][0].get("route").is_some());
        assert!(manifest["application"]["name"].as_str().is_some_and(|name| !name.is_empty()));
    }
}
