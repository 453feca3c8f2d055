//! The servers that know other domains.
//!
//! A question is sent on as it came, under an id and from a port of its own that nobody can
//! guess (RFC 5452), over what it came by: whoever is told that a datagram had no room for all
//! comes back over TCP, and so does the question here.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use super::message::{Asked, HEADER, MAX_PAYLOAD, OPT, RESPONSE, Transport};
use super::tcp;

/// How long one server is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long all of them together are: callers ask again after five seconds.
const TOTAL: Duration = Duration::from_millis(4500);
/// The most questions at a time; one more fails at once.
const AT_ONCE: usize = 512;
/// Codes for which another server is asked: it failed, or it does not want to.
const SERVFAIL: u8 = 2;
const REFUSED: u8 = 5;

/// Asks the other servers.
pub(super) struct Forwarder {
    upstreams: Vec<SocketAddr>,
    /// Which one is asked first: the one that answered last.
    first: AtomicUsize,
    slots: Semaphore,
}

impl Forwarder {
    /// One that asks `upstreams`, in this order at first; `None` when there are none.
    pub(super) fn new(upstreams: &[SocketAddr]) -> Option<Self> {
        (!upstreams.is_empty()).then(|| Self {
            upstreams: upstreams.to_vec(),
            first: AtomicUsize::new(0),
            slots: Semaphore::new(AT_ONCE),
        })
    }

    /// The reply of the first server that has a good one, or the last bad one. `None` when
    /// nobody answered in time, or too many are waiting for answers already.
    ///
    /// Cancel-safe.
    pub(super) async fn ask(
        &self,
        asked: &Asked,
        query: &Query,
        over: Transport,
    ) -> Option<Vec<u8>> {
        let Ok(_slot) = self.slots.try_acquire() else {
            debug!("too many questions are forwarded already");
            return None;
        };
        let mut bad = None;
        let _ = timeout(TOTAL, async {
            let count = self.upstreams.len();
            let first = self.first.load(Ordering::Relaxed);
            for place in (0..count).map(|turn| (first + turn) % count) {
                let upstream = self.upstreams[place];
                match timeout(PATIENCE, exchange(upstream, asked, query, over)).await {
                    Ok(Ok(reply)) => {
                        let code = reply.get(3).map_or(SERVFAIL, |flags| flags & 0x0f);
                        let good = !matches!(code, SERVFAIL | REFUSED);
                        bad = Some(reply);
                        if good {
                            self.first.store(place, Ordering::Relaxed);
                            return;
                        }
                    }
                    Ok(Err(error)) => debug!(%upstream, %error, "does not answer"),
                    Err(_) => debug!(%upstream, "does not answer in time"),
                }
            }
        })
        .await;
        bad
    }
}

/// A question of our own, and how to know its reply.
struct Question {
    bytes: Vec<u8>,
    /// Where the question itself ends.
    end: usize,
}

impl Question {
    fn new(asked: &Asked, query: &Query) -> io::Result<Self> {
        let id = getrandom::u32().map_err(io::Error::other)? as u16;
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = asked.recursion;
        message.metadata.checking_disabled = asked.unchecked;
        message.add_query(query.clone());
        let mut end = 0;
        if let Some(theirs) = asked.edns {
            let mut edns = Edns::new();
            // What fits the caller's datagram, so that the reply can be passed on as it is.
            edns.set_max_payload(asked.room(Transport::Udp).min(MAX_PAYLOAD));
            edns.set_dnssec_ok(theirs.dnssec);
            message.set_edns(edns);
            end = OPT;
        }
        let bytes = message.to_vec().map_err(io::Error::other)?;
        let end = bytes.len().saturating_sub(end);
        Ok(Self { bytes, end })
    }

    /// Whether `reply` is one to this question, and not somebody's guess.
    fn is_answered_by(&self, reply: &[u8]) -> bool {
        let (Some(sent), Some(got)) = (
            self.bytes.get(HEADER..self.end),
            reply.get(HEADER..self.end),
        ) else {
            return false;
        };
        reply[..2] == self.bytes[..2]
            && reply[2] & RESPONSE != 0
            && reply[4..6] == [0, 1]
            && got.eq_ignore_ascii_case(sent)
    }
}

async fn exchange(
    upstream: SocketAddr,
    asked: &Asked,
    query: &Query,
    over: Transport,
) -> io::Result<Vec<u8>> {
    let question = Question::new(asked, query)?;
    match over {
        Transport::Udp => by_datagram(upstream, &question).await,
        Transport::Tcp => by_stream(upstream, &question).await,
    }
}

async fn by_datagram(upstream: SocketAddr, question: &Question) -> io::Result<Vec<u8>> {
    let any = match upstream.is_ipv4() {
        true => Ipv4Addr::UNSPECIFIED.into(),
        false => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    // Nobody else's datagrams are heard from here on.
    socket.connect(upstream).await?;
    socket.send(&question.bytes).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if question.is_answered_by(&buffer[..length]) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn by_stream(upstream: SocketAddr, question: &Question) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(upstream).await?;
    tcp::write(&mut stream, &question.bytes).await?;
    match tcp::read(&mut stream).await? {
        Some(reply) if question.is_answered_by(&reply) => Ok(reply),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
