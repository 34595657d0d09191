//! Puts the lines of both sides beside each other.

use proxy_wasm_adapter_peers::lines::steps;
use similar::DiffOp;

use super::report::Row;

/// A line of one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) text: String,
    pub(super) phase: Option<String>,
    pub(super) depth: u32,
}

impl From<String> for Item {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl Item {
    /// What has to be equal for two lines to stand in one row though they differ: the name of a call or header.
    fn key(&self) -> &str {
        let end = self.text.find(['(', ':', '"']).unwrap_or(self.text.len());
        self.text[..end].trim_end_matches(" return")
    }
}

/// The lines of both sides, in rows.
pub(super) fn align(envoy: &[Item], here: &[Item]) -> Vec<Row> {
    let texts = |items: &[Item]| items.iter().map(|item| item.text.clone()).collect::<Vec<_>>();
    let mut rows = Vec::new();
    for op in steps(&texts(envoy), &texts(here)) {
        let (_, old, new) = op.as_tag_tuple();
        if matches!(op, DiffOp::Equal { .. }) {
            rows.extend(envoy[old].iter().zip(&here[new]).map(|(old, new)| row(Some(old), Some(new), true)));
        } else {
            differing(&envoy[old], &here[new], &mut rows);
        }
    }
    rows
}

/// Lines that differ: those with the same name stand in one row.
fn differing(envoy: &[Item], here: &[Item], rows: &mut Vec<Row>) {
    let keys = |items: &[Item]| items.iter().map(|item| item.key().to_owned()).collect::<Vec<_>>();
    for op in steps(&keys(envoy), &keys(here)) {
        let (_, old, new) = op.as_tag_tuple();
        if matches!(op, DiffOp::Equal { .. }) {
            rows.extend(envoy[old].iter().zip(&here[new]).map(|(old, new)| row(Some(old), Some(new), false)));
        } else {
            rows.extend(envoy[old].iter().map(|item| row(Some(item), None, false)));
            rows.extend(here[new].iter().map(|item| row(None, Some(item), false)));
        }
    }
}

fn row(envoy: Option<&Item>, here: Option<&Item>, same: bool) -> Row {
    let text = |item: Option<&Item>| item.map(|item| item.text.clone());
    let either = envoy.or(here);
    Row {
        phase: either.and_then(|item| item.phase.clone()),
        depth: either.map_or(0, |item| item.depth),
        envoy: text(envoy),
        here: text(here),
        same,
        known: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(envoy: &[&str], here: &[&str]) -> Vec<String> {
        let items = |lines: &[&str]| lines.iter().map(|line| Item::from((*line).to_owned())).collect::<Vec<_>>();
        let text = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        align(&items(envoy), &items(here))
            .into_iter()
            .map(|row| format!("{} {} {}", text(row.envoy), if row.same { "=" } else { "|" }, text(row.here)))
            .collect()
    }

    #[test]
    fn equal_lines_stand_beside_each_other() {
        assert_eq!(shown(&["a", "b", "c"], &["a", "c", "d"]), ["a = a", "b | -", "c = c", "- | d"]);
        assert_eq!(shown(&[], &[]), Vec::<String>::new());
    }

    #[test]
    fn a_call_with_other_values_is_the_same_call() {
        assert_eq!(
            shown(&["f(1)", "g return: 0", "h"], &["x", "f(2)", "g return: 12", "h"]),
            ["- | x", "f(1) | f(2)", "g return: 0 | g return: 12", "h = h"]
        );
    }
}
