//! From the configuration to the client's options.

use std::path::Path;

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};

use crate::store::open::OpenError;
use crate::store::open::etcd::Config;

pub(super) fn options(config: &Config) -> Result<ConnectOptions, OpenError> {
    let mut options = ConnectOptions::new();
    if let Some((user, password)) = &config.user {
        options = options
            .with_user(user, password.expose())
            .with_auto_token_refresh(true);
    }
    if config.endpoints.iter().any(|url| url.starts_with("https:")) {
        // A provider that is installed already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut tls = TlsOptions::new();
        tls = match &config.tls.ca_cert_file {
            Some(path) => tls.ca_certificate(Certificate::from_pem(read(path)?)),
            None => tls.with_native_roots(),
        };
        if let (Some(cert), Some(key)) = (&config.tls.cert_file, &config.tls.key_file) {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        options = options.with_tls(tls);
    }
    Ok(options)
}

fn read(path: &Path) -> Result<Vec<u8>, OpenError> {
    std::fs::read(path).map_err(|source| OpenError::Read {
        path: path.to_owned(),
        source,
    })
}
