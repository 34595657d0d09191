//! A ConfigMap that holds an Envoy's configuration as text: what is in it, with its places in the file.

use crate::File;
use crate::node::Node;
use crate::report::Report;
use crate::yaml;

/// Fields that a configuration has at its top, and other files in a ConfigMap do not.
const TOPS: &[&str] = &["static_resources", "dynamic_resources", "resources", "listeners", "filter_chains", "configs"];

/// The configurations in a document, if it is a ConfigMap with any; each stands where its text does.
pub(crate) fn unfold(report: &Report, index: usize, file: &File, document: &Node) -> Option<Vec<Node>> {
    if document.peek_text("kind") != Some("ConfigMap") {
        return None;
    }
    let (mut found, mut is_broken) = (Vec::new(), false);
    for entry in document.peek("data").map(Node::entries).unwrap_or_default() {
        let Some(text) = entry.node.as_text().filter(|text| text.contains('\n')) else { continue };
        let Some((lines, columns)) = shift(&file.bytes, entry.place.line, text) else { continue };
        match yaml::read(index, &entry.key, text.as_bytes()) {
            Ok(documents) => {
                let is_one = |node: &Node| TOPS.iter().any(|top| node.peek(top).is_some());
                for mut node in documents.into_iter().filter(is_one).take(1) {
                    node.shift(lines, columns);
                    report.carried("the ConfigMap", entry.place, format!("the file `{}` in it was read", entry.key));
                    found.push(node);
                }
            }
            Err(error) if TOPS.iter().any(|top| text.contains(top)) => {
                let mut place = error.place;
                place.line += lines;
                place.column += columns;
                is_broken = true;
                report.wrong(
                    &format!("the file `{}` in the ConfigMap", entry.key),
                    place,
                    format!("it {}", error.what),
                    error.remedy,
                );
            }
            Err(_) => {}
        }
    }
    // Of what can't be read it is said already.
    (is_broken || !found.is_empty()).then_some(found)
}

/// How many lines and columns the text stands below and right of the file's beginning: it begins on the line of its key, or
/// on the next but for empty ones.
fn shift(bytes: &[u8], line: usize, text: &str) -> Option<(usize, usize)> {
    let whole = std::str::from_utf8(bytes).ok()?;
    let before = text.lines().take_while(|line| line.trim().is_empty()).count();
    let first = text.lines().nth(before)?;
    let (at, found) = whole.lines().enumerate().skip(line).find(|(_, found)| found.trim() == first.trim())?;
    let indent = |line: &str| line.chars().take_while(|c| *c == ' ').count();
    Some((at - before.min(at), indent(found).saturating_sub(indent(first))))
}
