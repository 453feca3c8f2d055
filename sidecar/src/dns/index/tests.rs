use a8_common::model::Instance;

use super::super::name::{Domain, key};
use super::*;

fn index(instances: &[(&str, &str, &str, &str)]) -> Index {
    let domain: Domain = "amalgam8".parse().unwrap();
    let mut services: std::collections::BTreeMap<Arc<[u8]>, Vec<Arc<Entry>>> = Default::default();
    for (id, service, kind, tags) in instances {
        let instance: Instance = serde_json::from_value(serde_json::json!({
            "id": id, "service_name": service,
            "endpoint": {"type": kind, "value": "10.0.0.1:80"},
            "tags": tags.split(',').filter(|t| !t.is_empty()).collect::<Vec<_>>(),
        }))
        .unwrap();
        let entry = Arc::new(Entry::new(&instance, &domain).unwrap());
        let service = super::super::name::key_of(service).unwrap();
        services.entry(Arc::from(service)).or_default().push(entry);
    }
    let mut index = Index {
        loaded: true,
        ..Index::default()
    };
    for (name, entries) in services {
        index.services.insert(name, entries.into());
    }
    index
}

/// The ids that `name` stands for; `-` when it is only on the way, nothing when it is none.
fn ids(index: &Index, name: &str) -> String {
    let key = key(name.split('.').map(str::as_bytes)).unwrap();
    let found = match key.starts_with(b"_") {
        true => index.find_service(&key),
        false => index.find(&key),
    };
    match found {
        Found::Nothing => String::new(),
        Found::OnTheWay => "-".to_owned(),
        Found::Instances(entries) => {
            let ids = entries.iter().map(|entry| entry.id.as_deref().unwrap());
            let ids: Vec<_> = ids.map(|id| String::from_utf8_lossy(id)).collect();
            ids.join(" ")
        }
    }
}

#[test]
fn labels_before_the_service_narrow_it_in_any_order() {
    let index = index(&[
        ("i1", "reviews", "http", "v1,blue"),
        ("i2", "reviews", "https", "v2,blue"),
        ("i3", "reviews", "tcp", "v2,red"),
    ]);
    for (name, want) in [
        ("reviews", "i1 i2 i3"),
        ("Reviews", "i1 i2 i3"),
        ("v2.reviews", "i2 i3"),
        ("V2.reviews", "i2 i3"),
        ("v2.blue.reviews", "i2"),
        ("blue.v2.reviews", "i2"),
        ("blue.https.v2.reviews", "i2"),
        ("v2.v2.reviews", "i2 i3"),
        ("http.reviews", "i1"),
        ("tcp.reviews", "i3"),
        ("udp.reviews", ""),
        ("i2.reviews", "i2"),
        ("i2.v1.reviews", ""),
        ("i2.v2.reviews", "i2"),
        ("v3.reviews", ""),
        ("reviews.v1", ""),
        ("ratings", ""),
        ("v.reviews", ""),
    ] {
        assert_eq!(ids(&index, name), want, "{name}");
    }
}

#[test]
fn a_tag_with_a_value_is_written_from_the_left_to_the_right() {
    let index = index(&[
        ("i1", "web", "http", "version=v1"),
        ("i2", "web", "http", "version=1.2,zone=eu"),
        ("i3", "web", "http", "eu,zone"),
        ("i4", "web", "http", "app.kubernetes.io/name=web"),
    ]);
    for (name, want) in [
        ("v1.version.web", "i1"),
        ("version=v1.web", "i1"),
        ("1.2.version.web", "i2"),
        ("version=1.2.web", "i2"),
        ("1.2.version.eu.zone.web", "i2"),
        // Each instance is asked by what it has: a value, or two tags.
        ("eu.zone.web", "i2 i3"),
        ("zone.eu.web", "i3"),
        ("zone.web", "i3"),
        ("version.web", "-"),
        ("2.version.web", "-"),
        ("3.version.web", ""),
        ("web.app.kubernetes.io/name.web", "i4"),
        ("io/name.web", "-"),
    ] {
        assert_eq!(ids(&index, name), want, "{name}");
    }
}

#[test]
fn the_longest_name_of_a_service_wins() {
    let index = index(&[
        ("i1", "web", "http", "v1,a"),
        ("i2", "v1.web", "http", "a"),
        ("i3", "x.y.z", "http", ""),
    ]);
    for (name, want) in [
        ("web", "i1"),
        ("v1.web", "i2"),
        ("a.v1.web", "i2"),
        ("v1.a.web", "i1"),
        ("x.y.z", "i3"),
        ("y.z", "-"),
        ("z", "-"),
        ("w.y.z", ""),
        ("_x.y.z._http", "i3"),
        ("y.z._http", "-"),
        ("v1.web._http", ""),
        ("_v1.web._http", "i2"),
        ("v1._web._http", "i1"),
    ] {
        assert_eq!(ids(&index, name), want, "{name}");
    }
}

#[test]
fn services_are_asked_for_by_protocol() {
    let index = index(&[
        ("i1", "reviews", "http", "v1"),
        ("i2", "reviews", "https", "v2"),
        ("i3", "db", "tcp", "v1"),
        ("i4", "db", "http", "v1"),
        ("i5", "syslog", "udp", ""),
    ]);
    for (name, want) in [
        ("_reviews._http", "i1"),
        ("_reviews._https", "i2"),
        ("_Reviews._HTTP", "i1"),
        ("_reviews._tcp", "i1 i2"),
        ("_db._tcp", "i3"),
        ("_syslog._udp", "i5"),
        ("_syslog._tcp", ""),
        ("_reviews._v2", "i2"),
        ("_reviews._i2", "i2"),
        ("v1._reviews._tcp", "i1"),
        ("v1._reviews._https", ""),
        ("v9._reviews._tcp", ""),
        ("_nobody._tcp", ""),
        ("reviews._tcp", ""),
        ("_tcp", "-"),
        ("_udp", "-"),
        ("_user", ""),
        ("_", ""),
        ("_._tcp", ""),
        ("__reviews._tcp", ""),
    ] {
        assert_eq!(ids(&index, name), want, "{name}");
    }
}

#[test]
fn a_name_on_the_way_leads_to_instances_of_its_protocol() {
    let index = index(&[
        ("i1", "web", "http", "version=1.3,zone,i2"),
        ("i2", "web", "https", "version=1.2,zone=eu"),
        ("i3", "a.b", "http", ""),
    ]);
    for (name, want) in [
        ("version._web._http", "-"),
        ("3.version._web._http", "-"),
        ("2.version._web._http", ""),
        ("2.version._web._https", "-"),
        ("2.version._web._tcp", "-"),
        ("2.version._web._udp", ""),
        ("zone._web._http", "i1"),
        ("zone._web._https", "-"),
        ("eu.zone._web._https", "i2"),
        ("b._http", "-"),
        ("b._tcp", "-"),
        ("b._https", ""),
        // A tag that is the id of another: alone it is that one, and below it a tag.
        ("i2._web._http", "-"),
        ("zone.i2._web._http", "i1"),
        ("i1._web._https", ""),
    ] {
        assert_eq!(ids(&index, name), want, "{name}");
    }
}

#[test]
fn a_name_of_many_labels_is_soon_understood() {
    let index = index(&[("i1", "web", "http", "a,a.a,a.a.a,a=a,a.a=a.a")]);
    let name = format!("{}web", "a.".repeat(120));
    assert_eq!(ids(&index, &name), "i1");
    let name = format!("b.{}web", "a.".repeat(120));
    assert_eq!(ids(&index, &name), "");
}
