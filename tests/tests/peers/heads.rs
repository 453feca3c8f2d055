//! Heads of requests and responses, and responses without a body.

use serde_json::Value;

use crate::callers::{Both, Version};
use crate::instances::{self, FILES};
use crate::setup::Setup;

#[tokio::test]
async fn what_files_servers_say_comes_through_in_every_version() {
    let mut setup = Setup::new();
    let _instances = instances::start(&mut setup).await;
    let both = Both::start(&setup).await;
    for way in both.ways() {
        for (service, _) in FILES {
            let path = |file: &str| format!("/{service}/{file}");
            let small = way.expect(200, &path("small"), &[]).await;
            assert_eq!(small.text(), "a few bytes\n");
            assert_eq!(small.fields("content-length"), ["12"]);
            let modified = small.fields("last-modified")[0];
            let head = way.expect(200, &path("small"), &["--head"]).await;
            // curl writes the head where the body would be.
            assert!(head.text().ends_with("\r\n\r\n"), "{head:?}");
            assert_eq!(head.fields("content-length"), ["12"], "{head:?}");
            let empty = way.expect(200, &path("empty"), &[]).await;
            assert_eq!(
                (empty.text(), empty.fields("content-length")),
                ("", vec!["0"])
            );
            let since = format!("If-Modified-Since: {modified}");
            let same = way.expect(304, &path("small"), &["-H", &since]).await;
            assert_eq!(same.text(), "");
            way.expect(404, &path("missing"), &[]).await;
        }
    }
}

#[tokio::test]
async fn nothing_follows_a_head_that_says_so() {
    let mut setup = Setup::new();
    let _instances = instances::start(&mut setup).await;
    let both = Both::start(&setup).await;
    for way in both.ways() {
        // Two in a row: what followed the first would be taken for the second.
        for service in ["nginx", "nginx-tls"] {
            for status in [204, 304, 204] {
                let none = way
                    .expect(status, &format!("/{service}/{status}"), &[])
                    .await;
                assert_eq!(none.text(), "", "{}", way.name());
                assert!(none.fields("transfer-encoding").is_empty(), "{none:?}");
            }
            let zipped = ["--head", "-H", "Accept-Encoding: gzip"];
            let path = format!("/{service}/zipped/text");
            let head = way.expect(200, &path, &zipped).await;
            assert_eq!(head.fields("content-encoding"), ["gzip"]);
        }
    }
}

#[tokio::test]
async fn cookies_come_in_one_field_and_go_in_many() {
    let mut setup = Setup::new();
    let _instances = instances::start(&mut setup).await;
    let both = Both::start(&setup).await;
    for way in both.ways() {
        for service in ["nginx", "nginx-tls"] {
            let cookie = ["-H", "Cookie: user=jason; theme=dark"];
            let answer = way
                .expect(200, &format!("/{service}/cookies"), &cookie)
                .await;
            assert_eq!(answer.text(), "user=jason; theme=dark");
            assert_eq!(answer.fields("set-cookie"), ["a=1", "b=2"]);
        }
    }
}

#[tokio::test]
async fn an_instance_is_told_who_asked_and_for_what() {
    let mut setup = Setup::new();
    let _instances = instances::start(&mut setup).await;
    let both = Both::start(&setup).await;
    for way in both.ways() {
        let more = ["-H", "X-Mine: 1", "-H", "Connection: X-Mine, close"];
        let more = match way.version {
            Version::One => &more[..],
            // It has no such field.
            Version::Two => &[],
        };
        let answer = way.expect(200, "/python/head?a=%2f&b", more).await;
        let head: Value = serde_json::from_str(answer.text()).unwrap();
        assert_eq!(head["line"], "GET /head?a=%2f&b HTTP/1.1");
        let of = |name: &str| {
            let fields = head["fields"].as_array().unwrap().iter();
            let mut named = fields.filter(|f| f[0].as_str().unwrap().eq_ignore_ascii_case(name));
            let value = named.next().map(|f| f[1].as_str().unwrap().to_owned());
            assert!(named.next().is_none(), "{name} is there twice: {head}");
            value
        };
        assert_eq!(of("host").as_deref(), Some("python"));
        assert_eq!(of("x-forwarded-for").as_deref(), Some("127.0.0.1"));
        let scheme = if way.sidecar.tls { "https" } else { "http" };
        assert_eq!(of("x-forwarded-proto").as_deref(), Some(scheme));
        let port = way.sidecar.port;
        assert_eq!(of("x-forwarded-host"), Some(format!("127.0.0.1:{port}")));
        assert_eq!((of("x-mine"), of("transfer-encoding")), (None, None));
        assert!(of("x-request-id").is_some());
    }
}

#[tokio::test]
async fn odd_answers_are_understood() {
    let mut setup = Setup::new();
    let _instances = instances::start(&mut setup).await;
    let both = Both::start(&setup).await;
    for way in both.ways() {
        for (path, status) in [
            ("until-closed", 200),
            ("http10", 200),
            ("no-reason", 299),
            ("hints", 200),
            ("trailers", 200),
        ] {
            let answer = way.expect(status, &format!("/python/{path}"), &[]).await;
            assert_eq!(answer.text(), "all of it", "{path} by {}", way.name());
        }
        let twice = way.expect(200, "/python/twice", &[]).await;
        assert_eq!(twice.fields("x-a"), ["1", "2"]);
        assert_eq!(twice.fields("set-cookie"), ["a=1; Path=/", "b=2, 3"]);
        let name = way.expect(200, "/python/latin1", &[]).await;
        assert_eq!(name.fields("x-name"), ["Jos\u{fffd}"]);
    }
}

#[tokio::test]
async fn heads_without_measure_are_refused() {
    let mut setup = Setup::new();
    let _instances = instances::start(&mut setup).await;
    let both = Both::start(&setup).await;
    let fields = setup.folder().join("fields");
    std::fs::write(&fields, "X-Many: 1\n".repeat(7_000)).unwrap();
    let many = format!("@{}", fields.display());
    let long = format!("X-Long: {}", "x".repeat(70_000));
    let far = format!("/nginx/{}", "x".repeat(20_000));
    for way in both.ways() {
        let far = way.expect(414, &far, &[]).await;
        assert_eq!(far.fields("content-length").len(), 1);
        // What nghttp2's clients, curl among them, do not even send.
        if way.version == Version::Two {
            continue;
        }
        for more in [["-H", &long], ["-H", &many]] {
            way.expect(431, "/nginx/small", &more).await;
        }
    }
}
