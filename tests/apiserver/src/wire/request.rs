//! What a request is about, read from its method, its path and its query.

use http::{Method, Uri};
use percent_encoding::percent_decode_str;

/// What a request is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    /// `get`, `list`, `watch`…; for what is no resource the method.
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) version: String,
    /// The plural; empty for what is no resource.
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) path: String,
}

/// The query of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let decode = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of a name; empty where there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(given, _)| given == name)
            .map_or("", |(_, value)| value)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| given == name)
    }

    /// All values of a name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether a switch is on: as the real server reads it, anything but `0` and `false` is on.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.has(name) && !matches!(self.get(name), "0" | "false")
    }
}

impl Target {
    pub(crate) fn read(method: &Method, uri: &Uri, query: &Query) -> Self {
        let path = uri.path().to_owned();
        let parts: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let parts: Vec<_> = parts.iter().map(String::as_str).collect();
        let mut target = Self {
            verb: method.as_str().to_lowercase(),
            path,
            ..Self::default()
        };
        let rest = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => {
                target.version = (*version).to_owned();
                rest
            }
            ["apis", group, version, rest @ ..] if !rest.is_empty() => {
                target.group = (*group).to_owned();
                target.version = (*version).to_owned();
                rest
            }
            _ => return target,
        };
        target.resource_parts(rest);
        target.resource_verb(method, query);
        target
    }

    fn resource_parts(&mut self, parts: &[&str]) {
        let parts = match parts {
            // A namespace by itself, and what belongs to it.
            ["namespaces", namespace] => {
                (*namespace).clone_into(&mut self.namespace);
                parts
            }
            ["namespaces", namespace, "status" | "finalize"] => {
                (*namespace).clone_into(&mut self.namespace);
                parts
            }
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => {
                (*namespace).clone_into(&mut self.namespace);
                rest
            }
            all => all,
        };
        let mut parts = parts.iter().map(|part| (*part).to_owned());
        self.resource = parts.next().unwrap_or_default();
        self.name = parts.next().unwrap_or_default();
        self.subresource = parts.collect::<Vec<_>>().join("/");
    }

    fn resource_verb(&mut self, method: &Method, query: &Query) {
        let verb = match *method {
            Method::POST => "create",
            Method::GET | Method::HEAD => "get",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => return self.verb = method.as_str().to_lowercase(),
        };
        let verb = match (verb, self.name.is_empty()) {
            ("get", true) if query.is_on("watch") => "watch",
            ("get", true) => "list",
            ("delete", true) => "deletecollection",
            (verb, _) => verb,
        };
        verb.clone_into(&mut self.verb);
        // Who asks for one object by its name may be allowed just that.
        if matches!(verb, "list" | "watch" | "deletecollection") {
            for term in query.get("fieldSelector").split(',') {
                if let Some((field, value)) = term.split_once('=')
                    && field == "metadata.name"
                {
                    self.name = value.trim_start_matches('=').to_owned();
                }
            }
        }
    }

    /// The resource with its part, as roles name it: `pods/status`.
    pub(crate) fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}
