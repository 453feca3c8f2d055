//! Who a request acts for: from its headers to a [`Namespace`].
//!
//! An [`Authenticator`] holds one or several modes; the first that accepts decides. A mode
//! that knows a token for its own and finds it wrong (a JWT with a bad signature or past its
//! time) ends the search, so that a forged or expired JWT is never taken by a later mode
//! for the plain name of a namespace.

mod hs256;
mod jwt;

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, header};
use tracing::warn;

use crate::config::{Group, Kind, Secret, Setting, Settings};
use crate::model::{NameError, Namespace};

pub use jwt::Jwt;

/// The header by which the namespace `admin` acts for another.
pub const NAMESPACE_HEADER: HeaderName = HeaderName::from_static("a8-namespace");

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN: usize = 8192;

const DEFAULT: &str = "default";
const ADMIN: &str = "admin";

/// The settings of authentication.
pub const SETTINGS: Group = Group {
    title: "Authentication",
    settings: &[
        Setting::new(
            "auth_mode",
            Kind::List,
            "Who may call: none, trusted (the token is the namespace), jwt; the first that accepts decides",
        )
        .or("none"),
        Setting::new("jwt_secret", Kind::Text, "The key that JWTs are signed with (HS256)")
            .secret(),
    ],
};

/// Why a request is not let in. The texts are for the caller: they say nothing of the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no token, and one is needed.
    #[error("the request carries no bearer token")]
    Missing,
    /// The header is not one `Bearer <token>`.
    #[error("the Authorization header is not \"Bearer <token>\"")]
    Malformed,
    /// The token is longer than any that is made.
    #[error("the token is longer than {MAX_TOKEN} bytes")]
    TooLong,
    /// No mode accepts the token.
    #[error("the token is not accepted")]
    Refused,
    /// The token was good once.
    #[error("the token has expired")]
    Expired,
    /// The header that names another namespace is not for this caller.
    #[error("only the namespace admin may act for another by {NAMESPACE_HEADER}")]
    NotAdmin,
    /// The header that names another namespace is there more than once.
    #[error("{NAMESPACE_HEADER} is given more than once")]
    Ambiguous,
    /// The header that names another namespace does not name one.
    #[error("{NAMESPACE_HEADER}: {0}")]
    Header(NameError),
}

impl AuthError {
    /// A stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "missing_token",
            Self::Malformed => "malformed_authorization",
            Self::TooLong | Self::Refused => "invalid_token",
            Self::Expired => "expired_token",
            Self::NotAdmin => "not_admin",
            Self::Ambiguous | Self::Header(_) => "invalid_namespace",
        }
    }
}

/// One way to authenticate.
#[derive(Clone)]
enum Mode {
    /// Everybody acts in the namespace `default`.
    None,
    /// The token is the namespace.
    Trusted,
    /// A signed token carries the namespace.
    Jwt(Jwt),
}

/// What a mode says of a token.
enum Verdict {
    Accepted(Grant),
    /// Not a token of this mode: the next one may know it.
    Unknown(AuthError),
    /// A token of this mode, and not a good one.
    Wrong(AuthError),
}

/// What a token gives its bearer.
struct Grant {
    namespace: Namespace,
    /// Whether the bearer may name another namespace.
    any: bool,
    expires: Option<SystemTime>,
}

/// What a request is let in for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// The namespace that it acts in.
    pub namespace: Namespace,
    /// When its token is no longer accepted, if it is one that ends.
    pub expires: Option<SystemTime>,
}

impl Grant {
    fn only(namespace: Namespace) -> Self {
        Self {
            namespace,
            any: false,
            expires: None,
        }
    }
}

impl Mode {
    fn judge(&self, token: Option<&str>) -> Verdict {
        match (self, token) {
            (Self::None, None) => Verdict::Accepted(everybody()),
            (Self::None, Some(DEFAULT)) => Verdict::Accepted(everybody()),
            (Self::None, Some(_)) => Verdict::Unknown(AuthError::Refused),
            (_, None) => Verdict::Unknown(AuthError::Missing),
            (Self::Trusted, Some(token)) => match Namespace::new(token) {
                Ok(namespace) => Verdict::Accepted(Grant::only(namespace)),
                Err(_) => Verdict::Unknown(AuthError::Refused),
            },
            (Self::Jwt(jwt), Some(token)) => jwt.judge(token),
        }
    }
}

fn everybody() -> Grant {
    Grant::only(Namespace::default_one())
}

/// Decides in which namespace a request acts. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    modes: std::sync::Arc<[Mode]>,
}

impl Authenticator {
    /// Lets everybody in, to the namespace `default`.
    pub fn none() -> Self {
        Self::of(vec![Mode::None])
    }

    /// Takes the bearer token for the namespace.
    pub fn trusted() -> Self {
        Self::of(vec![Mode::Trusted])
    }

    /// Takes JWTs signed with `secret`.
    pub fn jwt(secret: &Secret) -> Self {
        Self::of(vec![Mode::Jwt(Jwt::new(secret))])
    }

    /// Asks this one first, then `next`.
    pub fn or(self, next: Self) -> Self {
        Self::of(self.modes.iter().chain(&*next.modes).cloned().collect())
    }

    fn of(modes: Vec<Mode>) -> Self {
        Self {
            modes: modes.into(),
        }
    }

    /// Reads [`SETTINGS`].
    pub fn read(settings: &Settings) -> Self {
        let mut modes = Vec::new();
        for word in settings.list("auth_mode") {
            match word.as_str() {
                "none" => modes.push(Mode::None),
                "trusted" => modes.push(Mode::Trusted),
                "jwt" => match settings.secret("jwt_secret") {
                    Some(secret) if secret.expose().is_empty() => {
                        settings.refuse("jwt_secret", "must not be empty");
                    }
                    Some(secret) => modes.push(Mode::Jwt(Jwt::new(&secret))),
                    None => settings.refuse("jwt_secret", "is required by auth_mode jwt"),
                },
                _ => settings.refuse(
                    "auth_mode",
                    format!("{word:?} is not one of none, trusted, jwt"),
                ),
            }
        }
        if modes.is_empty() {
            modes.push(Mode::None);
        }
        Self::of(modes)
    }

    /// Whether those are let in who show no token.
    pub fn lets_everybody_in(&self) -> bool {
        self.modes.iter().any(|mode| matches!(mode, Mode::None))
    }

    /// Says in the log what an operator may not have meant: tokens that are only names are as
    /// good as none to whoever can reach the port.
    pub fn warn_if_open(&self, listens_beyond_loopback: bool, https_required: bool) {
        let trusted = self.modes.iter().any(|mode| matches!(mode, Mode::Trusted));
        if trusted && listens_beyond_loopback && !https_required {
            warn!(
                "auth_mode trusted without HTTPS: whoever reaches this port can name, and read, \
                 the token of any namespace"
            );
        }
    }

    /// What a request with these headers is let in for.
    ///
    /// # Errors
    /// [`AuthError`], with the reason of the mode that knew the token, or else of the last.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Pass, AuthError> {
        let grant = self.grant(bearer(headers)?)?;
        let mut named = headers.get_all(NAMESPACE_HEADER).iter();
        let namespace = match (named.next(), named.next()) {
            (None, _) => grant.namespace,
            (Some(_), _) if !grant.any => return Err(AuthError::NotAdmin),
            (Some(_), Some(_)) => return Err(AuthError::Ambiguous),
            (Some(name), None) => Namespace::new(String::from_utf8_lossy(name.as_bytes()))
                .map_err(AuthError::Header)?,
        };
        Ok(Pass {
            namespace,
            expires: grant.expires,
        })
    }

    fn grant(&self, token: Option<&str>) -> Result<Grant, AuthError> {
        let mut why = AuthError::Refused;
        for mode in self.modes.iter() {
            match mode.judge(token) {
                Verdict::Accepted(grant) => return Ok(grant),
                Verdict::Unknown(reason) => why = reason,
                Verdict::Wrong(reason) => return Err(reason),
            }
        }
        Err(why)
    }
}

/// The one bearer token of a request.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, AuthError> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = given.next() else {
        return Ok(None);
    };
    if given.next().is_some() {
        return Err(AuthError::Malformed);
    }
    if value.len() > MAX_TOKEN + "Bearer ".len() {
        return Err(AuthError::TooLong);
    }
    let text = value.to_str().map_err(|_| AuthError::Malformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(AuthError::Malformed)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(AuthError::Malformed);
    }
    Ok(Some(token))
}

#[cfg(test)]
mod tests;
