//! Questions about who may do what, and tokens of service accounts.

use std::time::Duration;

use serde_json::{Value, json};

use super::{User, rbac};
use crate::api::call::{Call, FieldValidation};
use crate::failure::Failure;
use crate::field::FieldError;
use crate::kinds::Kind;
use crate::object;
use crate::schema::{decode, definition, read};
use crate::store::Key;
use crate::wire::reply::Reply;
use crate::wire::request::Target;

fn body(call: &Call<'_>, schema: &str) -> Result<Value, Failure> {
    if !matches!(call.media_type(), "" | "application/json") {
        return Err(Failure::unsupported_media_type(&["application/json"]));
    }
    let document = read::json(&call.body).map_err(|why| {
        Failure::bad_request(format!(
            "couldn't get version/kind; json parse error: {why}"
        ))
    })?;
    let mut value = document.value;
    let wanted = schema.rsplit('.').next().unwrap_or(schema);
    let given = text(&value, "kind");
    if !given.is_empty() && given != wanted {
        let group = if schema.contains(".authentication.") {
            "authentication"
        } else {
            "authorization"
        };
        return Err(Failure::bad_request(format!(
            "{given} in version \"v1\" cannot be handled as a {wanted}: converting (v1.{given}) to \
             ({group}.{wanted}): unknown conversion"
        )));
    }
    let decoded = decode::decode_as(&mut value, definition(schema), wanted);
    let refused = |why: &str| {
        Failure::bad_request(format!(
            "{wanted} in version \"v1\" cannot be handled as a {wanted}: {why}"
        ))
    };
    if let Some(wrong) = decoded.wrong {
        return Err(refused(&wrong));
    }
    let mut said: Vec<_> = document
        .twice
        .iter()
        .map(|path| format!("duplicate field {path:?}"))
        .collect();
    let unknown = decoded.unknown.iter();
    said.extend(unknown.map(|path| format!("unknown field {path:?}")));
    if call.field_validation() == FieldValidation::Strict && !said.is_empty() {
        let said = said.join(", ");
        return Err(refused(&format!("strict decoding error: {said}")));
    }
    Ok(value)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Answers a review.
pub(crate) fn answer(call: &Call<'_>, kind: &Kind) -> Result<Reply, Failure> {
    let schema = kind.built_in().map_or("", |built_in| built_in.definition);
    let mut review = body(call, schema)?;
    review["apiVersion"] = kind.api_version().into();
    review["kind"] = kind.kind.as_str().into();
    object::meta_mut(&mut review);
    let spec = review["spec"].clone();
    review["status"] = match kind.plural.as_str() {
        "selfsubjectaccessreviews" => access(call, kind, call.user, &spec)?,
        "subjectaccessreviews" | "localsubjectaccessreviews" => {
            let groups = crate::metadata::texts(&spec["groups"]);
            let user = User {
                name: text(&spec, "user").to_owned(),
                groups: groups.into_iter().map(str::to_owned).collect(),
                uid: String::new(),
            };
            let about = &spec["resourceAttributes"]["namespace"];
            if kind.namespaced && *about != call.target.namespace.as_str() {
                let field = "spec.resourceAttributes.namespace";
                let fault = FieldError::invalid(field, about, "must match metadata.namespace");
                return Err(Failure::invalid(&kind.group, "", "", &[fault]));
            }
            if user.name.is_empty() && user.groups.is_empty() {
                let said = "at least one of user or group must be specified";
                let fault = FieldError::invalid("spec.user", &"".into(), said);
                return Err(Failure::invalid(&kind.group, "", "", &[fault]));
            }
            access(call, kind, &user, &spec)?
        }
        "selfsubjectrulesreviews" => {
            review["spec"] = json!({});
            rules(call, &spec)?
        }
        "selfsubjectreviews" => json!({"userInfo": info(call.user)}),
        _ if text(&spec, "token").is_empty() => {
            let said = "token is required for TokenReview in authentication";
            return Err(Failure::bad_request(said));
        }
        _ => token_review(call, &spec),
    };
    Ok(Reply {
        status: 201,
        ..Reply::ok(review)
    })
}

fn access(call: &Call<'_>, kind: &Kind, user: &User, spec: &Value) -> Result<Value, Failure> {
    let resource = &spec["resourceAttributes"];
    let other = &spec["nonResourceAttributes"];
    let target = match (resource.is_object(), other.is_object()) {
        (true, false) => Target {
            verb: text(resource, "verb").into(),
            group: text(resource, "group").into(),
            version: text(resource, "version").into(),
            resource: text(resource, "resource").into(),
            subresource: text(resource, "subresource").into(),
            namespace: text(resource, "namespace").into(),
            name: text(resource, "name").into(),
            path: String::new(),
        },
        (false, true) => Target {
            verb: text(other, "verb").into(),
            path: text(other, "path").into(),
            ..Target::default()
        },
        (both, _) => {
            let said = if both {
                "cannot be specified in combination with resourceAttributes"
            } else {
                "exactly one of nonResourceAttributes or resourceAttributes must be specified"
            };
            let field = if both {
                "spec.nonResourceAttributes"
            } else {
                "spec.resourceAttributes"
            };
            let mut fault = FieldError::invalid(field, &Value::Null, said);
            if both {
                fault.given = format!("{{\"Path\":{},\"Verb\":{}}}", other["path"], other["verb"]);
            }
            return Err(Failure::invalid(&kind.group, "", "", &[fault]));
        }
    };
    let allowed = rbac::allowed(&call.api.store(), user, &target);
    Ok(json!({"allowed": allowed}))
}

fn rules(call: &Call<'_>, spec: &Value) -> Result<Value, Failure> {
    let namespace = text(spec, "namespace");
    if namespace.is_empty() {
        return Err(Failure::bad_request("no namespace on request"));
    }
    let everything = vec![
        json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
        json!({"verbs": ["*"], "nonResourceURLs": ["*"]}),
    ];
    let all = if call
        .user
        .groups
        .iter()
        .any(|group| group == "system:masters")
    {
        everything
    } else {
        rbac::rules(&call.api.store(), call.user, namespace)
    };
    let (paths, resources): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|rule| rule["nonResourceURLs"].is_array());
    Ok(json!({
        "resourceRules": resources, "nonResourceRules": paths, "incomplete": false,
    }))
}

fn info(user: &User) -> Value {
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = user.uid.as_str().into();
    }
    info
}

fn token_review(call: &Call<'_>, spec: &Value) -> Value {
    let tokens = call.api.tokens.lock().unwrap();
    match tokens.user(text(spec, "token")) {
        Some(user) => json!({
            "authenticated": true,
            "user": info(&user),
            "audiences": ["https://kubernetes.default.svc.cluster.local"],
        }),
        None => json!({
            "user": {},
            "error": "invalid bearer token",
        }),
    }
}

/// Answers a request for a token of a service account.
pub(crate) fn token(call: &Call<'_>) -> Result<Reply, Failure> {
    let mut request = body(call, "io.k8s.api.authentication.v1.TokenRequest")?;
    let (namespace, name) = (&call.target.namespace, &call.target.name);
    let key = Key::new(&"/serviceaccounts".into(), namespace, name);
    let account = call.api.store().get(&key).cloned();
    let account = account.ok_or_else(|| Failure::not_found("", "serviceaccounts", name))?;
    let seconds = request["spec"]["expirationSeconds"]
        .as_u64()
        .unwrap_or(3600);
    if !(600..=1 << 32).contains(&seconds) {
        let said = if seconds < 600 {
            "may not specify a duration less than 10 minutes"
        } else {
            "may not specify a duration larger than 2^32 seconds"
        };
        let fault = FieldError::invalid("spec.expirationSeconds", &seconds.into(), said);
        let group = "authentication.k8s.io";
        return Err(Failure::invalid(group, "TokenRequest", "", &[fault]));
    }
    let bound = &request["spec"]["boundObjectRef"];
    let table = match text(bound, "kind") {
        "Pod" => "pods",
        "Secret" => "secrets",
        _ => "",
    };
    if !table.is_empty() {
        let bound = text(bound, "name");
        let key = Key::new(&format!("/{table}").into(), namespace, bound);
        if call.api.store().get(&key).is_none() {
            return Err(Failure::not_found("", table, bound));
        }
    }
    let lifetime = Duration::from_secs(seconds);
    let user = User::service_account(namespace, name, object::uid(&account));
    let token = call.api.tokens.lock().unwrap().mint(user, Some(lifetime));
    let ends = jiff::Timestamp::now() + lifetime;
    request["apiVersion"] = "authentication.k8s.io/v1".into();
    request["kind"] = "TokenRequest".into();
    request["metadata"] = json!({
        "name": name, "namespace": namespace, "creationTimestamp": object::now(),
    });
    request["spec"]["expirationSeconds"] = seconds.into();
    request["status"] = json!({"token": token, "expirationTimestamp": object::stamp(ends)});
    Ok(Reply {
        status: 201,
        ..Reply::ok(request)
    })
}
