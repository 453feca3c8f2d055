//! What a soak tells.

use std::fmt::{Display, Formatter, Result};
use std::time::Duration;

use super::ground::{Ground, Tally};
use super::usage::Watched;

/// What came of a soak; as text, the tables.
pub struct Report {
    /// What is wrong; nothing when it has passed.
    pub faults: Vec<String>,
    text: String,
}

impl Report {
    pub(super) fn new(
        took: Duration,
        ground: &Ground,
        watched: &[Watched],
        faults: Vec<String>,
    ) -> Self {
        let mut text = format!("{:.0} s of load\n\n", took.as_secs_f64());
        text += &format!(
            "{:<14}{:>12}{:>12}{:>12}\n",
            "", "as expected", "injected", "failed"
        );
        for (kind, count) in ground.tally.all() {
            let kind = format!("{kind:?}");
            let (good, injected, failed) = (count.good, count.injected, count.failed);
            text += &format!("{kind:<14}{good:>12}{injected:>12}{failed:>12}\n");
        }
        text += &format!(
            "\n{:<14}{:>34}{:>20}\n",
            "", "MiB: half, end, growth between", "open files"
        );
        for process in watched {
            let half = process.memory.get(process.memory.len() / 2).copied();
            text += &format!(
                "{:<14}{:>12.1}{:>10.1}{:>+12.2}{:>14} to {}\n",
                process.name,
                half.unwrap_or_default() / 1024.0,
                process.last() / 1024.0,
                process.grown() / 1024.0,
                process.files.0,
                process.files.1,
            );
        }
        Self { faults, text }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.text)?;
        for fault in &self.faults {
            write!(f, "\nFAILED: {fault}")?;
        }
        match self.faults.is_empty() {
            true => write!(f, "\npassed"),
            false => Ok(()),
        }
    }
}

/// How it goes, in one line.
pub(super) fn progress(at: Duration, ground: &Ground, watched: &[Watched]) -> String {
    let (good, injected, failed) = sum(&ground.tally);
    let memory = watched
        .iter()
        .map(|p| format!("{} {:.1}", p.name, p.last() / 1024.0));
    let memory: Vec<_> = memory.collect();
    format!(
        "{:>5.0} s: {good} as expected, {injected} injected, {failed} failed; MiB: {}",
        at.as_secs_f64(),
        memory.join(", ")
    )
}

fn sum(tally: &Tally) -> (u64, u64, u64) {
    let all = tally.all();
    all.values().fold((0, 0, 0), |(g, i, f), c| {
        (g + c.good, i + c.injected, f + c.failed)
    })
}
