//! Requests that two readers could read in two ways are refused, and so is what has no end.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::proxy::{AccessLog, CodeClass};
use crate::testkit::{DEADLINE, Fabric, Origin, eventually, instance, raw};

async fn rig() -> (Fabric, crate::proxy::Proxy, Origin) {
    let origin = Origin::echo("s").await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    (fabric, proxy, origin)
}

/// The status that comes back for `text`; nothing when the connection ends without one.
async fn status_of(to: SocketAddr, text: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        let (mut from, mut to) = stream.split();
        let mut line = [0; 12];
        // A peer that answers early may not read to the end.
        let (_sent, _read) =
            tokio::join!(to.write_all(text.as_bytes()), from.read_exact(&mut line));
        let status = String::from_utf8_lossy(&line[9..]);
        status.trim_end_matches('\0').to_owned()
    };
    tokio::time::timeout(DEADLINE, exchange).await.unwrap()
}

const CHUNKED: &str = "5\r\nhello\r\n0\r\n\r\n";

#[tokio::test]
async fn ambiguous_heads_are_refused() {
    let (_fabric, proxy, origin) = rig().await;
    let post =
        |fields: &str, body: &str| format!("POST /s/ HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}");
    let get = |fields: &str| format!("GET /s/ HTTP/1.1\r\n{fields}\r\n");
    let absolute = |url: &str, fields: &str| format!("GET {url} HTTP/1.1\r\n{fields}\r\n");
    let cases = [
        ("two hosts", get("Host: a\r\nHost: b\r\n")),
        ("the same host twice", get("Host: a\r\nHost: a\r\n")),
        ("no host", get("")),
        ("a host with a user", get("Host: a@b\r\n")),
        ("a host of two", get("Host: a, b\r\n")),
        (
            "two hosts beside an absolute URL",
            absolute("http://s/", "Host: s\r\nHost: a\r\n"),
        ),
        ("no host beside an absolute URL", absolute("http://s/", "")),
        (
            "a strange host beside an absolute URL",
            absolute("http://s/", "Host: a b\r\n"),
        ),
        (
            "an absolute URL with a user",
            absolute("http://u@s/", "Host: s\r\n"),
        ),
        (
            "an absolute URL with a password",
            absolute("http://u:p@s:80/", "Host: s\r\n"),
        ),
        (
            "two lengths",
            post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"),
        ),
        (
            "a list of lengths",
            post("Content-Length: 3, 4\r\n", "abcd"),
        ),
        ("a signed length", post("Content-Length: +3\r\n", "abc")),
        ("a negative length", post("Content-Length: -3\r\n", "abc")),
        ("a length in hex", post("Content-Length: 0x3\r\n", "abc")),
        (
            "a huge length",
            post("Content-Length: 99999999999999999999\r\n", "abc"),
        ),
        (
            "length, then chunks",
            post(
                "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                CHUNKED,
            ),
        ),
        (
            "chunks, then length",
            post(
                "Transfer-Encoding: chunked\r\ncontent-length: 3\r\n",
                CHUNKED,
            ),
        ),
        (
            "chunked is not last",
            post("Transfer-Encoding: chunked, identity\r\n", CHUNKED),
        ),
        (
            "almost chunked",
            post("Transfer-Encoding: xchunked\r\n", CHUNKED),
        ),
        (
            "chunked twice",
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                CHUNKED,
            ),
        ),
        (
            "chunked in two fields",
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                CHUNKED,
            ),
        ),
        (
            "a blank before the colon",
            post("Transfer-Encoding : chunked\r\n", CHUNKED),
        ),
        ("a folded field", get("Host: a\r\nX: b\r\n c\r\n")),
        ("a folded first field", get(" Host: a\r\n")),
        ("a bare CR in a value", get("Host: a\r\nX: b\rY: c\r\n")),
        ("a NUL in a value", get("Host: a\r\nX: b\0c\r\n")),
        ("a field without a colon", get("Host: a\r\nX\r\n")),
        ("a nameless field", get("Host: a\r\n: b\r\n")),
        ("no version", "GET /s/\r\nHost: a\r\n\r\n".to_owned()),
        (
            "another version",
            "GET /s/ HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(),
        ),
        (
            "two blanks",
            "GET  /s/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        ),
        (
            "a method that is none",
            "G@T /s/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        ),
        (
            "a blank in the path",
            "GET /s/a b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        ),
    ];
    let mut passed = Vec::new();
    for (what, text) in cases {
        let status = status_of(proxy.address(), &text).await;
        if status != "400" {
            passed.push((what, status));
        }
    }
    assert!(passed.is_empty(), "{passed:?}");
    assert_eq!(origin.connections(), 0, "nothing was sent on");
}

#[tokio::test]
async fn nothing_more_is_read_from_whoever_names_its_host_in_two_ways() {
    let (_fabric, proxy, origin) = rig().await;
    let next = "GET /s/ HTTP/1.1\r\nHost: a\r\n\r\n";
    for fields in ["Host: a\r\nHost: b\r\n", "", "Host: a@b\r\n"] {
        let text = format!("GET /s/ HTTP/1.1\r\n{fields}\r\n{next}");
        let reply = raw(proxy.address(), &text).await.unwrap();
        assert_eq!(
            (reply.status, reply.field("connection")),
            (400, Some("close"))
        );
        assert_eq!(reply.field("a8-error"), Some("BR"));
        assert!(!reply.body.contains("HTTP/1.1"), "{}", reply.body);
    }
    assert_eq!(origin.connections(), 0, "nothing was sent on");
}

#[tokio::test]
async fn who_refuses_an_address_without_an_end_is_told() {
    let (_fabric, proxy, _origin) = rig().await;
    let text = format!("GET /s/{}", "x".repeat(17 * 1024));
    let reply = raw(proxy.address(), &text).await.unwrap();
    assert_eq!(
        (reply.status, reply.field("server"), reply.field("a8-error")),
        (414, Some("a8sidecar"), Some("BR"))
    );
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_its_own_status() {
    let (_fabric, proxy, origin) = rig().await;
    let long = "x".repeat(80_000);
    for (what, text, status) in [
        (
            "a huge field",
            format!("GET /s/ HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
            "431",
        ),
        (
            "many fields",
            format!(
                "GET /s/ HTTP/1.1\r\nHost: a\r\n{}\r\n",
                "X: y\r\n".repeat(200)
            ),
            "431",
        ),
        (
            "a long address",
            format!("GET /s/{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
            "414",
        ),
        ("an endless address", format!("GET /s/{long}"), "414"),
    ] {
        assert_eq!(status_of(proxy.address(), &text).await, status, "{what}");
    }
    assert_eq!(origin.connections(), 0, "nothing was sent on");
}

#[tokio::test]
async fn heads_that_cannot_be_read_count_as_requests_for_nobody() {
    let (fabric, proxy, _origin) = rig().await;
    let long = "x".repeat(80_000);
    let many = "X: y\r\n".repeat(200);
    let heads = [
        "GET  /s/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        format!("GET /s/ HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
        format!("GET /s/{long}"),
    ];
    let count = || fabric.metrics.unknown.requests(CodeClass::ClientError);
    for (at, head) in (1..).zip(heads) {
        assert!(status_of(proxy.address(), &head).await.starts_with('4'));
        eventually(async || count() == at).await;
    }
    // An end within a head is no request.
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(b"GET /s/ HT").await.unwrap();
    stream.shutdown().await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    eventually(async || fabric.metrics.callers.get() == 0).await;
    assert_eq!(count(), 3);
}

/// Everything that comes back for `pieces`, sent one after the other.
async fn exchange(to: SocketAddr, pieces: &[&str]) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    for piece in pieces {
        stream.write_all(piece.as_bytes()).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let _ = tokio::time::timeout(DEADLINE, read).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn chunks_pass_however_they_are_cut() {
    let (_fabric, proxy, _origin) = rig().await;
    let head = "POST /s/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let last = "GET /s/last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for pieces in [
        vec![head, CHUNKED, last],
        vec![
            "POST /s/ HT",
            "TP/1.1\r\nHost: a\r\nTransfer-",
            "Encoding: chunked\r\n\r\n",
            CHUNKED,
            last,
        ],
        // A body may speak of lengths.
        vec![head, "13\r\nContent-Length: 9\r\n\r\n0\r\n\r\n", last],
    ] {
        let text = exchange(proxy.address(), &pieces).await;
        assert_eq!(
            text.matches("HTTP/1.1 200").count(),
            2,
            "{pieces:?}: {text}"
        );
        assert!(text.contains("GET /last"), "{text}");
    }
    // All at once, as no client does it: what cannot be checked is read by one rule only.
    let at_once = [head, CHUNKED, last].concat();
    let text = exchange(proxy.address(), &[&at_once]).await;
    assert_eq!(text.matches("HTTP/1.1 200").count(), 2, "{text}");
}

#[tokio::test]
async fn broken_chunks_end_the_exchange() {
    let (_fabric, proxy, _origin) = rig().await;
    let head = "POST /s/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "x\r\nhello\r\n0\r\n\r\n",
        "-1\r\n\r\n",
        "ffffffffffffffffff\r\nx",
        "5\r\nhelloX\r\n0\r\n\r\n",
    ] {
        let text = exchange(proxy.address(), &[head, body]).await;
        assert!(!text.contains(" 200 "), "{body:?}: {text}");
    }
}
