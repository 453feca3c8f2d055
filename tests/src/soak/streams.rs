//! The load that is bytes: TCP, upgrades, and callers that break off within what they say.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join_all};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ground::{Ground, Kind};
use crate::caller::{Caller, get, request};
use crate::wait::PATIENCE;

const PAUSE: Duration = Duration::from_millis(15);
const UPGRADE: &str =
    "GET /steady/talk HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/// All of it, until it is to end.
pub(super) async fn all(ground: &Ground) {
    let all: Vec<LocalBoxFuture<'_, ()>> = vec![
        wire(ground).boxed_local(),
        wire(ground).boxed_local(),
        upgrade(ground).boxed_local(),
        break_off(ground).boxed_local(),
        break_off_streams(ground).boxed_local(),
    ];
    join_all(all).await;
}

async fn wire(ground: &Ground) {
    ground
        .keep(Kind::Wire, PAUSE, async || {
            let talk = async {
                let mut stream = TcpStream::connect(ground.wire).await?;
                let mut hello = [0; 3];
                stream.read_exact(&mut hello).await?;
                let size = fastrand::usize(1..100_000);
                talk(&mut stream, size).await?;
                stream.shutdown().await?;
                stream.read_to_end(&mut Vec::new()).await.map(|_| hello)
            };
            match within(talk).await? {
                hello if &hello == b"v1\n" => Ok(()),
                hello => Err(format!("wrong: from {hello:?}")),
            }
        })
        .await;
}

async fn upgrade(ground: &Ground) {
    ground
        .keep(Kind::Upgrade, PAUSE, async || {
            within(async {
                let mut stream = TcpStream::connect(ground.http).await?;
                stream.write_all(UPGRADE.as_bytes()).await?;
                let head = head(&mut stream).await?;
                if !head.starts_with("HTTP/1.1 101 ") {
                    return Err(std::io::Error::other(head));
                }
                for _ in 0..3 {
                    talk(&mut stream, 1_000).await?;
                }
                stream.shutdown().await?;
                let left = stream.read_to_end(&mut Vec::new()).await?;
                match left {
                    0 => Ok(()),
                    n => Err(std::io::Error::other(format!("{n} bytes too many"))),
                }
            })
            .await
        })
        .await;
}

/// Callers of HTTP/1.1 that leave: within the head, within the body that they send, before
/// there is an answer, and within it.
async fn break_off(ground: &Ground) {
    let mut turn = 0;
    ground
        .keep(Kind::BreakOff, PAUSE, async || {
            turn += 1;
            let said = match turn % 4 {
                0 => "GET /steady/small HTTP/1.1\r\nHost: x\r\nX-Half",
                1 => "POST /mortal/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
                2 => "GET /faulty/x HTTP/1.1\r\nHost: x\r\n\r\n",
                _ => "GET /mortal/pieces/10 HTTP/1.1\r\nHost: x\r\n\r\n",
            };
            within(async {
                let mut stream = TcpStream::connect(ground.http).await?;
                stream.write_all(said.as_bytes()).await?;
                if turn % 4 == 3 {
                    // While an instance dies there may be no answer to break off.
                    let _ = head(&mut stream).await;
                }
                match turn % 8 < 4 {
                    true => stream.set_zero_linger(),
                    false => Ok(()),
                }
            })
            .await
        })
        .await;
}

/// Callers of HTTP/2 that cancel streams, now and then with the connection.
async fn break_off_streams(ground: &Ground) {
    let (mut caller, mut turn) = (Caller::two(ground.http), 0);
    ground
        .keep(Kind::BreakOff, PAUSE, async || {
            turn += 1;
            for path in ["/steady/pieces/10", "/mortal/pieces/10", "/faulty/x"] {
                let body = vec![7; 100_000];
                let begun = caller.begin(get(path)).await?;
                let sending = caller.begin(request(Method::POST, path, body)).await?;
                let wait = Duration::from_millis(fastrand::u64(0..60));
                // Whatever has come of them by then.
                let _ = timeout(wait, join_all([begun, sending])).await;
            }
            if turn % 10 == 0 {
                caller.close();
            }
            Ok(())
        })
        .await;
}

/// Sends `size` bytes and reads as many.
async fn talk(stream: &mut TcpStream, size: usize) -> std::io::Result<()> {
    let sent: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
    let mut heard = vec![0; size];
    let (mut read, mut write) = stream.split();
    tokio::try_join!(write.write_all(&sent), read.read_exact(&mut heard))?;
    match sent == heard {
        true => Ok(()),
        false => Err(std::io::Error::other("wrong: other bytes than were sent")),
    }
}

/// The head of a response.
async fn head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Nothing that works takes as long as this.
async fn within<T>(step: impl Future<Output = std::io::Result<T>>) -> Result<T, String> {
    match timeout(PATIENCE, step).await {
        Ok(outcome) => outcome.map_err(|e| e.to_string()),
        Err(_) => Err(format!("nothing within {PATIENCE:?}")),
    }
}
