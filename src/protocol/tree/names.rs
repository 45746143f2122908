//! Whether an object has a member twice.

use std::hash::{BuildHasher, Hasher, RandomState};

use siphasher::sip::SipHasher13;

use super::{Node, Tree, index};
use crate::protocol::raw::{Raw, Spelling};

/// Up to so many names are compared pair by pair.
const FEW: usize = 8;

/// Whether `object` has a member twice.
pub(super) fn are_doubled(tree: &Tree<'_>, object: Node<'_>) -> bool {
    let names = || object.members().filter_map(|(name, _)| Some((name.at(), name.raw()?)));
    if object.len() > FEW {
        return has_equal(tree, names(), object.len());
    }
    let (mut earlier, mut count) = ([""; FEW], 0);
    for (_, name) in names() {
        // One with escapes would be decoded for each comparison.
        if name.spelling() != Spelling::Plain {
            return has_equal(tree, names(), object.len());
        }
        if earlier.iter().take(count).any(|other| *other == name.text()) {
            return true;
        }
        if let Some(place) = earlier.get_mut(count) {
            *place = name.text();
        }
        count += 1;
    }
    false
}

/// Whether two of `count` names are equal, by a table of what they are hashed to: each is looked at once.
fn has_equal<'t>(tree: &Tree<'_>, names: impl Iterator<Item = (usize, Raw<'t>)>, count: usize) -> bool {
    // Keyed anew, so that nobody can make names that all fall into one place.
    let key = || RandomState::new().build_hasher().finish();
    let hasher = SipHasher13::new_with_keys(key(), key());
    let mut table = vec![Entry::default(); (2 * count).next_power_of_two()];
    let mask = table.len() - 1;
    for (at, name) in names {
        let hash = hasher.hash(name.string().unwrap_or_default().as_bytes());
        let (mut place, hash) = (hash as usize & mask, (hash >> 32) as u32);
        // Half of the table is empty, so each search ends.
        while let Some(entry) = table.get_mut(place) {
            if entry.at == 0 {
                *entry = Entry { hash, at: index(at) };
                break;
            }
            let is_same = |other: Raw<'_>| name.string().is_some_and(|name| other.says(&name));
            if entry.hash == hash && tree.raw(entry.at as usize).is_some_and(is_same) {
                return true;
            }
            place = (place + 1) & mask;
        }
    }
    false
}

/// A name that has been seen. None stands at place 0, where the outermost value does.
#[derive(Clone, Copy, Default)]
struct Entry {
    hash: u32,
    at: u32,
}
