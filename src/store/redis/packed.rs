//! How an entry of the fleet's log keeps the lines of its rows: together, as one block of LZ4 behind its length.
//!
//! The lines of a chain are much alike, so a quarter of their bytes is left, and whatever Redis does with them (it reads,
//! hashes, copies and writes them, and sends them to its replicas) takes longer than to press them here.

use lz4_flex::block;

/// Most bytes of the lines of one entry, far more than ours have; whoever else writes there gets no more memory of us.
const MOST_BYTES: usize = 1 << 20;

/// These lines, of which none holds a line end.
pub(super) fn pack(lines: &[&[u8]]) -> Vec<u8> {
    block::compress_prepend_size(&lines.join(&b'\n'))
}

/// The lines, each but the last with its end; `None` of what was not packed here.
pub(super) fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let (length, block) = block::uncompressed_size(packed).ok()?;
    let lines = (length <= MOST_BYTES).then(|| block::decompress(block, length).ok())??;
    (lines.len() == length).then_some(lines)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_are_unpacked_as_they_were_packed(lines: Vec<Vec<u8>>) {
            let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(unpack(&pack(&lines)), Some(lines.join(&b'\n')));
        }

        #[test]
        fn whatever_else_is_there_takes_no_more_memory_than_may_be(bytes: Vec<u8>) {
            prop_assert!(unpack(&bytes).is_none_or(|lines| lines.len() <= MOST_BYTES));
        }
    }

    #[test]
    fn what_says_that_it_is_longer_than_ours_or_than_it_is_is_none() {
        let long = vec![b'x'; MOST_BYTES + 1];
        assert_eq!(unpack(&pack(&[&long])), None);
        assert!(unpack(&pack(&[&long[1..]])).is_some());
        let mut packed = pack(&[b"one", b"two"]);
        for length in [0, 6, 8, u8::MAX] {
            packed[0] = length;
            assert_eq!(unpack(&packed), None, "{length}");
        }
        for cut in 0..packed.len() {
            assert_eq!(unpack(&packed[..cut]), None, "{cut}");
        }
    }
}
