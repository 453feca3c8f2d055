use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::task::Tasks;

fn peer(urls: &str) -> Peer {
    Peer::open(&Config {
        urls: parse_urls(urls).unwrap(),
        authorization: Some(bearer(&Secret::new("secret")).unwrap()),
        ca_cert_file: None,
    })
    .unwrap()
}

#[test]
fn urls_are_read_from_a_list_and_keep_their_path() {
    let peer = peer("http://a:1, http://b/base/ ,");
    let url = |i| {
        peer.request(i, Method::GET, "/x")
            .build()
            .unwrap()
            .url()
            .to_string()
    };
    assert_eq!(peer.len(), 2);
    assert_eq!(url(0), "http://a:1/x");
    assert_eq!(url(1), "http://b/base/x");
}

#[test]
fn what_is_no_base_url_is_refused_by_name() {
    for (list, reason) in [
        (" , ", "at least one"),
        ("http://a,b:80", "\"b:80\""),
        ("ftp://a", "scheme is ftp"),
        ("a", "\"a\""),
        ("http://a/?x=1", "query"),
        ("http://u:p@a", "use a token"),
    ] {
        let error = parse_urls(list).unwrap_err().to_string();
        assert!(error.contains(reason), "{list}: {error}");
    }
}

#[test]
fn a_server_is_left_once_by_however_many_find_it_dead() {
    let peer = peer("http://a,http://b,http://c");
    peer.leave(0);
    peer.leave(0);
    assert_eq!(peer.current(), 1);
    peer.leave(1);
    peer.leave(2);
    assert_eq!(peer.current(), 0);
}

#[test]
fn a_token_is_not_printed() {
    let config = format!("{:?}", bearer(&Secret::new("secret")).unwrap());
    assert!(!config.contains("secret"), "{config}");
    assert!(bearer(&Secret::new("a\nb")).is_err());
}

#[test]
fn an_error_is_read_in_every_form_that_servers_write() {
    assert_eq!(error_text(br#"{"error":"no"}"#), "no");
    assert_eq!(error_text(br#"{"Error":"no"}"#), "no");
    assert_eq!(error_text(br#"{"error":"a","description":"b"}"#), "a: b");
    assert_eq!(error_text(b"plain\ntext\n"), "plain text");
}

#[test]
fn certificates_that_are_none_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: PathBuf| {
        let urls = parse_urls("https://a").unwrap();
        let config = Config {
            urls,
            authorization: None,
            ca_cert_file: Some(path),
        };
        Peer::open(&config).err().unwrap().to_string()
    };
    assert!(open(dir.path().join("missing")).contains("could not read"));
    let file = dir.path().join("empty.pem");
    std::fs::write(&file, "").unwrap();
    assert!(open(file).contains("no PEM certificate"));
}

fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/tls")
        .join(name)
}

/// Answers 204 to whatever comes over TLS; its certificate is for localhost.
async fn tls_server(tasks: &Tasks) -> Url {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = vec![CertificateDer::from_pem_file(testdata("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(testdata("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn("tls server", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust us goes away in the middle of this.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    Url::parse(&format!("https://localhost:{port}")).unwrap()
}

#[tokio::test]
async fn a_server_is_trusted_by_the_named_authority_alone() {
    let tasks = Tasks::default();
    let url = tls_server(&tasks).await;
    let ask = async |ca: &str| {
        let config = Config {
            urls: vec![url.clone()],
            authorization: None,
            ca_cert_file: Some(testdata(ca)),
        };
        let peer = Peer::open(&config).unwrap();
        let request = peer.request(0, Method::GET, "/");
        peer.send(0, request, Duration::from_secs(30)).await
    };
    assert_eq!(
        ask("ca.pem").await.unwrap().status(),
        StatusCode::NO_CONTENT
    );
    let error = ask("other-ca.pem").await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
}
