//! Questions in datagrams.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use a8_common::task::Stop;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::message::Transport;
use super::server::{Server, Step};

/// The longest question. One without much to say has some forty bytes.
const MAX_QUESTION: usize = 4096;
/// The most forwarded questions of one socket that wait; the forwarder has its own bound, this
/// one is for what waits to be sent.
const MAX_WAITING: usize = 1024;
/// A pause after a socket that fails: it would fail again at once.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers what comes by `socket` until `stop` fires.
pub(super) async fn serve(server: Arc<Server>, socket: UdpSocket, stop: Stop) {
    let socket = Arc::new(socket);
    let mut forwarded = JoinSet::new();
    let mut buffer = vec![0; MAX_QUESTION];
    let mut failing = false;
    loop {
        let received = tokio::select! {
            () = stop.wait() => return,
            received = socket.recv_from(&mut buffer) => received,
            // Takes out those that have ended.
            Some(_) = forwarded.join_next() => continue,
        };
        let (length, caller) = match received {
            Ok(received) => received,
            // A caller that had gone when the reply came; some systems tell it here.
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    warn!(%error, "questions cannot be received");
                }
                tokio::select! {
                    () = stop.wait() => return,
                    () = tokio::time::sleep(PAUSE) => continue,
                }
            }
        };
        failing = false;
        match server.step(&buffer[..length], Transport::Udp) {
            Step::Nothing => {}
            Step::Reply(reply) => send(&socket, caller, &reply).await,
            Step::Forward(_) if forwarded.len() >= MAX_WAITING => {}
            Step::Forward(question) => {
                let (server, socket) = (server.clone(), socket.clone());
                forwarded.spawn(async move {
                    let (asked, query) = *question;
                    if let Some(reply) = server.forward(&asked, &query, Transport::Udp).await {
                        send(&socket, caller, &reply).await;
                    }
                });
            }
        }
    }
}

async fn send(socket: &UdpSocket, caller: SocketAddr, reply: &[u8]) {
    // Whoever misses it asks again.
    if let Err(error) = socket.send_to(reply, caller).await {
        debug!(%caller, %error, "a reply could not be sent");
    }
}
