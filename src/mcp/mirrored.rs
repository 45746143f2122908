//! Arguments that a client repeats in headers are the same there (H9–H13): whoever stands between has acted on those.

use super::{exchange::Exchange, refusal::Refusal, via::Via};
use crate::{
    error::Code,
    protocol::{Revision, Tree, decode_header},
    tools::mirrored::{Mirror, is_mirrored, says},
};

/// Holds each header of `mirrors` against its argument; only 2026-07-28 over HTTP has any.
///
/// # Errors
/// [`Refusal`]: one is missing, differs, stands twice, or has nothing to repeat.
pub(super) fn check(
    exchange: &Exchange<'_>,
    mirrors: &[Mirror],
    (arguments, revision): (&Tree<'_>, Revision),
) -> Result<(), Refusal> {
    let Via::Http(_, all) = exchange.via else { return Ok(()) };
    if !revision.is_modern() {
        return Ok(());
    }
    for mirror in mirrors {
        let mismatch = |what: &str| {
            Refusal::new(Code::HeaderMismatch, format!("header mismatch: {} {what}", mirror.header()))
        };
        let mut values = all.get_all(mirror.header());
        let (value, argument) = (values.next(), mirror.find(arguments));
        if values.next().is_some() {
            return Err(mismatch("stands twice"));
        }
        match (value, argument) {
            (None, None) => {}
            (None, Some(argument)) if !is_mirrored(argument) => {}
            (None, Some(_)) => return Err(mismatch("is required")),
            (Some(_), None) => return Err(mismatch("repeats no argument")),
            (Some(value), Some(argument)) => {
                let text = decode_header(value.as_bytes()).ok_or_else(|| mismatch("is not decodable"))?;
                if !says(&text, argument) {
                    return Err(mismatch("differs from the body"));
                }
            }
        }
    }
    Ok(())
}
