//! The product page as HTML. It fetches nothing: style and pictures are in it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Contents;
use crate::book::{Color, Details, Rating, Review, Reviews};

const STYLE: &str = include_str!("page.css");
const STARS: u8 = 5;

/// Where a visitor who knows no path arrives.
pub(super) fn index() -> Markup {
    let parts = [
        ("productpage", "puts the page together", ""),
        ("details", "knows the imprint", ""),
        ("reviews", "knows what readers think", "v1, v2, v3"),
        ("ratings", "knows how many stars they gave", ""),
    ];
    layout(html! {
        // Under a gateway's prefix without a slash at its end, links would lose the prefix.
        script { (PreEscaped(
            r#"const p = location.pathname; if (!/\/(index\.html)?$/.test(p)) location.replace(p + "/")"#,
        )) }
        main.index {
            h1 { "Bookinfo" }
            p { "A small book shop made of four services. None knows where the others are: each \
                 calls its peers through the sidecar beside it, and rules decide who answers." }
            ul.services {
                @for (name, does, versions) in parts {
                    li { b { (name) } " " (does) @if !versions.is_empty() { " " span.badge { (versions) } } }
                }
            }
            p { a.button href="productpage" { "To the book" } }
        }
    })
}

/// The page itself.
pub(super) fn front(contents: &Contents) -> Markup {
    layout(html! {
        header {
            a.brand href="productpage" { "Bookinfo" }
            (visitor(contents.user.as_deref()))
        }
        main {
            (book())
            div.columns {
                section { (details(contents.details.as_ref())) }
                section { (reviews(contents.reviews.as_ref())) }
            }
        }
        footer {
            (badge("productpage", &contents.version))
            span { "put together in " (contents.took_ms) " ms" }
        }
    })
}

fn layout(body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                link rel="icon" href="data:,";
                title { "The Comedy of Errors · Bookinfo" }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    }
}

fn visitor(user: Option<&str>) -> Markup {
    html! {
        @if let Some(user) = user {
            p.visitor { "Signed in as " b { (user) } " · " a href="logout" { "Sign out" } }
        } @else {
            form.visitor method="post" action="login" {
                label for="username" { "Sign in as" }
                input #username name="username" placeholder="jason" required
                    maxlength="32" pattern="[A-Za-z0-9._\\-]+" autocomplete="off";
                button { "Sign in" }
            }
        }
    }
}

fn book() -> Markup {
    html! {
        div.book {
            div.cover aria-hidden="true" {
                span.by { "William Shakespeare" }
                span.masks { "☻☹" }
                span.name { "The Comedy" br; "of Errors" }
            }
            div {
                h1 { "The Comedy of Errors" }
                p.author { "William Shakespeare" }
                p { "Twin brothers, parted by a shipwreck as children, each with a servant who is a \
                     twin too, come to the same town on the same day without knowing it. Wives, \
                     goldsmiths and constables take one for the other, until nobody in Ephesus is \
                     sure of his own name. It is the shortest of the plays, one of the first, and the \
                     one with the most slaps." }
            }
        }
    }
}

fn details(details: Option<&Details>) -> Markup {
    html! {
        h2 { "Book details" @if let Some(d) = details { (badge("details", &d.version)) } }
        @if let Some(d) = details {
            dl {
                @for (term, value) in [
                    ("Paperback", &d.paperback), ("Publisher", &d.publisher), ("Language", &d.language),
                    ("ISBN-10", &d.isbn_10), ("ISBN-13", &d.isbn_13),
                ] {
                    dt { (term) } dd { (value) }
                }
            }
        } @else {
            p.sorry { "Sorry, product details are currently unavailable for this book." }
        }
    }
}

fn reviews(reviews: Option<&Reviews>) -> Markup {
    html! {
        h2 { "Reviews" @if let Some(r) = reviews { (badge("reviews", &r.version)) } }
        @if let Some(r) = reviews {
            @for review in &r.reviews { (opinion(review)) }
            @if r.ratings_unavailable {
                p.sorry { "Ratings are currently unavailable." }
            }
        } @else {
            p.sorry { "Sorry, product reviews are currently unavailable for this book." }
        }
    }
}

fn opinion(review: &Review) -> Markup {
    html! {
        blockquote {
            @if let Some(rating) = &review.rating { (stars(rating)) }
            p { (review.text) }
            cite { (review.reviewer) span { ", " (review.affiliation) } }
        }
    }
}

fn stars(rating: &Rating) -> Markup {
    let color = match rating.color {
        Color::Black => "black",
        Color::Red => "red",
    };
    let full = rating.stars.min(STARS);
    html! {
        p.stars.(color) role="img" aria-label={ (full) " of " (STARS) " stars, " (color) } {
            @for _ in 0..full { "★" }
            @for _ in full..STARS { span { "★" } }
        }
    }
}

fn badge(service: &str, version: &str) -> Markup {
    html! { span.badge { (service) " " (version) } }
}
