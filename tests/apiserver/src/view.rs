//! A stored object as one version of its kind shows it.

use serde_json::Value;

use crate::builtin::events;
use crate::kinds::{Kind, Origin};
use crate::schema::{default, prune};

/// What is read of a stored object: in the version that was asked for, without what that does not
/// know, and with its defaults. What is stored stays as it is.
pub(crate) fn of(kind: &Kind, stored: &Value) -> Value {
    let mut object = stored.clone();
    match &kind.origin {
        Origin::BuiltIn(_) => {
            if kind.plural == "events" {
                events::convert(&mut object, &kind.group);
            }
        }
        Origin::Custom(custom) => {
            prune::drop_nulls(&mut object, Some(&custom.schema));
            let _ = prune::prune(&mut object, &custom.schema);
            default::default(&mut object, &custom.schema);
        }
    }
    object["apiVersion"] = kind.api_version().into();
    object["kind"] = kind.kind.as_str().into();
    object
}
