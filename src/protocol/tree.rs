//! One JSON value with all that is in it, in one flat list over its text, every member at most once.
//!
//! `serde_json::Value` takes an allocation for each text and three for each small object, and silently keeps
//! the last of two equal members: whoever looked at the first one (a proxy, a person reading a log) has then
//! approved something else.

mod names;
mod node;

pub use node::{Children, Members, Node};

use super::{
    WireError,
    raw::{Raw, Spelling},
    reader::Reader,
};

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

/// One value or name in the list; what is in it stands behind it. Small, since a body may hold thousands.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Where its text begins and ends.
    start: u32,
    end: u32,
    /// Members or elements.
    len: u32,
    /// Where the list goes on behind it.
    next: u32,
    kind: Kind,
    spelling: Spelling,
}

/// One JSON value.
#[derive(Debug, Default)]
pub struct Tree<'a> {
    /// The text that it stands in.
    whole: &'a str,
    slots: Vec<Slot>,
    has_doubled_member: bool,
}

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
        let tree = Self::next(&mut reader)?;
        reader.end()?;
        tree.check_members()?;
        Ok(tree)
    }

    /// The next value of `reader`, of which [`Self::check_members`] is not known yet.
    pub(super) fn next(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let whole = reader.whole();
        if u32::try_from(whole.len()).is_err() {
            return Err(WireError::Count);
        }
        let mut tree = Self { whole, slots: Vec::with_capacity(16), has_doubled_member: false };
        tree.push(reader)?;
        Ok(tree)
    }

    /// That no object in it has a member twice.
    ///
    /// # Errors
    /// [`WireError::Doubled`].
    pub fn check_members(&self) -> Result<(), WireError> {
        if self.has_doubled_member { Err(WireError::Doubled) } else { Ok(()) }
    }

    /// The value itself.
    pub fn root(&self) -> Node<'_> {
        Node::new(self, 0)
    }

    /// Whether it is an object.
    pub fn is_object(&self) -> bool {
        self.root().kind() == Kind::Object
    }

    /// Its text.
    pub fn text(&self) -> &'a str {
        self.raw(0).map_or("null", Raw::text)
    }

    /// What stands at that place of the list.
    #[inline]
    fn raw(&self, at: usize) -> Option<Raw<'a>> {
        let slot = self.slots.get(at)?;
        let text = self.whole.get(slot.start as usize..slot.end as usize)?;
        Some(Raw::new(text, slot.spelling))
    }

    fn push(&mut self, reader: &mut Reader<'a>) -> Result<(), WireError> {
        let first = reader.peek();
        let kind = match first {
            b'{' => return self.push_container(reader, Kind::Object),
            b'[' => return self.push_container(reader, Kind::Array),
            b'"' => Kind::String,
            b't' | b'f' => Kind::Bool,
            b'n' => Kind::Null,
            _ => Kind::Number,
        };
        let start = reader.at();
        let spelling = reader.leaf(first)?;
        self.push_leaf(kind, spelling, (start, reader.at()));
        Ok(())
    }

    #[inline]
    fn push_leaf(&mut self, kind: Kind, spelling: Spelling, (start, end): (usize, usize)) {
        let next = index(self.slots.len() + 1);
        self.slots.push(Slot { start: index(start), end: index(end), len: 0, next, kind, spelling });
    }

    fn push_container(&mut self, reader: &mut Reader<'a>, kind: Kind) -> Result<(), WireError> {
        let (at, start, mut len) = (self.slots.len(), reader.at(), 0);
        self.push_leaf(kind, Spelling::Other, (start, start));
        match kind {
            Kind::Object => reader.members(|reader, name| {
                len += 1;
                self.push_leaf(Kind::String, name.spelling(), reader.place(name));
                self.push(reader)
            }),
            _ => reader.elements(|reader| {
                len += 1;
                self.push(reader)
            }),
        }?;
        let next = index(self.slots.len());
        if let Some(slot) = self.slots.get_mut(at) {
            (slot.end, slot.len, slot.next) = (index(reader.at()), len, next);
        }
        if kind == Kind::Object && !self.has_doubled_member {
            self.has_doubled_member = names::are_doubled(self, Node::new(self, at));
        }
        Ok(())
    }
}

/// A text that is read is shorter than 4 GiB, and holds fewer values than bytes.
fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

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
