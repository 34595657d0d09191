//! The servers behind both sides: the upstream, and a server for each callout cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use proxy_wasm_abi::settings::{Cluster, Origin as Target};

use super::error::Error;
use super::message::Message;
use super::origin::Origin;
use super::requests::{Answer, Request, Requests};
use super::{Comparison, Host};

/// All of them.
pub(super) struct Origins {
    pub(super) upstream: Origin,
    clusters: BTreeMap<String, Origin>,
    /// Clusters without an answer of their own give the upstream's: with routes of the operator's, each may be one.
    are_upstreams: bool,
}

impl Origins {
    /// Takes their ports. Each cluster that the settings or the request file name has one, so that nothing outside of the
    /// comparison is asked.
    pub(super) fn new(comparison: &Comparison) -> Result<Self, Error> {
        let listen = |address| Origin::new(address).map_err(|source| Error::Listen { address, source });
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let settings = &comparison.options.settings;
        let configured = settings.clusters.iter().map(|cluster| cluster.name.as_str());
        let of_envoy = comparison.original.as_ref().map(|original| original.clusters(settings)).unwrap_or_default();
        let of_envoy = of_envoy.iter().map(String::as_str);
        let mut names: BTreeSet<&str> = configured.chain(comparison.requests.cluster_names()).chain(of_envoy).collect();
        if comparison.original.is_none() {
            // What goes to the route's cluster, callouts too, goes to the upstream.
            names.retain(|name| settings.upstream().is_none_or(|upstream| upstream.name != *name));
        }
        let cluster = |name: &str| listen(any).map(|origin| (name.to_owned(), origin));
        Ok(Self {
            are_upstreams: comparison.original.is_some(),
            upstream: listen(comparison.upstream.unwrap_or(any))?,
            clusters: names.into_iter().map(cluster).collect::<Result<_, _>>()?,
        })
    }

    /// The clusters as settings name them; the upstream has this name, if requests are routed to it.
    pub(super) fn clusters(&self, upstream: Option<String>) -> Vec<Cluster> {
        let upstream = upstream.map(|name| (name, &self.upstream));
        let all = upstream.into_iter().chain(self.clusters.iter().map(|(name, origin)| (name.clone(), origin)));
        let target = |origin: &Origin| Target { tls: false, authority: origin.address.to_string() };
        all.map(|(name, origin)| Cluster { name, origin: target(origin) }).collect()
    }

    /// Whether requests go to the clusters, by their names, and there is no other upstream.
    pub(super) fn are_upstreams(&self) -> bool {
        self.are_upstreams
    }

    /// The address of a cluster.
    pub(super) fn cluster(&self, name: &str) -> Option<SocketAddr> {
        self.clusters.get(name).map(|origin| origin.address)
    }

    /// Their addresses, and what reports call them.
    pub(super) fn names(&self) -> Vec<(SocketAddr, String)> {
        let clusters = self.clusters.iter().map(|(name, origin)| (origin.address, format!("<cluster {name}>")));
        clusters.chain([(self.upstream.address, "<upstream>".to_owned())]).collect()
    }

    /// Answers as this request says, or else as the file does.
    pub(super) async fn behave(&self, request: Option<&Request>, requests: &Requests) -> Result<(), Error> {
        let upstream = request.and_then(|request| request.upstream.as_ref()).unwrap_or(&requests.upstream);
        Self::set(&self.upstream, upstream).await?;
        let default = if self.are_upstreams { upstream.clone() } else { Answer::default() };
        for (name, origin) in &self.clusters {
            let own = request.and_then(|request| request.clusters.get(name));
            Self::set(origin, own.or_else(|| requests.clusters.get(name)).unwrap_or(&default)).await?;
        }
        Ok(())
    }

    async fn set(origin: &Origin, answer: &Answer) -> Result<(), Error> {
        origin.behave(answer).await.map_err(|source| Error::Listen { address: origin.address, source })
    }

    /// What they got since they were told how to answer.
    pub(super) async fn requests(&self) -> (Vec<Message>, BTreeMap<String, Vec<Message>>) {
        let upstream = self.upstream.requests().await;
        let mut clusters = BTreeMap::new();
        for (name, origin) in &self.clusters {
            clusters.insert(name.clone(), origin.requests().await);
        }
        (upstream, clusters)
    }

    /// Whether what the other side sends comes here.
    pub(super) fn are_asked(comparison: &Comparison) -> bool {
        !matches!(comparison.host, Host::Endpoint(_)) || comparison.upstream.is_some()
    }
}
