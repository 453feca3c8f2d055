//! Whatever comes is replied to as the standards say, and breaks nothing.

use std::sync::LazyLock;

use arc_swap::ArcSwap;
use hickory_proto::op::{Edns, ResponseCode};

use super::super::message::{HEADER, MAX_PAYLOAD, Transport};
use super::*;
use crate::dns::entry::Entry;
use crate::dns::index::Index;
use crate::proxy::fuzz::{INPUTS, mutant};
use server::Step;

const WORDS: [&[u8]; 12] = [
    b"\x07reviews\x08amalgam8\x00",
    b"\x08amalgam8\x00",
    b"\x04_tcp",
    b"\x02v1",
    b"\xc0\x0c",
    b"\xc0\xff",
    b"\x00\x01\x00\x01",
    b"\x00\x21\x00\x01",
    b"\x00\xfc\x00\x01",
    b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00",
    b"\x3f",
    b"\xff\xff",
];

fn server() -> Server {
    let domain: Domain = "amalgam8".parse().unwrap();
    let mut index = Index {
        loaded: true,
        ..Index::default()
    };
    let entries = (0..80).map(|n| instance("reviews", "v1,a=b", &format!("10.0.0.{n}:80")));
    let entries = entries.map(|i| Arc::new(Entry::new(&i, &domain).unwrap()));
    index
        .services
        .insert(b"reviews"[..].into(), entries.collect());
    Server {
        zone: Zone::new(domain, Arc::new(ArcSwap::from_pointee(index))),
        forwarder: None,
        metrics: Metrics::new(&Registry::new()).unwrap(),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let mut with_edns = question("_reviews._http.amalgam8", RecordType::SRV);
    with_edns.set_edns(Edns::new());
    [
        question("v1.reviews.amalgam8", RecordType::A),
        question("b.a.reviews.amalgam8", RecordType::AAAA),
        question("example.com", RecordType::ANY),
        with_edns,
    ]
    .map(|message| message.to_vec().unwrap())
    .into()
}

fn check(server: &Server, packet: &[u8], over: Transport) {
    let reply = match server.step(packet, over) {
        Step::Nothing => {
            assert!(packet.len() < HEADER || packet[2] & 0x80 != 0);
            return;
        }
        Step::Reply(reply) => reply,
        Step::Forward(_) => panic!("there is nobody to ask"),
    };
    assert!(over == Transport::Tcp || reply.len() <= MAX_PAYLOAD.into());
    assert_eq!(reply[..2], packet[..2]);
    assert_eq!(reply[2] & 0xf9, packet[2] & 0x79 | 0x80);
    let reply = Message::from_vec(&reply).unwrap();
    let code = reply.metadata.response_code;
    if packet[2] & 0x78 != 0 {
        assert_eq!(code, ResponseCode::NotImp);
    } else if packet[4..6] != [0, 1] {
        assert_eq!(code, ResponseCode::FormErr);
    }
    if let Some(query) = reply.queries.first() {
        let asked = &Message::from_vec(packet).unwrap().queries[0];
        assert!(query == asked && query.name.eq_case(&asked.name));
    } else {
        assert!(matches!(code, ResponseCode::NotImp | ResponseCode::FormErr));
    }
    if !reply.answers.is_empty() {
        assert!(reply.metadata.authoritative && code == ResponseCode::NoError);
    }
}

static SERVER: LazyLock<Server> = LazyLock::new(server);
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(seeds);

fn run(input: &[u8]) {
    let seeds: Vec<&[u8]> = SEEDS.iter().map(Vec::as_slice).collect();
    for over in [Transport::Udp, Transport::Tcp] {
        check(&SERVER, input, over);
        check(&SERVER, &mutant(input, &seeds, &WORDS), over);
    }
}

#[test]
fn any_message_is_replied_to_by_the_rules() {
    bolero::check!().with_iterations(INPUTS).for_each(run);
}

#[tokio::test]
async fn a_flood_of_rubbish_leaves_the_server_answering() {
    let kit = Kit::new(vec![instance("web", "", "10.0.0.1:80")], &[]).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(kit.at).await.unwrap();
    for _ in 0..5000 {
        let length = fastrand::usize(..200);
        let bytes: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
            .take(length)
            .collect();
        socket.send(&bytes).await.unwrap();
    }
    eventually(async || {
        let asked = question("web.amalgam8", RecordType::A).to_vec().unwrap();
        let asker = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        asker.connect(kit.at).await.unwrap();
        asker.send(&asked).await.unwrap();
        let mut buffer = [0; 512];
        // It may have been dropped where too many were waiting.
        let length = timeout(std::time::Duration::from_secs(1), asker.recv(&mut buffer)).await;
        matches!(length, Ok(Ok(length)) if told(&Message::from_vec(&buffer[..length]).unwrap()) == ["10.0.0.1"])
    })
    .await;
}
