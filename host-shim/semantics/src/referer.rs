//! Which values of `referer` Envoy shows filters and upstreams: it takes others out, as the URLs of pages need not end up in
//! logs with what they hide. Source: `wire/referer-*`.

/// Whether it is an address of a page, without a user and without a fragment: a whole one, or a part of one.
pub(crate) fn is_address(value: &[u8]) -> bool {
    is_whole(value).unwrap_or(false) || is_part(value)
}

/// A path, a query, a word: whatever stands before the first `/` has no `:`.
fn is_part(value: &[u8]) -> bool {
    let has_scheme = split(value, b'/').map_or(value, |(first, _)| first).contains(&b':');
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@/?".contains(byte);
    !has_scheme && value.iter().all(is_plain)
}

/// With a scheme. None where it is no address at all.
fn is_whole(value: &[u8]) -> Option<bool> {
    let (scheme, rest) = split(value, b':')?;
    let rest = rest.strip_prefix(b"//")?;
    let is_scheme = scheme.first()?.is_ascii_alphabetic()
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    let (authority, target) = rest.split_at(rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len()));
    // An empty user is none, and an empty fragment is none, however often its `#` stands there.
    let authority = authority.strip_prefix(b"@").unwrap_or(authority);
    let mut fragment = target.iter().skip_while(|byte| **byte != b'#');
    Some(
        is_scheme
            && is_authority(authority)?
            && target.iter().all(u8::is_ascii_graphic)
            && fragment.all(|byte| *byte == b'#'),
    )
}

/// A host, with or without a port.
fn is_authority(authority: &[u8]) -> Option<bool> {
    if let Some(bracketed) = authority.strip_prefix(b"[") {
        let (address, after) = split(bracketed, b']')?;
        return Some(is_ipv6(address) && (after.is_empty() || is_number(after.strip_prefix(b":")?, 65_535)));
    }
    let (host, port) = split(authority, b':').unwrap_or((authority, b"0"));
    let is_host = !host.is_empty() && host.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(byte));
    Some(is_host && is_number(port, 65_535))
}

/// Eight groups, or fewer around one gap.
fn is_ipv6(address: &[u8]) -> bool {
    let Some(gap) = address.windows(2).position(|two| two == b"::") else { return groups(address) == Some(8) };
    let count = |part: &[u8]| if part.is_empty() { Some(0) } else { groups(part) };
    let (before, behind) = (&address[..gap], &address[gap + 2..]);
    // An IPv4 address stands at the very end.
    !before.contains(&b'.')
        && matches!((count(before), count(behind)), (Some(before), Some(behind)) if before + behind < 8)
}

/// How many groups of an IPv6 address these are, an IPv4 address at the end being two.
fn groups(part: &[u8]) -> Option<usize> {
    let mut count = 0;
    let mut rest = Some(part);
    while let Some(from) = rest {
        let (group, next) = split(from, b':').map_or((from, None), |(group, next)| (group, Some(next)));
        let is_hex = (1..=4).contains(&group.len()) && group.iter().all(u8::is_ascii_hexdigit);
        count += match () {
            () if is_hex => 1,
            () if next.is_none() && is_ipv4(group) => 2,
            () => return None,
        };
        rest = next;
    }
    Some(count)
}

fn is_ipv4(address: &[u8]) -> bool {
    let mut count = 0;
    let mut parts = address.split(|byte| *byte == b'.').inspect(|_| count += 1);
    parts.all(|part| is_number(part, 255) && (part.len() == 1 || part[0] != b'0')) && count == 4
}

/// Digits that come to no more than this.
fn is_number(text: &[u8], most: u32) -> bool {
    let add = |number: u32, digit: &u8| match digit {
        b'0'..=b'9' => Some(number * 10 + u32::from(digit - b'0')).filter(|number| *number <= most),
        _ => None,
    };
    !text.is_empty() && text.iter().try_fold(0, add).is_some()
}

/// What stands before the first of these bytes, and what behind it.
fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = text.iter().position(|byte| *byte == at)?;
    Some((&text[..position], &text[position + 1..]))
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn addresses_are_told_from_others() {
        let addresses = [
            "",
            "*",
            "a",
            "x@y",
            "~._-",
            "%zz",
            "?q",
            "/",
            "//u@x/",
            "/a:b",
            "a/b:c",
            "!$&'()*+,;=",
            "http://x",
            "http://x?a:b",
            "http://x/a@b",
            "http://x/<\"|{}\\^`",
            "http://x/%",
            "http://[::1]/",
            "http://x:0/",
            "http://x:00080?q",
            "http://@y/",
            "http://@[::1]/",
            "HTTP://X/",
            "h+1.2://x",
            "android-app://x",
            "http://x/#",
            "http://x/a##",
            "http://x?#",
            "http://.../",
            "http://-/",
        ];
        let others = [
            ":",
            "x:y",
            "a?b:c",
            "a#b",
            "/a#b",
            "a b",
            "a\tb",
            "a|b",
            "<",
            "a[b]",
            "é",
            "/é",
            "http:",
            "http:/x",
            "http:x",
            "://x",
            "1http://x/",
            "-a://x",
            "http://",
            "http:///x",
            "http://:80/",
            "http://@/",
            "http://x#",
            "http://x?q#f",
            "http://x/#?",
            "http://x y",
            "http://x/é",
            "http://é/",
            "http://[::1",
            "http://[]/",
            "http://[x]/",
            "http://[:::]",
            "http://[1::2::3]",
            "http://[1:2:3:4:5:6:7]",
            "http://[1:2:3:4::5:6:7:8]",
            "http://[::12345]",
            "http://[::1.2.3]",
            "http://[::1.2.3.256]",
            "http://[::1.2.3.04]",
            "http://[::1.2.3.4.x]",
            "http://[::1.2.3.4.5]",
            "http://[1.2.3.4::]",
            "http://[1.2]:80/",
            "http://[::1%25eth]/",
            "http://[::1]a/",
            "http://[::1]:/",
            "http://x:/",
            "http://x:+1/",
            "http://x:65536/",
            "http://x:80:80/",
            "http://a_b/",
            "http://a!b/",
            "http://%41/",
            "http://u:p@x",
            "http://u@/",
            "http://a@b@c/",
            "about:blank",
            "mailto:a@b",
            "file:///x",
            "a://b://c",
        ];
        assert_eq!(addresses.into_iter().filter(|text| !is_address(text.as_bytes())).collect::<Vec<_>>(), [""; 0]);
        assert_eq!(others.into_iter().filter(|text| is_address(text.as_bytes())).collect::<Vec<_>>(), [""; 0]);
    }
}
