//! The parameters of a request.

use a8_common::http::Reply;
use a8_common::watch::server::Place;

use super::reply::bad;
use crate::rulebook::{Mode, Selection};

/// The parameters of a request.
#[derive(Debug, PartialEq)]
pub(super) struct Query {
    pub(super) selection: Selection,
    pub(super) watch: bool,
    pub(super) place: Option<Place>,
    pub(super) mode: Mode,
}

/// The parameters that choose rules.
pub(super) const FILTERS: &[&str] = &["id", "tag", "destination"];
/// Those of a list that can be watched.
pub(super) const LIST: &[&str] = &["id", "tag", "destination", "watch", "epoch", "revision"];
/// Those of a deletion.
pub(super) const REMOVE: &[&str] = &["id", "tag", "destination", "dry_run"];
/// Those of a write.
pub(super) const WRITE: &[&str] = &["dry_run"];
/// For paths that take none but choose by themselves.
pub(super) const NONE: &[&str] = &[];

impl Query {
    /// Reads the parameters, of which there may only be those `known`. Those that choose rules
    /// may be repeated; of others the last counts.
    pub(super) fn parse(
        parameters: &[(String, String)],
        known: &'static [&'static str],
    ) -> Result<Self, Reply> {
        let mut query = Self {
            selection: Selection::default(),
            watch: false,
            place: None,
            mode: Mode::Commit,
        };
        let (mut epoch, mut revision) = (None, None);
        for (name, value) in parameters {
            if !known.contains(&name.as_str()) {
                let known = match known {
                    [] => "there are none here".to_owned(),
                    known => format!("known are {}", known.join(", ")),
                };
                return Err(bad(format!("{name:?} is not a parameter; {known}")));
            }
            match name.as_str() {
                "id" => query.selection.ids.push(value.clone()),
                "tag" => query.selection.tags.push(value.clone()),
                "destination" => query.selection.destinations.push(value.clone()),
                "watch" => query.watch = flag(name, value)?,
                "dry_run" => {
                    query.mode = match flag(name, value)? {
                        true => Mode::DryRun,
                        false => Mode::Commit,
                    }
                }
                "epoch" => epoch = Some(value.as_str()),
                "revision" => revision = Some(value.as_str()),
                _ => {}
            }
        }
        query.place = Place::parse(epoch, revision).map_err(|e| bad(e.to_string()))?;
        Ok(query)
    }
}

fn flag(name: &str, value: &str) -> Result<bool, Reply> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(bad(format!("{name}: must be true or false"))),
    }
}
