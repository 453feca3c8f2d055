//! TLS on both sides: what callers are shown, and by whom instances are trusted. What is
//! given as files is renewed when they change; connections that are there go on.

mod fresh;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use a8_common::task::Tasks;
use arc_swap::ArcSwap;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::sync::{OnceCell, watch};
use tracing::warn;

pub use fresh::Standing;
use fresh::{Content, Keeper};

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
    /// TLS cannot be spoken at all.
    #[error("TLS cannot be set up: {0}")]
    Rustls(rustls::Error),
}

/// What callers are shown.
#[derive(Debug, Clone)]
pub struct Own {
    /// The certificate and those that lead to its authority, in PEM.
    pub cert_chain_file: PathBuf,
    /// Its key, in PEM.
    pub private_key_file: PathBuf,
}

/// Files that are kept up with.
#[derive(Debug, Clone)]
pub struct Kept {
    /// What is in them: `own` or `authorities`.
    pub kind: &'static str,
    /// How they stand.
    pub standing: watch::Receiver<Standing>,
}

impl Kept {
    fn start<T: Send + Sync + 'static>(
        kind: &'static str,
        keeper: Keeper<T>,
        tasks: &Tasks,
    ) -> Self {
        let standing = keeper.standing();
        tasks.spawn("certificates", keeper.run(tasks.stop().clone()));
        Self { kind, standing }
    }
}

/// How callers are spoken to under TLS; renewed by one of `tasks`.
///
/// # Errors
/// [`TlsError`] names the file.
pub(super) fn server(
    own: &Own,
    tasks: &Tasks,
) -> Result<(Arc<ArcSwap<ServerConfig>>, Kept), TlsError> {
    let files = [&own.cert_chain_file, &own.private_key_file];
    let (config, keeper) = fresh::open(files.map(Clone::clone).into(), show)?;
    Ok((config, Kept::start("own", keeper, tasks)))
}

/// Of a chain and its key.
fn show(files: &[Content]) -> Result<ServerConfig, TlsError> {
    let [chain, key] = files else {
        return Err(TlsError::Rustls(rustls::Error::NoCertificatesPresented));
    };
    let secret = PrivateKeyDer::from_pem_slice(&key.bytes).map_err(|e| key.refuse(e))?;
    let unfit = |e| chain.refuse(format!("not to be used with {}: {e}", key.path.display()));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Rustls)?
        .with_no_client_auth()
        .with_single_cert(certificates(chain)?, secret)
        .map_err(unfit)?;
    config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
    Ok(config)
}

/// Which protocols an instance is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    One,
    Two,
    Both,
}

/// One for each [`Offer`].
type Configs = [Arc<ClientConfig>; 3];

/// How instances are spoken to under TLS.
#[derive(Debug)]
pub(super) enum Client {
    /// The authorities of a file, and no others.
    Given(Arc<ArcSwap<Configs>>),
    /// Those of the system, read when the first instance needs them.
    System(OnceCell<Configs>),
}

impl Client {
    /// One that trusts the authorities of the system.
    pub(super) fn system() -> Self {
        Self::System(OnceCell::new())
    }

    /// One that trusts the authorities in `file` only; renewed by one of `tasks`.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub(super) fn given(file: &Path, tasks: &Tasks) -> Result<(Self, Kept), TlsError> {
        let (configs, keeper) = fresh::open(vec![file.to_owned()], trust)?;
        Ok((
            Self::Given(configs),
            Kept::start("authorities", keeper, tasks),
        ))
    }

    pub(super) async fn config(&self, offer: Offer) -> Arc<ClientConfig> {
        let configs = match self {
            Self::Given(configs) => return configs.load()[offer as usize].clone(),
            Self::System(configs) => configs.get_or_init(|| async {
                // Some hundred files, perhaps: not on a thread that serves.
                let roots = tokio::task::spawn_blocking(system).await;
                configs_of(roots.unwrap_or_else(|_| RootCertStore::empty()))
            }),
        };
        configs.await[offer as usize].clone()
    }
}

/// Of a file of authorities.
fn trust(files: &[Content]) -> Result<Configs, TlsError> {
    let mut roots = RootCertStore::empty();
    for file in files {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|e| file.refuse(e))?;
        }
    }
    Ok(configs_of(roots))
}

fn configs_of(roots: RootCertStore) -> Configs {
    let roots = Arc::new(roots);
    [&[HTTP_1][..], &[HTTP_2], &[HTTP_2, HTTP_1]].map(|names| client(&roots, names))
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

fn certificates(file: &Content) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&file.bytes).collect();
    let all = all.map_err(|e| file.refuse(e))?;
    match all.is_empty() {
        true => Err(file.refuse("there is no certificate in it")),
        false => Ok(all),
    }
}

fn system() -> RootCertStore {
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
    roots
}
