//! Whom to trust.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::super::error::Error;
use super::super::options::ServerNameOf;
use super::target::Target;

/// The names that upstreams have to prove, where these are not their own.
#[derive(Debug, Default)]
pub(super) struct ServerNames(HashMap<String, ServerName<'static>>);

impl ServerNames {
    pub(super) fn new(names: &[ServerNameOf]) -> Self {
        let name = |of: &ServerNameOf| Some((of.authority.clone(), ServerName::try_from(of.name.clone()).ok()?));
        Self(names.iter().filter_map(name).collect())
    }

    /// The name of a target: that which was said, or its host's.
    pub(super) fn of(&self, target: &Target) -> io::Result<ServerName<'static>> {
        match self.0.get(&target.authority()) {
            Some(name) => Ok(name.clone()),
            None => ServerName::try_from(target.host().to_owned()).map_err(io::Error::other),
        }
    }
}

/// TLS 1.2 and 1.3, with HTTP/2 preferred.
pub(super) fn config(authorities: Option<&Path>) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    if let Some(path) = authorities {
        let failed = |reason: String| Error::Certificates { path: path.to_owned(), reason };
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(failed(String::from("there is no certificate in it")));
        }
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Runtime(std::io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
