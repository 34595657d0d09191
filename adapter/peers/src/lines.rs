//! Two texts, line by line.

use std::time::{Duration, Instant};

use similar::{Algorithm, ChangeTag, DiffOp, capture_diff_slices_deadline};

/// How long the fewest differences are looked for.
const LONGEST: Duration = Duration::from_secs(2);

/// The steps from one list to the other; not the fewest where finding those would take too long.
pub fn steps<T: Eq + std::hash::Hash + Ord>(old: &[T], new: &[T]) -> Vec<DiffOp> {
    capture_diff_slices_deadline(Algorithm::Myers, old, new, Some(Instant::now() + LONGEST))
}

/// Both texts beside each other, unless they are the same: `-` begins a line of the first, `+` one of the second.
pub fn difference(expected: &str, actual: &str) -> Option<String> {
    if expected == actual {
        return None;
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    let mut text = String::from("- expected\n+ got\n");
    for change in steps(&old, &new).iter().flat_map(|step| step.iter_changes(&old, &new)) {
        let mark = match change.tag() {
            ChangeTag::Equal => ' ',
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
        };
        text.push_str(&format!("{mark} {}\n", change.value()));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_is_missing_and_what_is_more() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(difference("a\nb\nc", "a\nc\nd").as_deref(), Some("- expected\n+ got\n  a\n- b\n  c\n+ d\n"));
    }
}
