//! TLS on both sides: what callers are shown, and by whom instances are trusted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::sync::OnceCell;
use tracing::warn;

/// The names of the protocols in the handshake (RFC 7301; RFC 9113, 3.1).
const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds something else.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not fit each other, or cannot be used.
    #[error("the certificate cannot be used: {0}")]
    Certificate(rustls::Error),
}

/// What callers are shown.
#[derive(Debug, Clone)]
pub struct Own {
    /// The certificate and those that lead to its authority, in PEM.
    pub cert_chain_file: PathBuf,
    /// Its key, in PEM.
    pub private_key_file: PathBuf,
}

/// How callers are spoken to under TLS.
///
/// # Errors
/// [`TlsError`] names the file.
pub(super) fn server(own: &Own) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(&own.cert_chain_file)?;
    let key = PrivateKeyDer::from_pem_file(&own.private_key_file)
        .map_err(|e| unreadable(&own.private_key_file, &e))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Certificate)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Certificate)?;
    config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
    Ok(Arc::new(config))
}

/// Which protocols an instance is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    One,
    Two,
    Both,
}

/// How instances are spoken to under TLS. The authorities are read when the first instance
/// needs them.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// The only authorities to trust; without them those of the system.
    authorities: Option<Arc<RootCertStore>>,
    configs: OnceCell<[Arc<ClientConfig>; 3]>,
}

impl Client {
    /// One that trusts the authorities in `file` only or, without a file, those of the system.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub(super) fn new(file: Option<&Path>) -> Result<Self, TlsError> {
        let authorities = match file {
            None => None,
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(TlsError::Certificate)?;
                }
                Some(Arc::new(roots))
            }
        };
        Ok(Self {
            authorities,
            configs: OnceCell::new(),
        })
    }

    pub(super) async fn config(&self, offer: Offer) -> Arc<ClientConfig> {
        let configs = self.configs.get_or_init(|| async {
            let roots = match &self.authorities {
                Some(given) => given.clone(),
                // Some hundred files, perhaps: not on a thread that serves.
                None => tokio::task::spawn_blocking(system)
                    .await
                    .unwrap_or_else(|_| Arc::new(RootCertStore::empty())),
            };
            [&[HTTP_1][..], &[HTTP_2], &[HTTP_2, HTTP_1]].map(|names| client(&roots, names))
        });
        configs.await[offer as usize].clone()
    }
}

fn client(roots: &Arc<RootCertStore>, names: &[&[u8]]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for the default versions")
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// Whether the handshake ended in HTTP/2.
pub(super) fn is_http2(negotiated: Option<&[u8]>) -> bool {
    negotiated == Some(HTTP_2)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|e| unreadable(path, &e))?;
    let all: Vec<_> = read
        .collect::<Result<_, _>>()
        .map_err(|e| unreadable(path, &e))?;
    if all.is_empty() {
        return Err(TlsError::File {
            path: path.to_owned(),
            reason: "there is no certificate in it".to_owned(),
        });
    }
    Ok(all)
}

fn unreadable(path: &Path, e: &rustls::pki_types::pem::Error) -> TlsError {
    TlsError::File {
        path: path.to_owned(),
        reason: e.to_string(),
    }
}

fn system() -> Arc<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let why = found.errors.first().map(ToString::to_string);
        warn!(
            error = why.as_deref().unwrap_or("none were found"),
            "the system has no certificate authorities: https instances cannot be trusted; \
             name some with proxy_ca_cert_file"
        );
    }
    Arc::new(roots)
}
