//! One JSON value with all that is in it, in one flat list over its text, every member at most once.
//!
//! `serde_json::Value` takes an allocation for each text and three for each small object, and silently keeps
//! the last of two equal members: whoever looked at the first one (a proxy, a person reading a log) has then
//! approved something else.

use std::{
    borrow::Cow,
    hash::{BuildHasher, RandomState},
};

use serde_json::Value;

use super::{
    WireError,
    reader::{Raw, Reader},
};

/// Up to so many members an object's names are compared pair by pair.
const FEW: usize = 16;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// One value or name in the list; what is in it stands behind it.
#[derive(Debug, Clone, Copy)]
struct Slot<'a> {
    kind: Kind,
    raw: Raw<'a>,
    /// Members or elements.
    len: u32,
    /// Where the list goes on behind it.
    next: u32,
}

/// One JSON value.
#[derive(Debug, Default)]
pub struct Tree<'a>(Vec<Slot<'a>>);

impl<'a> Tree<'a> {
    /// Of a body.
    ///
    /// # Errors
    /// [`WireError`]: not JSON, over a bound, or a member that stands twice in one object.
    pub fn of_body(body: &'a [u8]) -> Result<Self, WireError> {
        Self::read(Reader::new(body)?)
    }

    /// Of any text; it may hold as many values as it likes.
    ///
    /// # Errors
    /// [`WireError`]: not JSON, nested too deeply, or a member that stands twice in one object.
    pub fn of_text(text: &'a str) -> Result<Self, WireError> {
        Self::read(Reader::of(text, usize::MAX))
    }

    fn read(mut reader: Reader<'a>) -> Result<Self, WireError> {
        let mut tree = Self(Vec::with_capacity(16));
        tree.push(&mut reader)?;
        reader.end()?;
        Ok(tree)
    }

    /// The value itself.
    pub fn root(&self) -> Node<'_> {
        Node { slots: &self.0, at: 0 }
    }

    /// Its text.
    pub fn text(&self) -> &'a str {
        self.0.first().map_or("null", |slot| slot.raw.text())
    }

    fn push(&mut self, reader: &mut Reader<'a>) -> Result<(), WireError> {
        let kind = match reader.peek() {
            b'{' => return self.push_container(reader, Kind::Object),
            b'[' => return self.push_container(reader, Kind::Array),
            b'"' => Kind::String,
            b't' | b'f' => Kind::Bool,
            b'n' => Kind::Null,
            _ => Kind::Number,
        };
        let raw = reader.value()?;
        self.push_leaf(kind, raw);
        Ok(())
    }

    fn push_leaf(&mut self, kind: Kind, raw: Raw<'a>) {
        let next = index(self.0.len() + 1);
        self.0.push(Slot { kind, raw, len: 0, next });
    }

    fn push_container(&mut self, reader: &mut Reader<'a>, kind: Kind) -> Result<(), WireError> {
        let (at, from, mut len) = (self.0.len(), reader.at(), 0);
        self.push_leaf(kind, Raw::default());
        match kind {
            Kind::Object => reader.members(|reader, name| {
                len += 1;
                self.push_leaf(Kind::String, name);
                self.push(reader)
            }),
            _ => reader.elements(|reader| {
                len += 1;
                self.push(reader)
            }),
        }?;
        let next = index(self.0.len());
        if let Some(slot) = self.0.get_mut(at) {
            *slot = Slot { kind, raw: reader.since(from), len, next };
        }
        let whole = Node { slots: &self.0, at };
        if kind == Kind::Object && whole.has_doubled_member() { Err(WireError::Doubled) } else { Ok(()) }
    }
}

/// A list of 2³² values would take 128 GiB; a body holds 10 000 at most.
fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// One value in a tree.
#[derive(Debug, Clone, Copy)]
pub struct Node<'t> {
    slots: &'t [Slot<'t>],
    at: usize,
}

impl<'t> Node<'t> {
    /// What it is.
    pub fn kind(self) -> Kind {
        self.slot().map_or(Kind::Null, |slot| slot.kind)
    }

    /// Its text.
    pub fn text(self) -> &'t str {
        self.slot().map_or("null", |slot| slot.raw.text())
    }

    /// The string that it is.
    pub fn string(self) -> Option<Cow<'t, str>> {
        self.slot()?.raw.string()
    }

    /// Whether it is the string `other`.
    pub fn says(self, other: &str) -> bool {
        self.slot().is_some_and(|slot| slot.raw.says(other))
    }

    /// The number of its members or elements.
    pub fn len(self) -> usize {
        self.slot().map_or(0, |slot| slot.len as usize)
    }

    /// Whether it has neither members nor elements.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Where it stands in its tree: no two nodes of one tree stand at the same place.
    pub fn place(self) -> (usize, usize) {
        (self.slots.as_ptr().addr(), self.at)
    }

    /// Its members in their order, if it is an object.
    pub fn members(self) -> Members<'t> {
        let left = if self.kind() == Kind::Object { self.len() } else { 0 };
        Members(Children { slots: self.slots, at: self.at + 1, left: 2 * left })
    }

    /// Its elements, if it is an array.
    pub fn elements(self) -> Children<'t> {
        let left = if self.kind() == Kind::Array { self.len() } else { 0 };
        Children { slots: self.slots, at: self.at + 1, left }
    }

    /// Its member of that name.
    pub fn member(self, name: &str) -> Option<Node<'t>> {
        self.members()
            .find(|(known, _)| known.string().is_some_and(|known| known == name))
            .map(|(_, value)| value)
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

    fn slot(self) -> Option<&'t Slot<'t>> {
        self.slots.get(self.at)
    }

    fn has_doubled_member(self) -> bool {
        let names = || self.members().filter_map(|(name, _)| Some(name.slot()?.raw));
        // A name with escapes is decoded for each comparison, so such ones are told apart by hashes too.
        if self.len() > FEW || names().any(Raw::is_escaped) {
            // Keyed, so that nobody can make names of one hash. Sorting hashes takes half the time of a set.
            let hasher = RandomState::new();
            let hash = |name: Raw<'_>| hasher.hash_one(name.string().unwrap_or_default());
            let mut hashed: Vec<_> = names().map(|name| (hash(name), name)).collect();
            hashed.sort_unstable_by_key(|(hash, _)| *hash);
            let mut alike = hashed.chunk_by(|(one, _), (other, _)| one == other);
            return alike.any(|run| {
                let earlier =
                    |at: usize, name: Raw<'_>| run.iter().take(at).any(|(_, one)| name.says_as(*one));
                run.iter().enumerate().any(|(at, (_, name))| earlier(at, *name))
            });
        }
        names().enumerate().any(|(at, name)| names().take(at).any(|other| name.says_as(other)))
    }
}

/// Values that stand side by side.
#[derive(Debug)]
pub struct Children<'t> {
    slots: &'t [Slot<'t>],
    at: usize,
    left: usize,
}

impl<'t> Iterator for Children<'t> {
    type Item = Node<'t>;

    fn next(&mut self) -> Option<Node<'t>> {
        self.left = self.left.checked_sub(1)?;
        let node = Node { slots: self.slots, at: self.at };
        self.at = node.slot()?.next as usize;
        Some(node)
    }
}

/// Members: each its name, then its value.
#[derive(Debug)]
pub struct Members<'t>(Children<'t>);

impl<'t> Iterator for Members<'t> {
    type Item = (Node<'t>, Node<'t>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_value_reads() {
        let text = r#" {"a":[1,-2,3.5,true,null,"x\ny",[],{}],"b":{"c":{}},"d":""} "#;
        let tree = Tree::of_body(text.as_bytes()).unwrap();
        assert_eq!(tree.root().to_value(), serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(tree.text(), text.trim());
        let list = tree.root().member("a").unwrap();
        assert_eq!((list.kind(), list.len(), list.members().count()), (Kind::Array, 8, 0));
        assert_eq!(list.elements().nth(5).unwrap().string().unwrap(), "x\ny");
        assert_eq!(tree.root().member("b").unwrap().text(), r#"{"c":{}}"#);
        assert!(tree.root().member("c").is_none() && tree.root().elements().next().is_none());
    }

    #[test]
    fn a_doubled_member_is_refused_at_any_depth_among_few_and_many() {
        for text in [r#"{"a":1,"a":2}"#, r#"[{"x":{"a":1,"\u0061":2}}]"#, r#"{"a":{"b":1,"c":2,"b":3}}"#] {
            assert_eq!(Tree::of_text(text).unwrap_err(), WireError::Doubled);
        }
        let many = |last: &str| {
            let members: Vec<String> = (0..5_000).map(|n| format!("\"m{n}\":{n}")).collect();
            format!("{{{},\"{last}\":0}}", members.join(","))
        };
        assert_eq!(Tree::of_text(&many("m4999")).unwrap_err(), WireError::Doubled);
        assert_eq!(Tree::of_text(&many("m5000")).unwrap().root().len(), 5_001);
    }

    #[test]
    fn only_bodies_are_bounded_in_the_number_of_their_values() {
        let text = format!("[{}0]", "0,".repeat(super::super::MAX_NODES));
        assert!(Tree::of_body(text.as_bytes()).is_err());
        assert_eq!(Tree::of_text(&text).unwrap().root().len(), super::super::MAX_NODES + 1);
    }
}
