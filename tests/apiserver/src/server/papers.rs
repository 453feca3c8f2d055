//! The authority of a server, and its certificate.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The authority of a server, and its certificate.
pub(super) struct Papers {
    /// The authority, in PEM.
    pub(super) authority: String,
    chain: String,
    key: String,
}

impl Papers {
    /// Made anew, for this machine only.
    pub(super) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        let name = |params: &mut rcgen::CertificateParams, name: &str| {
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
        };
        name(&mut params, "kubernetes");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::new(params, key);
        let own = rcgen::KeyPair::generate().unwrap();
        let names = ["localhost", "127.0.0.1", "kubernetes.default.svc"];
        let names: Vec<_> = names.into_iter().map(String::from).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        name(&mut params, "kube-apiserver");
        let chain = params.signed_by(&own, &issuer).unwrap().pem();
        Self {
            authority,
            chain,
            key: own.serialize_pem(),
        }
    }

    /// What TLS needs of them.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes());
        let chain: Vec<_> = chain.collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}
