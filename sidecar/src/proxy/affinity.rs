//! Cookies by which callers stay with the backend that they were given first.
//!
//! The cookie of a backend is the authenticated code of what the backend is: rule, service
//! and tags. So nobody can make one up for a version of their choice, it says nothing to
//! whoever reads it, and as long as rule, service and tags stay it stays valid, whatever
//! becomes of weights and positions. It is worked out once for each backend: a request costs
//! a comparison.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use a8_common::config::Secret;
use a8_common::rule::Affinity;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use sha2::Sha256;
use tracing::warn;

use super::backend::{self, Backend};

/// 16 bytes in base64.
const LEN: usize = 22;

/// What stands in a backend's cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token([u8; LEN]);

impl Token {
    /// Takes as long wherever the first difference is.
    fn is(&self, text: &[u8]) -> bool {
        text.len() == LEN && self.0.iter().zip(text).fold(0, |all, (a, b)| all | (a ^ b)) == 0
    }
}

/// The key that cookies are made with.
#[derive(Debug)]
pub struct Key {
    mac: Hmac<Sha256>,
    /// Whether it is to be said that nobody else has this key.
    lonely: AtomicBool,
}

impl Key {
    /// The given key, or a random one.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new(given: Option<&Secret>) -> Result<Self, getrandom::Error> {
        let mut random = [0; 32];
        let key = match given {
            Some(secret) => secret.expose().as_bytes(),
            None => {
                getrandom::fill(&mut random)?;
                &random
            }
        };
        Ok(Self {
            mac: Hmac::new_from_slice(key).expect("a key of this kind may have any length"),
            lonely: AtomicBool::new(given.is_none()),
        })
    }

    /// What stands in the cookie of the backend with this key of its own.
    pub(super) fn token(&self, of: &backend::Key) -> Token {
        let mut tags: Vec<&str> = of.tags.iter().map(|tag| tag.as_str()).collect();
        tags.sort_unstable();
        let rule = of.rule.as_ref().map_or("", |id| id.as_str());
        let mut mac = self.mac.clone();
        for part in ["a8 affinity", rule, of.service.as_str()]
            .into_iter()
            .chain(tags)
        {
            // With its length before it, no part can run into the next.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        let code = mac.finalize().into_bytes();
        let mut text = [0; LEN];
        // 16 bytes are exactly so many characters.
        let _ = URL_SAFE_NO_PAD.encode_slice(&code[..16], &mut text);
        Token(text)
    }

    /// The position of the backend whose cookie the caller presents.
    pub fn held(
        &self,
        affinity: &Affinity,
        backends: &[Arc<Backend>],
        headers: &HeaderMap,
    ) -> Option<usize> {
        if self.lonely.load(Ordering::Relaxed) && self.lonely.swap(false, Ordering::Relaxed) {
            warn!(
                cookie = %affinity.cookie,
                "a rule uses affinity and affinity_key is not set: cookies are good for this \
                 process only"
            );
        }
        values(headers, affinity.cookie.as_str())
            .find_map(|value| backends.iter().position(|b| b.token(self).is(value)))
    }

    /// The field by which a caller is given a backend.
    pub(super) fn cookie(&self, affinity: &Affinity, backend: &Backend) -> Option<HeaderValue> {
        const ATTRIBUTES: &str = "; Path=/; HttpOnly; SameSite=Lax";
        let name = affinity.cookie.as_str();
        let mut text = Vec::with_capacity(name.len() + 1 + LEN + ATTRIBUTES.len());
        text.extend_from_slice(name.as_bytes());
        text.push(b'=');
        text.extend_from_slice(&backend.token(self).0);
        text.extend_from_slice(ATTRIBUTES.as_bytes());
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).ok()
    }
}

/// The values of all cookies called `name`. A browser sends several when they were set for
/// several paths or domains.
fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let fields = headers.get_all(COOKIE).iter();
    let pairs = fields.flat_map(|field| field.as_bytes().split(|b| *b == b';'));
    pairs.filter_map(move |pair| {
        let at = pair.iter().position(|b| *b == b'=')?;
        let (key, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
        (key == name.as_bytes()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> Key {
        Key::new(Some(&Secret::new(secret))).unwrap()
    }

    fn of(rule: &str, service: &str, tags: &str) -> backend::Key {
        backend::Key {
            destination: "s".parse().unwrap(),
            rule: Some(rule.parse().unwrap()),
            service: service.parse().unwrap(),
            tags: a8_common::model::Tags::parse_list(tags).unwrap(),
            balance: a8_common::rule::Balance::default(),
            twin: 0,
        }
    }

    #[test]
    fn a_token_says_rule_service_and_tags_and_nothing_else() {
        let key = key("a secret of ours");
        let token = key.token(&of("r", "s", "v1,eu"));
        let mut moved = of("r", "s", "eu,v1");
        moved.twin = 3;
        moved.balance = a8_common::rule::Balance::Random;
        assert_eq!(token, key.token(&moved));
        for other in [
            of("q", "s", "v1,eu"),
            of("r", "t", "v1,eu"),
            of("r", "s", "v1"),
            of("r", "s", "v1eu"),
            of("rs", "s", "v1,eu"),
        ] {
            assert_ne!(token, key.token(&other), "{other:?}");
        }
        let another = super::tests::key("a secret of theirs");
        assert_ne!(token, another.token(&of("r", "s", "v1,eu")));
        let (one, two) = (Key::new(None).unwrap(), Key::new(None).unwrap());
        assert_ne!(
            one.token(&of("r", "s", "v1")),
            two.token(&of("r", "s", "v1"))
        );
    }

    #[test]
    fn only_the_very_token_is_taken() {
        let token = key("a secret of ours").token(&of("r", "s", "v1"));
        assert!(token.is(&token.0));
        assert!(token.0.iter().all(|b| b.is_ascii_graphic() && *b != b';'));
        for at in 0..LEN {
            let mut altered = token.0;
            altered[at] ^= 1;
            assert!(!token.is(&altered), "{at}");
        }
        assert!(
            !token.is(&token.0[1..]) && !token.is(b"") && !token.is(&[token.0, token.0].concat())
        );
    }

    #[test]
    fn cookies_are_found_among_others_and_in_several_fields() {
        let mut headers = HeaderMap::new();
        for field in [
            "a=1; stay=x;b=2",
            "xstay=no; stay = y ;stay",
            "=; ;; stay=z=w",
        ] {
            headers.append(COOKIE, HeaderValue::from_static(field));
        }
        let found: Vec<_> = values(&headers, "stay").collect();
        assert_eq!(found, [&b"x"[..], b"y", b"z=w"]);
        assert_eq!(values(&headers, "Stay").count(), 0);
    }
}
