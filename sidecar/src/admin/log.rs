//! The level of the log, shown and changed.

use a8_common::http::Reply;
use a8_common::telemetry::Level;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use tracing::info;

use super::Sidecar;

pub(super) async fn show(State(sidecar): State<Sidecar>) -> Json<Value> {
    Json(json!({"level": sidecar.log.level().to_string()}))
}

/// Takes a level as plain text or as `{"level": "debug"}`.
pub(super) async fn change(
    State(sidecar): State<Sidecar>,
    body: String,
) -> Result<Json<Value>, Reply> {
    let given = match serde_json::from_str::<Value>(&body) {
        Ok(Value::Object(members)) => match members.get("level") {
            Some(Value::String(level)) => level.clone(),
            _ => {
                return Err(Reply::bad_request(
                    "bad_level",
                    "level is missing or no text",
                ));
            }
        },
        Ok(Value::String(level)) => level,
        _ => body.trim().to_owned(),
    };
    if given.is_empty() {
        return Err(Reply::bad_request("bad_level", "the body must be a level"));
    }
    let level: Level = given
        .parse()
        .map_err(|e| Reply::bad_request("bad_level", format!("{given:?} {e}")))?;
    sidecar.log.set(&level).map_err(|_| Reply::internal())?;
    info!(%level, "log level changed");
    Ok(Json(json!({"level": level.to_string()})))
}
