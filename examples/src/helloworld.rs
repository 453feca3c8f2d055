//! The helloworld service: says which version and which instance it is.

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::SET_COOKIE;

/// The service. Both words stand in each answer.
pub fn router(version: &str, instance: &str) -> Router {
    let text = format!("Hello version: {version}, container: {instance}\n");
    let cookie = format!("version={version}");
    Router::new().route("/hello", get(async move || answer(&text, &cookie)))
}

/// The cookie tells a browser, and a rule that matches it, which version answered before.
fn answer(text: &str, cookie: &str) -> impl IntoResponse + use<> {
    ([(SET_COOKIE, cookie.to_owned())], text.to_owned())
}

/// Takes an answer apart again: version and instance.
pub fn parse(answer: &str) -> Option<(&str, &str)> {
    answer
        .trim_end()
        .strip_prefix("Hello version: ")?
        .split_once(", container: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_can_be_taken_apart() {
        let answer = "Hello version: v2, container: helloworld-v2-1\n";
        assert_eq!(parse(answer), Some(("v2", "helloworld-v2-1")));
        assert_eq!(parse("no such service"), None);
    }
}
