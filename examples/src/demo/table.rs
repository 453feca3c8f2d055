//! The picture of where requests go, as lines of text.

use std::time::Duration;

use super::tally::Figures;

/// Columns of the bar that stands for all requests.
const BAR: usize = 24;

/// One line for each version and each of its instances, and one for each kind of failure.
///
/// `instances` are those to show even while nothing goes there: version and name.
pub(super) fn lines(figures: &Figures, instances: &[(&str, &str)]) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<18} {:<BAR$} {:>7} {:>7} {:>9} {:>9}",
        "", "share of all requests", "", "req/s", "p50", "p99"
    )];
    let mut versions: Vec<&str> = instances.iter().map(|(version, _)| *version).collect();
    versions.dedup();
    for version in versions {
        let counted = figures.versions.get(version);
        let group = counted.map(|v| &v.group);
        let count = group.map_or(0, |g| g.count());
        lines.push(format!(
            "{} {:>9} {:>9}",
            line(figures, version, count, '█'),
            group
                .and_then(|g| g.percentile(50))
                .map_or_else(String::new, milliseconds),
            group
                .and_then(|g| g.percentile(99))
                .map_or_else(String::new, milliseconds),
        ));
        for (_, name) in instances.iter().filter(|(of, _)| *of == version) {
            let count = counted.and_then(|v| v.instances.get(*name)).copied();
            let label = format!("  {name}");
            lines.push(line(figures, &label, count.unwrap_or(0), '▒'));
        }
    }
    for (what, count) in failures(figures) {
        lines.push(line(figures, &what, count, '░'));
    }
    lines
}

/// The same in one line, for a log.
pub(super) fn short(figures: &Figures) -> String {
    let mut parts = Vec::new();
    for (version, counted) in &figures.versions {
        let shares: Vec<String> = counted
            .instances
            .values()
            .map(|count| percent(figures.share(*count)))
            .collect();
        let share = figures.share(counted.group.count());
        parts.push(format!(
            "{version} {} ({})",
            percent(share),
            shares.join(" + ")
        ));
    }
    for (what, count) in failures(figures) {
        parts.push(format!("{what} {}", percent(figures.share(count))));
    }
    for (name, at) in [("p50", 50), ("p99", 99)] {
        if let Some(took) = figures.all.percentile(at) {
            parts.push(format!("{name} {}", milliseconds(took)));
        }
    }
    parts.push(format!("{:.0} req/s", figures.rate(figures.all.count())));
    parts.join("  ")
}

/// The kinds of failure there are, and how many of each.
fn failures(figures: &Figures) -> impl Iterator<Item = (String, usize)> {
    let faults = figures.faults.iter();
    let others = figures.others.iter();
    let broken = Some(figures.broken).filter(|count| *count > 0);
    faults
        .map(|(status, count)| (format!("fault {status}"), *count))
        .chain(others.map(|(status, count)| (format!("answered {status}"), *count)))
        .chain(broken.map(|count| ("no answer".to_owned(), count)))
}

fn line(figures: &Figures, label: &str, count: usize, fill: char) -> String {
    let share = figures.share(count);
    format!(
        "{label:<18} {:<BAR$} {:>7} {:>7.1}",
        bar(share, fill),
        percent(share),
        figures.rate(count)
    )
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss
)]
fn bar(share: f64, fill: char) -> String {
    let columns = (share.clamp(0.0, 1.0) * BAR as f64).round() as usize;
    std::iter::repeat_n(fill, columns).collect()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A short time for people.
pub(super) fn milliseconds(took: Duration) -> String {
    let ms = took.as_secs_f64() * 1000.0;
    if ms < 100.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{ms:.0} ms")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::tally::{Outcome, Tally};
    use super::*;

    #[test]
    fn every_instance_has_a_line_and_so_has_every_failure() {
        let mut tally = Tally::default();
        let began = Instant::now();
        for (version, instance) in [("v1", "a"), ("v1", "a"), ("v1", "b")] {
            let outcome = Outcome::Answered {
                version: version.to_owned(),
                instance: instance.to_owned(),
            };
            tally.add(began, began + Duration::from_micros(1500), outcome);
        }
        tally.add(
            began,
            began + Duration::from_millis(250),
            Outcome::Fault(503),
        );
        let figures = tally.figures(began + Duration::from_micros(1_001_500));
        let lines = lines(&figures, &[("v1", "a"), ("v1", "b"), ("v2", "c")]);
        let words: Vec<String> = lines
            .iter()
            .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let full = "█".repeat(18);
        assert_eq!(words[1], format!("v1 {full} 75.0 % 3.0 1.5 ms 1.5 ms"));
        assert_eq!(words[2], format!("a {} 50.0 % 2.0", "▒".repeat(12)));
        assert_eq!(words[4], "v2 0.0 % 0.0");
        assert_eq!(words[5], "c 0.0 % 0.0");
        assert_eq!(words[6], format!("fault 503 {} 25.0 % 1.0", "░".repeat(6)));
        assert_eq!(
            short(&figures),
            "v1 75.0 % (50.0 % + 25.0 %)  fault 503 25.0 %  p50 1.5 ms  p99 250 ms  4 req/s"
        );
    }
}
