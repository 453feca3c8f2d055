//! Other domains, asked of other servers.

use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::{Edns, ResponseCode};
use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::A;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::super::message::Transport;
use super::*;

/// A server of another domain, and how often it was asked over UDP and over TCP.
struct Other {
    at: SocketAddr,
    asked: Arc<[AtomicUsize; 2]>,
    _tasks: JoinSet<()>,
}

impl Other {
    /// One that answers as `answer` says; nothing where that is `None`.
    async fn new(answer: fn(&Message, Transport) -> Option<Message>) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(at).await.unwrap();
        let asked: Arc<[AtomicUsize; 2]> = Arc::default();
        let mut tasks = JoinSet::new();
        let (datagrams, streams) = (asked.clone(), asked.clone());
        tasks.spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, caller) = udp.recv_from(&mut buffer).await.unwrap();
                datagrams[0].fetch_add(1, Ordering::SeqCst);
                let question = Message::from_vec(&buffer[..length]).unwrap();
                // Somebody's guess comes first.
                let mut forged = question.clone();
                forged.metadata.id = forged.metadata.id.wrapping_add(1);
                forged.metadata.message_type = MessageType::Response;
                udp.send_to(&forged.to_vec().unwrap(), caller)
                    .await
                    .unwrap();
                if let Some(reply) = answer(&question, Transport::Udp) {
                    udp.send_to(&reply.to_vec().unwrap(), caller).await.unwrap();
                }
            }
        });
        tasks.spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                streams[1].fetch_add(1, Ordering::SeqCst);
                while let Ok(Some(bytes)) = tcp::read(&mut stream).await {
                    let question = Message::from_vec(&bytes).unwrap();
                    if let Some(reply) = answer(&question, Transport::Tcp) {
                        let reply = reply.to_vec().unwrap();
                        tcp::write(&mut stream, &reply).await.unwrap();
                    }
                }
            }
        });
        Self {
            at,
            asked,
            _tasks: tasks,
        }
    }

    fn asked(&self) -> [usize; 2] {
        [0, 1].map(|n| self.asked[n].load(Ordering::SeqCst))
    }
}

fn reply_to(question: &Message, code: ResponseCode) -> Message {
    let mut reply = question.clone().into_response();
    reply.metadata.response_code = code;
    reply.metadata.recursion_available = true;
    reply
}

fn knowing(question: &Message, over: Transport) -> Option<Message> {
    let mut reply = reply_to(question, ResponseCode::NoError);
    let name = question.queries[0].name.clone();
    if name.to_string().starts_with("big") && over == Transport::Udp {
        reply.metadata.truncation = true;
    } else {
        let address = RData::A(A::new(192, 0, 2, 7));
        reply.add_answer(Record::from_rdata(name, 60, address));
    }
    Some(reply)
}

fn failing(question: &Message, _: Transport) -> Option<Message> {
    Some(reply_to(question, ResponseCode::ServFail))
}

fn silent(_: &Message, _: Transport) -> Option<Message> {
    None
}

#[tokio::test]
async fn other_domains_are_asked_of_the_other_server() {
    let other = Other::new(knowing).await;
    let kit = Kit::new(vec![instance("web", "", "10.0.0.1:80")], &[other.at]).await;
    let mut asked = question("Www.Example.com", RecordType::A);
    asked.set_edns(Edns::new());
    let reply = kit.ask(&asked).await;
    assert_eq!(told(&reply), ["192.0.2.7"]);
    assert_eq!(reply.metadata.id, asked.metadata.id);
    assert!(reply.metadata.recursion_available && !reply.metadata.authoritative);
    assert!(reply.queries[0].name.eq_case(&asked.queries[0].name));
    assert!(reply.edns.is_some());
    assert_eq!(other.asked(), [1, 0]);
    // What is too big for a datagram is asked for again over TCP, by the caller.
    let big = question("big.example.com", RecordType::A);
    assert!(kit.ask(&big).await.metadata.truncation);
    let mut stream = TcpStream::connect(kit.at).await.unwrap();
    tcp::write(&mut stream, &big.to_vec().unwrap())
        .await
        .unwrap();
    let whole = timeout(DEADLINE, tcp::read(&mut stream)).await;
    let whole = Message::from_vec(&whole.unwrap().unwrap().unwrap()).unwrap();
    assert_eq!(told(&whole), ["192.0.2.7"]);
    assert_eq!(other.asked(), [2, 1]);
    // The own domain is not asked of others; neither are transfers, nor other classes.
    let own = kit.query("web.amalgam8", RecordType::A).await;
    assert!(own.metadata.authoritative && own.metadata.recursion_available);
    let missing = kit.query("missing.amalgam8", RecordType::A).await;
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
    let transfer = kit.query("example.com", RecordType::AXFR).await;
    assert_eq!(transfer.metadata.response_code, ResponseCode::Refused);
    assert_eq!(other.asked(), [2, 1]);
}

#[tokio::test]
async fn one_that_fails_or_is_silent_is_passed_over() {
    let (bad, good) = (Other::new(failing).await, Other::new(knowing).await);
    let quiet = Other::new(silent).await;
    let kit = Kit::new(vec![], &[bad.at, quiet.at, good.at]).await;
    for _ in 0..3 {
        let reply = kit.query("example.com", RecordType::A).await;
        assert_eq!(told(&reply), ["192.0.2.7"]);
    }
    // The one that answered is asked first from then on.
    assert_eq!(
        [bad.asked(), quiet.asked(), good.asked()],
        [[1, 0], [1, 0], [3, 0]]
    );
}

#[tokio::test]
async fn without_an_answer_the_question_fails() {
    let gone = {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.local_addr().unwrap()
    };
    let quiet = Other::new(silent).await;
    for upstream in [gone, quiet.at] {
        let kit = Kit::new(vec![], &[upstream]).await;
        let reply = kit.query("example.com", RecordType::A).await;
        assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
        assert!(reply.metadata.recursion_available);
        // Those that know are not kept waiting by those that do not.
        let own = kit.query("amalgam8", RecordType::SOA).await;
        assert_eq!(own.metadata.response_code, ResponseCode::NoError);
    }
}
