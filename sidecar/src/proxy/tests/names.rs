use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::proxy::AccessLog;
use crate::state::Lookup;
use crate::testkit::{DEADLINE, Fabric, Origin, Scripted, instance, request};

/// Answers with what is set, once something is.
fn lookup(says: &watch::Receiver<Option<Result<Vec<SocketAddr>, &'static str>>>) -> Lookup {
    let says = says.clone();
    Arc::new(move |_| {
        let mut says = says.clone();
        Box::pin(async move {
            let said = says.wait_for(Option::is_some).await;
            let said = said.map_err(io::Error::other)?.clone();
            said.unwrap_or(Err("gone")).map_err(io::Error::other)
        })
    })
}

#[tokio::test]
async fn a_request_waits_for_the_first_answer() {
    let origin = Origin::echo("here").await;
    let (say, says) = watch::channel(None);
    let mut fabric = Fabric::resolving(lookup(&says)).await;
    let port = origin.address.port();
    fabric
        .put(instance("s", "v1", &format!("shop.example:{port}")))
        .await;
    let proxy = fabric.proxy(AccessLog::Off);
    let asked = request(proxy.address(), "GET /s/", &[]);
    let answer = async {
        // The request is on its way before the answer comes.
        while fabric.metrics.callers.get() == 0 {
            tokio::task::yield_now().await;
        }
        say.send_replace(Some(Ok(vec![([127, 0, 0, 1], 0).into()])));
    };
    let (reply, ()) = tokio::join!(asked, answer);
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(
        reply.body.contains(&format!("host: shop.example:{port}")),
        "{}",
        reply.body
    );
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_is_a_502_that_says_so() {
    let (_say, says) = watch::channel(Some(Err("no such name")));
    let mut fabric = Fabric::resolving(lookup(&says)).await;
    fabric.put(instance("s", "v1", "shop.example:80")).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let reply = request(proxy.address(), "GET /s/", &[]).await;
    assert_eq!((reply.status, reply.field("a8-error")), (502, Some("UF")));
    let told = reply.json();
    assert_eq!(told["error"], "connect_failed");
    let why = told["description"].as_str().unwrap();
    assert!(
        why.contains("shop.example") && why.contains("no such name"),
        "{why}"
    );
}

#[tokio::test]
async fn an_address_that_refuses_is_followed_by_the_next() {
    let origin = Scripted::new(|mut stream, _| async move {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        let _ = stream
            .write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            .await;
    })
    .await;
    // At the second nobody listens; all of 127.0.0.0/8 is this machine.
    let both = vec![([127, 0, 0, 1], 0).into(), ([127, 0, 0, 9], 0).into()];
    let (_say, says) = watch::channel(Some(Ok(both)));
    let mut fabric = Fabric::resolving(lookup(&says)).await;
    let value = format!("shop.example:{}", origin.address.port());
    fabric.put(instance("s", "v1", &value)).await;
    let proxy = fabric.proxy(AccessLog::Off);
    for _ in 0..4 {
        let reply = request(proxy.address(), "POST /s/", &[]).await;
        assert_eq!(reply.status, 204, "{}", reply.body);
    }
    assert_eq!(
        origin.connections(),
        4,
        "one after the other, beginning with either address"
    );
}

#[tokio::test]
async fn a_changed_set_of_addresses_closes_idle_connections_and_leaves_busy_ones_alone() {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
    // The first connection stays busy until it is told, the others end their answers.
    let (go, gone) = watch::channel(false);
    let ended = Arc::new(Mutex::new(Vec::new()));
    let noted = ended.clone();
    let origin = Scripted::new(move |mut stream, number| {
        let (mut gone, noted) = (gone.clone(), noted.clone());
        async move {
            let mut buffer = [0; 4096];
            while let Ok(1..) = stream.read(&mut buffer).await {
                stream.write_all(HEAD).await.unwrap();
                stream.write_all(b"do").await.unwrap();
                if number == 0 {
                    gone.wait_for(|gone| *gone).await.unwrap();
                }
                stream.write_all(b"ne").await.unwrap();
            }
            noted.lock().unwrap().push(number);
        }
    })
    .await;
    let other = Origin::echo("other").await;
    let at = |last: u8| SocketAddr::from(([127, 0, 0, last], 0));
    let (say, says) = watch::channel(Some(Ok(vec![at(1)])));
    let mut fabric = Fabric::resolving(lookup(&says)).await;
    let shop = instance(
        "s",
        "v1",
        &format!("shop.example:{}", origin.address.port()),
    );
    fabric.put(shop).await;
    fabric.put(instance("t", "v1", &other.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let to = proxy.address();
    let mut busy = JoinSet::new();
    busy.spawn(request(to, "GET /s/busy", &[]));
    while origin.connections() < 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(request(to, "GET /s/idle", &[]).await.status, 200);
    assert_eq!(origin.connections(), 2);
    // Another address, at which nobody listens.
    say.send_replace(Some(Ok(vec![at(9)])));
    // Brings the next look-up forward.
    let routes = fabric.routes.load_full();
    routes.services["s"].members().usable[0].addresses.doubt();
    let closed = async {
        while *ended.lock().unwrap() != [1] {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, closed).await.unwrap();
    assert_eq!(request(to, "GET /s/", &[]).await.status, 502);
    go.send_replace(true);
    let reply = tokio::time::timeout(DEADLINE, busy.join_next());
    let reply = reply.await.unwrap().unwrap().unwrap();
    assert!(reply.body.ends_with("done"), "{}", reply.body);
}
