//! An authority, and a certificate that it has signed for everybody on this machine.

use std::path::{Path, PathBuf};

/// Whom the certificate is for: this machine, and the services that gRPC's callers, who compare
/// it with the name of the host, ask for.
const NAMES: [&str; 9] = [
    "localhost",
    "127.0.0.1",
    "grpc",
    "grpc-tls",
    "nobody",
    "empty",
    "refused",
    "broken",
    "silent",
];

/// The files, in a folder that somebody else owns.
#[derive(Clone)]
pub struct Papers {
    /// The authority.
    pub authority: PathBuf,
    /// The certificate.
    pub chain: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Papers {
    /// Made anew, in `folder`.
    pub fn new(folder: &Path) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        // Without names of their own, one would look as if it had signed itself.
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "an authority");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::new(params, key);
        let own = rcgen::KeyPair::generate().unwrap();
        let names: Vec<_> = NAMES.into_iter().map(String::from).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "this machine");
        let signed = params.signed_by(&own, &issuer).unwrap().pem();
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        Self {
            authority: write("ca.pem", authority),
            chain: write("chain.pem", signed),
            key: write("key.pem", own.serialize_pem()),
        }
    }
}
