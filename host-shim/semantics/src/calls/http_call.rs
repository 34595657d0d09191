//! HTTP callouts.

use proxy_wasm_abi::{enums::Status, pairs, settings::Origin};

use super::{CallResult, log::push_escaped};
use crate::{
    callouts::Callout,
    headers::{HeaderMap, Kind},
    router::check_request,
    state::ChainState,
};

impl ChainState {
    /// `proxy_http_call`: returns the call's token. The head needs a method, a path and an authority; a cluster that the
    /// settings don't name is a bad argument, as is a time above [`i32::MAX`].
    pub fn http_call(
        &mut self,
        cluster: &[u8],
        headers: &[u8],
        body: Vec<u8>,
        trailers: &[u8],
        timeout_ms: u32,
    ) -> CallResult<u32> {
        if self.settings.cluster(cluster).is_none() {
            self.unknown_cluster(cluster);
            return Err(Status::BadArgument);
        }
        let mut headers = decode(Kind::Request, headers);
        let is_complete = [b":path".as_slice(), b":method", b":authority"].iter().all(|name| headers.contains(name));
        if !is_complete || i32::try_from(timeout_ms).is_err() {
            return Err(Status::BadArgument);
        }
        let timeout_ms = take_timeout(&mut headers).unwrap_or(timeout_ms);
        if !body.is_empty() {
            headers.set(b"content-length", body.len().to_string());
        }
        headers.set(b"x-envoy-internal", "true");
        if timeout_ms > 0 {
            headers.set(b"x-envoy-expected-rq-timeout-ms", timeout_ms.to_string());
        }
        let origin = self.endpoint(cluster).ok_or(Status::BadArgument)?;
        let trailers = Some(decode(Kind::Trailers, trailers)).filter(|trailers| !trailers.is_empty());
        let (plugin, host) = (self.plugin_index(), self.capabilities);
        Ok(self.vm_mut().callouts.accept(plugin, |id| {
            check_request(&headers, host)?;
            Ok(Callout { id, origin, headers, body, trailers, timeout_ms })
        }))
    }
}

impl ChainState {
    /// Where the next request to the cluster with this name goes.
    pub(crate) fn endpoint(&self, name: &[u8]) -> Option<Origin> {
        let cluster = self.settings.cluster(name)?;
        Some(self.routing.endpoint(&self.settings, cluster, &*self.host))
    }

    /// Logs it for the operator, because filters seldom do.
    pub(crate) fn unknown_cluster(&self, name: &[u8]) {
        let mut line = String::from("[warn] callout to the cluster `");
        push_escaped(&mut line, name);
        line.push_str("`, which has no address: adapt with `--cluster '");
        push_escaped(&mut line, name);
        line.push_str("=http://HOST:PORT'`");
        self.write_line(line);
    }
}

/// The time that the head sets, which comes before the argument's. Source: Envoy's
/// `FilterUtility::finalTimeout`.
fn take_timeout(headers: &mut HeaderMap) -> Option<u32> {
    const NAME: &[u8] = b"x-envoy-upstream-rq-timeout-ms";
    let said = headers.get(NAME).and_then(|value| std::str::from_utf8(value).ok()?.trim().parse::<u64>().ok());
    headers.remove(NAME);
    said.map(|said| u32::try_from(said).unwrap_or(u32::MAX))
}

/// A map that a filter hands over; malformed bytes count as no pairs.
fn decode(kind: Kind, bytes: &[u8]) -> HeaderMap {
    let mut map = HeaderMap::new(kind);
    for (name, value) in pairs::decode(bytes).unwrap_or_default() {
        map.add(name, value);
    }
    map
}
