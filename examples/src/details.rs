//! Bookinfo's details service: what stands on the imprint page.

use axum::routing::get;
use axum::{Json, Router};

use crate::book::Details;

/// The service; `version` is what it says of itself.
pub fn router(version: &str) -> Router {
    let details = Details {
        version: version.to_owned(),
        paperback: "200 pages".to_owned(),
        publisher: "PublisherA".to_owned(),
        language: "English".to_owned(),
        isbn_10: "1234567890".to_owned(),
        isbn_13: "123-1234567980".to_owned(),
    };
    Router::new().route("/details", get(async move || Json(details.clone())))
}
