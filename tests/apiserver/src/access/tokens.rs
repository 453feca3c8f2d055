//! Bearer tokens: minted, looked up, expired, revoked.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::json;

use super::User;

/// The tokens that are valid.
#[derive(Default)]
pub(crate) struct Tokens {
    tokens: HashMap<String, Token>,
    /// People who were declared, with their groups.
    people: HashMap<String, User>,
}

struct Token {
    user: User,
    expires: Option<Instant>,
}

impl Tokens {
    /// Makes somebody known.
    pub(crate) fn declare(&mut self, user: User) {
        self.people.insert(user.name.clone(), user);
    }

    /// Somebody by their name, with no groups if nobody declared them.
    pub(crate) fn person(&self, name: &str) -> User {
        let nobody = || User::new(name, Vec::<String>::new());
        self.people.get(name).cloned().unwrap_or_else(nobody)
    }

    /// A new token. It looks like those of the real server; what makes it one is that it is
    /// known here.
    pub(crate) fn mint(&mut self, user: User, lifetime: Option<Duration>) -> String {
        let part =
            |value: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.as_bytes());
        let now = jiff::Timestamp::now().as_second();
        let seconds = lifetime.map_or(31_536_000, |lifetime| lifetime.as_secs());
        let claims = json!({
            "aud": ["https://kubernetes.default.svc.cluster.local"],
            "exp": now.saturating_add_unsigned(seconds),
            "iat": now,
            "iss": "https://kubernetes.default.svc.cluster.local",
            "jti": uuid::Uuid::new_v4().to_string(),
            "sub": user.name,
        });
        let header = json!({"alg": "RS256", "kid": "double"});
        let token = format!(
            "{}.{}.{}",
            part(&header.to_string()),
            part(&claims.to_string()),
            part(&uuid::Uuid::new_v4().to_string())
        );
        let expires = lifetime.map(|lifetime| Instant::now() + lifetime);
        self.tokens.insert(token.clone(), Token { user, expires });
        token
    }

    /// Whose token it is.
    pub(crate) fn user(&self, token: &str) -> Option<User> {
        let token = self.tokens.get(token)?;
        let alive = token.expires.is_none_or(|end| Instant::now() < end);
        alive.then(|| token.user.clone())
    }

    /// Ends a token.
    pub(crate) fn revoke(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    /// Ends all tokens of somebody.
    pub(crate) fn revoke_all(&mut self, name: &str) {
        self.tokens.retain(|_, token| token.user.name != name);
    }
}
