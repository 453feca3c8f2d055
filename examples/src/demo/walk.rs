//! The documented walk through bookinfo, made by itself, with a verdict for each step.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::Value;

use super::Error;
use super::place::Place;
use super::screen::say;
use crate::book::Color;

/// How often a thing that must always hold is looked at.
const LOOKS: usize = 10;
/// How many pages the split is judged by: six standard deviations are nine points then.
const PAGES: usize = 1000;
const POINTS: f64 = 9.0;
/// How many pages are fetched at once.
const AT_ONCE: usize = 8;
/// What counts as not slowed down.
const QUICK: Duration = Duration::from_secs(2);
/// How long jason's page takes while ratings are late: twice the three seconds that the page
/// waits for reviews.
const LATE: std::ops::Range<Duration> = Duration::from_millis(5500)..Duration::from_millis(7500);
const SORRY: &str = "reviews are currently unavailable";

/// Walks, prints a line for each step, and fails when one is not as documented.
pub(super) async fn run(place: &dyn Place) -> Result<(), Error> {
    let mut walk = Walk {
        place,
        steps: 0,
        failed: 0,
    };
    say("\nThe walk through bookinfo:");
    walk.everybody_gets_v1().await?;
    walk.jason_alone_gets_v2().await?;
    walk.jason_alone_waits_for_ratings().await?;
    walk.the_delay_is_gone().await?;
    walk.a_quarter_keeps_v1().await?;
    let Walk { steps, failed, .. } = walk;
    say(format_args!(
        "\n{} of {steps} steps as documented",
        steps - failed
    ));
    if failed == 0 {
        Ok(())
    } else {
        Err(Error::Walk { failed, steps })
    }
}

struct Walk<'a> {
    place: &'a dyn Place,
    steps: usize,
    failed: usize,
}

/// One page, as JSON.
struct Page {
    took: Duration,
    contents: Value,
}

/// What a step has to say when it is as documented, and when it is not.
type Verdict = Result<String, String>;

impl Walk<'_> {
    async fn everybody_gets_v1(&mut self) -> Result<(), Error> {
        let mut verdict = Ok("no stars, whoever is signed in".to_owned());
        for user in [None, Some("jason"), Some("shriram")] {
            verdict = verdict.and(self.always(user, "v1", None).await);
        }
        self.step("default routes: reviews v1 for all", verdict);
        Ok(())
    }

    async fn jason_alone_gets_v2(&mut self) -> Result<(), Error> {
        let file = "bookinfo-jason-reviews-v2-route-rules.yaml";
        self.place.create(file).await?;
        let jason = self.always(Some("jason"), "v2", Some(Color::Black)).await;
        self.step("route for jason: he gets reviews v2", jason);
        let mut others = Ok(String::new());
        for user in [None, Some("shriram")] {
            others = others.and(self.always(user, "v1", None).await);
        }
        self.step("all others keep reviews v1", others);
        Ok(())
    }

    async fn jason_alone_waits_for_ratings(&mut self) -> Result<(), Error> {
        self.place.create("bookinfo-jason-7s-delay.yaml").await?;
        // The others ask while jason waits.
        let (jason, others) = tokio::join!(self.html(Some("jason")), async {
            let mut slowest = Duration::ZERO;
            for _ in 0..LOOKS {
                let page = self.page(Some("shriram")).await?;
                shows(&page, "v1", None)?;
                slowest = slowest.max(page.took);
            }
            Ok::<_, String>(slowest)
        });
        let jason = jason.and_then(|(took, page)| {
            let took_s = format!("{:.1} s", took.as_secs_f64());
            if !page.contains(SORRY) {
                return Err(format!(
                    "the page does not say that {SORRY} (after {took_s})"
                ));
            }
            if !LATE.contains(&took) {
                return Err(format!("the page took {took_s}, not about 6 s"));
            }
            Ok(format!("after {took_s}: {SORRY}"))
        });
        self.step("ratings 7 s late for jason: no reviews on his page", jason);
        let others = others.and_then(|slowest| {
            let slowest_ms = slowest.as_millis();
            if slowest > QUICK {
                return Err(format!("the slowest page took {slowest_ms} ms"));
            }
            Ok(format!("reviews v1, the slowest page in {slowest_ms} ms"))
        });
        self.step("all others are not slowed down", others);
        Ok(())
    }

    async fn the_delay_is_gone(&mut self) -> Result<(), Error> {
        self.place.delete("bookinfo-jason-7s-delay").await?;
        let verdict = self.always(Some("jason"), "v2", Some(Color::Black)).await;
        self.step("delay taken away: jason gets reviews v2 again", verdict);
        Ok(())
    }

    async fn a_quarter_keeps_v1(&mut self) -> Result<(), Error> {
        self.place.delete_all().await?;
        self.place.create("bookinfo-reviews-routing.yaml").await?;
        let verdict = self.split().await;
        self.step("canary: a quarter reviews v1, the others v3", verdict);
        Ok(())
    }

    async fn split(&self) -> Verdict {
        let mut pages = stream::iter(0..PAGES)
            .map(|_| self.page(Some("shriram")))
            .buffer_unordered(AT_ONCE);
        let mut by_version = BTreeMap::<String, u32>::new();
        while let Some(page) = pages.next().await {
            let page = page?;
            let version = version_of(&page.contents).to_owned();
            match version.as_str() {
                "v1" => shows(&page, "v1", None)?,
                _ => shows(&page, "v3", Some(Color::Red))?,
            }
            *by_version.entry(version).or_default() += 1;
        }
        let of = |version: &str| by_version.get(version).copied().unwrap_or(0);
        let all: u32 = by_version.values().sum();
        let share = 100.0 * f64::from(of("v1")) / f64::from(all);
        let text = format!("{share:.1} % of {all} pages v1, the others v3 with red stars");
        if (share - 25.0).abs() > POINTS {
            return Err(text);
        }
        Ok(text)
    }

    /// Looks several times as `user`.
    async fn always(&self, user: Option<&str>, version: &str, color: Option<Color>) -> Verdict {
        let mut slowest = Duration::ZERO;
        for _ in 0..LOOKS {
            let page = self.page(user).await?;
            shows(&page, version, color)?;
            slowest = slowest.max(page.took);
        }
        if slowest > QUICK {
            return Err(format!("a page took {} ms", slowest.as_millis()));
        }
        let stars = match color {
            None => "no stars",
            Some(Color::Black) => "black stars",
            Some(Color::Red) => "red stars",
        };
        Ok(format!("{stars} on {LOOKS} of {LOOKS} pages"))
    }

    async fn page(&self, user: Option<&str>) -> Result<Page, String> {
        let (took, text) = self.place.page(user, "application/json").await?;
        let contents = serde_json::from_str(&text).map_err(|e| format!("{e} in {text}"))?;
        Ok(Page { took, contents })
    }

    async fn html(&self, user: Option<&str>) -> Result<(Duration, String), String> {
        self.place.page(user, "text/html").await
    }

    fn step(&mut self, what: &str, verdict: Verdict) {
        self.steps += 1;
        let (word, text) = match verdict {
            Ok(text) => ("ok    ", text),
            Err(text) => {
                self.failed += 1;
                ("FAILED", text)
            }
        };
        say(format_args!(
            "  {word} {}. {what}\n           {text}",
            self.steps
        ));
    }
}

/// Whether the page has the reviews of `version`, and all of them stars of `color`.
fn shows(page: &Page, version: &str, color: Option<Color>) -> Result<(), String> {
    let got = version_of(&page.contents);
    if got != version {
        return Err(format!("reviews {got} instead of {version}"));
    }
    let color = match color {
        None => Value::Null,
        Some(Color::Black) => "black".into(),
        Some(Color::Red) => "red".into(),
    };
    let reviews = page.contents["reviews"]["reviews"].as_array();
    for review in reviews.into_iter().flatten() {
        if review["rating"]["color"] != color {
            return Err(format!("stars of {version}: {}", review["rating"]));
        }
    }
    Ok(())
}

fn version_of(contents: &Value) -> &str {
    contents["reviews"]["version"].as_str().unwrap_or("none")
}
