//! Peers that stop moving: the time limits end what they hold up, and nothing else.

use serde_json::json;

use crate::callers::{Both, Version};
use crate::faulty::{Faulty, Then, head, settings};
use crate::instances;
use crate::setup::Setup;

#[tokio::test]
async fn one_that_stalls_before_its_head_is_a_timeout() {
    let mut setup = Setup::new();
    let full = Faulty::full().await;
    let silent = Faulty::new("", Then::Stall).await;
    let within = Faulty::new("HTTP/1.1 200 OK\r\nContent-Le", Then::Stall).await;
    let two = Faulty::new(settings(), Then::Stall).await;
    setup.instance("full", "http", full.address);
    setup.instance("silent", "http", silent.address);
    setup.instance("silent-tls", "https", silent.address);
    setup.http2_instance("silent-two", silent.address);
    setup.instance("within", "http", within.address);
    setup.http2_instance("two", two.address);
    let services = [
        "full",
        "silent",
        "silent-tls",
        "silent-two",
        "within",
        "two",
    ];
    for service in services {
        setup.rule(json!({
            "destination": service,
            "route": {"backends": [{"tags": ["v1"]}], "http_req_timeout": 0.3},
        }));
    }
    let both = Both::start(&setup).await;
    let before = [both.plain.open_files(), both.tls.open_files()];
    let file = setup.folder().join("upload");
    std::fs::write(&file, instances::noise(5_000_000)).unwrap();
    let upload = file.display().to_string();
    for way in both.ways() {
        for service in services {
            for more in [&[][..], &["-T", &upload]] {
                // curl 7.88 loses an answer in HTTP/2 that comes while it still sends.
                if way.version == Version::Two && !more.is_empty() {
                    continue;
                }
                let answer = way.expect(504, &format!("/{service}/x"), more).await;
                assert_eq!(answer.fields("a8-error"), ["UT"], "{service}");
            }
        }
    }
    let line = &both.plain.told("/within/x", 3).await[0];
    assert_eq!(line["response_flags"], "UT");
    // Those who were given up are let go at once, but for connections that others may share.
    both.plain.no_more_than(before[0] + 2).await;
    both.tls.no_more_than(before[1] + 2).await;
    drop((full, silent, within, two));
    both.plain.no_more_than(before[0]).await;
    both.tls.no_more_than(before[1]).await;
}

#[tokio::test]
async fn one_that_stalls_within_its_body_is_given_up() {
    let mut setup = Setup::new();
    setup.set("idle_timeout", "1s");
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    let one = Faulty::new(text, Then::Stall).await;
    let two = Faulty::new([settings(), head()].concat(), Then::Stall).await;
    setup.instance("one", "http", one.address);
    // It answers one request for each connection, which are not shared between services.
    setup.http2_instance("two-One", two.address);
    setup.http2_instance("two-Two", two.address);
    let both = Both::start(&setup).await;
    let before = [both.plain.open_files(), both.tls.open_files()];
    for way in both.ways() {
        let two = format!("two-{:?}", way.version);
        for service in ["one", &two] {
            let answer = way.curl(&format!("/{service}/x"), &[]).await;
            assert!(answer.exit != 0 && answer.status == 200, "{answer:?}");
        }
    }
    let line = &both.plain.told("/one/x", 2).await[0];
    assert_eq!(line["response_flags"], "UT");
    drop((one, two));
    both.plain.no_more_than(before[0]).await;
    both.tls.no_more_than(before[1]).await;
}
