//! Where in a settings file a problem is: the table that it is about.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Problem;

/// A step from one value of a file to another within it.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Key(&'a str),
    At(usize),
}

/// These problems, each with its place in the text of the file, where the file has what it is about.
pub fn located(file: &str, text: &str, problems: Vec<Problem>) -> Vec<Problem> {
    let Ok(table) = DeTable::parse(text) else { return problems };
    let locate = |problem: Problem| match find(table.get_ref(), &steps(&problem)) {
        Some(at) => {
            let before = text.get(..at).unwrap_or_default();
            let line = before.rsplit('\n').next().unwrap_or_default();
            Problem::Located {
                file: file.into(),
                line: 1 + before.matches('\n').count(),
                column: 1 + line.chars().count(),
                problem: Box::new(problem),
            }
        }
        None => problem,
    };
    problems.into_iter().map(locate).collect()
}

/// The way to the table that a problem is about; none, where it is about no table.
fn steps(problem: &Problem) -> Vec<Step<'_>> {
    match problem {
        Problem::Routing { host, route, .. } => {
            let host = host.map(|at| [Step::Key("virtual_host"), Step::At(at)]);
            let route = route.map(|at| [Step::Key("route"), Step::At(at)]);
            let steps: Vec<_> = host.into_iter().chain(route).flatten().collect();
            if steps.is_empty() { vec![Step::Key("routes")] } else { steps }
        }
        Problem::UnknownCluster { .. } | Problem::RouteAction => vec![Step::Key("route"), Step::At(0)],
        Problem::ClusterPlace { cluster } | Problem::EndpointWeight { cluster } => {
            vec![Step::Key("clusters"), Step::Key(cluster)]
        }
        Problem::ClusterNamedUpstream => vec![Step::Key("clusters"), Step::Key("upstream")],
        Problem::Url { of, .. } => match of.strip_prefix("the cluster `").and_then(|of| of.strip_suffix('`')) {
            Some(cluster) => vec![Step::Key("clusters"), Step::Key(cluster)],
            None => vec![Step::Key("upstream")],
        },
        Problem::TwoRoutes | Problem::RouteBesides { key: "direct_response" } | Problem::Status { .. } => {
            vec![Step::Key("direct_response")]
        }
        Problem::RouteBesides { key } => vec![Step::Key(key)],
        _ => Vec::new(),
    }
}

/// Where the last of these steps leads: to a key, or to an item of a list.
fn find(table: &DeTable<'_>, steps: &[Step<'_>]) -> Option<usize> {
    let (first, rest) = steps.split_first()?;
    let Step::Key(key) = first else { return None };
    let (found, mut value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
    let mut at = found.span().start;
    for (index, step) in rest.iter().enumerate() {
        value = match (step, value.get_ref()) {
            (Step::At(number), DeValue::Array(items)) => items.get(*number)?,
            (Step::Key(_), DeValue::Table(inner)) => return find(inner, rest.get(index..)?),
            _ => return None,
        };
        at = start(value);
    }
    Some(at)
}

fn start(value: &Spanned<DeValue<'_>>) -> usize {
    value.span().start
}

#[cfg(test)]
mod tests {
    use crate::settings::parse;

    /// What each problem says, with its place.
    fn problems(text: &str) -> Vec<String> {
        let resolved = parse("t.toml", text).unwrap().resolve(1, &|_| Err("no files".into()));
        super::located("t.toml", text, resolved.unwrap_err()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn places() {
        let host = "[[virtual_host]]\nname = 'a'\ndomains = ['*']\n";
        for (text, place) in [
            ("\n[[route]]\ncluster = 'x'\n".to_owned(), "t.toml:2:1: "),
            (format!("{host}\n[[virtual_host.route]]\nmatch = {{ prefix = '/' }}\ncluster = 'x'\n"), "t.toml:5:1: "),
            (format!("{host}route = [{{ direct_response = '200' }}, {{ cluster = 'x' }}]\n"), "t.toml:4:39: "),
            ("[[virtual_host]]\nname = 'a'\nroute = [{ direct_response = '200' }]\n".into(), "t.toml:1:1: "),
            ("direct_response = '200'\n\n[clusters.b]\nhttp2 = true\n".into(), "t.toml:3:11: "),
            ("direct_response = '200'\nclusters = { 'é' = 'http://a', b = 'nowhere' }\n".into(), "t.toml:2:32: "),
            ("upstream = 'nowhere'\n".into(), "t.toml:1:1: "),
            ("upstream = 'http://a'\ndirect_response = '200'\n".into(), "t.toml:2:1: "),
        ] {
            let found = problems(&text);
            assert!(found.iter().any(|found| found.starts_with(place)), "{text}\n{found:?}");
        }
        // Where there is no table, there is no place.
        assert_eq!(problems("root_id = 'a'\n"), ["there is neither an upstream nor a direct response"]);
    }
}
