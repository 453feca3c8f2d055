//! Sizes, streams, many at a time.

use std::collections::HashSet;

use futures_util::{StreamExt, stream};
use hickory_proto::op::{Edns, ResponseCode};

use super::*;

fn many(count: usize) -> Vec<Instance> {
    let address = |n: usize| format!("10.1.{}.{}:80", n / 256, n % 256);
    (0..count)
        .map(|n| instance("many", "", &address(n)))
        .collect()
}

fn with_edns(name: &str, kind: RecordType, payload: u16) -> Message {
    let mut message = question(name, kind);
    let mut edns = Edns::new();
    edns.set_max_payload(payload).set_dnssec_ok(true);
    message.set_edns(edns);
    message
}

async fn stream(kit: &Kit) -> TcpStream {
    TcpStream::connect(kit.at).await.unwrap()
}

async fn receive(stream: &mut TcpStream) -> Message {
    let message = timeout(DEADLINE, tcp::read(stream)).await;
    Message::from_vec(&message.unwrap().unwrap().unwrap()).unwrap()
}

#[tokio::test]
async fn a_datagram_has_the_room_that_its_caller_has() {
    let kit = Kit::new(many(200), &[]).await;
    for (payload, room) in [
        (None, 512),
        (Some(100), 512),
        (Some(800), 800),
        (Some(4096), 1232),
    ] {
        let asked = match payload {
            Some(payload) => with_edns("many.amalgam8", RecordType::A, payload),
            None => question("many.amalgam8", RecordType::A),
        };
        let bytes = kit.send(&asked.to_vec().unwrap()).await;
        assert!(
            bytes.len() <= room && bytes.len() + 32 > room,
            "{payload:?}: {}",
            bytes.len()
        );
        let reply = Message::from_vec(&bytes).unwrap();
        assert!(reply.metadata.truncation, "{payload:?}");
        assert!(reply.answers.len() > 10, "{payload:?}");
        assert_eq!(reply.edns.is_some(), payload.is_some());
        if let Some(edns) = reply.edns {
            assert_eq!((edns.max_payload(), edns.version()), (1232, 0));
            assert!(edns.flags().dnssec_ok);
        }
    }
    let few = Kit::new(many(20), &[]).await;
    let reply = few.query("many.amalgam8", RecordType::A).await;
    assert!(!reply.metadata.truncation);
    assert_eq!(reply.answers.len(), 20);
}

#[tokio::test]
async fn what_is_additional_is_left_out_without_a_word() {
    let kit = Kit::new(many(9), &[]).await;
    let reply = kit.query("_many._http.amalgam8", RecordType::SRV).await;
    assert!(!reply.metadata.truncation, "{reply:?}");
    assert_eq!(reply.answers.len(), 9);
    assert!(reply.additionals.len() < 9, "{reply:?}");
    let asked = with_edns("_many._http.amalgam8", RecordType::SRV, 1232);
    assert_eq!(kit.ask(&asked).await.additionals.len(), 9);
}

#[tokio::test]
async fn a_stream_has_room_for_all_and_takes_several_questions() {
    let kit = Kit::new(many(300), &[]).await;
    let mut stream = stream(&kit).await;
    let mut asked = HashSet::new();
    for n in 0..20 {
        let name = if n % 2 == 0 {
            "many.amalgam8"
        } else {
            "_many._http.amalgam8"
        };
        let kind = if n % 2 == 0 {
            RecordType::A
        } else {
            RecordType::SRV
        };
        let mut message = question(name, kind);
        message.metadata.id = n;
        asked.insert(n);
        tcp::write(&mut stream, &message.to_vec().unwrap())
            .await
            .unwrap();
    }
    while !asked.is_empty() {
        let reply = receive(&mut stream).await;
        assert!(asked.remove(&reply.metadata.id));
        assert!(!reply.metadata.truncation);
        let different: HashSet<_> = told(&reply).into_iter().collect();
        assert_eq!(different.len(), 300);
    }
}

#[tokio::test]
async fn a_stream_that_sends_rubbish_harms_nobody() {
    let kit = Kit::new(many(3), &[]).await;
    let mut other = stream(&kit).await;
    let mut stream = stream(&kit).await;
    for rubbish in [&[][..], &[1], &[0; 11], &[0; 12], &[255; 400]] {
        tcp::write(&mut stream, rubbish).await.unwrap();
    }
    // Of these only the header without a question is replied to.
    let reply = receive(&mut stream).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::FormErr);
    let asked = question("many.amalgam8", RecordType::A).to_vec().unwrap();
    for stream in [&mut stream, &mut other] {
        // In pieces, as networks like it.
        let whole = [&(asked.len() as u16).to_be_bytes()[..], &asked].concat();
        for piece in whole.chunks(5) {
            use tokio::io::AsyncWriteExt;
            stream.write_all(piece).await.unwrap();
            stream.flush().await.unwrap();
        }
        assert_eq!(receive(stream).await.answers.len(), 3);
    }
}

#[tokio::test]
async fn more_than_a_message_holds_is_a_part_of_it() {
    let kit = Kit::new(many(3000), &[]).await;
    let mut stream = stream(&kit).await;
    for (name, kind) in [
        ("many.amalgam8", RecordType::A),
        ("_many._http.amalgam8", RecordType::SRV),
    ] {
        let message = question(name, kind);
        tcp::write(&mut stream, &message.to_vec().unwrap())
            .await
            .unwrap();
        let reply = receive(&mut stream).await;
        assert!(reply.answers.len() > 500, "{}", reply.answers.len());
        assert!(!reply.metadata.truncation);
    }
}

#[tokio::test]
async fn answers_come_in_any_order() {
    let kit = Kit::new(many(10), &[]).await;
    let mut first = HashSet::new();
    for _ in 0..100 {
        let reply = kit.query("many.amalgam8", RecordType::A).await;
        first.insert(format!("{:?}", reply.answers[0].data));
    }
    assert!(first.len() > 3, "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_questions_at_a_time_are_all_answered() {
    let kit = Kit::new(many(5), &[]).await;
    let at = kit.at;
    // Each caller has some questions on the way, no more than the socket's buffer holds.
    let callers = (0..50_u16).map(|caller| async move {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(at).await.unwrap();
        let mut buffer = [0; 1500];
        for round in 0..50_u16 {
            let mut waiting = HashSet::new();
            for n in 0..4 {
                let mut asked = question("many.amalgam8", RecordType::A);
                asked.metadata.id = caller << 10 | round << 2 | n;
                waiting.insert(asked.metadata.id);
                socket.send(&asked.to_vec().unwrap()).await.unwrap();
            }
            while !waiting.is_empty() {
                let length = timeout(DEADLINE, socket.recv(&mut buffer)).await;
                let reply = Message::from_vec(&buffer[..length.unwrap().unwrap()]).unwrap();
                assert!(waiting.remove(&reply.metadata.id));
                assert_eq!(reply.answers.len(), 5);
            }
        }
        200
    });
    let all: Vec<usize> = stream::iter(callers).buffer_unordered(50).collect().await;
    assert_eq!(all.iter().sum::<usize>(), 10_000);
    let families = kit.registry.gather();
    let counted = families.iter().find(|f| f.name() == "a8_dns_queries_total");
    let series = counted.unwrap().get_metric();
    assert_eq!(series.len(), 1);
    assert_eq!(series[0].get_counter().get_value() as usize, 10_000);
}

#[tokio::test]
async fn it_ends_when_it_is_told_to_and_leaves_its_port() {
    let kit = Kit::new(many(1), &[]).await;
    let mut open = stream(&kit).await;
    let (at, tasks) = (kit.at, kit.tasks.clone());
    timeout(DEADLINE, tasks.finish(DEADLINE)).await.unwrap();
    let end = timeout(DEADLINE, tcp::read(&mut open)).await.unwrap();
    assert!(matches!(end, Ok(None) | Err(_)));
    let again = listen::bind(&Listen::At(vec![at])).unwrap();
    assert_eq!(again[0].address, at);
    // Now it is taken, and the settings that ask for it are named.
    let taken = listen::bind(&Listen::At(vec![at])).err().unwrap();
    let told = taken.to_string();
    assert!(
        told.contains("dns_port") && told.contains(&at.to_string()),
        "{told}"
    );
    let both = listen::bind(&Listen::Loopback(0)).unwrap();
    let ports: HashSet<_> = both.iter().map(|b| b.address.port()).collect();
    assert_eq!(ports.len(), 1);
}
