//! Bookinfo's reviews service, in its three versions.
//!
//! | version | ratings | patience with the ratings service |
//! |---|---|---|
//! | v1 | none | – |
//! | v2 | black stars | 10 s |
//! | v3 | red stars | 2.5 s |
//!
//! The product page waits 3 s for reviews. So v2 is more patient than its caller, which is the
//! fault that the walk through the demo brings to light, and v3 is the mended version: when
//! ratings are late it sends the reviews without them, in time.

use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use clap::ValueEnum;

use a8_common::run::chain;
use tracing::warn;

use crate::book::{Color, Rating, Ratings, Review, Reviews};
use crate::peers::{Caller, Peers};

/// Which reviews service this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Version {
    /// Shows no ratings.
    V1,
    /// Shows black stars.
    V2,
    /// Shows red stars.
    V3,
}

impl Version {
    /// The word for it in tags and answers.
    pub const fn label(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V3 => "v3",
        }
    }

    /// How it shows ratings and how long it waits for them, if it does at all.
    const fn ratings(self) -> Option<(Color, Duration)> {
        match self {
            Self::V1 => None,
            Self::V2 => Some((Color::Black, Duration::from_secs(10))),
            Self::V3 => Some((Color::Red, Duration::from_millis(2500))),
        }
    }
}

/// The service.
pub fn router(version: Version, peers: Peers) -> Router {
    Router::new()
        .route("/reviews", get(reviews))
        .with_state((version, peers))
}

async fn reviews(
    State((version, peers)): State<(Version, Peers)>,
    caller: Caller,
) -> Json<Reviews> {
    let mut answer = Reviews {
        version: version.label().to_owned(),
        ratings_unavailable: false,
        reviews: opinions(),
    };
    if let Some((color, patience)) = version.ratings() {
        match peers.get("ratings", "ratings", &caller, patience).await {
            Ok(ratings) => paint(&mut answer.reviews, &ratings, color),
            Err(e) => {
                warn!(error = %chain(&e), "no ratings");
                answer.ratings_unavailable = true;
            }
        }
    }
    Json(answer)
}

fn paint(reviews: &mut [Review], ratings: &Ratings, color: Color) {
    for review in reviews {
        review.rating = ratings.get(&review.reviewer).map(|&stars| Rating {
            stars: stars.min(5),
            color,
        });
    }
}

fn opinions() -> Vec<Review> {
    let opinion = |who: u8, text: &str| Review {
        reviewer: format!("Reviewer{who}"),
        affiliation: format!("Affiliation{who}"),
        text: text.to_owned(),
        rating: None,
    };
    vec![
        opinion(
            1,
            "Two pairs of twins, one town, and not a quiet minute. I laughed from the first \
             mistaken beating to the last embrace.",
        ),
        opinion(
            2,
            "Quick, loud and great fun, if you do not look for the depth of the later plays.",
        ),
    ]
}
