//! Bookinfo's product page: one book, its details, and what readers think of it.
//!
//! Details get one second, reviews three, twice; what does not come is said to be unavailable
//! on an otherwise whole page. `Accept: application/json` gets the same as JSON.

mod page;
mod user;

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, header};
use serde::Serialize;
use tracing::warn;

use a8_common::run::chain;

use crate::book::{Details, Reviews};
use crate::peers::{Caller, Peers};

/// How long the page waits for details.
const DETAILS_PATIENCE: Duration = Duration::from_secs(1);
/// How long the page waits for reviews, each time.
const REVIEWS_PATIENCE: Duration = Duration::from_secs(3);
/// How often the page asks for reviews.
const REVIEWS_ATTEMPTS: usize = 2;

/// What the page shows.
#[derive(Debug, Serialize)]
pub struct Contents {
    /// Version of the product page.
    pub version: String,
    /// Who is signed in.
    pub user: Option<String>,
    /// Absent when the details service did not answer.
    pub details: Option<Details>,
    /// Absent when the reviews service did not answer in time.
    pub reviews: Option<Reviews>,
    /// How long it took to get all that.
    pub took_ms: u128,
}

#[derive(Clone)]
struct Page {
    version: String,
    peers: Peers,
}

/// The service; `version` is what it says of itself.
///
/// All links are relative, so that the page works under whatever prefix a gateway gives it.
pub fn router(version: &str, peers: Peers) -> Router {
    let page = Page {
        version: version.to_owned(),
        peers,
    };
    Router::new()
        .route("/", get(async || Html(page::index().into_string())))
        .route(
            "/index.html",
            get(async || Html(page::index().into_string())),
        )
        .route("/productpage", get(front))
        .route("/login", post(user::login))
        .route("/logout", get(user::logout))
        .with_state(page)
}

async fn front(State(page): State<Page>, caller: Caller, headers: HeaderMap) -> Response {
    let began = Instant::now();
    let (details, reviews) = tokio::join!(page.details(&caller), page.reviews(&caller));
    let contents = Contents {
        version: page.version,
        user: user::signed_in(&headers),
        details,
        reviews,
        took_ms: began.elapsed().as_millis(),
    };
    let uncached = [
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "Accept, Cookie"),
    ];
    if wants_json(&headers) {
        (uncached, Json(contents)).into_response()
    } else {
        (uncached, Html(page::front(&contents).into_string())).into_response()
    }
}

impl Page {
    async fn details(&self, caller: &Caller) -> Option<Details> {
        self.peers
            .get("details", "details", caller, DETAILS_PATIENCE)
            .await
            .inspect_err(|e| warn!(error = %chain(e), "no details"))
            .ok()
    }

    async fn reviews(&self, caller: &Caller) -> Option<Reviews> {
        for _ in 0..REVIEWS_ATTEMPTS {
            match self
                .peers
                .get("reviews", "reviews", caller, REVIEWS_PATIENCE)
                .await
            {
                Ok(reviews) => return Some(reviews),
                Err(e) => warn!(error = %chain(&e), "no reviews"),
            }
        }
        None
    }
}

fn wants_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.starts_with("application/json"))
}

#[cfg(test)]
mod tests;
