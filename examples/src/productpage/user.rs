//! Who is signed in: the cookie `user`, which anybody may set. A demo needs no password.

use axum::Form;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

/// What the form on the page sends.
#[derive(Debug, Deserialize)]
pub(super) struct Login {
    username: String,
}

/// The name in the cookie `user`.
pub(super) fn signed_in(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix("user="))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// Signs in whoever gives a name that fits into a cookie, and goes back to the page.
pub(super) async fn login(Form(Login { username }): Form<Login>) -> Response {
    let name = username.trim();
    if !is_name(name) {
        let reason = "username: 1 to 32 letters, digits, dots, dashes and underscores\n";
        return (StatusCode::BAD_REQUEST, reason).into_response();
    }
    back_to_the_page(format!("user={name}; Path=/; HttpOnly; SameSite=Lax"))
}

/// Forgets the user and goes back to the page.
pub(super) async fn logout() -> Response {
    back_to_the_page("user=; Path=/; Max-Age=0".to_owned())
}

fn back_to_the_page(cookie: String) -> Response {
    let headers = [
        (header::SET_COOKIE, cookie),
        (header::LOCATION, "productpage".to_owned()),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}
