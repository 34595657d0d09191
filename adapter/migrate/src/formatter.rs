//! Values of headers in which `%…%` stands for something.

/// What stands in the way of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Envoy refuses it: a percent sign that begins nothing, or ends nothing.
    Malformed,
    /// This command, which the component can't answer.
    Unknown(String),
}

/// What a component knows without an argument.
const PLAIN: &[&str] = &["PROTOCOL", "RESPONSE_CODE", "ROUTE_NAME", "VIRTUAL_HOST_NAME", "UPSTREAM_CLUSTER"];

/// What keeps a component from making this value.
pub(crate) fn obstacle(value: &str) -> Option<Obstacle> {
    let mut rest = value;
    while let Some((_, behind)) = rest.split_once('%') {
        if let Some(behind) = behind.strip_prefix('%') {
            rest = behind;
            continue;
        }
        let Some((command, behind)) = behind.split_once('%') else { return Some(Obstacle::Malformed) };
        // Source: `SubstitutionFormatParser::parse` in Envoy: capitals, then an argument and a length.
        if !command.starts_with(|c: char| c.is_ascii_uppercase()) {
            return Some(Obstacle::Malformed);
        }
        if !is_known(command) {
            let name: String = command.chars().take_while(|c| *c != '(' && *c != ':').collect();
            return Some(Obstacle::Unknown(name));
        }
        rest = behind;
    }
    None
}

fn is_known(command: &str) -> bool {
    let Some((name, argument)) = command.split_once('(') else { return PLAIN.contains(&command) };
    let Some((headers, most)) = argument.rsplit_once(')') else { return false };
    let has_length = most.is_empty() || most.strip_prefix(':').is_some_and(|most| most.parse::<u32>().is_ok());
    let first = headers.split('?').next().unwrap_or_default();
    matches!(name, "REQ" | "RESP") && !first.is_empty() && has_length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let unknown = |name: &str| Some(Obstacle::Unknown(name.into()));
        for (value, obstacle) in [
            ("plain", None),
            ("50%%", None),
            ("%REQ(X-A?:PATH):3%/%PROTOCOL%", None),
            ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", unknown("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT")),
            ("%START_TIME(%s)%", unknown("START_TIME")),
            ("%DYNAMIC_METADATA(a:b)%", unknown("DYNAMIC_METADATA")),
            ("%REQ(a):x%", unknown("REQ")),
            ("100%", Some(Obstacle::Malformed)),
            ("100% of %", Some(Obstacle::Malformed)),
        ] {
            assert_eq!(super::obstacle(value), obstacle, "{value}");
        }
    }
}
