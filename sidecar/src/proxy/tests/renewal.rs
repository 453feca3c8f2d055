//! Certificates that are renewed while the proxy runs. The files are real ones, and exchanged as
//! mounted secrets are or written over as people do.

use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::papers::Papers;
use crate::proxy::{Config, Kept, Own, Proxy};
use crate::testkit::{Fabric, Origin, eventually, instance, request, settings, with};

/// Names `version` the current one, as a mounted secret does.
fn exchange(mount: &TempDir, version: &Path) {
    let at = |name: &str| mount.path().join(name);
    symlink(version, at("..data_tmp")).unwrap();
    std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
}

async fn trusted(papers: &Papers, proxy: &Proxy) -> bool {
    papers.connect(proxy, b"http/1.1").await.is_ok()
}

fn problem(kept: &Kept) -> Option<String> {
    kept.standing.borrow().problem.clone()
}

#[tokio::test]
async fn callers_are_shown_the_new_certificate_and_connections_go_on() {
    let [first, second, third] = [(); 3].map(|()| Papers::new());
    // Its key is that of another certificate.
    std::fs::copy(second.file("key.pem"), third.file("key.pem")).unwrap();
    let mount = tempfile::tempdir().unwrap();
    let at = |name: &str| mount.path().join(name);
    exchange(&mount, first.dir.path());
    for name in ["chain.pem", "key.pem"] {
        symlink(Path::new("..data").join(name), at(name)).unwrap();
    }
    let origin = Origin::echo("s").await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.start(Config {
        tls: Some(Own {
            cert_chain_file: at("chain.pem"),
            private_key_file: at("key.pem"),
        }),
        ..settings()
    });
    let [kept] = proxy.certificates() else {
        panic!("{:?}", proxy.certificates());
    };
    assert_eq!((kept.kind, problem(kept)), ("own", None));
    let mut old = first.connect(&proxy, b"http/1.1").await.unwrap();
    assert!(!trusted(&second, &proxy).await);

    exchange(&mount, second.dir.path());
    eventually(async || trusted(&second, &proxy).await).await;
    assert!(!trusted(&first, &proxy).await);
    let text = "GET /s/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    old.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    old.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");

    exchange(&mount, third.dir.path());
    eventually(async || problem(kept).is_some()).await;
    let why = problem(kept).unwrap();
    assert!(why.contains("chain.pem: not to be used with"), "{why}");
    assert!(trusted(&second, &proxy).await && !trusted(&third, &proxy).await);
    exchange(&mount, &first.dir.path().join("nowhere"));
    let missing = |p: Option<String>| p.is_some_and(|p| p.contains("chain.pem: No such file"));
    eventually(async || missing(problem(kept))).await;
    assert!(trusted(&second, &proxy).await);

    exchange(&mount, first.dir.path());
    eventually(async || trusted(&first, &proxy).await).await;
    eventually(async || problem(kept).is_none()).await;
}

#[tokio::test]
async fn instances_are_trusted_by_the_new_authorities() {
    let [first, second] = [(); 2].map(|()| Papers::new());
    let (_behind, instance, _origin) = second.instance().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    let write = |bytes: &[u8]| {
        let other = dir.path().join("new");
        std::fs::write(&other, bytes).unwrap();
        std::fs::rename(other, &file).unwrap();
    };
    write(first.authority.pem().as_bytes());
    let mut fabric = Fabric::new().await;
    let port = instance.address().port();
    let endpoint = format!("127.0.0.1:{port}");
    let made = with("s", "v1", &endpoint, "UP", "https");
    fabric.put(made.clone()).await;
    let proxy = fabric.start(Config {
        ca_cert_file: Some(file.clone()),
        ..settings()
    });
    let [kept] = proxy.certificates() else {
        panic!("{:?}", proxy.certificates());
    };
    assert_eq!(kept.kind, "authorities");
    let status = async || request(proxy.address(), "GET /s/s/a", &[]).await.status;
    assert_eq!(status().await, 502);

    write((first.authority.pem() + &second.authority.pem()).as_bytes());
    eventually(async || status().await == 200).await;
    write(b"-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n");
    eventually(async || problem(kept).is_some()).await;
    let why = problem(kept).unwrap();
    assert!(why.contains("ca.pem: "), "{why}");
    // What is put there again is another instance, with connections of its own.
    fabric.remove(&made.id).await;
    fabric.put(made.clone()).await;
    assert_eq!(status().await, 200);

    write(first.authority.pem().as_bytes());
    eventually(async || problem(kept).is_none()).await;
    // The connection that is there goes on, a new one is not trusted.
    assert_eq!(status().await, 200);
    fabric.remove(&made.id).await;
    fabric.put(made).await;
    assert_eq!(status().await, 502);
}
