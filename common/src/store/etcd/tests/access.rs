//! Users, passwords and certificates.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::*;

fn as_user(url: &str, user: &str, password: &str) -> Config {
    Config {
        user: Some((user.to_owned(), Secret::new(password))),
        ..config(url)
    }
}

#[tokio::test]
async fn a_user_is_asked_for_and_a_wrong_password_is_told() {
    // Tokens end after a second without use.
    let node = Node::start(Release::Later, &["--auth-token-ttl=1"]).await;
    let mut admin = etcd_client::Client::connect([&node.url], None)
        .await
        .unwrap();
    admin.user_add("root", "secret", None).await.unwrap();
    admin.user_grant_role("root", "root").await.unwrap();
    admin.auth_enable().await.unwrap();

    for bad in [config(&node.url), as_user(&node.url, "root", "wrong")] {
        let (store, tasks) = store_at(&bad);
        let told = store.health().await.unwrap_err().reason;
        assert!(told.contains("refuses the user or its password"), "{told}");
        tasks.finish(Duration::from_secs(5)).await;
    }

    let (store, tasks) = store_at(&as_user(&node.url, "root", "secret"));
    let start = store
        .commit(Transaction::new().put("k", "1"))
        .await
        .unwrap();
    let mut watch = store.watch("k", start).await.unwrap();
    let lease = store.grant(Duration::from_secs(60)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let next = store
        .commit(Transaction::new().put("k", "2"))
        .await
        .unwrap();
    store.keep_alive(lease).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().revision, next);
    tasks.finish(Duration::from_secs(5)).await;
}

/// An authority, and a certificate of its for 127.0.0.1.
struct Papers {
    authority: String,
    cert: String,
    key: String,
}

fn papers() -> Papers {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let cert = leaf.signed_by(&key, &issuer).unwrap();
    Papers {
        authority: authority.pem(),
        cert: cert.pem(),
        key: key.serialize_pem(),
    }
}

#[tokio::test]
async fn members_are_trusted_by_the_configured_authority_and_know_us() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, others) = (papers(), papers());
    let path = |name: &str| folder.path().join(name);
    for (name, text) in [
        ("ca", &ours.authority),
        ("cert", &ours.cert),
        ("key", &ours.key),
        ("other", &others.authority),
    ] {
        std::fs::write(path(name), text).unwrap();
    }
    let [ca, cert, key, other] = ["ca", "cert", "key", "other"].map(path);
    let flag = |name: &str, path: &std::path::Path| format!("--{name}={}", path.display());
    let flags = [
        flag("cert-file", &cert),
        flag("key-file", &key),
        flag("trusted-ca-file", &ca),
        "--client-cert-auth".to_owned(),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let node = Node::start_in(folder, "https", Release::System, &flags).await;

    let with = |ca, identity: Option<()>| Config {
        tls: Tls {
            ca_cert_file: Some(ca),
            cert_file: identity.map(|()| cert.clone()),
            key_file: identity.map(|()| key.clone()),
        },
        ..config(&node.url)
    };
    let (store, tasks) = store_at(&with(ca.clone(), Some(())));
    store
        .commit(Transaction::new().put("k", "1"))
        .await
        .unwrap();
    tasks.finish(Duration::from_secs(5)).await;
    for bad in [with(other, Some(())), with(ca, None)] {
        let (store, tasks) = store_at(&bad);
        let told = store.health().await.unwrap_err().reason;
        assert!(told.contains("etcd is away"), "{told}");
        tasks.finish(Duration::from_secs(5)).await;
    }
    let missing = with("/nowhere/ca.pem".into(), None);
    let refused = Etcd::open(&missing, &Tasks::new(Stop::new()))
        .err()
        .unwrap();
    assert!(refused.to_string().contains("/nowhere/ca.pem"), "{refused}");
}
