//! One question each: code, flags, answers.

use hickory_proto::op::{Edns, ResponseCode};
use hickory_proto::rr::DNSClass;

use super::*;

fn shop() -> Vec<Instance> {
    vec![
        instance("reviews", "v1,version=1.0", "10.0.0.1:9080"),
        instance("reviews", "v2,version=2.0", "10.0.0.2:9080"),
        instance("reviews", "v2", "[fd00::2]:9080"),
        with("reviews", "v3", "10.0.0.3:9080", "STARTING", "http"),
        with("reviews", "v3", "10.0.0.4:9080", "OUT_OF_SERVICE", "http"),
        with("db", "", "10.0.1.1:5432", "UP", "tcp"),
        with("db", "", "10.0.1.1:5433", "UP", "tcp"),
        with("six", "", "[fd00::1]:53", "UP", "udp"),
        instance("orders.shop", "", "10.0.2.1:80"),
        instance("outside", "", "both.test:81"),
        instance("lost", "", "gone.test:81"),
        with("portless", "", "10.0.3.1", "UP", "tcp"),
    ]
}

#[tokio::test]
async fn what_is_asked_is_answered() {
    use RecordType::{A, AAAA, ANY, AXFR, CNAME, IXFR, MX, NS, SOA, SRV, TXT};
    use ResponseCode::{NXDomain, NoError, Refused};
    let kit = Kit::new(shop(), &[]).await;
    // Its host name is looked up ahead of time.
    eventually(async || kit.query("outside.amalgam8", A).await.answers.len() == 1).await;
    let id = "reviews-10.0.0.1:9080";
    let own = format!("{id}.reviews.amalgam8");
    for (name, kind, code, answers) in [
        ("db.amalgam8", A, NoError, &["10.0.1.1"][..]),
        ("DB.Amalgam8", A, NoError, &["10.0.1.1"]),
        ("reviews.amalgam8", A, NoError, &["10.0.0.1", "10.0.0.2"]),
        ("reviews.amalgam8", AAAA, NoError, &["fd00::2"]),
        ("v1.reviews.amalgam8", A, NoError, &["10.0.0.1"]),
        ("v1.reviews.amalgam8", AAAA, NoError, &[]),
        ("v2.reviews.amalgam8", A, NoError, &["10.0.0.2"]),
        ("http.v2.reviews.amalgam8", A, NoError, &["10.0.0.2"]),
        ("https.v2.reviews.amalgam8", A, NXDomain, &[]),
        ("1.0.version.reviews.amalgam8", A, NoError, &["10.0.0.1"]),
        ("version=2.0.reviews.amalgam8", A, NoError, &["10.0.0.2"]),
        ("version.reviews.amalgam8", A, NoError, &[]),
        ("v3.reviews.amalgam8", A, NXDomain, &[]),
        (&own, A, NoError, &["10.0.0.1"]),
        ("six.amalgam8", AAAA, NoError, &["fd00::1"]),
        ("six.amalgam8", A, NoError, &[]),
        ("orders.shop.amalgam8", A, NoError, &["10.0.2.1"]),
        ("shop.amalgam8", A, NoError, &[]),
        ("other.shop.amalgam8", A, NXDomain, &[]),
        ("outside.amalgam8", A, NoError, &["10.9.0.1"]),
        ("outside.amalgam8", AAAA, NoError, &["fd00::9"]),
        ("nobody.amalgam8", A, NXDomain, &[]),
        ("nobody.amalgam8", SRV, NXDomain, &[]),
        ("\u{1}\u{2}.amalgam8", A, NXDomain, &[]),
        ("*.amalgam8", A, NXDomain, &[]),
        ("reviews.amalgam8", SRV, NoError, &[]),
        ("reviews.amalgam8", TXT, NoError, &[]),
        ("reviews.amalgam8", CNAME, NoError, &[]),
        ("reviews.amalgam8", MX, NoError, &[]),
        ("reviews.amalgam8", ANY, NoError, &["RFC8482"]),
        ("reviews.amalgam8", AXFR, Refused, &[]),
        ("amalgam8", AXFR, Refused, &[]),
        ("amalgam8", IXFR, Refused, &[]),
        ("amalgam8", SOA, NoError, &["localhost."]),
        ("amalgam8", NS, NoError, &["localhost."]),
        ("amalgam8", A, NoError, &[]),
        ("amalgam8", ANY, NoError, &["RFC8482"]),
        ("_portless._tcp.amalgam8", SRV, NoError, &[]),
        ("portless.amalgam8", A, NoError, &["10.0.3.1"]),
        ("_nobody._tcp.amalgam8", SRV, NXDomain, &[]),
        ("_tcp.amalgam8", SRV, NoError, &[]),
        ("_db._tcp.amalgam8", A, NoError, &[]),
        ("example.com", A, Refused, &[]),
        ("reviews", A, Refused, &[]),
        ("reviews.xamalgam8", A, Refused, &[]),
        ("", NS, Refused, &[]),
    ] {
        let asked = question(name, kind);
        let reply = kit.ask(&asked).await;
        let what = format!("{name} {kind}: {reply:?}");
        assert_eq!(reply.metadata.response_code, code, "{what}");
        assert_eq!(told(&reply), answers, "{what}");
        assert_eq!(reply.metadata.id, asked.metadata.id, "{what}");
        assert_eq!(reply.metadata.message_type, MessageType::Response, "{what}");
        assert_eq!(reply.metadata.authoritative, code != Refused, "{what}");
        assert!(reply.metadata.recursion_desired, "{what}");
        assert!(!reply.metadata.recursion_available, "{what}");
        assert!(!reply.metadata.truncation, "{what}");
        assert!(reply.edns.is_none(), "{what}");
        // The question comes back as it was written, in its own case.
        assert!(
            reply.queries[0].name.eq_case(&asked.queries[0].name),
            "{what}"
        );
        assert!(reply.answers.iter().all(|r| r.ttl == 0), "{what}");
        let denied = code == NXDomain || code == NoError && answers.is_empty();
        let soa = reply.authorities.iter().any(|r| r.record_type() == SOA);
        assert_eq!(soa, denied, "{what}");
    }
}

#[tokio::test]
async fn where_a_service_is_and_how_to_get_there() {
    let kit = Kit::new(shop(), &[]).await;
    let reply = kit.query("_Reviews._tcp.amalgam8", RecordType::SRV).await;
    let want = ["10.0.0.1", "10.0.0.2", "[fd00::2]"];
    let want = want.map(|at| format!("reviews-{at}:9080.reviews.amalgam8.:9080"));
    assert_eq!(told(&reply), want);
    for record in &reply.answers {
        let RData::SRV(srv) = &record.data else {
            panic!("{record:?}");
        };
        assert_eq!((srv.priority, srv.weight), (0, 0));
        // Its address comes along, and can be asked for.
        let additional = reply.additionals.iter().find(|r| r.name == srv.target);
        let additional = additional.unwrap();
        let mut asked = Message::query();
        let kind = additional.record_type();
        asked.add_query(Query::query(srv.target.clone(), kind));
        let address = kit.ask(&asked).await;
        assert_eq!(address.answers[0].data, additional.data);
    }
    let narrowed = kit
        .query("v1._reviews._http.amalgam8", RecordType::SRV)
        .await;
    assert_eq!(told(&narrowed).len(), 1);
    let ports = kit.query("_db._tcp.amalgam8", RecordType::SRV).await;
    assert_eq!(told(&ports).len(), 2);
}

#[tokio::test]
async fn what_is_no_question_is_told_what_is_wrong_with_it() {
    let kit = Kit::new(shop(), &[]).await;
    let good = question("db.amalgam8", RecordType::A);
    let changed = |change: fn(&mut Message)| {
        let mut message = good.clone();
        change(&mut message);
        message.to_vec().unwrap()
    };
    let mut cut = good.to_vec().unwrap();
    cut.truncate(20);
    let mut none = good.to_vec().unwrap();
    none[5] = 0;
    let pointer = [&good.to_vec().unwrap()[..12], &[0xc0, 12, 0, 1, 0, 1]].concat();
    let header = good.to_vec().unwrap()[..12].to_vec();
    let asked_twice = changed(|m| {
        let again = m.queries[0].clone();
        m.queries.push(again);
    });
    let class = |class| {
        let mut message = good.clone();
        message.queries[0].set_query_class(class);
        message.to_vec().unwrap()
    };
    let opcode = |opcode: u8| {
        let mut bytes = good.to_vec().unwrap();
        bytes[2] = bytes[2] & 0x87 | opcode << 3;
        bytes
    };
    let version = changed(|m| {
        let mut edns = Edns::new();
        edns.set_version(1);
        m.set_edns(edns);
    });
    use ResponseCode::{BADVERS, FormErr, NotImp, Refused};
    for (what, bytes, code) in [
        ("cut off", cut, FormErr),
        ("a header alone", header, FormErr),
        ("no question", none, FormErr),
        ("two questions", asked_twice, FormErr),
        ("a name that points to itself", pointer, FormErr),
        ("CHAOS", class(DNSClass::CH), Refused),
        ("any class", class(DNSClass::ANY), Refused),
        ("STATUS", opcode(2), NotImp),
        ("NOTIFY", opcode(4), NotImp),
        ("UPDATE", opcode(5), NotImp),
        ("an unknown opcode", opcode(15), NotImp),
        ("a version of EDNS to come", version, BADVERS),
    ] {
        let reply = kit.send(&bytes).await;
        assert_eq!(reply[..2], bytes[..2], "{what}");
        assert_eq!(reply[2] & 0x78, bytes[2] & 0x78, "{what}");
        let reply = Message::from_vec(&reply).unwrap();
        // Two codes have the number of BADVERS.
        let number = u16::from(reply.metadata.response_code);
        assert_eq!(number, u16::from(code), "{what}: {reply:?}");
        assert!(reply.answers.is_empty(), "{what}");
        assert_eq!(reply.edns.is_some(), code == BADVERS, "{what}");
        assert!(reply.metadata.recursion_desired, "{what}");
    }
}

#[tokio::test]
async fn replies_and_scraps_are_not_replied_to() {
    let kit = Kit::new(shop(), &[]).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(kit.at).await.unwrap();
    let mut reply = question("db.amalgam8", RecordType::A).to_vec().unwrap();
    reply[2] |= 0x80;
    socket.send(&reply).await.unwrap();
    for length in 0..12 {
        socket.send(&vec![0; length]).await.unwrap();
    }
    // What is answered next is the one question among them.
    let good = question("db.amalgam8", RecordType::A);
    socket.send(&good.to_vec().unwrap()).await.unwrap();
    let mut buffer = [0; 512];
    let length = timeout(DEADLINE, socket.recv(&mut buffer)).await;
    let length = length.unwrap().unwrap();
    let first = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(first.metadata.id, good.metadata.id);
    assert_eq!(told(&first), ["10.0.1.1"]);
}

#[tokio::test]
async fn nothing_is_denied_before_the_instances_are_known() {
    let mut kit = Kit::silent(&[]);
    assert!(!kit.health.is_ready());
    let code = |message: Message| message.metadata.response_code;
    let early = kit.query("db.amalgam8", RecordType::A).await;
    assert_eq!(code(early), ResponseCode::ServFail);
    let apex = kit.query("amalgam8", RecordType::SOA).await;
    assert_eq!(code(apex), ResponseCode::NoError);
    kit.load(shop());
    eventually(async || kit.health.is_ready()).await;
    let now = kit.query("db.amalgam8", RecordType::A).await;
    assert_eq!(told(&now), ["10.0.1.1"]);
    // A name that cannot be resolved now may be later.
    let lost = kit.query("lost.amalgam8", RecordType::A).await;
    assert_eq!(code(lost), ResponseCode::ServFail);
}

#[tokio::test]
async fn changes_are_seen_at_the_next_question() {
    let mut kit = Kit::new(shop(), &[]).await;
    kit.load(vec![
        instance("reviews", "v1", "10.0.0.9:9080"),
        with("db", "", "10.0.1.1:5432", "OUT_OF_SERVICE", "tcp"),
    ]);
    eventually(async || {
        let reply = kit.query("reviews.amalgam8", RecordType::A).await;
        told(&reply) == ["10.0.0.9"]
    })
    .await;
    for name in ["db.amalgam8", "orders.shop.amalgam8", "shop.amalgam8"] {
        let gone = kit.query(name, RecordType::A).await;
        assert_eq!(
            gone.metadata.response_code,
            ResponseCode::NXDomain,
            "{name}"
        );
    }
}
