//! Questions in streams (RFC 7766): each message has its length before it, in two bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use a8_common::task::Stop;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::message::Transport;
use super::server::{Server, Step};

/// The most connections of one listener. Further ones wait until one ends.
const MAX_CONNECTIONS: usize = 256;
/// How long a connection may be without a question, and how long a message may take to come
/// or to go.
const IDLE: Duration = Duration::from_secs(10);
/// The most questions of one connection that are worked on; further ones are not read yet.
const AT_ONCE: usize = 16;
/// A pause after a failed accept: descriptors do not come back by asking at once.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves the connections that `listener` accepts until `stop` fires; what is open then is cut.
pub(super) async fn serve(server: Arc<Server>, listener: TcpListener, stop: Stop) {
    let mut connections = JoinSet::new();
    let mut failing = false;
    loop {
        let room = connections.len() < MAX_CONNECTIONS;
        let accepted = tokio::select! {
            () = stop.wait() => return,
            // Takes out those that have ended.
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if room => accepted,
        };
        match accepted {
            Ok((stream, caller)) => {
                failing = false;
                connections.spawn(converse(server.clone(), stream, caller));
            }
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    warn!(%error, "connections cannot be accepted");
                }
                tokio::select! {
                    () = stop.wait() => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }
}

/// Answers the questions of one connection, each as soon as its answer is known.
async fn converse(server: Arc<Server>, stream: TcpStream, caller: SocketAddr) {
    let (reading, mut writing) = stream.into_split();
    let questions = stream::unfold(reading, |mut reading| async move {
        let question = timeout(IDLE, read(&mut reading)).await;
        Some((question.ok()?.ok()??, reading))
    });
    let replies = questions
        .map(|question| reply(server.clone(), question))
        .buffer_unordered(AT_ONCE);
    let mut replies = std::pin::pin!(replies);
    while let Some(reply) = replies.next().await {
        let Some(reply) = reply else { continue };
        let written = timeout(IDLE, write(&mut writing, &reply)).await;
        if !matches!(written, Ok(Ok(()))) {
            debug!(%caller, "a caller was gone, or did not read its replies");
            return;
        }
    }
}

async fn reply(server: Arc<Server>, question: Vec<u8>) -> Option<Vec<u8>> {
    match server.step(&question, Transport::Tcp) {
        Step::Nothing => None,
        Step::Reply(reply) => Some(reply),
        Step::Forward(question) => {
            let (asked, query) = *question;
            server.forward(&asked, &query, Transport::Tcp).await
        }
    }
}

/// The next message; `None` at the end of the stream. Not cancel-safe: part of a message may
/// have been read.
///
/// # Errors
/// Those of the stream, and its end within a message.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 2];
    match stream.read_exact(&mut length[..1]).await {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        begun => begun?,
    };
    stream.read_exact(&mut length[1..]).await?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

/// Writes a message with its length before it, in one piece (RFC 7766, 8).
///
/// # Errors
/// Those of the stream, and a message that is too long for one.
pub(super) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &[u8],
) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let whole = [&length.to_be_bytes()[..], message].concat();
    stream.write_all(&whole).await
}
