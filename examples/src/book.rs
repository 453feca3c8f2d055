//! What the bookinfo services say to each other: plain JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The answer of the details service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// Version of the details service that answered.
    pub version: String,
    /// How many pages.
    pub paperback: String,
    /// Who publishes it.
    pub publisher: String,
    /// What it is written in.
    pub language: String,
    /// The old number.
    pub isbn_10: String,
    /// The new number.
    pub isbn_13: String,
}

/// The answer of the ratings service: stars, 1 to 5, by reviewer.
pub type Ratings = BTreeMap<String, u8>;

/// The answer of the reviews service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviews {
    /// Version of the reviews service that answered.
    pub version: String,
    /// Set when this version shows ratings and could not get them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ratings_unavailable: bool,
    /// One a reader.
    pub reviews: Vec<Review>,
}

/// What one reader thought of the book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The reader.
    pub reviewer: String,
    /// Where the reader is from.
    pub affiliation: String,
    /// The opinion.
    pub text: String,
    /// The stars, from the versions that show them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<Rating>,
}

/// Stars in a colour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rating {
    /// 1 to 5.
    pub stars: u8,
    /// How this version of the reviews service paints them.
    pub color: Color,
}

/// The colour of stars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    /// Of version v2.
    Black,
    /// Of version v3.
    Red,
}
