//! Which backend a draw falls on: exact shares over whole numbers.

use super::decide::Draw;
use super::number::Share;

/// Why weights do not make up a distribution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeightError {
    /// More than all.
    #[error("the weights add up to {sum}, more than 1")]
    AboveOne {
        /// The sum, as text.
        sum: String,
    },
    /// Every backend has a weight, and something is left over.
    #[error("every backend has a weight and they add up to {sum}, less than 1")]
    BelowOne {
        /// The sum, as text.
        sum: String,
    },
}

/// How far from 1 a sum may be for its decimals' sake, in parts of [`Share::WHOLE`].
const TOLERANCE: u64 = Share::WHOLE as u64 / 1_000_000;

/// Shares as bounds of a draw: backend `i` is drawn by `bounds[i - 1] <= n < bounds[i]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Weights {
    /// Rising; the last is the number of outcomes.
    bounds: Box<[u32]>,
}

impl Weights {
    /// Reads the weights of a route's backends: those without one share equally what the
    /// others leave.
    pub(super) fn new(
        given: impl Iterator<Item = Option<Share>> + Clone,
    ) -> Result<Self, WeightError> {
        let whole = u64::from(Share::WHOLE);
        let parts = |s: Share| u64::from(s.parts());
        let sum: u64 = given.clone().flatten().map(parts).sum();
        let sharing = given.clone().filter(Option::is_none).count() as u64;
        if sum > whole + TOLERANCE {
            return Err(WeightError::AboveOne { sum: text(sum) });
        }
        if sharing == 0 && sum + TOLERANCE < whole {
            return Err(WeightError::BelowOne { sum: text(sum) });
        }
        let left = whole.saturating_sub(sum);
        // In parts so small that the rest divides evenly, then in as large ones as will do:
        // 0.25 and the rest are 1 and 3 of 4.
        let fine = sharing.max(1);
        let parts: Vec<u64> = given.map(|g| g.map_or(left, |s| parts(s) * fine)).collect();
        let unit = parts.iter().copied().fold(0, gcd).max(1);
        let total = parts.iter().sum::<u64>() / unit;
        // Where that is too fine for a draw (weights of nine decimals beside odd numbers of
        // backends without one), the last bits go.
        let coarse = total.div_ceil(u64::from(u32::MAX)).max(1);
        let bounds = parts.iter().scan(0, |sum, part| {
            *sum += part / unit;
            Some(u32::try_from(*sum / coarse).unwrap_or(u32::MAX))
        });
        Ok(Self {
            bounds: bounds.collect(),
        })
    }

    /// Draws the position of a backend. One that cannot but win is not drawn for.
    pub(super) fn draw(&self, draw: &mut impl Draw) -> usize {
        let outcomes = self.outcomes();
        let n = if outcomes > 1 {
            draw.below(outcomes)
        } else {
            0
        };
        let n = n.min(outcomes.saturating_sub(1));
        self.bounds.partition_point(|bound| *bound <= n)
    }

    /// Whether a draw can fall on the backend `at`.
    pub(super) fn can_draw(&self, at: usize) -> bool {
        let before = at.checked_sub(1).map_or(Some(&0), |i| self.bounds.get(i));
        before
            .zip(self.bounds.get(at))
            .is_some_and(|(from, to)| from < to)
    }

    /// How many outcomes a draw has.
    pub(super) fn outcomes(&self) -> u32 {
        self.bounds.last().copied().unwrap_or(0)
    }

    /// The share of each backend.
    pub(super) fn shares(&self) -> Vec<f64> {
        let before = std::iter::once(0).chain(self.bounds.iter().copied());
        let outcomes = f64::from(self.outcomes());
        let parts = self.bounds.iter().zip(before);
        parts
            .map(|(to, from)| f64::from(to - from) / outcomes)
            .collect()
    }
}

/// Draws whether something of this probability happens. Never and always are not drawn for.
pub(super) fn happens(probability: Share, draw: &mut impl Draw) -> bool {
    if probability == Share::NONE || probability == Share::ALL {
        return probability == Share::ALL;
    }
    let parts = probability.parts();
    let unit = gcd(parts.into(), Share::WHOLE.into());
    // Both quotients are at most a divisor of WHOLE, which is an u32.
    draw.below((u64::from(Share::WHOLE) / unit) as u32) < (u64::from(parts) / unit) as u32
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn text(parts: u64) -> String {
    let decimal = format!(
        "{}.{:09}",
        parts / u64::from(Share::WHOLE),
        parts % u64::from(Share::WHOLE)
    );
    decimal
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}
