//! Pages of other origins: preflights are answered, and responses say which page may read them.
//!
//! Source: Envoy's `CorsFilter`; `routes/cors-before-the-plugins` and `routes/cors-behind-the-plugins`.

use proxy_wasm_abi::{cors::CorsPolicy, settings::Settings};

use super::{Routing, matches};
use crate::{
    environment::Host,
    headers::{HeaderMap, Kind},
    router::ChainEnd,
    stream::{Direction, Stream},
};

/// That the page of a request may read its response: by which policy, which stays when the route is chosen anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    origin: Vec<u8>,
    policy: usize,
}

impl Routing {
    /// The smaller shim has not even the question.
    pub(crate) const ANSWERS_PREFLIGHTS: bool = true;

    /// Asks the policy of the request's route, where that is done at this end of the chain: the answer, if the request is
    /// a preflight that goes no further.
    pub(crate) fn ask(
        &self,
        settings: &Settings,
        stream: &mut Stream,
        host: &dyn Host,
        end: ChainEnd,
    ) -> Option<HeaderMap> {
        self.policies(settings, end)?;
        stream.choice.renew();
        let (granted, answer) = {
            let (table, selection) = self.chosen(settings, stream, host)?;
            let selected = selection.of(table)?;
            let place = selected.weighted.map_or(selected.route.cors, |weighted| weighted.cors)? as usize;
            let policy = table.cors.policies.get(place)?;
            let headers = stream.message(Direction::Request).headers()?;
            let origin = headers.get(b"origin").filter(|origin| !origin.is_empty())?;
            let fits = |text: &[u8]| policy.origins.iter().any(|one| matches::text(one, text, &self.expressions));
            let is_allowed = fits(b"*") || fits(origin);
            let goes_on = !is_preflight(headers) || (!is_allowed && policy.forward_others);
            let answer = (!goes_on).then(|| answer(policy, headers, is_allowed.then_some(origin)));
            (is_allowed.then(|| Granted { origin: origin.to_vec(), policy: place }), answer)
        };
        stream.choice.granted = granted;
        answer
    }

    /// Adds to the response's head which page may read it.
    pub(crate) fn tell(&self, settings: &Settings, stream: &mut Stream, end: ChainEnd) {
        let Some(policies) = self.policies(settings, end) else { return };
        let Some(granted) = &stream.choice.granted else { return };
        let Some(policy) = policies.get(granted.policy) else { return };
        let Some(mut headers) = stream.message(Direction::Response).headers().cloned() else { return };
        headers.set(b"access-control-allow-origin", &granted.origin);
        if policy.credentials {
            headers.set(b"access-control-allow-credentials", "true");
        }
        set(&mut headers, b"access-control-expose-headers", &policy.expose);
        stream.message_mut(Direction::Response).set_headers(headers);
    }

    fn policies(&self, settings: &Settings, end: ChainEnd) -> Option<&[CorsPolicy]> {
        let cors = &self.table(settings)?.cors;
        let is_here = cors.behind_plugins == (end == ChainEnd::Last);
        (is_here && !cors.policies.is_empty()).then_some(&cors.policies)
    }
}

fn is_preflight(headers: &HeaderMap) -> bool {
    headers.get(b":method") == Some(b"OPTIONS")
        && headers.get(b"access-control-request-method").is_some_and(|method| !method.is_empty())
}

/// The head of the answer to a preflight, with the origin if it is allowed.
fn answer(policy: &CorsPolicy, asked: &HeaderMap, origin: Option<&[u8]>) -> HeaderMap {
    let mut headers = HeaderMap::from_pairs(Kind::Response, [(":status", "200")]);
    if let Some(origin) = origin {
        headers.set(b"access-control-allow-origin", origin);
    }
    if policy.credentials {
        headers.set(b"access-control-allow-credentials", "true");
    }
    for (name, asks, said) in [
        (&b"access-control-allow-methods"[..], &b"access-control-request-method"[..], &policy.methods),
        (b"access-control-allow-headers", b"access-control-request-headers", &policy.headers),
    ] {
        match said.as_str() {
            "*" => headers.set(name, asked.get(asks).unwrap_or_default()),
            said => set(&mut headers, name, said),
        }
    }
    set(&mut headers, b"access-control-max-age", &policy.max_age);
    if policy.private_network && asked.get(b"access-control-request-private-network") == Some(b"true") {
        headers.set(b"access-control-allow-private-network", "true");
    }
    headers
}

/// Sets a header, unless there is nothing to say.
fn set(headers: &mut HeaderMap, name: &[u8], value: &str) {
    if !value.is_empty() {
        headers.set(name, value);
    }
}
