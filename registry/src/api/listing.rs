//! Which instances a listing shows, which members of each, and how they are written.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use a8_common::http::Reply;
use a8_common::model::{Instance, ServiceName, Status, StatusError, Tags};
use a8_common::view::Snapshot;
use a8_common::watch::server::{Filter, Place};
use bytes::Bytes;
use jiff::Timestamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::reply::bad;
use crate::catalog::Room;

/// The members that `fields` may name.
const MEMBERS: [&str; 8] = [
    "id",
    "service_name",
    "endpoint",
    "ttl",
    "status",
    "last_heartbeat",
    "tags",
    "metadata",
];

/// A listing's query.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) selection: Selection,
    pub(super) watch: bool,
    pub(super) place: Option<Place>,
}

/// Which instances, and which members of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selection {
    service: Option<ServiceName>,
    tags: Option<Tags>,
    status: Option<Shown>,
    members: Option<Vec<&'static str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shown {
    All,
    Only(Status),
}

impl Query {
    /// Reads the parameters; the last of a repeated one counts, except that tags add up.
    pub(super) fn parse(parameters: &[(String, String)]) -> Result<Self, Reply> {
        let mut query = Self::default();
        let (mut epoch, mut revision) = (None, None);
        for (name, value) in parameters {
            let wrong = |reason: &dyn std::fmt::Display| bad(format!("{name}: {reason}"));
            let selection = &mut query.selection;
            match name.as_str() {
                "service_name" => {
                    selection.service = Some(ServiceName::new(value).map_err(|e| wrong(&e))?);
                }
                "tags" => {
                    let tags = Tags::parse_list(value).map_err(|e| wrong(&e))?;
                    let known = selection.tags.iter().flatten().chain(&tags).cloned();
                    selection.tags = Some(known.collect());
                }
                "status" if value.eq_ignore_ascii_case("all") => {
                    selection.status = Some(Shown::All)
                }
                "status" => {
                    selection.status = Some(Shown::Only(
                        value.parse().map_err(|e: StatusError| wrong(&e))?,
                    ));
                }
                "fields" => selection.members = Some(members(value)?),
                "watch" => {
                    query.watch = match value.as_str() {
                        "true" | "1" => true,
                        "false" | "0" => false,
                        _ => return Err(wrong(&"must be true or false")),
                    };
                }
                "epoch" => epoch = Some(value.as_str()),
                "revision" => revision = Some(value.as_str()),
                _ => {
                    return Err(bad(format!(
                        "{name:?} is not a parameter; known are service_name, tags, status, fields, watch, epoch and revision"
                    )));
                }
            }
        }
        query.place = Place::parse(epoch, revision).map_err(|e| bad(e.to_string()))?;
        Ok(query)
    }
}

/// `id` and `endpoint` always come.
fn members(list: &str) -> Result<Vec<&'static str>, Reply> {
    let mut wanted = vec!["id", "endpoint"];
    for name in list
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let known = MEMBERS
            .into_iter()
            .find(|member| *member == name)
            .ok_or_else(|| {
                bad(format!(
                    "fields: {name:?} is not a member; known are {}",
                    MEMBERS.join(", ")
                ))
            })?;
        wanted.push(known);
    }
    Ok(MEMBERS
        .into_iter()
        .filter(|member| wanted.contains(member))
        .collect())
}

impl Selection {
    /// All instances of one service.
    pub(super) fn of_service(service: ServiceName) -> Self {
        Self {
            service: Some(service),
            ..Self::default()
        }
    }

    /// Whether it shows all that takes requests, whole.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn shows(&self, instance: &Instance) -> bool {
        let fits = match &self.status {
            Some(Shown::All) => true,
            Some(Shown::Only(status)) => instance.status == *status,
            None if self.service.is_none() && self.tags.is_none() => {
                instance.status.listed_by_default()
            }
            None => true,
        };
        fits && self
            .service
            .as_ref()
            .is_none_or(|s| *s == instance.service_name)
            && self
                .tags
                .as_ref()
                .is_none_or(|tags| instance.tags.contains_all(tags))
    }

    /// The same as a filter of a watch.
    pub(super) fn filter(self) -> Filter<Instance> {
        let members = self.members.clone();
        let filter = Filter::of(move |instance| self.shows(instance));
        match members {
            Some(members) => filter.with_members(members.into_iter().map(str::to_owned)),
            None => filter,
        }
    }

    /// The instances shown, in order of id.
    pub(super) fn entries(&self, room: &Room, now: &Snapshot<Instance>) -> Vec<Entry<'_>> {
        let shown = now.items.values().filter(|instance| self.shows(instance));
        let entry = |instance: &Arc<Instance>| Entry {
            last_heartbeat: room.last_heartbeat(instance),
            instance: instance.clone(),
            members: self.members.as_deref(),
        };
        shown.map(entry).collect()
    }
}

/// One instance as it is shown: as it was stored, but for the time of its last heartbeat.
pub(super) struct Entry<'a> {
    instance: Arc<Instance>,
    last_heartbeat: Timestamp,
    members: Option<&'a [&'static str]>,
}

impl Entry<'_> {
    /// Whole.
    pub(super) fn of(room: &Room, instance: Arc<Instance>) -> Self {
        Self {
            last_heartbeat: room.last_heartbeat(&instance),
            instance,
            members: None,
        }
    }
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Instance {
            id,
            service_name,
            endpoint,
            ttl,
            status,
            last_heartbeat: _,
            tags,
            metadata,
        } = &*self.instance;
        let wanted = |member| self.members.is_none_or(|members| members.contains(&member));
        let mut map = to.serialize_map(None)?;
        for member in MEMBERS.into_iter().filter(|member| wanted(*member)) {
            match member {
                "id" => map.serialize_entry(member, id)?,
                "service_name" => map.serialize_entry(member, service_name)?,
                "endpoint" => map.serialize_entry(member, endpoint)?,
                "ttl" => map.serialize_entry(member, ttl)?,
                "status" => map.serialize_entry(member, status)?,
                "last_heartbeat" => map.serialize_entry(member, &self.last_heartbeat)?,
                "tags" if !tags.is_empty() => map.serialize_entry(member, tags)?,
                "metadata" if metadata.is_some() => map.serialize_entry(member, metadata)?,
                _ => {}
            }
        }
        map.end()
    }
}

/// Listings made lately, so that many who ask for the same are served the same bytes.
#[derive(Default)]
pub(super) struct Cache(Mutex<VecDeque<Cached>>);

struct Cached {
    selection: Selection,
    /// Of what: a snapshot belongs to one namespace and never changes.
    snapshot: Weak<Snapshot<Instance>>,
    beats: u64,
    body: Bytes,
}

/// How many different listings are remembered.
const MAX_CACHED: usize = 32;

impl Cache {
    /// The body of a listing: `{"instances": [...]}`.
    pub(super) fn body(
        &self,
        selection: Selection,
        room: &Room,
        now: &Arc<Snapshot<Instance>>,
    ) -> Result<Bytes, serde_json::Error> {
        let snapshot = Arc::downgrade(now);
        // Read before the heartbeats are, so that one in between makes the body stale.
        let beats = room.beats();
        let fresh = |c: &&Cached| {
            c.snapshot.ptr_eq(&snapshot) && c.beats == beats && c.selection == selection
        };
        if let Some(known) = self.lock().iter().find(fresh) {
            return Ok(known.body.clone());
        }
        #[derive(Serialize)]
        struct Listing<'a> {
            instances: Vec<Entry<'a>>,
        }
        let listing = Listing {
            instances: selection.entries(room, now),
        };
        let body = Bytes::from(serde_json::to_vec(&listing)?);
        drop(listing);
        let mut cached = self.lock();
        cached.retain(|c| c.selection != selection || !c.snapshot.ptr_eq(&snapshot));
        cached.truncate(MAX_CACHED - 1);
        cached.push_front(Cached {
            selection,
            snapshot,
            beats,
            body: body.clone(),
        });
        Ok(body)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Cached>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Query, String> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let pairs: Vec<_> = pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        Query::parse(&pairs).map_err(|reply| reply.text().to_owned())
    }

    fn instance(service: &str, status: &str, tags: &str) -> Instance {
        let json = serde_json::json!({
            "id": "1", "service_name": service, "endpoint": {"type": "http", "value": "h:1"},
            "status": status, "tags": tags.split(',').collect::<Vec<_>>()
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn status_hides_only_where_nothing_else_is_asked() {
        let shows = |text: &str, status: &str| {
            query(text)
                .unwrap()
                .selection
                .shows(&instance("a", status, "v1,eu"))
        };
        for (text, status, shown) in [
            ("", "UP", true),
            ("", "STARTING", false),
            ("", "OUT_OF_SERVICE", false),
            ("", "warm", true),
            ("fields=ttl", "STARTING", false),
            ("service_name=a", "STARTING", true),
            ("tags=v1", "OUT_OF_SERVICE", true),
            ("status=all", "OUT_OF_SERVICE", true),
            ("status=up", "STARTING", false),
            ("service_name=a&status=UP", "STARTING", false),
            ("service_name=b", "UP", false),
            ("tags=eu,v1", "UP", true),
            ("tags=v1&tags=us", "UP", false),
        ] {
            assert_eq!(shows(text, status), shown, "{text} of {status}");
        }
    }

    #[test]
    fn wrong_parameters_are_named() {
        for (text, named) in [
            ("color=red", "color"),
            ("fields=color", "color"),
            ("service_name=", "service_name"),
            ("watch=perhaps", "watch"),
            ("epoch=e&revision=x", "revision"),
            ("status=", "status"),
        ] {
            let refused = query(text).err().unwrap_or_default();
            assert!(refused.contains(named), "{text}: {refused:?}");
        }
    }

    #[test]
    fn fields_pick_members_in_the_order_of_an_instance() {
        let picked = query("fields=tags,service_name").unwrap().selection.members;
        assert_eq!(picked, Some(vec!["id", "service_name", "endpoint", "tags"]));
    }
}
