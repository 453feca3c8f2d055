//! Objects without the wire: what tests put in place, through the same checks.

use serde_json::Value;

use super::ApiServer;
use crate::access::User;
use crate::api::call::Call;
use crate::failure::Failure;
use crate::kinds::Kind;
use crate::store::Key;
use crate::wire::reply::Content;
use crate::wire::request::{Query, Target};
use crate::{crd, object, view};

impl ApiServer {
    /// Makes the objects of a YAML document, or documents, or puts them in the place of those
    /// that are there. A status, where one is given, is written too. Custom kinds are served
    /// when this returns.
    ///
    /// # Panics
    /// With the words of the server, when it refuses one.
    pub async fn apply_yaml(&self, text: &str) {
        let objects: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
        for object in objects.into_iter().filter(|object| !object.is_null()) {
            self.put(object);
        }
    }

    /// Makes an object, or puts it in the place of the one that is there, as
    /// [`apply_yaml`](Self::apply_yaml) does. Returns what is stored.
    ///
    /// # Panics
    /// With the words of the server, when it refuses it.
    pub fn put(&self, object: Value) -> Value {
        let shown = format!("{} {}", object["kind"], object::name(&object));
        match self.try_put(object) {
            Ok(stored) => stored,
            Err(status) => panic!("{shown} was refused: {status}"),
        }
    }

    /// The same, with the status object of a refusal.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn try_put(&self, mut object: Value) -> Result<Value, Value> {
        let kind = self.kind_of(&object);
        let status = object.get("status").filter(|s| !s.is_null()).cloned();
        if kind.namespaced && object::namespace(&object).is_empty() {
            object::set_meta(&mut object, "namespace", Some("default".into()));
        }
        let (namespace, name) = (
            object::namespace(&object).to_owned(),
            object::name(&object).to_owned(),
        );
        let key = Key::new(&kind.table, &namespace, &name);
        let there = self.api.store().get(&key).is_some();
        let mut stored = if there {
            object::set_meta(&mut object, "resourceVersion", self.revision_of(&key));
            self.ask(&kind, "update", "", &namespace, &name, &object)?
        } else {
            self.ask(&kind, "create", "", &namespace, "", &object)?
        };
        if let Some(status) = status.filter(|_| kind.status) {
            stored["status"] = status;
            object::set_meta(&mut stored, "resourceVersion", self.revision_of(&key));
            stored = self.ask(&kind, "update", "status", &namespace, &name, &stored)?;
        }
        if kind.is("apiextensions.k8s.io", "customresourcedefinitions") {
            let mut store = self.api.store();
            crd::establish(&self.api, &mut store, &key);
        }
        Ok(stored)
    }

    fn revision_of(&self, key: &Key) -> Option<Value> {
        let store = self.api.store();
        let object = store.get(key)?;
        Some(object["metadata"]["resourceVersion"].clone())
    }

    /// Stores an object as it is, unchecked: one that an older version of its definition let in.
    pub fn put_unchecked(&self, mut object: Value) {
        let kind = self.kind_of(&object);
        let meta = object::meta_mut(&mut object);
        meta.entry("uid")
            .or_insert_with(|| uuid::Uuid::new_v4().to_string().into());
        meta.entry("creationTimestamp")
            .or_insert_with(|| object::now().into());
        meta.entry("generation").or_insert_with(|| 1.into());
        let key = Key::new(
            &kind.table,
            object::namespace(&object),
            object::name(&object),
        );
        self.api.store().put(key, object);
    }

    /// An object, as it is shown now. `resource` is a plural, with the group where that has a
    /// name: `pods`, `routingrules.amalgam8.io`.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let kind = self.kind(resource)?;
        let key = Key::new(&kind.table, namespace, name);
        let object = self.api.store().get(&key).cloned()?;
        Some(view::of(&kind, &object))
    }

    /// All objects of a resource: of one namespace, or of all for an empty one.
    pub fn list(&self, resource: &str, namespace: &str) -> Vec<Value> {
        let Some(kind) = self.kind(resource) else {
            return Vec::new();
        };
        let namespace = (!namespace.is_empty()).then_some(namespace);
        let store = self.api.store();
        let objects = store.list(&kind.table, namespace);
        objects.map(|(_, object)| view::of(&kind, object)).collect()
    }

    /// Takes an object away, as somebody who may do everything would. Whether it was there.
    pub fn delete(&self, resource: &str, namespace: &str, name: &str) -> bool {
        let Some(kind) = self.kind(resource) else {
            return false;
        };
        self.ask(&kind, "delete", "", namespace, name, &Value::Null)
            .is_ok()
    }

    fn kind(&self, resource: &str) -> Option<std::sync::Arc<Kind>> {
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        let kinds = self.api.kinds();
        kinds
            .iter()
            .find(|kind| kind.plural == plural && kind.group == group)
            .cloned()
    }

    fn kind_of(&self, object: &Value) -> std::sync::Arc<Kind> {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = object["kind"].as_str().unwrap_or_default();
        let kinds = self.api.kinds();
        let found = kinds.by_kind(group, version, kind).cloned();
        found.unwrap_or_else(|| panic!("no such kind is served: {group}/{version} {kind}"))
    }

    fn ask(
        &self,
        kind: &Kind,
        verb: &str,
        part: &str,
        namespace: &str,
        name: &str,
        object: &Value,
    ) -> Result<Value, Value> {
        let target = Target {
            verb: verb.to_owned(),
            group: kind.group.clone(),
            version: kind.version.clone(),
            resource: kind.plural.clone(),
            subresource: part.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            path: String::new(),
        };
        let body = if object.is_null() {
            String::new()
        } else {
            object.to_string()
        };
        let query = Query::parse("fieldValidation=Strict");
        let mut call = Call {
            api: &self.api,
            user: &User::admin(),
            target: &target,
            query: &query,
            accept: None,
            content_type: "application/json",
            agent: "test",
            body: crate::api::bytes(body),
            warnings: Vec::new(),
        };
        let reply = self.api.dispatch(&mut call);
        match reply.map(|reply| reply.content) {
            Ok(Content::Object(object)) => Ok(object),
            Ok(_) => Ok(Value::Null),
            Err(failure) => Err(Failure::object(&failure)),
        }
    }
}
