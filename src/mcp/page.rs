//! Where a list goes on: cursors that are sealed, and hold for one list, one state of it and one caller's rights.

use super::{exchange::Exchange, refusal::Refusal};
use crate::{
    domain::Principal,
    error::Code,
    protocol::{Raw, Revision},
};

/// Most entries of one page. Many clients read the first page alone (P5), and few servers have as many tools.
pub(super) const PAGE: usize = 1_000;
/// How long a client may keep a list, milliseconds. A hint: everything is checked again anyway (C5).
pub(super) const LIST_TTL_MS: u32 = 60_000;

/// One list as one caller sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    /// Its method.
    pub(super) list: &'static str,
    /// Which state of it: another one makes cursors invalid, and the client begins anew (P4).
    pub(super) generation: u64,
    /// Who sees it.
    pub(super) principal: &'a Principal,
}

impl View<'_> {
    /// Behind what the page begins that `cursor` asks for; `None` for the first.
    ///
    /// # Errors
    /// -32602 for a cursor that is not ours, or not for this list, state and caller (P2).
    pub(super) fn after(
        &self,
        exchange: &Exchange<'_>,
        cursor: Option<Raw<'_>>,
    ) -> Result<Option<String>, Refusal> {
        let Some(cursor) = cursor else { return Ok(None) };
        let text = cursor.string().and_then(|text| exchange.house().cursors.open(&self.bound(), &text));
        let after = text.and_then(|bytes| String::from_utf8(bytes).ok());
        let unknown = || Refusal::new(Code::InvalidParams, "unknown cursor; begin the list anew without one");
        after.map(Some).ok_or_else(unknown)
    }

    /// The members that end a page: where it goes on behind `last`, if it does, and how long it may be kept.
    ///
    /// # Errors
    /// Our fault: there is no randomness.
    pub(super) fn end(
        &self,
        exchange: &Exchange<'_>,
        last: Option<&str>,
        (revision, ttl_ms): (Revision, u32),
    ) -> Result<String, Refusal> {
        let mut end = String::new();
        if let Some(last) = last {
            let sealed = exchange.house().cursors.seal(&self.bound(), last.as_bytes());
            let sealed = sealed.ok_or_else(|| Refusal::new(Code::Internal, "internal error"))?;
            end = format!(",\"nextCursor\":\"{sealed}\"");
        }
        if revision.is_modern() {
            end.push_str(&format!(",\"ttlMs\":{ttl_ms},\"cacheScope\":\"private\""));
        }
        Ok(end)
    }

    /// What a cursor is sealed for.
    fn bound(&self) -> Vec<u8> {
        let mut bound = Vec::with_capacity(128);
        bound.extend_from_slice(self.list.as_bytes());
        bound.push(0);
        bound.extend_from_slice(&self.generation.to_be_bytes());
        bound.extend_from_slice(&self.principal.permissions.bits().to_be_bytes());
        bound.extend_from_slice(self.principal.id.as_str().as_bytes());
        bound
    }
}

/// The first [`PAGE`] of `items`, JSON texts with their names, sorted by these, behind the name `after`; and the
/// name of the last one, if there are more.
pub(super) fn cut<'i>(
    items: impl Iterator<Item = (&'i str, String)>,
    after: Option<&str>,
) -> (Vec<String>, Option<&'i str>) {
    let mut behind = items.skip_while(|(name, _)| after.is_some_and(|after| *name <= after));
    let (mut page, mut last) = (Vec::new(), None);
    for (name, item) in behind.by_ref().take(PAGE) {
        page.push(item);
        last = Some(name);
    }
    let goes_on = behind.next().is_some();
    (page, last.filter(|_| goes_on))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_full_at_its_limit_and_goes_on_one_past_it() {
        let names: Vec<String> = (0..=PAGE).map(|n| format!("{n:05}")).collect();
        let items = |most: usize| names.iter().take(most).map(|name| (name.as_str(), name.clone()));
        let (page, last) = cut(items(PAGE), None);
        assert_eq!((page.len(), last), (PAGE, None));
        let (page, last) = cut(items(PAGE + 1), None);
        assert_eq!((page.len(), last), (PAGE, Some("00999")));
        let (page, last) = cut(items(PAGE + 1), last);
        assert_eq!((page, last), (vec!["01000".to_owned()], None));
        assert_eq!(cut(items(3), Some("00001x")).0, ["00002"]);
        assert_eq!(cut(items(3), Some("9")), (Vec::new(), None));
    }
}
