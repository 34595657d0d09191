//! `migration.md`: what became of the input, for people.

use std::fmt::Write;

use crate::{Host, Migration, Outcome, RunFile};

pub(crate) fn write(migration: &Migration, hosts: &[Host]) -> String {
    let mut text = String::from("# Migration\n\n");
    for outcome in Outcome::ALL {
        let count = migration.findings.iter().filter(|finding| finding.outcome == outcome).count();
        writeln!(text, "- {outcome}: {count}").expect("a string takes all text");
    }
    if migration.is_unguarded() {
        text.push_str(
            "\n**What keeps requests out in Envoy is left behind:** see \"Unguarded\" before anyone is let in.\n",
        );
    }
    if migration.has_errors() {
        text.push_str("\nParts of the input are wrong, so there are neither settings nor components: see below.\n");
    }
    for component in migration.components.iter().filter(|_| !migration.has_errors()) {
        let (name, settings) = (&component.name, &component.settings.name);
        write!(text, "\n## Component `{name}`\n\n").expect("a string takes all text");
        if !component.is_whole() {
            text.push_str("Code is missing, see below.\n\n");
        }
        if !component.is_routed {
            text.push_str("It is not made: where its requests go is not known, see below.\n");
            continue;
        }
        let mut line = |line: &str| writeln!(text, "{line}").expect("a string takes all text");
        if component.is_unguarded {
            line(&format!(
                "**It lets in requests that Envoy refuses**: see \"Unguarded\". No host knows that of a component; \
                 `proxy-wasm-adapter serve . --listener {}` does, and does not start before you say `--allow-unguarded`.\n",
                component.listener
            ));
        }
        line("Run it, in this directory, on the host that comes with the adapter or on stock Wasmtime:\n");
        line(&format!("```sh\n{}\n{}\n```\n", component.serve(), component.wasmtime()));
        line(&format!("Make it anew after a change of `{settings}`:\n"));
        line(&format!("```sh\nproxy-wasm-adapter adapt --settings {settings} -o {name}.component.wasm\n```\n"));
        if migration.is_bootstrap {
            line(
                "See before the switch that it does as Envoy, from where the input is, if Envoy starts with that; with requests \
                 of your own, and with the `--code` and `--code-dir` that were given here:\n",
            );
            let input = migration.findings.first().map_or("envoy.yaml", |finding| finding.file.as_str());
            let listener = match migration.components.as_slice() {
                [_] => String::new(),
                _ => format!(" --listener {}", component.listener),
            };
            line(&format!(
                "```sh\nproxy-wasm-adapter compare --envoy-config {input}{listener} --requests requests.yaml\n```\n"
            ));
        } else {
            line(
                "The input is nothing that Envoy starts with. To see before the switch that it does as Envoy, take the proxy's \
                 `/config_dump` to `compare --envoy-config`.\n",
            );
        }
        for host in hosts {
            line(&format!("For `{}`:\n", host.name()));
            for RunFile { file, command } in component.run_files(*host) {
                line(&format!("- `{}`: `{command}`", file.name));
            }
            line("");
        }
        match component.outbound.as_slice() {
            [] => line("It sends no requests to upstreams."),
            outbound => {
                line("It sends requests to these, which the host has to allow:\n");
                outbound.iter().for_each(|origin| line(&format!("- `{origin}`")));
                line(
                    "\n`serve` sends them the `host` that Envoy sends them: the client's, or what the routes make of it. Other \
                     hosts send each its own address, as a request of `wasi:http` goes to the authority that it names: \
                     upstreams that tell sites apart by `host` notice.",
                );
            }
        }
        line("\nTo go back, start Envoy with the files of the input: nothing in them was changed.");
    }
    for outcome in Outcome::ALL {
        let mut findings = migration.findings.iter().filter(|finding| finding.outcome == outcome).peekable();
        if findings.peek().is_none() {
            continue;
        }
        write!(text, "\n## {}\n\n| where | of | what | what to do |\n|---|---|---|---|\n", title(outcome))
            .expect("a string takes all text");
        for finding in findings {
            let place = format!("{}:{}:{} {}", finding.file, finding.line, finding.column, finding.path);
            let cells = [place.trim_end(), &finding.object, &finding.what, &finding.remedy].map(cell);
            writeln!(text, "| {} |", cells.join(" | ")).expect("a string takes all text");
        }
    }
    text
}

fn title(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Wrong => "Wrong, or missing",
        Outcome::Unguarded => "Unguarded: requests pass that Envoy refuses",
        Outcome::Unknown => "Unknown: a slip?",
        Outcome::NotCarried => "Not carried",
        Outcome::CarriedWithDifference => "Carried, with a difference",
        Outcome::Carried => "Carried",
    }
}

/// Text within a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}
