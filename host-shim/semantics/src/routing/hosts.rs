//! The virtual host of an authority.

use proxy_wasm_abi::routing::RouteTable;

/// The virtual host for an authority, by position: that of the domain which is the same, else of the longest `*.suffix`, else
/// of the longest `prefix.*`, else of `*`. Source: Envoy's `RouteMatcher::findVirtualHost`.
pub(super) fn find(table: &RouteTable, authority: &[u8]) -> Option<usize> {
    let mut host = authority.to_ascii_lowercase();
    if table.ignore_port {
        host.truncate(without_port(&host).len());
    }
    let domains = || {
        let all = table.virtual_hosts.iter().enumerate();
        all.flat_map(|(at, one)| one.domains.iter().map(move |domain| (at, domain.as_str())))
    };
    let exact = || domains().find(|(_, domain)| domain.as_bytes() == host).map(|(at, _)| at);
    // A wildcard stands for one byte at least.
    let longest = |rest: fn(&str) -> Option<&str>, is_part: fn(&[u8], &[u8]) -> bool| {
        let fitting = domains().filter_map(|(at, domain)| Some((at, rest(domain)?.as_bytes())));
        let fitting = fitting.filter(|(_, part)| !part.is_empty() && part.len() < host.len() && is_part(&host, part));
        fitting.max_by_key(|(_, part)| part.len()).map(|(at, _)| at)
    };
    let suffix = || longest(|domain| domain.strip_prefix('*'), |host, part| host.ends_with(part));
    let prefix = || longest(|domain| domain.strip_suffix('*'), |host, part| host.starts_with(part));
    let all = || domains().find(|(_, domain)| *domain == "*").map(|(at, _)| at);
    if host.is_empty() {
        return all();
    }
    exact().or_else(suffix).or_else(prefix).or_else(all)
}

/// An authority without its port.
pub(super) fn without_port(authority: &[u8]) -> &[u8] {
    let Some(colon) = authority.iter().rposition(|byte| *byte == b':') else { return authority };
    let is_port = authority[colon + 1..].iter().all(u8::is_ascii_digit);
    // The colons of an IPv6 address are in brackets.
    let in_brackets = authority.starts_with(b"[") && !authority[..colon].ends_with(b"]");
    if is_port && !in_brackets { &authority[..colon] } else { authority }
}
