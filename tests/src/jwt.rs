//! JSON Web Tokens, good and bad, made by hand: not with the crate that the servers check them by.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// The key of [`token`]s.
pub const SECRET: &str = "a secret of the test";

/// What makes a server take [`token`]s.
pub const FLAGS: [&str; 2] = ["--auth_mode=jwt", "--jwt_secret=a secret of the test"];

/// Base64 for URLs without padding: RFC 4648 section 5, as RFC 7515 wants it.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |bits: u32| char::from(DIGITS[(bits & 63) as usize]);
    let three = |c: &[u8]| {
        let bits = c.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - c.len()));
        (0..=c.len())
            .map(|i| digit(bits >> (18 - 6 * i)))
            .collect::<String>()
    };
    bytes.chunks(3).map(three).collect()
}

/// A JWT with any header, claims and key: a wrong one, as a rule.
pub fn token_with(header: &Value, claims: &Value, secret: &str) -> String {
    let signed = format!(
        "{}.{}",
        base64(header.to_string().as_bytes()),
        base64(claims.to_string().as_bytes())
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", base64(&mac.finalize().into_bytes()))
}

/// A JWT of any claims, signed as the servers want it.
pub fn token(claims: &Value) -> String {
    token_with(&json!({"alg": "HS256", "typ": "JWT"}), claims, SECRET)
}

/// A time for `exp`: this many seconds from now.
pub fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    i64::try_from(now).unwrap() + seconds
}

/// A JWT that lets its bearer into `namespace` for ten minutes.
pub fn good(namespace: &str) -> String {
    token(&json!({"namespace": namespace, "exp": in_seconds(600)}))
}
