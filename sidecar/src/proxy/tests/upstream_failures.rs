use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::proxy::{AccessLog, Proxy};
use crate::testkit::{DEADLINE, Fabric, Scripted, instance, raw, request, with};

const RULE: &str =
    "[{id: r1, destination: s, route: {http_req_timeout: 0.4, backends: [{tags: [v1]}]}}]";

async fn rig(value: &str) -> (Fabric, Proxy) {
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", value)).await;
    fabric.rules(RULE).await;
    let proxy = fabric.proxy(AccessLog::Off);
    (fabric, proxy)
}

/// Reads a head, then does as `answer` says and closes.
async fn answering(answer: &'static [u8]) -> Scripted {
    Scripted::new(move |mut stream, _| async move {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        let _ = stream.write_all(answer).await;
    })
    .await
}

async fn assert_failure(proxy: &Proxy, status: u16, flag: &str) -> String {
    let reply = request(proxy.address(), "GET /s/", &[]).await;
    assert_eq!(reply.status, status, "{}", reply.body);
    assert_eq!(reply.field("a8-error"), Some(flag));
    let told = reply.json();
    assert_eq!(told["service"], "s");
    assert_eq!(told["tags"], serde_json::json!(["v1"]));
    assert_eq!(told["rule"], "r1");
    told["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_refused_connection_is_a_502() {
    let port = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let (_fabric, proxy) = rig(&format!("127.0.0.1:{port}")).await;
    assert_eq!(assert_failure(&proxy, 502, "UF").await, "connect_failed");
}

#[tokio::test]
async fn an_end_before_or_within_the_head_and_nonsense_are_502() {
    for answer in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad field\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ] {
        let origin = answering(answer).await;
        let (_fabric, proxy) = rig(&origin.value()).await;
        assert_eq!(assert_failure(&proxy, 502, "UF").await, "connection_broken");
        assert_eq!(origin.connections(), 1, "nothing is sent twice unasked");
    }
}

#[tokio::test]
async fn silence_is_a_504() {
    let origin = Scripted::new(|mut stream, _| async move {
        let mut buffer = [0; 4096];
        // Reads until the proxy gives up.
        while let Ok(1..) = stream.read(&mut buffer).await {}
    })
    .await;
    let (_fabric, proxy) = rig(&origin.value()).await;
    assert_eq!(assert_failure(&proxy, 504, "UT").await, "timeout");
}

#[tokio::test]
async fn an_upload_may_take_longer_than_the_limit_as_long_as_it_moves() {
    let origin = Scripted::new(|mut stream, _| async move {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while !all.ends_with(b"0\r\n\r\n") {
            let n = stream.read(&mut buffer).await.unwrap();
            all.extend_from_slice(&buffer[..n]);
        }
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await;
        let _ = stream.read(&mut buffer).await;
    })
    .await;
    let (mut fabric, proxy) = rig(&origin.value()).await;
    fabric
        .rules("[{destination: s, route: {http_req_timeout: 2, backends: [{tags: [v1]}]}}]")
        .await;
    let upload = async {
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream
            .write_all(b"POST /s/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        // Longer than the limit altogether.
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            stream.write_all(b"1\r\nx\r\n").await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        all
    };
    let all = tokio::time::timeout(DEADLINE, upload).await.unwrap();
    assert!(all.starts_with("HTTP/1.1 200"), "{all}");
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_off_at_the_caller() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let origin = answering(answer).await;
        let (_fabric, proxy) = rig(&origin.value()).await;
        let reply = request(proxy.address(), "GET /s/", &[]).await;
        assert_eq!(reply.status, 200);
        assert!(reply.body.contains("half"));
        assert!(
            !reply.body.ends_with("0\r\n\r\n"),
            "the end must not look whole"
        );
    }
}

#[tokio::test]
async fn what_came_before_a_failure_is_told_although_the_failure_came_with_it() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (chunks, body) in [
        ("no length\r\n", ""),
        ("4\r\nhalf\r\nno length\r\n", "half"),
    ] {
        let answer = format!("{head}{chunks}").into_bytes().leak();
        let origin = answering(answer).await;
        let (_fabric, proxy) = rig(&origin.value()).await;
        let reply = request(proxy.address(), "GET /s/", &[]).await;
        assert_eq!(reply.status, 200);
        assert!(reply.body.contains(body), "{reply:?}");
        assert!(!reply.body.ends_with("0\r\n\r\n"), "{reply:?}");
    }
}

#[tokio::test]
async fn no_instance_is_a_503_that_says_why() {
    let mut fabric = Fabric::new().await;
    fabric.rules(RULE).await;
    let proxy = fabric.proxy(AccessLog::Off);
    assert_eq!(assert_failure(&proxy, 503, "UH").await, "no_instance");
    for (status, kind) in [
        ("STARTING", "http"),
        ("OUT_OF_SERVICE", "http"),
        ("UP", "udp"),
        ("UP", "tcp"),
    ] {
        fabric
            .put(with("s", "v1", "127.0.0.1:1", status, kind))
            .await;
        assert_eq!(assert_failure(&proxy, 503, "UH").await, "no_instance");
    }
    let reply = request(proxy.address(), "GET /s/", &[]).await;
    let why = reply.json()["description"].as_str().unwrap().to_owned();
    assert!(why.contains("not for HTTP"), "{why}");
}

#[tokio::test]
async fn before_anything_is_known_the_answer_is_not_yet() {
    let fabric = Fabric::silent(crate::state::Patience::default());
    let proxy = fabric.proxy(AccessLog::Off);
    let reply = request(proxy.address(), "GET /s/", &[]).await;
    assert_eq!(
        (reply.status, &reply.json()["error"]),
        (503, &"not_ready".into())
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_request_at_the_instance() {
    let (told, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let origin = Scripted::new(move |mut stream, _| {
        let told = told.clone();
        async move {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = told.send("asked");
            // No answer. The next thing to come is the end.
            while let Ok(1..) = stream.read(&mut buffer).await {}
            let _ = told.send("ended");
        }
    })
    .await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream
        .write_all(b"GET /s/ HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let next = async |ended: &mut tokio::sync::mpsc::UnboundedReceiver<&'static str>| {
        tokio::time::timeout(DEADLINE, ended.recv()).await.unwrap()
    };
    assert_eq!(next(&mut ended).await, Some("asked"));
    drop(stream);
    // Well before the 15 s after which the request would end by itself.
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(10), ended.recv())
            .await
            .unwrap(),
        Some("ended")
    );
    // And the proxy is as good as new.
    let port_of_nobody = raw(
        proxy.address(),
        "GET /nobody HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(port_of_nobody.unwrap().status, 404);
}

#[tokio::test]
async fn a_caller_that_knows_the_end_by_the_connection_alone_sees_it_break_off() {
    for (answer, whole) in [
        (
            &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"[..],
            false,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n\r\n",
            true,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nhalf", true),
    ] {
        let origin = answering(answer).await;
        let (_fabric, proxy) = rig(&origin.value()).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        let text = b"GET /s/ HTTP/1.0\r\nHost: a\r\n\r\n";
        stream.write_all(text).await.unwrap();
        let mut heard = Vec::new();
        let end = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut heard));
        let end = end.await.unwrap().map_err(|e| e.kind());
        let heard = String::from_utf8_lossy(&heard);
        assert!(heard.ends_with("\r\n\r\nhalf"), "{heard}");
        assert_eq!(end.is_ok(), whole, "{heard}");
        if !whole {
            assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
        }
    }
}
