//! Values in which `%…%` stands for something.

use proxy_wasm_abi::routing::Piece;

/// The parts of a value; the error is the one that is not known.
pub(super) fn parse(value: &str) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut text, mut rest) = (Vec::new(), String::new(), value);
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('%') {
            text.push('%');
            rest = behind;
            continue;
        }
        let (command, behind) = rest.split_once('%').ok_or_else(|| format!("%{rest}"))?;
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(piece(command).ok_or_else(|| format!("%{command}%"))?);
        rest = behind;
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

fn piece(command: &str) -> Option<Piece> {
    match command {
        "PROTOCOL" => return Some(Piece::Protocol),
        "RESPONSE_CODE" => return Some(Piece::ResponseCode),
        "ROUTE_NAME" => return Some(Piece::RouteName),
        "VIRTUAL_HOST_NAME" => return Some(Piece::VirtualHost),
        "UPSTREAM_CLUSTER" => return Some(Piece::Cluster),
        _ => {}
    }
    let (name, rest) = command.split_once('(')?;
    let (headers, most) = rest.rsplit_once(')')?;
    let most = match most.strip_prefix(':') {
        Some(most) => Some(most.parse().ok()?),
        None if most.is_empty() => None,
        None => return None,
    };
    let (first, other) = headers.split_once('?').map_or((headers, None), |(first, other)| (first, Some(other)));
    let (first, other) = (first.to_ascii_lowercase(), other.map(str::to_ascii_lowercase));
    if first.is_empty() {
        return None;
    }
    match name {
        "REQ" => Some(Piece::Request(first, other, most)),
        "RESP" => Some(Piece::Response(first, other, most)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let text = |text: &str| Piece::Text(text.into());
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(parse("50%%").unwrap(), [text("50%")]);
        let header = Piece::Request("x-a".into(), Some(":path".into()), Some(3));
        assert_eq!(parse("a%REQ(X-A?:PATH):3%b").unwrap(), [text("a"), header, text("b")]);
        assert_eq!(parse("%PROTOCOL%").unwrap(), [Piece::Protocol]);
        for (wrong, part) in [("a%", "%"), ("%NO%", "%NO%"), ("%REQ(a%", "%REQ(a%"), ("%REQ()%", "%REQ()%")] {
            assert_eq!(parse(wrong).unwrap_err(), part);
        }
    }
}
