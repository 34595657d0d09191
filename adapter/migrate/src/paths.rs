//! Where places are in the documents: the way from the top to each.

use std::collections::HashMap;

use crate::File;
use crate::node::{Node, Place};
use crate::report::{Finding, Noted};

/// The paths of these places.
pub(crate) fn of(places: impl Iterator<Item = Place>, documents: &[Node]) -> HashMap<Place, String> {
    let mut found: HashMap<Place, Option<String>> = places.map(|place| (place, None)).collect();
    for document in documents {
        walk(document, &mut String::new(), &mut found);
    }
    found.into_iter().filter_map(|(place, path)| Some((place, path?))).collect()
}

fn walk(node: &Node, path: &mut String, found: &mut HashMap<Place, Option<String>>) {
    // A list without brackets stands where its first item does.
    // The top has no way to it, and stands where its first field does.
    if !path.is_empty() && node.items().first().is_none_or(|first| first.place() != node.place()) {
        note(node.place(), path, found);
    }
    let length = path.len();
    for entry in node.entries() {
        if length > 0 {
            path.push('.');
        }
        path.push_str(&entry.key);
        note(entry.place, path, found);
        walk(&entry.node, path, found);
        path.truncate(length);
    }
    for (index, item) in node.items().iter().enumerate() {
        path.push_str(&format!("[{index}]"));
        walk(item, path, found);
        path.truncate(length);
    }
}

fn note(place: Place, path: &str, found: &mut HashMap<Place, Option<String>>) {
    if let Some(slot @ None) = found.get_mut(&place) {
        *slot = Some(path.to_owned());
    }
}

/// Findings with names and paths, in the order of the input.
pub(crate) fn resolve(mut noted: Vec<Noted>, documents: &[Node], files: &[File]) -> Vec<Finding> {
    let paths = of(noted.iter().map(|noted| noted.place), documents);
    noted.sort_by_key(|noted| noted.place);
    let finding = |noted: Noted| Finding {
        outcome: noted.outcome,
        object: noted.object,
        listener: noted.listener,
        file: files.get(noted.place.file).map(|file| file.name.clone()).unwrap_or_default(),
        line: noted.place.line,
        column: noted.place.column,
        path: paths.get(&noted.place).cloned().unwrap_or_default(),
        what: noted.what,
        remedy: noted.remedy,
    };
    noted.into_iter().map(finding).collect()
}
