use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use tower::ServiceExt;

use super::*;
use crate::book::{Color, Rating, Review};
use crate::peers::Sidecar;

fn contents(reviews: Option<Reviews>) -> Contents {
    Contents {
        version: "v1".to_owned(),
        user: Some("<b>jason</b>".to_owned()),
        details: None,
        reviews,
        took_ms: 3,
    }
}

fn service() -> Router {
    // Nothing listens on the discard port: every peer is unreachable at once.
    let sidecar = Sidecar {
        proxy_url: "http://127.0.0.1:9".to_owned(),
    };
    router("v1", Peers::new(&sidecar))
}

async fn ask(request: Request<Body>) -> (http::response::Parts, String) {
    let (head, body) = service().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    (head, String::from_utf8(body.to_vec()).unwrap())
}

fn login(form: &'static str) -> Request<Body> {
    Request::post("/login")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .unwrap()
}

#[test]
fn what_comes_from_outside_is_escaped() {
    let page = page::front(&contents(Some(Reviews {
        version: "<script>".to_owned(),
        ratings_unavailable: false,
        reviews: vec![],
    })))
    .into_string();
    assert!(page.contains("&lt;b&gt;jason&lt;/b&gt;"), "{page}");
    assert!(page.contains("reviews &lt;script&gt;"), "{page}");
    assert!(!page.contains("<script>"), "{page}");
}

#[test]
fn stars_have_the_colour_of_the_version() {
    let review = |color| Review {
        reviewer: "Reviewer2".to_owned(),
        affiliation: "Affiliation2".to_owned(),
        text: "fine".to_owned(),
        rating: Some(Rating { stars: 4, color }),
    };
    for (color, said) in [
        (Color::Black, "4 of 5 stars, black"),
        (Color::Red, "4 of 5 stars, red"),
    ] {
        let page = page::front(&contents(Some(Reviews {
            version: "v2".to_owned(),
            ratings_unavailable: false,
            reviews: vec![review(color)],
        })))
        .into_string();
        assert!(page.contains(said), "{page}");
        assert_eq!(page.matches('★').count(), 5);
    }
}

#[tokio::test]
async fn a_page_without_its_peers_says_what_is_missing() {
    let (head, page) = ask(Request::get("/productpage").body(Body::empty()).unwrap()).await;
    assert_eq!(head.status, StatusCode::OK);
    assert!(page.contains("reviews are currently unavailable"), "{page}");
    assert!(page.contains("details are currently unavailable"), "{page}");
    let json = Request::get("/productpage")
        .header("accept", "application/json")
        .header("cookie", "a=b; user=jason")
        .body(Body::empty())
        .unwrap();
    let (_, json) = ask(json).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["user"], "jason");
    assert!(json["reviews"].is_null());
}

#[tokio::test]
async fn signing_in_and_out_works_under_any_prefix() {
    let (head, _) = ask(login("username=jason")).await;
    assert_eq!(head.status, StatusCode::SEE_OTHER);
    assert_eq!(head.headers["location"], "productpage");
    assert_eq!(
        head.headers["set-cookie"],
        "user=jason; Path=/; HttpOnly; SameSite=Lax"
    );
    let (head, _) = ask(Request::get("/logout").body(Body::empty()).unwrap()).await;
    assert_eq!(head.headers["location"], "productpage");
    assert_eq!(head.headers["set-cookie"], "user=; Path=/; Max-Age=0");
}

#[tokio::test]
async fn a_name_that_does_not_fit_into_a_cookie_is_refused() {
    for form in [
        "username=",
        "username=a%3Bb",
        "username=a%0D%0Ab",
        "username=%C3%A9",
    ] {
        let (head, reason) = ask(login(form)).await;
        assert_eq!(head.status, StatusCode::BAD_REQUEST, "{form}");
        assert!(reason.starts_with("username: "), "{reason}");
        assert!(!head.headers.contains_key("set-cookie"));
    }
}
