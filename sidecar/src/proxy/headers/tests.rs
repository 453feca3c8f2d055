use super::*;

fn head(fields: &[(&str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
        .collect()
}

fn left(fields: &[(&str, &str)]) -> Vec<String> {
    let mut headers = head(fields);
    drop_hop_by_hop(&mut headers);
    let mut lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines
}

#[test]
fn fields_of_one_hop_go_and_the_rest_stays() {
    type Case = (
        &'static [(&'static str, &'static str)],
        &'static [&'static str],
    );
    let table: &[Case] = &[
        (&[("accept", "*/*")], &["accept: */*"]),
        (
            &[("connection", "keep-alive"), ("keep-alive", "timeout=5")],
            &[],
        ),
        (&[("connection", "close"), ("x-a", "1")], &["x-a: 1"]),
        // Named by Connection, in any case and over several fields.
        (
            &[
                ("connection", "X-A, x-b"),
                ("x-a", "1"),
                ("x-b", "2"),
                ("x-c", "3"),
            ],
            &["x-c: 3"],
        ),
        // Known ones go even when Connection does not name them.
        (
            &[
                ("proxy-connection", "keep-alive"),
                ("proxy-authorization", "Basic eA=="),
                ("proxy-authenticate", "Basic"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "websocket"),
                ("http2-settings", "AAMAAABk"),
                ("te", "gzip"),
                ("trailer", "x-sum"),
            ],
            &["trailer: x-sum"],
        ),
        // Trailers are passed on, so they are asked for on our hop as well.
        (
            &[("te", "gzip, Trailers")],
            &["connection: te", "te: trailers"],
        ),
        (
            &[("connection", "te"), ("te", "trailers")],
            &["connection: te", "te: trailers"],
        ),
        // The host cannot be taken away by naming it.
        (&[("connection", "host"), ("host", "s")], &["host: s"]),
        (&[("connection", ", ,@,"), ("x-a", "1")], &["x-a: 1"]),
    ];
    for (given, want) in table {
        assert_eq!(&left(given), want, "{given:?}");
    }
}

#[test]
fn the_peers_idle_time_is_told() {
    let mut headers = head(&[("keep-alive", "max=10, Timeout=5")]);
    assert_eq!(drop_hop_by_hop(&mut headers), Some(Duration::from_secs(5)));
    assert_eq!(
        drop_hop_by_hop(&mut head(&[("keep-alive", "max=10")])),
        None
    );
}

#[test]
fn forwarded_fields_are_appended_or_kept() {
    let caller = Caller::new("::ffff:127.0.0.1".parse().unwrap(), false);
    let mut fresh = HeaderMap::new();
    caller.forward(&mut fresh, Some(HeaderValue::from_static("localhost:6379")));
    assert_eq!(fresh["x-forwarded-for"], "127.0.0.1");
    assert_eq!(fresh["x-forwarded-proto"], "http");
    assert_eq!(fresh["x-forwarded-host"], "localhost:6379");

    let mut passed_on = head(&[
        ("x-forwarded-for", "10.1.1.1"),
        ("x-forwarded-for", "10.2.2.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
    ]);
    caller.forward(&mut passed_on, Some(HeaderValue::from_static("localhost")));
    assert_eq!(
        passed_on["x-forwarded-for"],
        "10.1.1.1, 10.2.2.2, 127.0.0.1"
    );
    assert_eq!(passed_on.get_all("x-forwarded-for").iter().count(), 1);
    assert_eq!(passed_on["x-forwarded-proto"], "https");
    assert_eq!(passed_on["x-forwarded-host"], "shop.example");
}

#[test]
fn of_several_request_ids_the_first_is_kept() {
    let mut headers = head(&[("x-request-id", "a"), ("x-request-id", "b")]);
    assert_eq!(request_id(&mut headers), "a");
    assert_eq!(headers.get_all(X_REQUEST_ID).iter().count(), 1);
}

#[test]
fn a_request_id_is_kept_or_made() {
    let mut given = head(&[("x-request-id", "abc-1")]);
    assert_eq!(request_id(&mut given), "abc-1");
    for wrong in ["", "a b", &"x".repeat(129)] {
        let mut headers = head(&[("x-request-id", wrong)]);
        let id = request_id(&mut headers).to_str().unwrap().to_owned();
        assert_eq!(id.len(), 36, "{wrong:?} is replaced by {id}");
        let marks: Vec<char> = [8, 13, 14, 18, 23]
            .iter()
            .map(|i| id.as_bytes()[*i] as char)
            .collect();
        assert_eq!(marks, ['-', '-', '4', '-', '-']);
        assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }
    assert_ne!(fresh_id(), fresh_id());
}
