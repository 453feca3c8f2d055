use http::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};

use super::*;
use crate::config::{Component, Input, start};

const KEY: &str = "a key for tests, 32 bytes or more";

fn later() -> u64 {
    get_current_timestamp() + 600
}

fn sign(claims: &Value, key: &str) -> String {
    hs256::install();
    let key = EncodingKey::from_secret(key.as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key).expect("signed")
}

fn good(namespace: &str) -> String {
    sign(&json!({"namespace": namespace, "exp": later()}), KEY)
}

fn jwt() -> Authenticator {
    Authenticator::jwt(&Secret::new(KEY))
}

fn request(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::try_from(format!("Bearer {token}")).expect("plain");
    headers.insert(header::AUTHORIZATION, value);
    headers
}

fn ask(auth: &Authenticator, token: &str) -> Result<String, AuthError> {
    auth.authenticate(&request(token))
        .map(|p| p.namespace.to_string())
}

/// The same token with another header, its signature unchanged.
fn with_header(token: &str, header: &str) -> String {
    let rest = token.split_once('.').expect("a JWT").1;
    format!("{header}.{rest}")
}

#[test]
fn none_lets_everybody_into_default() {
    let auth = Authenticator::none();
    let pass = auth.authenticate(&HeaderMap::new()).expect("let in");
    assert_eq!((pass.namespace.as_str(), pass.expires), ("default", None));
    assert_eq!(ask(&auth, "default"), Ok("default".into()));
    assert_eq!(ask(&auth, "other"), Err(AuthError::Refused));
}

#[test]
fn trusted_takes_the_token_for_the_namespace() {
    let auth = Authenticator::trusted();
    assert_eq!(ask(&auth, "team-a"), Ok("team-a".into()));
    assert_eq!(
        auth.authenticate(&HeaderMap::new()),
        Err(AuthError::Missing)
    );
    assert_eq!(
        ask(&auth, &"n".repeat(Namespace::MAX_BYTES + 1)),
        Err(AuthError::Refused)
    );
}

#[test]
fn a_good_jwt_carries_its_namespace() {
    assert_eq!(ask(&jwt(), &good("team-a")), Ok("team-a".into()));
}

#[test]
fn a_jwt_says_until_when() {
    let expires = |exp: Value| {
        let token = sign(&json!({"namespace": "team-a", "exp": exp}), KEY);
        jwt()
            .authenticate(&request(&token))
            .expect("let in")
            .expires
    };
    let since = expires(json!(later())).expect("an end");
    let since = since.duration_since(SystemTime::UNIX_EPOCH).expect("later");
    // As long as it is accepted: the clocks may differ by some seconds.
    assert!((later()..later() + 10).contains(&since.as_secs()));
    assert!(expires(json!(later() as f64 + 0.5)).is_some());
}

#[test]
fn every_wrong_jwt_is_refused() {
    let header = |alg: &str| match alg {
        // {"alg":"none"}, {"alg":"HS512"}, {"alg":"RS256"}
        "none" => "eyJhbGciOiJub25lIn0",
        "HS512" => "eyJhbGciOiJIUzUxMiJ9",
        _ => "eyJhbGciOiJSUzI1NiJ9",
    };
    let token = good("a");
    let unsigned = token.rsplit_once('.').expect("a JWT").0;
    let other_claims = good("b");
    let claims = other_claims.split('.').nth(1).expect("a JWT");
    let swapped: Vec<_> = token.split('.').collect();
    let swapped = format!("{}.{claims}.{}", swapped[0], swapped[2]);
    for (what, token, why) in [
        ("no token", String::new(), AuthError::Malformed),
        ("not a JWT", "team-a".into(), AuthError::Refused),
        (
            "other key",
            sign(&json!({"namespace": "a", "exp": later()}), "x"),
            AuthError::Refused,
        ),
        (
            "expired",
            sign(&json!({"namespace": "a", "exp": 1}), KEY),
            AuthError::Expired,
        ),
        (
            "no exp",
            sign(&json!({"namespace": "a"}), KEY),
            AuthError::Refused,
        ),
        (
            "exp not a number",
            sign(&json!({"namespace": "a", "exp": "x"}), KEY),
            AuthError::Refused,
        ),
        (
            "not yet",
            sign(
                &json!({"namespace": "a", "exp": later(), "nbf": later()}),
                KEY,
            ),
            AuthError::Refused,
        ),
        (
            "no namespace",
            sign(&json!({"exp": later()}), KEY),
            AuthError::Refused,
        ),
        ("empty namespace", good(""), AuthError::Refused),
        (
            "namespace no text",
            sign(&json!({"namespace": 5, "exp": later()}), KEY),
            AuthError::Refused,
        ),
        (
            "namespace too long",
            good(&"n".repeat(5000)),
            AuthError::Refused,
        ),
        (
            "alg none",
            with_header(&token, header("none")),
            AuthError::Refused,
        ),
        (
            "alg none, unsigned",
            with_header(&format!("{unsigned}."), header("none")),
            AuthError::Refused,
        ),
        (
            "alg HS512",
            with_header(&token, header("HS512")),
            AuthError::Refused,
        ),
        (
            "alg RS256",
            with_header(&token, header("RS256")),
            AuthError::Refused,
        ),
        (
            "signature cut off",
            format!("{unsigned}."),
            AuthError::Refused,
        ),
        ("other claims", swapped, AuthError::Refused),
        ("four parts", format!("{token}.x"), AuthError::Refused),
        ("too long", good(&"n".repeat(MAX_TOKEN)), AuthError::TooLong),
    ] {
        assert_eq!(ask(&jwt(), &token), Err(why), "{what}");
    }
}

#[test]
fn the_header_holds_one_bearer_token() {
    for value in ["Basic YTpi", "Bearer", "Bearer ", "token"] {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        let found = Authenticator::trusted().authenticate(&headers);
        assert_eq!(found, Err(AuthError::Malformed), "{value}");
    }
    let mut twice = request("a");
    twice.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer b"));
    let found = Authenticator::trusted().authenticate(&twice);
    assert_eq!(found, Err(AuthError::Malformed));
    let mut lower = HeaderMap::new();
    lower.insert(header::AUTHORIZATION, HeaderValue::from_static("bearer a"));
    assert!(Authenticator::trusted().authenticate(&lower).is_ok());
}

#[test]
fn the_first_mode_that_accepts_decides() {
    let auth = jwt().or(Authenticator::trusted());
    assert_eq!(ask(&auth, &good("a")), Ok("a".into()));
    assert_eq!(ask(&auth, "team.b.eu"), Ok("team.b.eu".into()));
    let expired = sign(&json!({"namespace": "a", "exp": 1}), KEY);
    assert_eq!(ask(&auth, &expired), Err(AuthError::Expired));
    let auth = Authenticator::none().or(jwt());
    assert_eq!(ask(&auth, &good("a")), Ok("a".into()));
    assert!(auth.authenticate(&HeaderMap::new()).is_ok());
}

#[test]
fn only_a_jwt_for_admin_acts_for_another() {
    let auth = jwt().or(Authenticator::trusted());
    let act = |token: &str, names: &[&'static str]| {
        let mut headers = request(token);
        for name in names {
            headers.append(NAMESPACE_HEADER, HeaderValue::from_static(name));
        }
        auth.authenticate(&headers).map(|p| p.namespace.to_string())
    };
    assert_eq!(act(&good("admin"), &["team-a"]), Ok("team-a".into()));
    assert_eq!(act(&good("admin"), &[]), Ok("admin".into()));
    assert_eq!(act(&good("a"), &["b"]), Err(AuthError::NotAdmin));
    assert_eq!(act("admin", &["b"]), Err(AuthError::NotAdmin));
    assert_eq!(act(&good("admin"), &["a", "b"]), Err(AuthError::Ambiguous));
    assert!(matches!(
        act(&good("admin"), &[""]),
        Err(AuthError::Header(_))
    ));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    const COMPONENT: Component = Component {
        name: "test",
        about: "",
        version: "",
        groups: &[&SETTINGS],
        health: crate::http::PLACE,
        trailing: None,
    };
    let read = |args: &[&str]| {
        let input = Input::from_args(args.iter().copied());
        start(&COMPONENT, &input, Authenticator::read).map_err(|e| e.to_string())
    };
    assert!(read(&[]).is_ok());
    assert!(read(&["--auth_mode=jwt,trusted", "--jwt_secret=x"]).is_ok());
    for (args, says) in [
        (&["--auth_mode=jwt"][..], "is required by auth_mode jwt"),
        (&["--auth_mode=jwt", "--jwt_secret="], "must not be empty"),
        (
            &["--auth_mode=basic"],
            "\"basic\" is not one of none, trusted, jwt",
        ),
    ] {
        let said = read(args).err().expect("refused");
        assert!(said.contains(says), "{said}");
    }
}
