//! As much of Markdown as the documents have.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use proxy_wasm_adapter_tests::fixtures;

/// A Markdown file of the repository.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// Its path below the top.
    pub(crate) name: String,
    /// Its fenced blocks.
    pub(crate) blocks: Vec<Block>,
    /// All else.
    text: String,
}

/// A fenced block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    /// `console`, `sh`, `toml` or nothing.
    pub(crate) language: String,
    /// What stands in it.
    pub(crate) lines: Vec<String>,
}

impl Document {
    fn read(name: String) -> Result<Self> {
        let text = std::fs::read_to_string(fixtures::root().join(&name)).with_context(|| format!("reads {name}"))?;
        let mut document = Self { name, blocks: Vec::new(), text: String::new() };
        let mut block: Option<Block> = None;
        for line in text.lines() {
            match (line.strip_prefix("```"), &mut block) {
                (Some(language), None) => block = Some(Block { language: language.into(), lines: Vec::new() }),
                (Some(_), Some(_)) => document.blocks.extend(block.take()),
                (None, Some(block)) => block.lines.push(line.into()),
                (None, None) => {
                    document.text.push_str(line);
                    document.text.push('\n');
                }
            }
        }
        Ok(document)
    }

    /// The directory that it stands in.
    pub(crate) fn directory(&self) -> PathBuf {
        fixtures::root().join(Path::new(&self.name).parent().unwrap_or(Path::new("")))
    }

    /// The blocks in this language, with numbers from 1.
    pub(crate) fn in_language(&self, language: &str) -> impl Iterator<Item = (usize, &Block)> {
        let language = language.to_string();
        self.blocks.iter().filter(move |block| block.language == language).enumerate().map(|(i, block)| (i + 1, block))
    }

    /// What stands between backticks, outside blocks.
    pub(crate) fn code(&self) -> Vec<String> {
        let flowing = self.text.replace('\n', " ");
        flowing.split('`').skip(1).step_by(2).map(str::to_string).collect()
    }

    /// Where links lead, outside blocks and code.
    pub(crate) fn links(&self) -> Vec<String> {
        let without_code: String = self.text.split('`').step_by(2).collect();
        let parts = without_code.split("](").skip(1);
        parts.filter_map(|rest| Some(rest.split_once(')')?.0.to_string())).collect()
    }

    /// What a link to a heading can say after `#`.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let headings = self.text.lines().filter(|line| line.starts_with('#'));
        let anchor = |line: &str| {
            let title = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            title.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
        };
        headings.map(anchor).collect()
    }
}

/// Every Markdown file of the repository, in order.
pub(crate) fn documents() -> Result<Vec<Document>> {
    let names = files().into_iter().filter(|name| name.ends_with(".md"));
    names.map(Document::read).collect()
}

/// Every file of the repository, by its path below the top.
pub(crate) fn files() -> Vec<String> {
    let mut files = Vec::new();
    walk(fixtures::root(), "", &mut files);
    files.sort();
    files
}

fn walk(directory: &Path, prefix: &str, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // What is built or installed, and version control.
        if matches!(name.as_str(), "target" | "node_modules" | ".git") {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), &format!("{prefix}{name}/"), files);
        } else {
            files.push(format!("{prefix}{name}"));
        }
    }
}
