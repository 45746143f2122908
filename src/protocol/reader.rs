//! The one reader of bodies: JSON's grammar (RFC 8259) and our bounds, in one pass that copies nothing.
//!
//! `serde_json`'s `RawValue` has no depth limit and lets lone surrogates pass (measured), and a parsed
//! `Value` takes eleven times the space of `[],[],…`; a look for bounds before it reads every byte twice.
//! What passes here `serde_json` reads too and means the same by it: a property test holds that.

use super::{
    WireError,
    raw::{Raw, Spelling},
    text::{blank_words, escapes, plain_run},
};

/// Deepest nesting of arrays and objects, the whole body counted.
pub const MAX_DEPTH: usize = 128;
/// Most values in one body, containers included.
pub const MAX_NODES: usize = 10_000;
/// A number of so many digits may be more than a double can hold.
const LONG_NUMBER: usize = 300;

/// Goes through a JSON text once.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// How many more values there may be.
    left: usize,
}

impl<'a> Reader<'a> {
    /// At the beginning of `body`.
    pub(super) fn new(body: &'a [u8]) -> Result<Self, WireError> {
        let text = std::str::from_utf8(body).map_err(|_| WireError::Encoding)?;
        if text.starts_with('\u{feff}') {
            return Err(WireError::Mark);
        }
        Ok(Self::of(text, MAX_NODES))
    }

    /// At the beginning of `text`, which may hold so many values.
    pub(super) fn of(text: &'a str, most: usize) -> Self {
        Self { text, at: 0, depth: 0, left: most }
    }

    /// The same text from its beginning.
    pub(super) fn again(&self) -> Self {
        Self::of(self.text, MAX_NODES)
    }

    /// The next byte that is no white space, without taking it; 0, with which no token begins, at the end.
    #[inline]
    pub(super) fn peek(&mut self) -> u8 {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => {
                    self.at += 1;
                    self.at += blank_words(self.rest());
                }
                Some(&byte) => return byte,
                None => return 0,
            }
        }
    }

    /// Nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), WireError> {
        self.peek();
        if self.at == self.text.len() { Ok(()) } else { Err(WireError::Grammar) }
    }

    /// The next value.
    pub(super) fn value(&mut self) -> Result<Raw<'a>, WireError> {
        let (first, from) = (self.peek(), self.at);
        let spelling = match first {
            b'{' | b'[' => self.skip().map(|()| Spelling::Other)?,
            _ => self.leaf(first)?,
        };
        Ok(self.since(from, spelling))
    }

    /// Each member of the next value, which must be an object: `take` gets its name and must take its value.
    pub(super) fn members(
        &mut self,
        mut take: impl FnMut(&mut Self, Raw<'a>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        self.open(b'{')?;
        if self.peek() != b'}' {
            loop {
                let name = self.name()?;
                take(self, name)?;
                if self.peek() != b',' {
                    break;
                }
                self.comma()?;
            }
        }
        self.close(b'}')
    }

    /// Each element of the next value, which must be an array: `take` must take it.
    pub(super) fn elements(
        &mut self,
        mut take: impl FnMut(&mut Self) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        self.open(b'[')?;
        if self.peek() != b']' {
            loop {
                take(self)?;
                if self.peek() != b',' {
                    break;
                }
                self.comma()?;
            }
        }
        self.close(b']')
    }

    /// Past the next value, whatever it is.
    pub(super) fn skip(&mut self) -> Result<(), WireError> {
        let bottom = self.depth;
        // One bit a level: whether it is an object. There are as many levels as bits.
        let mut objects = 0_u128;
        loop {
            match self.peek() {
                b'"' => drop(self.string()?),
                opening @ (b'{' | b'[') => {
                    let is_object = opening == b'{';
                    self.open(opening)?;
                    objects = objects << 1 | u128::from(is_object);
                    match (is_object, self.peek()) {
                        (true, b'}') | (false, b']') => {}
                        (true, _) => {
                            self.name()?;
                            continue;
                        }
                        (false, _) => continue,
                    }
                }
                first => self.scalar(first)?,
            }
            // Behind a value: the next one of its container, or the ends of some containers.
            loop {
                if self.depth == bottom {
                    return Ok(());
                }
                let is_object = objects & 1 == 1;
                if self.peek() == b',' {
                    self.comma()?;
                    if is_object {
                        self.name()?;
                    }
                    break;
                }
                self.close(if is_object { b'}' } else { b']' })?;
                objects >>= 1;
            }
        }
    }

    /// Past the string or scalar that begins here with `first`; says how it is written.
    #[inline]
    pub(super) fn leaf(&mut self, first: u8) -> Result<Spelling, WireError> {
        match first {
            b'"' => self.string(),
            _ => self.scalar(first).map(|()| Spelling::Other),
        }
    }

    /// Past the number, `true`, `false` or `null` that begins here with `first`.
    #[inline]
    fn scalar(&mut self, first: u8) -> Result<(), WireError> {
        match first {
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => Err(WireError::Grammar),
        }
    }

    #[inline]
    fn open(&mut self, opening: u8) -> Result<(), WireError> {
        self.take(opening)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(WireError::Depth);
        }
        self.count()
    }

    #[inline]
    fn close(&mut self, closing: u8) -> Result<(), WireError> {
        self.take(closing)?;
        self.depth -= 1;
        Ok(())
    }

    #[inline]
    fn comma(&mut self) -> Result<(), WireError> {
        self.take(b',')?;
        self.count()
    }

    #[inline]
    fn count(&mut self) -> Result<(), WireError> {
        let left = self.left.checked_sub(1);
        self.left = left.ok_or(WireError::Count)?;
        Ok(())
    }

    #[inline]
    fn take(&mut self, token: u8) -> Result<(), WireError> {
        if self.peek() != token {
            return Err(WireError::Grammar);
        }
        self.at += 1;
        Ok(())
    }

    /// The next member's name, and the colon behind it.
    #[inline]
    fn name(&mut self) -> Result<Raw<'a>, WireError> {
        if self.peek() != b'"' {
            return Err(WireError::Grammar);
        }
        let from = self.at;
        let spelling = self.string()?;
        let name = self.since(from, spelling);
        self.take(b':')?;
        Ok(name)
    }

    /// Past the string that begins here; says how it is written.
    #[inline]
    fn string(&mut self) -> Result<Spelling, WireError> {
        let mut spelling = Spelling::Plain;
        self.at += 1;
        loop {
            let rest = self.rest();
            let run = plain_run(rest);
            self.at += run;
            match rest.get(run) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(spelling);
                }
                Some(b'\\') => {
                    spelling = Spelling::Escaped;
                    self.at += escapes(rest.get(run..).unwrap_or_default())?;
                }
                Some(_) => return Err(WireError::Control),
                None => return Err(WireError::OpenString),
            }
        }
    }

    /// Past the number that begins here. One that no double can hold is refused.
    fn number(&mut self) -> Result<(), WireError> {
        let from = self.at;
        if self.next_is(b'-') {
            self.at += 1;
        }
        if self.next_is(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.next_is(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let has_exponent = self.next_is(b'e') || self.next_is(b'E');
        if has_exponent {
            self.at += 1;
            if self.next_is(b'+') || self.next_is(b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        let may_be_too_large = has_exponent || self.at - from > LONG_NUMBER;
        if may_be_too_large && !self.since(from, Spelling::Other).text().parse().is_ok_and(f64::is_finite) {
            return Err(WireError::Number);
        }
        Ok(())
    }

    /// Past one digit or more.
    fn digits(&mut self) -> Result<(), WireError> {
        let rest = self.rest();
        let digits = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
        self.at += digits;
        if digits == 0 { Err(WireError::Grammar) } else { Ok(()) }
    }

    fn word(&mut self, word: &str) -> Result<(), WireError> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(WireError::Grammar);
        }
        self.at += word.len();
        Ok(())
    }

    #[inline]
    fn next_is(&self, byte: u8) -> bool {
        self.text.as_bytes().get(self.at) == Some(&byte)
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Where it stands: how many bytes it has passed.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// All that it reads.
    pub(super) fn whole(&self) -> &'a str {
        self.text
    }

    /// Where in all of it `raw` begins and ends, which it has read.
    #[inline]
    pub(super) fn place(&self, raw: Raw<'a>) -> (usize, usize) {
        let start = raw.text().as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        (start, start.wrapping_add(raw.text().len()))
    }

    /// What it has passed since it stood at `from`.
    #[inline]
    fn since(&self, from: usize, spelling: Spelling) -> Raw<'a> {
        Raw::new(self.text.get(from..self.at).unwrap_or_default(), spelling)
    }
}

#[cfg(test)]
mod tests;
