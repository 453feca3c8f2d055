//! Instances that do not do what they should.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// What an instance does after it has said what it says.
#[derive(Debug, Clone, Copy)]
pub enum Then {
    /// It ends the connection.
    Close,
    /// It breaks the connection off.
    Reset,
    /// Nothing, for ever.
    Stall,
    /// It says the same again and again, as long as it is read.
    Repeat,
}

/// An instance that treats every connection in the same way.
pub struct Faulty {
    /// Where it listens.
    pub address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Faulty {
    /// One that waits for the first bytes, says `what` and does `then`.
    pub async fn new(what: impl Into<Vec<u8>>, then: Then) -> Self {
        let what = what.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(stream, what.clone(), then));
            }
        });
        Self {
            address,
            _tasks: tasks,
        }
    }

    /// One whose door cannot be reached: nobody accepts, and no more can wait.
    pub async fn full() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        for _ in 0..16 {
            tasks.spawn(async move {
                let _waiting = TcpStream::connect(address).await;
                std::future::pending::<()>().await;
            });
        }
        tasks.spawn(async move {
            let _listener = listener;
            std::future::pending::<()>().await;
        });
        // All have knocked once each has had its first turn.
        tokio::task::yield_now().await;
        Self {
            address,
            _tasks: tasks,
        }
    }
}

async fn serve(mut stream: TcpStream, what: Vec<u8>, then: Then) {
    // Whatever fails here is the other side's end, which is fine.
    let mut heard = vec![0; 64 * 1024];
    let mut length = stream.read(&mut heard).await.unwrap_or(0);
    // In HTTP/2 the request comes after what opens the connection.
    while heard.starts_with(b"PRI") && !asks(&heard[..length]) {
        match stream.read(&mut heard[length..]).await {
            Ok(0) | Err(_) => return,
            Ok(more) => length += more,
        }
    }
    let _ = stream.write_all(&what).await;
    match then {
        Then::Close => {
            let _ = stream.shutdown().await;
            while stream.read(&mut heard).await.is_ok_and(|n| n > 0) {}
        }
        Then::Reset => {
            let _ = stream.set_zero_linger();
        }
        Then::Stall => std::future::pending().await,
        Then::Repeat => while stream.write_all(&what).await.is_ok() {},
    }
}

/// Whether a request is among the frames that follow the preface of HTTP/2.
fn asks(heard: &[u8]) -> bool {
    let mut rest = heard.get(PREFACE.len()..).unwrap_or_default();
    while let [a, b, c, kind, ..] = *rest {
        if kind == HEADERS {
            return true;
        }
        let length = u32::from_be_bytes([0, a, b, c]);
        rest = rest.get(9 + length as usize..).unwrap_or_default();
    }
    false
}

/// What a caller of HTTP/2 begins with (RFC 9113, 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The kind of the frames that hold heads.
pub const HEADERS: u8 = 1;

/// One frame of HTTP/2 (RFC 9113, 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// What an instance that speaks HTTP/2 begins with.
pub fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[])
}

/// The head of a response with status 200 to the first request of a connection.
pub fn head() -> Vec<u8> {
    frame(1, 4, 1, &[0x88])
}
