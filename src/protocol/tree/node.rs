//! One value of a tree, and the ways from it to those inside.

use std::borrow::Cow;

use serde_json::Value;

use super::{Kind, Slot, Tree};
use crate::protocol::raw::Raw;

/// One value in a tree.
#[derive(Debug, Clone, Copy)]
pub struct Node<'t> {
    tree: &'t Tree<'t>,
    at: usize,
}

impl<'t> Node<'t> {
    /// The value at that place of the list.
    pub(super) fn new(tree: &'t Tree<'t>, at: usize) -> Self {
        Self { tree, at }
    }

    /// What it is.
    #[inline]
    pub fn kind(self) -> Kind {
        self.slot().map_or(Kind::Null, |slot| slot.kind)
    }

    /// Its text.
    pub fn text(self) -> &'t str {
        self.raw().map_or("null", Raw::text)
    }

    /// The string that it is.
    #[inline]
    pub fn string(self) -> Option<Cow<'t, str>> {
        self.raw()?.string()
    }

    /// Whether it is the string `other`.
    pub fn says(self, other: &str) -> bool {
        self.raw().is_some_and(|raw| raw.says(other))
    }

    /// How many characters the string has that it is; beyond `most` some number above it, so that a long one
    /// need not be read to its end. `None` if it is something else.
    pub fn length_up_to(self, most: u64) -> Option<u64> {
        self.raw()?.length_up_to(most)
    }

    /// The number of its members or elements.
    #[inline]
    pub fn len(self) -> usize {
        self.slot().map_or(0, |slot| slot.len as usize)
    }

    /// Whether it has neither members nor elements.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Where it stands in its tree: no two nodes of one tree stand at the same place.
    pub fn place(self) -> (usize, usize) {
        (self.tree.slots.as_ptr().addr(), self.at)
    }

    /// Its members in their order, if it is an object.
    pub fn members(self) -> Members<'t> {
        let left = if self.kind() == Kind::Object { self.len() } else { 0 };
        Members(self.inside(2 * left))
    }

    /// Its elements, if it is an array.
    pub fn elements(self) -> Children<'t> {
        let left = if self.kind() == Kind::Array { self.len() } else { 0 };
        self.inside(left)
    }

    /// Its member of that name.
    pub fn member(self, name: &str) -> Option<Node<'t>> {
        self.members().find(|(known, _)| known.says(name)).map(|(_, value)| value)
    }

    /// The same as a `Value`.
    pub fn to_value(self) -> Value {
        match self.kind() {
            Kind::Array => self.elements().map(Self::to_value).collect(),
            Kind::Object => {
                let name = |name: Self| name.string().unwrap_or_default().into_owned();
                self.members().map(|(known, value)| (name(known), value.to_value())).collect()
            }
            // A leaf is one token that has been read already.
            _ => serde_json::from_str(self.text()).unwrap_or_default(),
        }
    }

    /// Where it stands in the list.
    pub(super) fn at(self) -> usize {
        self.at
    }

    /// Its text and how that is written.
    #[inline]
    pub(super) fn raw(self) -> Option<Raw<'t>> {
        self.tree.raw(self.at)
    }

    #[inline]
    fn slot(self) -> Option<&'t Slot> {
        self.tree.slots.get(self.at)
    }

    fn inside(self, left: usize) -> Children<'t> {
        Children { tree: self.tree, at: self.at + 1, left }
    }
}

/// Values that stand side by side.
#[derive(Debug)]
pub struct Children<'t> {
    tree: &'t Tree<'t>,
    at: usize,
    left: usize,
}

impl<'t> Iterator for Children<'t> {
    type Item = Node<'t>;

    #[inline]
    fn next(&mut self) -> Option<Node<'t>> {
        self.left = self.left.checked_sub(1)?;
        let node = Node { tree: self.tree, at: self.at };
        self.at = node.slot()?.next as usize;
        Some(node)
    }
}

/// Members: each its name, then its value.
#[derive(Debug)]
pub struct Members<'t>(Children<'t>);

impl<'t> Iterator for Members<'t> {
    type Item = (Node<'t>, Node<'t>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }
}
