//! JSON Web Tokens: HS256 only, with an end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

use super::{ADMIN, AuthError, Grant, Verdict, hs256};
use crate::config::Secret;
use crate::model::Namespace;

/// Clocks of caller and server may differ by this much, in seconds.
const LEEWAY: u64 = 5;

/// Checks JWTs with one key.
#[derive(Clone)]
pub struct Jwt(Arc<Check>);

struct Check {
    key: DecodingKey,
    rules: Validation,
}

#[derive(Deserialize)]
struct Claims {
    namespace: String,
    /// Seconds since 1970; a fraction is allowed.
    exp: f64,
}

impl Jwt {
    /// Takes tokens signed with `secret`.
    pub fn new(secret: &Secret) -> Self {
        hs256::install();
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_required_spec_claims(&["exp"]);
        rules.validate_nbf = true;
        rules.validate_aud = false;
        rules.leeway = LEEWAY;
        Self(Arc::new(Check {
            key: DecodingKey::from_secret(secret.expose().as_bytes()),
            rules,
        }))
    }

    pub(super) fn judge(&self, token: &str) -> Verdict {
        if !has_form(token) {
            return Verdict::Unknown(AuthError::Refused);
        }
        match decode::<Claims>(token, &self.0.key, &self.0.rules) {
            Ok(token) => match Namespace::new(token.claims.namespace) {
                Ok(namespace) => Verdict::Accepted(Grant {
                    any: namespace.as_str() == ADMIN,
                    namespace,
                    expires: end(token.claims.exp),
                }),
                Err(_) => Verdict::Wrong(AuthError::Refused),
            },
            Err(e) => Verdict::Wrong(match e.kind() {
                ErrorKind::ExpiredSignature => AuthError::Expired,
                _ => AuthError::Refused,
            }),
        }
    }
}

/// When a token is refused from, which is judged by whole seconds; `None` beyond all times.
fn end(exp: f64) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(exp + LEEWAY as f64 + 1.0).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}

/// Whether this is a JWT, good or bad. Anything else may be a token of another mode.
///
/// A header with an algorithm that the library does not know, such as `none`, is told by the
/// letters that every JSON object begins with in base64.
fn has_form(token: &str) -> bool {
    let parts = token.split('.').count();
    parts == 3 && (token.starts_with("ey") || decode_header(token).is_ok())
}
