//! A stored object as one version of its kind shows it.

use serde_json::Value;

use crate::builtin::events;
use crate::kinds::{Kind, Origin};
use crate::schema::{default, prune};

/// What is read of a stored object: with the defaults of the version in which it is stored, and
/// without what the version does not know that was asked for. What is stored stays as it is.
pub(crate) fn of(kind: &Kind, stored: &Value) -> Value {
    let mut object = stored.clone();
    match &kind.origin {
        Origin::BuiltIn(_) => {
            if kind.plural == "events" {
                events::convert(&mut object, &kind.group);
            }
        }
        Origin::Custom(custom) => {
            prune::drop_nulls(&mut object, Some(&custom.stored_schema));
            let _ = prune::prune(&mut object, &custom.stored_schema);
            default::default(&mut object, &custom.stored_schema);
            let _ = prune::prune(&mut object, &custom.schema);
        }
    }
    object["apiVersion"] = kind.api_version().into();
    object["kind"] = kind.kind.as_str().into();
    object
}
