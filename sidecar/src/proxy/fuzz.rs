//! What comes from outside, whatever it is, breaks nothing.
//!
//! Each target is a test that `make test` runs for a bounded number of inputs, and that `make
//! fuzz` runs with libFuzzer for as long as one likes. Inputs that were once found to be of
//! interest lie in `__fuzz__` and are tried first, by both.

mod access_log;
mod head;
mod rule_document;

/// How many inputs a test tries that is not run by a fuzzer.
pub(crate) const INPUTS: usize = 4000;

/// Reads choices from the bytes of an input; what is not there is zero.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn below(&mut self, n: usize) -> usize {
        let choice = usize::from(self.byte()) << 8 | usize::from(self.byte());
        choice % n.max(1)
    }

    /// Bytes of a length that is chosen too, at most 255.
    fn bytes(&mut self) -> Vec<u8> {
        let n = usize::from(self.byte()).min(self.0.len());
        let (taken, rest) = self.0.split_at(n);
        self.0 = rest;
        taken.to_vec()
    }
}

/// One of `seeds`, changed in a few places; `words` are what some of the changes put in. So
/// that inputs made at random get far, too.
pub(crate) fn mutant(input: &[u8], seeds: &[&[u8]], words: &[&[u8]]) -> Vec<u8> {
    let mut choices = Choices(input);
    let mut text = seeds[choices.below(seeds.len())].to_vec();
    while !choices.0.is_empty() {
        let at = choices.below(text.len() + 1);
        let end = (at + choices.below(16)).min(text.len());
        match choices.byte() % 6 {
            0 => drop(text.drain(at..end)),
            1 => drop(text.splice(at..at, [choices.byte()])),
            2 => drop(text.splice(at..end, [choices.byte()])),
            3 => {
                let word = words[choices.below(words.len())];
                drop(text.splice(at..end, word.iter().copied()));
            }
            4 => {
                let copy = text[at..end].to_vec();
                let to = choices.below(text.len() + 1);
                drop(text.splice(to..to, copy));
            }
            _ => drop(text.splice(at..at, choices.bytes())),
        }
    }
    text
}
