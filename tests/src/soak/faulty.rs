//! An instance that never answers well: what it does to a connection is drawn anew each time.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::churn;
use crate::fabric::Fabric;

/// What it says before it breaks off, stalls, or both.
const SAID: [&str; 7] = [
    "",
    "HTTP/1.1 20",
    "HTTP/1.1 200 OK\r\nContent-Le",
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno length\r\n",
    "SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
];
/// How many of them are within a head, so that a stall is ended by the rule's time limit.
const HEADS: usize = 3;

/// The instance.
pub(super) struct Faulty {
    id: String,
    _task: JoinSet<()>,
}

impl Faulty {
    /// Starts it, registered.
    pub(super) async fn start(fabric: &Fabric) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                        open.spawn(serve(stream));
                    },
                    Some(_) = open.join_next() => {}
                }
            }
        });
        let id = register(fabric, address).await;
        Self { id, _task: task }
    }

    /// Takes it out of the registry.
    pub(super) async fn leave(self, fabric: &Fabric) {
        churn::deregister(fabric, &self.id).await;
    }
}

async fn register(fabric: &Fabric, address: SocketAddr) -> String {
    let instance = json!({
        "service_name": "faulty", "tags": ["v1"], "ttl": 600,
        "endpoint": {"type": "http", "value": address.to_string()},
    });
    churn::register(fabric, &instance).await
}

async fn serve(mut stream: TcpStream) {
    let mut heard = [0; 4096];
    // Whatever fails here is the other side's end, which is fine.
    let _ = stream.read(&mut heard).await;
    let what = fastrand::usize(..SAID.len());
    let _ = stream.write_all(SAID[what].as_bytes()).await;
    match fastrand::u8(..3) {
        0 => {
            let _ = stream.set_zero_linger();
        }
        // It says no more, and waits for the other side to give up.
        1 if what < HEADS => while stream.read(&mut heard).await.is_ok_and(|n| n > 0) {},
        _ => {
            let _ = stream.shutdown().await;
            while stream.read(&mut heard).await.is_ok_and(|n| n > 0) {}
        }
    }
}
