//! Tags: parts of a metric's name that Prometheus shows as labels, as Envoy's `stats_tags`.

use std::ops::Range;

use regex_lite::Regex;

/// A tag of one name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tag {
    /// The part of the name that it takes the place of.
    pub(super) cut: Range<usize>,
    pub(super) name: String,
    pub(super) value: String,
}

/// A tag that a user wants: `NAME=REGEX`.
#[derive(Clone, Debug)]
pub struct StatsTag {
    name: String,
    regex: Regex,
}

/// The memory that a compiled expression may take.
const REGEX_BYTES: usize = 1 << 20;

impl StatsTag {
    /// Reads `NAME=REGEX`.
    ///
    /// # Errors
    /// It is none; says why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, regex) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| format!("`{text}` is no tag: write `NAME=REGEX`, such as `plugin=plugin\\.((.*?)\\.)`"))?;
        let regex = regex_lite::RegexBuilder::new(regex).size_limit(REGEX_BYTES).build();
        let regex = regex.map_err(|error| format!("the expression of the tag `{name}` cannot be used: {error}"))?;
        if regex.captures_len() == 1 {
            // Envoy takes it, and it never does anything.
            return Err(format!(
                "the expression of the tag `{name}` has no group: the first one is taken out of the metric's name, and \
                 the second one, or the first where it is alone, is the tag's value"
            ));
        }
        Ok(Self { name: name.into(), regex })
    }

    /// What it finds in a name.
    fn find(&self, name: &str) -> Option<Tag> {
        let captures = self.regex.captures(name)?;
        let cut = captures.get(1)?;
        let value = captures.get(2).unwrap_or(cut);
        Some(Tag { cut: cut.range(), name: self.name.clone(), value: undotted(value.as_str()).into() })
    }
}

/// The tags of a name: its status code, what the user wants, and its own. Each looks at the whole name, and of those with
/// one name the first counts.
pub(super) fn of(name: &str, own: &[Tag], wanted: &[StatsTag]) -> Vec<Tag> {
    let mut tags: Vec<Tag> = Vec::new();
    let found = code(name).into_iter().chain(wanted.iter().filter_map(|tag| tag.find(name))).chain(own.iter().cloned());
    for tag in found {
        if tags.iter().all(|other| other.name != tag.name) {
            tags.push(tag);
        }
    }
    tags
}

/// The status code, or its class, at the end of a name.
fn code(name: &str) -> Option<Tag> {
    let at = name.rfind("_rq_")? + "_rq_".len();
    let (cut, tag) = match name.as_bytes().get(at..)? {
        [a, b, c] if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => (at - 1..at + 3, "envoy.response_code"),
        [class, b'x', b'x'] if class.is_ascii_digit() => (at..at + 1, "envoy.response_code_class"),
        _ => return None,
    };
    let value = name.get(cut.clone())?.trim_start_matches('_').into();
    Some(Tag { cut, name: tag.into(), value })
}

/// A name without what its tags took out.
pub(super) fn cut(name: &str, tags: &[Tag]) -> String {
    let is_cut = |at: usize| tags.iter().any(|tag| tag.cut.contains(&at));
    let left: String = name.char_indices().filter(|(at, _)| !is_cut(*at)).map(|(_, character)| character).collect();
    undotted(&left).into()
}

/// Source: Envoy, which keeps neither names nor values with dots at their end.
fn undotted(text: &str) -> &str {
    text.trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, wanted: &[&str]) -> String {
        let wanted: Vec<StatsTag> = wanted.iter().map(|text| StatsTag::parse(text).unwrap()).collect();
        let tags = of(name, &[], &wanted);
        let labels: Vec<String> = tags.iter().map(|tag| format!("{}={}", tag.name, tag.value)).collect();
        format!("{} {}", cut(name, &tags), labels.join(","))
    }

    /// Seen on Envoy 1.40.
    #[test]
    fn tags_are_envoys() {
        for (name, wanted, expected) in [
            (
                "wasmcustom.tagged.plugin.auth.total",
                &[r"plugin=(plugin\.((.*?)\.))", r"whole=^wasmcustom\.(tag)ged"][..],
                "wasmcustom.ged.total plugin=auth,whole=tag",
            ),
            ("wasmcustom.seen", &["one=wasmcustom\\.(se)en"], "wasmcustom.en one=se"),
            (r#"wasmcustom.auth.q"x\y.total"#, &[r"w=\.((\w+))$"], r#"wasmcustom.auth.q"x\y w=total"#),
            ("wasmcustom.tagged.total", &["two=(ta(gg)ed\\.)", "two=(to(tal))"], "wasmcustom.total two=gg"),
            ("wasmcustom.trail.", &[], "wasmcustom.trail "),
            ("wasmcustom.up_rq_200", &["up=(up)"], "wasmcustom._rq envoy.response_code=200,up=up"),
            ("wasmcustom.lat_rq_5xx", &[], "wasmcustom.lat_rq_xx envoy.response_code_class=5"),
            ("wasmcustom.other", &["up=(up)"], "wasmcustom.other "),
        ] {
            assert_eq!(shown(name, wanted), expected);
        }
    }

    #[test]
    fn wrong_tags_are_told() {
        for (wrong, reason) in
            [("x", "NAME=REGEX"), ("=(x)", "NAME=REGEX"), ("x=(", "cannot be used"), ("x=y", "no group")]
        {
            assert!(StatsTag::parse(wrong).unwrap_err().contains(reason), "{wrong}");
        }
    }
}
