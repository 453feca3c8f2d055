//! What a request is refused with: the `Status` objects of the real server, word by word.

use serde_json::{Map, Value, json};

use crate::field::FieldError;

/// A refusal, as it goes over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The status of the answer.
    pub(crate) code: u16,
    /// The machine's word for it; empty where the real server gives none.
    pub(crate) reason: &'static str,
    /// The words for people.
    pub(crate) message: String,
    /// What it is about.
    pub(crate) details: Box<Details>,
    /// The real server answers some of these in plain text.
    pub(crate) plain: bool,
}

/// What a refusal is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details {
    pub(crate) group: String,
    /// A resource's plural, or a kind where an object is invalid.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) causes: Vec<Cause>,
    pub(crate) retry_after: Option<u32>,
}

/// One fault of an object.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) field: String,
}

/// `routingrules.amalgam8.io`, or `pods` for the group without a name.
pub(crate) fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}.{group}")
    }
}

impl Failure {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Box::default(),
            plain: false,
        }
    }

    /// Says which object, or which resource, it is about.
    pub(crate) fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        group.clone_into(&mut self.details.group);
        kind.clone_into(&mut self.details.kind);
        name.clone_into(&mut self.details.name);
        self
    }

    pub(crate) fn with_causes(mut self, causes: Vec<Cause>) -> Self {
        self.details.causes = causes;
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.details.retry_after = Some(seconds);
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let what = qualified(group, resource);
        let message = match (resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{what} is forbidden: {why}"),
            (false, false) => format!("{what} {name:?} is forbidden: {why}"),
        };
        Self::new(403, "Forbidden", message).about(group, resource, name)
    }

    /// The same, from where the details are left out.
    pub(crate) fn plainly(mut self) -> Self {
        let name = std::mem::take(&mut self.details.name);
        let kind = std::mem::take(&mut self.details.kind);
        self.about("", &kind, &name)
    }

    pub(crate) fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {name:?} not found", qualified(group, resource));
        Self::new(404, "NotFound", message).about(group, resource, name)
    }

    /// A path that nothing is served at.
    pub(crate) fn no_page() -> Self {
        Self {
            plain: true,
            ..Self::new(404, "", "404 page not found\n")
        }
    }

    /// A path that nothing is served at, below a group of built-in kinds.
    pub(crate) fn nothing_there() -> Self {
        let said = "the server could not find the requested resource";
        Self::new(404, "NotFound", said)
    }

    /// A method that nothing built-in is served with at a path.
    pub(crate) fn method_not_allowed() -> Self {
        let said = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", said)
    }

    pub(crate) fn not_allowed(group: &str, resource: &str, action: &str) -> Self {
        let what = qualified(group, resource);
        let message = format!("{action} is not supported on resources of kind {what:?}");
        Self::new(405, "MethodNotAllowed", message).about(group, resource, "")
    }

    pub(crate) fn not_acceptable() -> Self {
        Self::new(
            406,
            "NotAcceptable",
            "only the following media types are accepted: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf",
        )
    }

    pub(crate) fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", qualified(group, resource));
        Self::new(409, "AlreadyExists", message).about(group, resource, name)
    }

    pub(crate) fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let what = qualified(group, resource);
        let message = format!("Operation cannot be fulfilled on {what} {name:?}: {why}");
        Self::new(409, "Conflict", message).about(group, resource, name)
    }

    /// An object that changed since it was read.
    pub(crate) fn stale(group: &str, resource: &str, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::conflict(group, resource, name, why)
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub(crate) fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let mut said: Vec<String> = Vec::new();
        for error in errors {
            let text = format!("{}: {}", error.field, error.body());
            if !said.contains(&text) {
                said.push(text);
            }
        }
        let all = match said.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} {name:?} is invalid: {all}", qualified(group, kind));
        let causes = errors.iter().map(FieldError::cause).collect();
        Self::new(422, "Invalid", message)
            .about(group, kind, name)
            .with_causes(causes)
    }

    pub(crate) fn too_many_requests(retry_after: u32) -> Self {
        Self::new(
            429,
            "TooManyRequests",
            "Too many requests, please try again later.",
        )
        .retry_after(retry_after)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        let message = message.into();
        let cause = Cause {
            reason: String::new(),
            message: message.clone(),
            field: String::new(),
        };
        let said = format!("Internal error occurred: {message}");
        Self::new(500, "InternalError", said).with_causes(vec![cause])
    }

    /// A revision that is not there yet.
    pub(crate) fn too_large_revision(wanted: u64, current: u64) -> Self {
        let cause = Cause {
            reason: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".into(),
            field: String::new(),
        };
        let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        Self::new(504, "Timeout", message)
            .with_causes(vec![cause])
            .retry_after(1)
    }

    /// The object of kind `Status`.
    pub(crate) fn object(&self) -> Value {
        let mut details = Map::new();
        let mut put = |name: &str, value: &str| {
            if !value.is_empty() {
                details.insert(name.into(), value.into());
            }
        };
        put("name", &self.details.name);
        put("group", &self.details.group);
        put("kind", &self.details.kind);
        if !self.details.causes.is_empty() {
            let causes = self.details.causes.iter().map(Cause::object).collect();
            details.insert("causes".into(), Value::Array(causes));
        }
        if let Some(seconds) = self.details.retry_after {
            details.insert("retryAfterSeconds".into(), seconds.into());
        }
        let mut object = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message,
        });
        if !self.reason.is_empty() {
            object["reason"] = self.reason.into();
        }
        let bare = matches!(self.code, 400 | 401 | 406 | 410 | 415);
        if !details.is_empty() || !bare {
            object["details"] = Value::Object(details);
        }
        object["code"] = self.code.into();
        object
    }
}

impl Cause {
    fn object(&self) -> Value {
        let mut object = Map::new();
        for (name, value) in [
            ("reason", &self.reason),
            ("message", &self.message),
            ("field", &self.field),
        ] {
            if !value.is_empty() {
                object.insert(name.into(), value.clone().into());
            }
        }
        Value::Object(object)
    }
}
