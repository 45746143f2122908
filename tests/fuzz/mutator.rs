//! Makes new inputs of old ones.

/// Bytes that parsers treat apart.
const SPECIAL: &[u8] = b"\0\t\n\r \"'\\/{}[]():;,.=?&%+-_09azAZ~\x1b\x7f\x80\xc2\xff";

/// Changes inputs at random; the same seed makes the same inputs of the same pool.
pub(crate) struct Mutator {
    state: u64,
    words: &'static [&'static str],
}

impl Mutator {
    pub(crate) fn new(seed: u64, words: &'static [&'static str]) -> Self {
        Self { state: seed, words }
    }

    /// An input of the pool with one to six changes.
    pub(crate) fn mutated(&mut self, pool: &[Vec<u8>]) -> Vec<u8> {
        let mut input = pool[self.below(pool.len())].clone();
        for _ in 0..=self.below(6) {
            self.change(&mut input, pool);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
        let (from, to) = self.range(input.len());
        match self.below(10) {
            0 if from < input.len() => input[from] ^= 1 << self.below(8),
            1 if from < input.len() => input[from] = SPECIAL[self.below(SPECIAL.len())],
            2 => input.insert(from, SPECIAL[self.below(SPECIAL.len())]),
            3 => drop(input.drain(from..to)),
            4 | 5 if !self.words.is_empty() => {
                let word = self.words[self.below(self.words.len())].bytes();
                let end = if self.below(2) == 0 { from } else { to };
                drop(input.splice(from..end, word));
            }
            6 => {
                // Repeating is what nests deeply and makes much of little.
                let times = 1 << self.below(8);
                let again = input[from..to].repeat(times);
                drop(input.splice(to..to, again.into_iter().take(super::driver::MAX_LEN)));
            }
            7 => {
                let other = &pool[self.below(pool.len())];
                let (start, end) = self.range(other.len());
                drop(input.splice(from..to, other[start..end].iter().copied()));
            }
            8 => {
                let random = self.next().to_le_bytes();
                drop(input.splice(from..from, random.into_iter().take(1 + self.below(8))));
            }
            9 if to > from + 1 => input[from..to].rotate_left(1),
            _ => {}
        }
    }

    /// Two places in `0..=length`, in order, mostly near each other.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let from = self.below(length + 1);
        let most = if self.below(4) == 0 { length - from } else { 16.min(length - from) };
        (from, from + self.below(most + 1))
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }

    /// `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
