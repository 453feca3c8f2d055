//! What a process holds: memory, open files, threads.

use std::time::Duration;

use crate::wait;

/// Memory may differ by so much and be called the same, in KiB.
const SAME: f64 = 1_536.0;
/// Or by this part of it.
const SAME_SHARE: f64 = 0.03;

/// A process that is watched.
pub(super) struct Watched {
    pub(super) name: &'static str,
    id: u32,
    /// KiB of memory, from sample to sample.
    pub(super) memory: Vec<f64>,
    /// Open files before there was load, and after.
    pub(super) files: (usize, usize),
}

/// What it holds when it has nothing to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rest {
    files: usize,
    threads: usize,
}

impl Watched {
    pub(super) fn new(name: &'static str, id: u32) -> Self {
        Self {
            name,
            id,
            memory: Vec::new(),
            files: (0, 0),
        }
    }

    /// Writes down how much memory it has.
    pub(super) fn sample(&mut self) {
        self.memory.push(self.status("VmRSS:") as f64);
    }

    /// What it holds once that does not change any more or, if `before` is known, is as little
    /// as then.
    pub(super) async fn rest(&self, before: Option<Rest>) -> Rest {
        let mut last = None;
        let same = wait::whether(|| {
            let now = self.now();
            let done = match before {
                Some(before) => now.files <= before.files && now.threads <= before.threads,
                None => last.replace(now) == Some(now),
            };
            async move {
                // Long enough for what is about to be closed.
                tokio::time::sleep(Duration::from_secs(u64::from(before.is_none()) * 3)).await;
                if done { Ok(now) } else { Err(String::new()) }
            }
        });
        same.await.unwrap_or_else(|_| self.now())
    }

    fn now(&self) -> Rest {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.id)).unwrap();
        Rest {
            files: files.count(),
            threads: self.status("Threads:"),
        }
    }

    fn status(&self, member: &str) -> usize {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id));
        let text = text.unwrap_or_else(|e| panic!("{} has ended: {e}", self.name));
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix(member)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// What is wrong.
    pub(super) fn judge(&mut self, before: Rest, after: Rest, memory: bool) -> Vec<String> {
        self.files = (before.files, after.files);
        let mut faults = Vec::new();
        if after.files > before.files || after.threads > before.threads {
            let name = self.name;
            faults.push(format!(
                "{name} held {before:?} before, and {after:?} after"
            ));
        }
        let (grown, allowed) = (self.grown(), (self.last() * SAME_SHARE).max(SAME));
        if memory && grown > allowed {
            let (name, half) = (self.name, self.memory.len() / 2);
            faults.push(format!(
                "the memory of {name} grew by {grown:.0} KiB in the last {half} samples, \
                 which is more than {allowed:.0}"
            ));
        }
        faults
    }

    /// The latest sample.
    pub(super) fn last(&self) -> f64 {
        self.memory.last().copied().unwrap_or_default()
    }

    /// By how much memory grew in the second half, by the line that fits best.
    pub(super) fn grown(&self) -> f64 {
        let half = &self.memory[self.memory.len() / 2..];
        slope(half) * half.len().saturating_sub(1) as f64
    }
}

/// The slope of the line with the least squares through `values`, one apart.
fn slope(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let (mid, mean) = ((count - 1.0) / 2.0, values.iter().sum::<f64>() / count);
    let off = |at: usize| at as f64 - mid;
    let both: f64 = values
        .iter()
        .enumerate()
        .map(|(x, y)| off(x) * (y - mean))
        .sum();
    let squares: f64 = (0..values.len()).map(|x| off(x) * off(x)).sum();
    if squares > 0.0 { both / squares } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(memory: Vec<f64>) -> f64 {
        Watched {
            memory,
            ..Watched::new("x", 0)
        }
        .grown()
    }

    #[test]
    fn growth_is_told_from_noise_and_from_a_beginning() {
        let steady = |x: usize| 50_000.0 + if x.is_multiple_of(2) { 300.0 } else { -300.0 };
        assert!(grown((0..200).map(steady).collect()).abs() < 30.0);
        let early = |x: usize| if x < 90 { 100.0 * x as f64 } else { 9_000.0 };
        assert_eq!(grown((0..200).map(early).collect()), 0.0);
        let leak = |x: usize| steady(x) + 40.0 * x as f64;
        let found = grown((0..200).map(leak).collect());
        assert!((found - 3_960.0).abs() < 30.0, "{found}");
        assert_eq!(grown(vec![]), 0.0);
    }
}
