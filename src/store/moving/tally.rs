//! How many records there are, and what they amount to, in whatever order they come.

use sha2::{Digest, Sha256};

use super::Record;
use crate::store::hex::hex;

/// A count and a digest of records. Two are equal only if the same records were added, in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    count: u64,
    /// The sum of the records' SHA-256, each as a number of 256 bits.
    sum: [u8; 32],
}

impl Tally {
    /// Takes in one record.
    pub fn add(&mut self, record: &Record) {
        self.count += 1;
        let digest = Sha256::digest(record.text());
        let mut carry = 0;
        for (sum, byte) in self.sum.iter_mut().rev().zip(digest.iter().rev()) {
            let wide = u16::from(*sum) + u16::from(*byte) + carry;
            [_, *sum] = wide.to_be_bytes();
            carry = wide >> 8;
        }
    }

    /// How many.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// What they amount to: the same text for the same records.
    pub fn digest(&self) -> String {
        hex(&self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(names: &[u8]) -> Tally {
        let mut tally = Tally::default();
        names.iter().for_each(|n| tally.add(&Record::Ring { name: format!("r{n}"), secret: [*n; 32] }));
        tally
    }

    #[test]
    fn order_does_not_matter_and_every_record_does() {
        let all = tally(&[1, 2, 3]);
        assert_eq!(all, tally(&[3, 1, 2]));
        assert_eq!(all.count(), 3);
        for other in [&[1, 2][..], &[1, 2, 4], &[1, 2, 3, 3], &[]] {
            assert_ne!(all, tally(other), "{other:?}");
        }
        assert_ne!(tally(&[1, 1]).digest(), tally(&[2, 2]).digest(), "pairs do not cancel out");
    }

    #[test]
    fn the_sum_carries() {
        let mut many = Tally::default();
        (0..=255).for_each(|n| many.add(&Record::Ring { name: "r".into(), secret: [n; 32] }));
        // 256 numbers of 256 bits seldom stay below the first carry of any byte: against the sum in wider numbers.
        let mut wide = [0_u64; 32];
        for n in 0..=255_u8 {
            let digest = Sha256::digest(Record::Ring { name: "r".into(), secret: [n; 32] }.text());
            wide.iter_mut().zip(digest.iter()).for_each(|(sum, byte)| *sum += u64::from(*byte));
        }
        for at in (1..32).rev() {
            wide[at - 1] += wide[at] >> 8;
        }
        assert_eq!(many.sum, wide.map(|sum| (sum & 0xff) as u8));
    }
}
