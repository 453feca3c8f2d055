//! What dig asks, and what it is told.

use a8_tests::wait;

use super::*;

#[tokio::test]
async fn dig_finds_services_by_name_tag_and_protocol() {
    let server = Server::start(&shop()).await;
    for (args, want) in [
        ("reviews.amalgam8 A", &["10.0.0.1", "10.0.0.2"][..]),
        ("reviews.amalgam8 AAAA", &["fd00::2"]),
        ("v1.reviews.amalgam8", &["10.0.0.1"]),
        ("V1.Reviews.AMALGAM8", &["10.0.0.1"]),
        ("us.zone.reviews.amalgam8", &["10.0.0.2"]),
        ("zone=us.reviews.amalgam8", &["10.0.0.2"]),
        ("us.zone.v2.http.reviews.amalgam8", &["10.0.0.2"]),
        ("us.zone.v1.reviews.amalgam8", &[]),
        ("db.orders.amalgam8", &["10.0.1.1"]),
        ("tcp.db.orders.amalgam8", &["10.0.1.1"]),
        (
            "+tcp +keepopen v1.reviews.amalgam8 v2.reviews.amalgam8",
            &["10.0.0.1", "10.0.0.2"],
        ),
        ("amalgam8 NS", &["localhost."]),
    ] {
        assert_eq!(server.short(args), want, "{args}");
    }
    wait::until("localhost to be looked up", || async {
        let found = server.short("local.amalgam8 A");
        (found == ["127.0.0.1"])
            .then_some(())
            .ok_or(format!("{found:?}"))
    })
    .await;
    let srv = server.dig("_db.orders._tcp.amalgam8 SRV");
    assert!(
        srv.contains("status: NOERROR") && srv.contains("flags: qr aa rd;"),
        "{srv}"
    );
    let answer = srv
        .lines()
        .find(|line| line.starts_with("_db.orders._tcp.amalgam8."));
    let fields: Vec<_> = answer.unwrap().split_whitespace().collect();
    assert_eq!(fields[1..7], ["0", "IN", "SRV", "0", "0", "5432"], "{srv}");
    assert_eq!(server.short(fields[7]), ["10.0.1.1"]);
    assert!(
        srv.contains("ADDITIONAL SECTION") && srv.contains("10.0.1.1"),
        "{srv}"
    );
}

#[tokio::test]
async fn dig_is_told_what_is_not_there_and_what_is_not_answered() {
    let server = Server::start(&shop()).await;
    for (args, status, soa) in [
        ("nobody.amalgam8", "NXDOMAIN", true),
        ("v9.reviews.amalgam8", "NXDOMAIN", true),
        ("orders.amalgam8", "NOERROR", true),
        ("db.orders.amalgam8 AAAA", "NOERROR", true),
        ("reviews.amalgam8 TXT", "NOERROR", true),
        ("example.com", "REFUSED", false),
        ("version.bind CH TXT", "REFUSED", false),
        ("+opcode=NOTIFY amalgam8 SOA", "NOTIMP", false),
        ("+edns=1 +noednsneg reviews.amalgam8", "BADVERS", false),
    ] {
        let told = server.dig(args);
        assert!(
            told.contains(&format!("status: {status},")),
            "{args}: {told}"
        );
        assert!(told.contains("ANSWER: 0"), "{args}: {told}");
        let authority = told.contains("SOA\tlocalhost. nobody.invalid.");
        assert_eq!(authority, soa, "{args}: {told}");
    }
    let transfer = server.dig("amalgam8 AXFR");
    assert!(transfer.contains("Transfer failed"), "{transfer}");
}

#[tokio::test]
async fn dig_comes_back_over_tcp_where_a_datagram_is_too_small() {
    let server = Server::start(&shop()).await;
    let cut = server.dig("+ignore +noedns many.amalgam8");
    assert!(cut.contains("flags: qr aa tc rd;"), "{cut}");
    for args in ["+noedns", "+bufsize=800", "+bufsize=4096", "+tcp"] {
        let all = server.short(&format!("{args} many.amalgam8"));
        let all: Vec<_> = all.iter().filter(|line| !line.starts_with(';')).collect();
        assert_eq!(all.len(), 100, "{args}: {all:?}");
    }
    let metrics = reqwest::get(format!("{}/metrics", server.sidecar.admin)).await;
    let metrics = metrics.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("a8_dns_queries_total{code=\"noerror\",kind=\"a\"}"),
        "{metrics}"
    );
}

#[tokio::test]
async fn another_domain_is_asked_of_the_server_that_is_named() {
    let first = Server::start(&shop()).await;
    let upstream = format!("127.0.0.1:{}", first.port);
    let dns = json!({"domain": "svc.example", "upstream": [upstream]});
    let second = Server::with(&shop()[..1], dns).await;
    assert_eq!(second.short("reviews.svc.example"), ["10.0.0.1"]);
    assert_eq!(second.short("v2.reviews.amalgam8"), ["10.0.0.2"]);
    // The one answers for its domain only, and asks nobody.
    for (server, args, status) in [
        (&second, "nobody.amalgam8", "NXDOMAIN"),
        (&second, "nobody.svc.example", "NXDOMAIN"),
        (&second, "example.com", "REFUSED"),
        (&first, "reviews.svc.example", "REFUSED"),
    ] {
        let told = server.dig(args);
        assert!(
            told.contains(&format!("status: {status},")),
            "{args}: {told}"
        );
    }
    let many = second.short("+noedns many.amalgam8");
    assert_eq!(
        many.iter().filter(|line| !line.starts_with(';')).count(),
        100
    );
    drop(first);
    let told = second.dig("reviews.amalgam8");
    assert!(told.contains("status: SERVFAIL,"), "{told}");
}
