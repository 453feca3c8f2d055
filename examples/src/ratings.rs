//! Bookinfo's ratings service: stars by reviewer.

use axum::routing::get;
use axum::{Json, Router};

use crate::book::Ratings;

/// The service.
pub fn router() -> Router {
    let ratings = Ratings::from([("Reviewer1".to_owned(), 5), ("Reviewer2".to_owned(), 4)]);
    Router::new().route("/ratings", get(async move || Json(ratings.clone())))
}
