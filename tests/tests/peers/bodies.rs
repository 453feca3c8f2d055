//! Bodies in either direction: whole, unchanged, and no more of them kept than must be.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::callers::{Both, Version};
use crate::instances::{self, BIG, FILES, noise};
use crate::setup::Setup;
use crate::tools;

/// The memory of two sidecars, which must not grow by a body's size.
struct Memory(u64);

impl Memory {
    fn of(both: &Both) -> u64 {
        both.plain.sidecar.process.peak_resident() + both.tls.sidecar.process.peak_resident()
    }

    fn before(both: &Both) -> Self {
        Self(Self::of(both))
    }

    fn has_not_grown(&self, both: &Both) {
        let grown = Self::of(both).saturating_sub(self.0);
        assert!(
            grown < BIG as u64,
            "{grown} bytes more: a body was collected"
        );
    }
}

fn digest(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

/// What the server in Python says it got.
fn told(text: &str) -> (u64, String) {
    let told: Value = serde_json::from_str(text).unwrap();
    let length = told["length"].as_u64().unwrap();
    (length, told["sha256"].as_str().unwrap().to_owned())
}

/// `bytes` in a file, and the file as curl is told of it.
fn upload(folder: &Path, bytes: &[u8]) -> [String; 2] {
    let path = folder.join("upload");
    std::fs::write(&path, bytes).unwrap();
    let path = path.display();
    [path.to_string(), format!("@{path}")]
}

#[tokio::test]
async fn what_is_large_comes_down_unchanged() {
    let mut setup = Setup::new();
    let _instances = instances::start(&mut setup).await;
    let both = Both::start(&setup).await;
    let memory = Memory::before(&both);
    let wanted = noise(BIG);
    for way in both.ways() {
        for (service, _) in FILES {
            let path = format!("/{service}/big");
            let got = way.expect(200, &path, &[]).await;
            assert!(got.body == wanted, "{path} by {}", way.name());
        }
    }
    memory.has_not_grown(&both);
}

#[tokio::test]
async fn what_is_large_goes_up_unchanged() {
    let mut setup = Setup::new();
    let instances = instances::start(&mut setup).await;
    let both = Both::start(&setup).await;
    let memory = Memory::before(&both);
    let bytes = noise(BIG);
    let [file, as_data] = upload(setup.folder(), &bytes);
    for way in both.ways() {
        for service in ["nginx", "nginx-tls"] {
            let path = format!("/{service}/put/big");
            let more = ["-T", &file];
            let first = way.curl(&path, &more).await;
            assert!([201, 204].contains(&first.status), "{first:?}");
            assert!(
                instances.uploaded("big") == bytes,
                "{path} by {}",
                way.name()
            );
        }
        for service in ["nghttpd", "nghttpd-tls"] {
            // It sends back what it was sent.
            let path = format!("/{service}/echo");
            let answer = way.expect(200, &path, &["--data-binary", &as_data]).await;
            assert!(answer.body == bytes, "{path} by {}", way.name());
        }
    }
    memory.has_not_grown(&both);
}

#[tokio::test]
async fn a_body_without_a_length_goes_up() {
    let mut setup = Setup::new();
    let _instances = instances::start(&mut setup).await;
    let both = Both::start(&setup).await;
    let bytes = noise(3_000_000);
    let [file, as_data] = upload(setup.folder(), &bytes);
    for way in both.ways() {
        let more = match way.version {
            Version::One => vec!["-H", "Transfer-Encoding: chunked", "-T", &file],
            // Then curl does not know the length.
            Version::Two => vec![
                "-H",
                "Content-Length:",
                "-X",
                "PUT",
                "--data-binary",
                &as_data,
            ],
        };
        let answer = way.expect(200, "/python/digest", &more).await;
        assert_eq!(told(answer.text()), (3_000_000, digest(&bytes)));
        let answer = way.expect(200, "/nghttpd/echo", &more).await;
        assert!(answer.body == bytes, "{}", way.name());
    }
}

#[tokio::test]
async fn a_caller_that_asks_first_is_told_to_go_on() {
    let mut setup = Setup::new();
    let _instances = instances::start(&mut setup).await;
    let both = Both::start(&setup).await;
    let bytes = noise(200_000);
    let [_, as_data] = upload(setup.folder(), &bytes);
    for way in both.ways().filter(|way| way.version == Version::One) {
        // curl would go on by itself, but not for so long.
        let asking = ["-H", "Expect: 100-continue", "--expect100-timeout", "1000"];
        let more = [&asking[..], &["--data-binary", &as_data]].concat();
        let answer = way.expect(200, "/python/digest", &more).await;
        assert_eq!(told(answer.text()), (200_000, digest(&bytes)));
        assert_eq!(answer.heads[0], "HTTP/1.1 100 Continue");
        // Nobody there wants it, and nobody has to send it.
        let missing = way.expect(404, "/nobody/digest", &more).await;
        assert_eq!(missing.heads.len(), 1, "{missing:?}");
    }
}

#[tokio::test]
async fn compressed_bodies_come_through() {
    let mut setup = Setup::new();
    let _instances = instances::start(&mut setup).await;
    let both = Both::start(&setup).await;
    for way in both.ways() {
        for service in ["nginx", "nginx-tls"] {
            let path = format!("/{service}/zipped/text");
            let text = way.expect(200, &path, &["--compressed"]).await;
            assert_eq!(text.fields("content-encoding"), ["gzip"]);
            assert_eq!(text.text(), "again and again\n".repeat(10_000));
        }
    }
}

#[tokio::test]
async fn trailers_come_through() {
    let mut setup = Setup::new();
    let _instances = instances::start(&mut setup).await;
    let both = Both::start(&setup).await;
    for way in both.ways() {
        if way.version == Version::One {
            // Here they get to the caller if the instance announces them (RFC 9110, 6.6.2).
            let asking = ["-H", "TE: trailers"];
            let asked = way.expect(200, "/python/trailers", &asking).await;
            assert_eq!(
                (asked.text(), asked.trailers.trim()),
                ("all of it", "x-sum: done")
            );
            let silent = way.expect(200, "/python/trailers", &[]).await;
            assert_eq!((silent.text(), silent.trailers.trim()), ("all of it", ""));
            continue;
        }
        for path in [
            "/python/trailers",
            "/nginx/trailed/small",
            "/nginx-tls/trailed/small",
            "/nghttpd/small",
            "/nghttpd-tls/small",
        ] {
            // curl does not show trailers of HTTP/2.
            let mut nghttp = Command::from(tools::program("nghttp"));
            nghttp.args(["-v", "-H", "te: trailers", &way.url(path)]);
            let said = nghttp.kill_on_drop(true).output().await.unwrap().stdout;
            let said = String::from_utf8_lossy(&said);
            let (_, after) = said.rsplit_once("recv DATA").unwrap();
            assert!(after.contains(" x-sum: done"), "{path}: {said}");
        }
    }
}
