//! `set_envoy_filter_state`: objects that Envoy's own extensions read, by the names that these have for them.
//!
//! There are no such extensions here, so an object only is what the filter can read back as the attribute
//! `filter_state`.

use std::net::{Ipv4Addr, Ipv6Addr};

use proxy_wasm_abi::enums::Status;

use crate::protobuf::{Value, each_field, text};

/// An object, as a filter reads it back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// The whole, where it has such a form.
    pub whole: Option<Vec<u8>>,
    /// Its fields `ip` and `port`.
    pub address: Option<(Vec<u8>, u16)>,
}

/// How long Envoy keeps an object. Here all end with the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LifeSpan {
    #[default]
    FilterChain,
    Request,
    Connection,
}

/// The objects of a stream.
#[derive(Clone, Debug, Default)]
pub struct FilterState {
    objects: Vec<(String, LifeSpan, Object)>,
}

impl FilterState {
    /// Takes a `SetEnvoyFilterStateArguments`.
    ///
    /// # Errors
    /// `BAD_ARGUMENT` where the bytes are malformed, or the object can't have this value; `NOT_FOUND` where Envoy has no
    /// object of this name.
    pub fn set(&mut self, arguments: &[u8]) -> Result<(), Status> {
        let (path, value, span) = read(arguments).ok_or(Status::BadArgument)?;
        let object = object(path, value)?;
        match self.objects.iter_mut().find(|(name, ..)| name == path) {
            // With another life span than before: nothing changes. Source:
            // `proxy_call_foreign_function/set-envoy-filter-state-for-a-life-span`.
            Some((_, present, _)) if *present != span => {}
            Some((_, _, present)) => *present = object,
            None => self.objects.push((path.to_owned(), span, object)),
        }
        Ok(())
    }

    /// The object of this name.
    pub fn get(&self, name: &[u8]) -> Option<&Object> {
        self.objects.iter().find(|(present, ..)| present.as_bytes() == name).map(|(_, _, object)| object)
    }
}

/// Whether a filter's arguments are well-formed, for a context that has no filter state.
///
/// # Errors
/// `BAD_ARGUMENT`
pub fn check(arguments: &[u8]) -> Result<(), Status> {
    read(arguments).map(|_| ()).ok_or(Status::BadArgument)
}

fn read(arguments: &[u8]) -> Option<(&str, &str, LifeSpan)> {
    let (mut path, mut value, mut span) = ("", "", LifeSpan::default());
    each_field(arguments, |field| {
        match field {
            (1, Value::Bytes(bytes)) => path = text(bytes)?,
            (2, Value::Bytes(bytes)) => value = text(bytes)?,
            (3, Value::Number(number)) => {
                span = match number {
                    1 => LifeSpan::Request,
                    2 => LifeSpan::Connection,
                    _ => LifeSpan::FilterChain,
                }
            }
            _ => {}
        }
        Some(())
    })?;
    Some((path, value, span))
}

/// The object that Envoy makes of this text. Source: `proxy_call_foreign_function/set-envoy-filter-state`,
/// `proxy_call_foreign_function/set-envoy-filter-state-of-unknown-objects`.
fn object(name: &str, value: &str) -> Result<Object, Status> {
    let whole = |text: String| Ok(Object { whole: Some(text.into_bytes()), address: None });
    match name {
        "envoy.hashable_string"
        | "envoy.network.network_namespace"
        | "envoy.network.upstream_server_name"
        | "envoy.network.upstream_subject_alt_names"
        | "envoy.string"
        | "envoy.tcp_proxy.cluster"
        | "envoy.upstream.dynamic_host" => whole(value.to_owned()),
        "envoy.network.application_protocols" => Ok(Object::default()),
        "envoy.network.ip" => whole(format!("{}:0", ip(value).ok_or(Status::BadArgument)?.in_url())),
        "envoy.filters.listener.original_dst.local_ip"
        | "envoy.filters.listener.original_dst.remote_ip"
        | "envoy.network.transport_socket.original_dst_address" => {
            let (ip, port) = ip_and_port(value).ok_or(Status::BadArgument)?;
            Ok(Object { whole: None, address: Some((ip.0.into_bytes(), port)) })
        }
        "envoy.network.transport_socket.http_11_proxy.info" => {
            let (_, proxy) = value.split_once(',').ok_or(Status::BadArgument)?;
            ip_and_port(proxy).map(|_| Object::default()).ok_or(Status::BadArgument)
        }
        "envoy.ratelimit.hits_addend" | "envoy.upstream.dynamic_port" => {
            whole(number::<u32>(value).ok_or(Status::BadArgument)?.to_string())
        }
        "envoy.tcp_proxy.per_connection_idle_timeout_ms" => {
            whole(number::<u64>(value).ok_or(Status::BadArgument)?.to_string())
        }
        "envoy.tcp_proxy.disable_tunneling" => whole((value == "true").to_string()),
        "envoy.bool" => match value.to_ascii_lowercase().as_str() {
            "1" | "t" | "true" | "y" | "yes" => whole("true".to_owned()),
            "0" | "f" | "false" | "n" | "no" => whole("false".to_owned()),
            _ => Err(Status::BadArgument),
        },
        _ => Err(Status::NotFound),
    }
}

/// An address as text, in its usual form.
struct Ip(String);

impl Ip {
    /// In brackets where it has colons.
    fn in_url(&self) -> String {
        if self.0.contains(':') { format!("[{}]", self.0) } else { self.0.clone() }
    }
}

fn ip(text: &str) -> Option<Ip> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(Ip(address.to_string()));
    }
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, format!("%{zone}")),
        None => (text, String::new()),
    };
    Some(Ip(format!("{}{zone}", address.parse::<Ipv6Addr>().ok()?)))
}

fn ip_and_port(text: &str) -> Option<(Ip, u16)> {
    let (address, port) = text.rsplit_once(':')?;
    let ip = match address.strip_prefix('[').and_then(|address| address.strip_suffix(']')) {
        Some(address) if address.contains(':') => ip(address)?,
        Some(_) => return None,
        None if address.contains(':') => return None,
        None => ip(address)?,
    };
    Some((ip, u16::try_from(number::<u32>(port)?).ok()?))
}

/// A number as Abseil reads it: white space around it and a `+` before it do not count.
fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    let text = text.trim_matches(|character: char| character.is_ascii_whitespace() || character == '\x0b');
    let digits = text.strip_prefix('+').unwrap_or(text);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protobuf::put_bytes;

    fn arguments(path: &str, value: &str, span: u8) -> Vec<u8> {
        let mut message = Vec::new();
        put_bytes(&mut message, 1, path.as_bytes());
        put_bytes(&mut message, 2, value.as_bytes());
        message.extend([3 << 3, span]);
        message
    }

    fn set(path: &str, value: &str) -> Result<Option<String>, Status> {
        let mut state = FilterState::default();
        state.set(&arguments(path, value, 0))?;
        let object = state.get(path.as_bytes()).cloned().unwrap_or_default();
        Ok(object.whole.map(|whole| String::from_utf8(whole).unwrap()))
    }

    #[test]
    fn values_by_kind_of_object() {
        let read = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(set("envoy.string", " a"), read(" a"));
        assert_eq!(set("envoy.network.ip", "1:0:0:0:0:0:0:1"), read("[1::1]:0"));
        assert_eq!(set("envoy.network.ip", "fe80::1%1"), read("[fe80::1%1]:0"));
        assert_eq!(set("envoy.network.ip", "010.0.0.1"), Err(Status::BadArgument));
        assert_eq!(set("envoy.ratelimit.hits_addend", "\t+01 "), read("1"));
        assert_eq!(set("envoy.ratelimit.hits_addend", "4294967296"), Err(Status::BadArgument));
        assert_eq!(set("envoy.ratelimit.hits_addend", ""), Err(Status::BadArgument));
        assert_eq!(set("envoy.bool", "YES"), read("true"));
        assert_eq!(set("envoy.bool", "2"), Err(Status::BadArgument));
        assert_eq!(set("envoy.network.application_protocols", "h2"), Ok(None));
        assert_eq!(set("envoy.network.transport_socket.http_11_proxy.info", "a,10.0.0.1:80"), Ok(None));
        assert_eq!(set("x", "y"), Err(Status::NotFound));
    }

    #[test]
    fn addresses_have_fields() {
        let name = "envoy.network.transport_socket.original_dst_address";
        let mut state = FilterState::default();
        state.set(&arguments(name, "[::1]:81", 0)).unwrap();
        assert_eq!(state.get(name.as_bytes()).unwrap().address, Some((b"::1".to_vec(), 81)));
        for bad in ["::1:80", "[10.0.0.1]:80", "10.0.0.1:65536", "10.0.0.1", "a:80", "10.0.0.1:"] {
            assert_eq!(state.set(&arguments(name, bad, 0)), Err(Status::BadArgument), "{bad}");
        }
    }

    #[test]
    fn another_life_span_changes_nothing() {
        let mut state = FilterState::default();
        for (value, span) in [("a", 1), ("b", 0), ("c", 2)] {
            state.set(&arguments("envoy.string", value, span)).unwrap();
        }
        assert_eq!(state.get(b"envoy.string").unwrap().whole.as_deref(), Some(&b"a"[..]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200), value in ".{0,20}") {
            let _ = FilterState::default().set(&bytes);
            for name in ["envoy.network.ip", "envoy.filters.listener.original_dst.local_ip", "envoy.bool"] {
                let _ = set(name, &value);
            }
        }
    }
}
