//! Callers that write byte by byte what they like, by nc.

use std::process::Stdio;

use a8_tests::wait::PATIENCE;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::instances;
use crate::setup::{Running, Setup};
use crate::tools;

fn nc(sidecar: &Running) -> Child {
    let mut nc = Command::from(tools::program("nc"));
    nc.args(["127.0.0.1", &sidecar.port.to_string()]);
    nc.stdin(Stdio::piped()).stdout(Stdio::piped());
    nc.kill_on_drop(true).spawn().unwrap()
}

/// Sends `bytes` and returns all that comes until the sidecar ends the connection.
async fn say(sidecar: &Running, bytes: &[u8]) -> String {
    let mut nc = nc(sidecar);
    let mut to = nc.stdin.take().unwrap();
    let mut from = nc.stdout.take().unwrap();
    let mut heard = Vec::new();
    let write = async {
        // The sidecar may have heard enough before the end.
        let _ = to.write_all(bytes).await;
        // nc ends when nothing can come from either side; it does not tell the sidecar of this.
        drop(to);
    };
    let both = async { tokio::join!(write, from.read_to_end(&mut heard)) };
    let ((), read) = timeout(PATIENCE, both).await.unwrap();
    read.unwrap();
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_connection_ended() {
    let mut setup = Setup::new();
    let _instances = instances::start(&mut setup).await;
    let sidecar = setup.start().await;
    let before = sidecar.open_files();
    let fields = |fields: &str| format!("GET /nginx/small HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    let both = fields("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n");
    let coding = fields("Transfer-Encoding: gzip\r\n");
    let lengths = fields("Content-Length: 3\r\nContent-Length: 4\r\n");
    for (what, bytes, status) in [
        ("noise", "\0\x01\x02 what\r\n\r\n", 400),
        ("no words", "hello\r\n\r\n", 400),
        ("TLS", "\x16\x03\x01\x02\0\x01\0\x01\u{7c}\x03\x03", 400),
        ("a bad name", &fields("B\0d: 1\r\n"), 400),
        ("two ends", &both, 400),
        ("a foreign coding", &coding, 400),
        ("two lengths", &lengths, 400),
    ] {
        let heard = say(&sidecar, bytes.as_bytes()).await;
        let wanted = format!("HTTP/1.1 {status} ");
        assert!(heard.starts_with(&wanted), "{what}: {heard}");
    }
    // HTTP/2 that breaks its own rules.
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for more in [
        "\r\nno frame at all, but longer than one",
        "\0\0\0\u{1}\u{5}\0\0\0\0",
    ] {
        say(&sidecar, format!("{preface}{more}").as_bytes()).await;
    }
    sidecar.no_more_than(before).await;
}

#[tokio::test]
async fn requests_are_answered_in_their_order_however_they_come() {
    let mut setup = Setup::new();
    let _instances = instances::start(&mut setup).await;
    let sidecar = setup.start().await;
    let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n");
    let close = "Connection: close\r\n";
    let all = [
        get("/nginx/small", ""),
        get("/nghttpd/small", ""),
        "POST /python/digest HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
        get("/nobody", ""),
        get("/nginx/204", close),
    ]
    .concat();
    let statuses = |heard: &str| {
        let heads = heard.split("HTTP/1.1 ").skip(1);
        heads.map(|h| h[..3].to_owned()).collect::<Vec<_>>()
    };
    let wanted = ["200", "200", "200", "404", "204"];
    let heard = say(&sidecar, all.as_bytes()).await;
    assert_eq!(statuses(&heard), wanted, "{heard}");
    // The same byte by byte.
    let mut nc = nc(&sidecar);
    let mut to = nc.stdin.take().unwrap();
    for byte in all.as_bytes() {
        to.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    drop(to);
    let mut heard = String::new();
    let mut from = nc.stdout.take().unwrap();
    let read = timeout(PATIENCE, from.read_to_string(&mut heard)).await;
    read.unwrap().unwrap();
    assert_eq!(statuses(&heard), wanted, "{heard}");
    // As callers of long ago.
    let old = say(&sidecar, b"GET /nginx/small HTTP/1.0\r\n\r\n").await;
    assert!(old.ends_with("\r\n\r\na few bytes\n"), "{old}");
}

#[tokio::test]
async fn a_caller_that_goes_takes_its_request_along() {
    let mut setup = Setup::new();
    let instances = instances::start(&mut setup).await;
    let sidecar = setup.start().await;
    let before = sidecar.open_files();
    let head = "HTTP/1.1\r\nHost: x\r\n";
    let waiting = format!("GET /python/pieces/2 {head}\r\n");
    let uploading = format!("PUT /python/digest {head}Content-Length: 9\r\n\r\nabc");
    let within = format!("GET /nginx/small {head}X-Half");
    let stream = format!("PUT /nginx/put/x {head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    for bytes in [&waiting, &uploading, &within, &stream] {
        let mut nc = nc(&sidecar);
        let mut to = nc.stdin.take().unwrap();
        to.write_all(bytes.as_bytes()).await.unwrap();
        if bytes == &waiting {
            let mut from = nc.stdout.take().unwrap();
            let mut heard = [0; 12];
            timeout(PATIENCE, from.read_exact(&mut heard))
                .await
                .unwrap()
                .unwrap();
        }
        nc.kill().await.unwrap();
    }
    // What waits for its turn on the other side of nginx and Python has been let go.
    sidecar.no_more_than(before).await;
    let line = &sidecar.told("/python/pieces/2", 1).await[0];
    assert_eq!(line["response_flags"], json!("DC"));
    drop(instances);
}
