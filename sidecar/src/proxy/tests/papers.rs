//! Certificates for both sides.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::proxy::{Own, Proxy};

/// An authority and what it has signed for `localhost` and 127.0.0.1.
pub(super) struct Papers {
    pub(super) dir: TempDir,
    pub(super) authority: rcgen::Certificate,
}

impl Papers {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = rcgen::Issuer::new(params, key);
        let own = rcgen::KeyPair::generate().unwrap();
        let names = ["localhost", "127.0.0.1"].map(String::from);
        let params = rcgen::CertificateParams::new(names).unwrap();
        let signed = params.signed_by(&own, &issuer).unwrap();
        for (name, text) in [
            ("ca.pem", authority.pem()),
            ("chain.pem", signed.pem()),
            ("key.pem", own.serialize_pem()),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Self { dir, authority }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn own(&self) -> Own {
        Own {
            cert_chain_file: self.file("chain.pem"),
            private_key_file: self.file("key.pem"),
        }
    }

    /// The connection of a caller who trusts the authority.
    pub(super) async fn connect(
        &self,
        proxy: &Proxy,
        alpn: &[u8],
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let stream = TcpStream::connect(proxy.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await
    }
}
