//! TLS as the host speaks it: version 1.3 (RFC 8446) alone, no certificate of its own, and no session that is resumed, so
//! that nothing of one agent's connection is seen in another's.
//!
//! In scope: whose certificates are believed. Where the operator has put `tls-roots.pem` beside the trust store, those
//! that it holds and no others; else those of the system. They are read at a process's first request.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kos_core::durable::{self, DurableError};
use kos_core::home::Home;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

/// The operator's roots.
const ROOTS: &str = "tls-roots.pem";

/// The largest file of roots in bytes: a system's has a quarter of it.
const ROOTS_MAX: u64 = 1 << 20;

/// The only protocol that is offered.
const PROTOCOL: &[u8] = b"http/1.1";

/// Why no server can be believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TlsError {
    /// The operator's roots cannot be read.
    #[error(transparent)]
    File(#[from] DurableError),
    /// They are no certificates.
    #[error("{} is not PEM with certificates: {cause}", path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The system has none.
    #[error("this system has no root certificates; put them into {}", path.display())]
    NoRoots {
        /// Where they would be read.
        path: PathBuf,
    },
    /// The library refuses.
    #[error(transparent)]
    Library(#[from] rustls::Error),
}

/// The configuration of a host's connections, made when it is first needed.
#[derive(Debug)]
pub(crate) struct Tls {
    roots: PathBuf,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    pub(crate) fn of(home: &Home) -> Self {
        Self { roots: home.trust().join(ROOTS), config: OnceCell::new() }
    }

    /// # Errors
    /// [`TlsError`]; none is remembered.
    pub(super) async fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let made = self.config.get_or_try_init(|| async {
            let path = self.roots.clone();
            match tokio::task::spawn_blocking(move || config(path)).await {
                Ok(made) => made,
                Err(error) => Err(TlsError::Library(rustls::Error::General(error.to_string()))),
            }
        });
        made.await.map(Arc::clone)
    }
}

fn config(path: PathBuf) -> Result<Arc<ClientConfig>, TlsError> {
    let is_there = path.try_exists().unwrap_or(true);
    let config = trusting(is_there.then_some(&*path), &[PROTOCOL]);
    config.map(Arc::new).map_err(|error| match error {
        TlsError::NoRoots { .. } => TlsError::NoRoots { path },
        error => error,
    })
}

/// How connections are made that believe the certificates in a file, or the system's where none is named.
///
/// # Errors
/// [`TlsError`].
pub(crate) fn trusting(roots: Option<&Path>, protocols: &[&[u8]]) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(store(roots)?)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

fn store(roots: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let Some(path) = roots else {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if store.is_empty() { Err(TlsError::NoRoots { path: ROOTS.into() }) } else { Ok(store) };
    };
    let pem = durable::read_capped(path, ROOTS_MAX)?;
    let refused = |cause: String| TlsError::Roots { path: path.to_owned(), cause };
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        store.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    if store.is_empty() { Err(refused("it holds none".into())) } else { Ok(store) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot write its files has failed")]

    use super::*;

    #[test]
    fn a_file_of_roots_without_a_certificate_is_refused_rather_than_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(ROOTS);
        for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(store(Some(&path)), Err(TlsError::Roots { .. })), "{text}");
        }
    }
}
