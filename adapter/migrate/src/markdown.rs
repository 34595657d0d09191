//! `migration.md`: what became of the input, for people.

use std::fmt::Write;

use crate::{Migration, Outcome};

pub(crate) fn write(migration: &Migration) -> String {
    let mut text = String::from("# Migration\n\n");
    for outcome in Outcome::ALL {
        let count = migration.findings.iter().filter(|finding| finding.outcome == outcome).count();
        writeln!(text, "- {outcome}: {count}").expect("a string takes all text");
    }
    for component in &migration.components {
        let (name, settings) = (&component.name, &component.settings.name);
        write!(text, "\n## Component `{name}`\n\n").expect("a string takes all text");
        if !component.is_whole() {
            text.push_str("Code is missing, see below.\n\n");
        }
        writeln!(
            text,
            "```sh\nproxy-wasm-adapter adapt --settings {settings} -o {name}.component.wasm\nproxy-wasm-adapter serve {name}.component.wasm {}\n```\n",
            component.serve_options.join(" ")
        )
        .expect("a string takes all text");
        text.push_str("The component sends requests to:\n\n");
        for origin in &component.outbound {
            writeln!(text, "- `{origin}`").expect("a string takes all text");
        }
        text.push_str("\nTo go back, start Envoy with the files of the input: nothing in them was changed.\n");
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
