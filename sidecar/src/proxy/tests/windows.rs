//! Callers in HTTP/2 that give no room for what they asked for.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::proxy::{Config, Proxy};
use crate::testkit::{Fabric, Origin, eventually, instance, settings};

const LENGTH: usize = 2_000_000;

/// A caller that gives each stream room for so much that it has not read.
async fn caller(proxy: &Proxy, window: u32) -> (SendRequest<Empty<Bytes>>, JoinSet<()>) {
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let _ = connection.await;
    });
    (sender, task)
}

async fn ask(caller: &mut SendRequest<Empty<Bytes>>, path: &str) -> Response<Incoming> {
    let asked = Request::get(format!("http://localhost:6379{path}")).version(Version::HTTP_2);
    let asked = asked.body(Empty::new()).unwrap();
    caller.send_request(asked).await.unwrap()
}

/// An origin with long answers and short ones, and a proxy that is patient for so long.
async fn rig(idle_timeout: Duration) -> (Fabric, Proxy, Origin) {
    let origin = Origin::new(|request| async move {
        let length = match request.uri().path() {
            "/long" => LENGTH,
            _ => 5,
        };
        Response::new(Full::from(vec![b'x'; length]))
    })
    .await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.start(Config {
        idle_timeout,
        ..settings()
    });
    (fabric, proxy, origin)
}

#[tokio::test]
async fn an_answer_that_is_not_taken_is_given_up_and_the_others_go_on() {
    let (fabric, proxy, _origin) = rig(Duration::from_millis(50)).await;
    let (mut caller, _task) = caller(&proxy, 1000).await;
    let stuck = ask(&mut caller, "/s/long").await;
    // The connection to the instance is closed: nobody reads what is left of the answer.
    let upstream = fabric.metrics.connections("s");
    eventually(async || upstream.get() == 0).await;
    let short = ask(&mut caller, "/s/short").await;
    let body = short.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], b"xxxxx");
    assert!(stuck.into_body().collect().await.is_err());
}

#[tokio::test]
async fn an_answer_that_is_taken_slowly_is_not() {
    let (_fabric, proxy, _origin) = rig(Duration::from_secs(2)).await;
    let (mut caller, _task) = caller(&proxy, 100_000).await;
    let mut body = ask(&mut caller, "/s/long").await.into_body();
    let mut read = 0;
    // Longer than the limit altogether.
    while read < LENGTH {
        let until = LENGTH.min(read + LENGTH / 8);
        while read < until {
            let frame: Result<_, _> = body.frame().await.unwrap();
            read += frame.unwrap().into_data().unwrap().len();
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert_eq!(read, LENGTH);
}
