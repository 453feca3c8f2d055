//! TLS on either side. The instances here are proxies themselves, under TLS.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::papers::Papers;
use crate::proxy::{Config, Listen, Proxy, StartError};
use crate::testkit::{Fabric, Origin, raw, request, settings, with};

impl Papers {
    /// A proxy under TLS that leads to an echo.
    pub(super) async fn instance(&self) -> (Fabric, Proxy, Origin) {
        let origin = Origin::echo("behind").await;
        let mut fabric = Fabric::new().await;
        fabric
            .put(with("s", "v1", &origin.value(), "UP", "http"))
            .await;
        let proxy = fabric.start(Config {
            listen: Listen::At(([0, 0, 0, 0], 0).into()),
            tls: Some(self.own()),
            ..settings()
        });
        (fabric, proxy, origin)
    }

    /// What a caller who trusts the authority gets for `text`.
    async fn asked(&self, proxy: &Proxy, alpn: &[u8], text: &str) -> (Option<Vec<u8>>, String) {
        let mut stream = self.connect(proxy, alpn).await.unwrap();
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        if !text.is_empty() {
            stream.read_to_end(&mut bytes).await.unwrap();
        }
        (agreed, String::from_utf8_lossy(&bytes).into_owned())
    }
}

const GET: &str = "GET /s/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn callers_are_served_under_tls_in_the_version_they_agree_on() {
    let papers = Papers::new();
    let (_fabric, proxy, _origin) = papers.instance().await;
    let (agreed, text) = papers.asked(&proxy, b"http/1.1", GET).await;
    assert_eq!(agreed.unwrap(), b"http/1.1");
    assert!(text.contains("behind\nGET /a\n"), "{text}");
    assert!(text.contains("x-forwarded-proto: https\n"), "{text}");
    let (agreed, _) = papers.asked(&proxy, b"h2", "").await;
    assert_eq!(agreed.unwrap(), b"h2");
    // In clear nothing comes of it, and others are not hurt.
    assert!(raw(proxy.address(), GET).await.is_none());
    assert!(
        papers
            .asked(&proxy, b"http/1.1", GET)
            .await
            .1
            .contains("behind")
    );
}

#[tokio::test]
async fn an_instance_under_tls_is_trusted_by_its_authority_and_its_name_only() {
    let papers = Papers::new();
    let (_behind, instance, _origin) = papers.instance().await;
    let port = instance.address().port();
    let ca = papers.file("ca.pem");
    // What is sent names the host where it is one, and that host is the proxy behind.
    let path = |host| if host == "localhost" { "/s/s" } else { "/s" };
    for (host, ca_cert_file, status) in [
        ("127.0.0.1", Some(ca.clone()), 200),
        ("localhost", Some(ca.clone()), 200),
        ("127.0.0.2", Some(ca), 502),
        ("127.0.0.1", Some(papers.file("no-ca.pem")), 0),
        ("127.0.0.1", None, 502),
    ] {
        let mut fabric = Fabric::new().await;
        fabric
            .put(with("s", "v1", &format!("{host}:{port}"), "UP", "https"))
            .await;
        let config = Config {
            ca_cert_file,
            ..settings()
        };
        if status == 0 {
            let (routes, metrics) = (fabric.routes.clone(), fabric.metrics.clone());
            let started = crate::proxy::start(config, routes, metrics, &fabric.tasks);
            let why = started.err().unwrap();
            assert!(matches!(&why, StartError::Tls(_)), "{why}");
            assert!(why.to_string().contains("no-ca.pem"), "{why}");
            continue;
        }
        let proxy = fabric.start(config);
        let reply = request(proxy.address(), &format!("GET {}/a", path(host)), &[]).await;
        assert_eq!(reply.status, status, "{host}: {}", reply.body);
        if status == 200 {
            assert!(reply.body.contains("behind\nGET /a\n"), "{}", reply.body);
            // Both ends of ours prefer HTTP/2, and the one behind them speaks HTTP/1.1.
            assert_eq!(fabric.metrics.connections("s").get(), 1);
            let again = request(proxy.address(), &format!("GET {}/b", path(host)), &[]).await;
            assert_eq!(
                (again.status, fabric.metrics.connections("s").get()),
                (200, 1)
            );
        } else {
            assert!(reply.body.contains("certificate"), "{}", reply.body);
        }
    }
}

#[tokio::test]
async fn a_plain_instance_that_is_called_https_is_a_502() {
    let origin = Origin::echo("s").await;
    let mut fabric = Fabric::new().await;
    fabric
        .put(with("s", "v1", &origin.value(), "UP", "https"))
        .await;
    let proxy = fabric.start(settings());
    let reply = request(proxy.address(), "GET /s/", &[]).await;
    assert_eq!((reply.status, reply.field("a8-error")), (502, Some("UF")));
}
