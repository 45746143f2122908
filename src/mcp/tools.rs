//! `tools/list`: the tools that the caller may call, by the decision that a call asks too.

use super::{
    answer::Answer,
    exchange::{Asked, Exchange},
    page::{self, LIST_TTL_MS, PAGE, View},
    refusal::Refusal,
};

/// The tools that the caller may call.
///
/// # Errors
/// [`Refusal`].
pub(super) fn list(exchange: &Exchange<'_>, asked: &Asked<'_>) -> Result<Answer, Refusal> {
    let house = exchange.house();
    let dress = house.views.dress(asked.revision);
    // As good as always: all of it fits on one page, and is there already.
    if asked.params.cursor.is_none() && house.registry.iter().len() <= PAGE {
        let list = house.views.tools(&asked.principal, &house.registry, asked.revision);
        return Ok(Answer::ok(dress.result(asked.id, &list)));
    }
    let generation = house.views.tools_generation();
    let view = View { list: "tools/list", generation, principal: &asked.principal };
    let after = view.after(exchange, asked.params.cursor)?;
    let callable = house
        .registry
        .iter()
        .filter(|entry| house.views.shows(entry, &asked.principal, asked.revision))
        .map(|entry| (entry.spec().name, entry.descriptor(asked.revision).to_owned()));
    let (shown, last) = page::cut(callable, after.as_deref());
    let end = view.end(exchange, last, (asked.revision, LIST_TTL_MS))?;
    let members = format!("\"tools\":[{}]{end}", shown.join(","));
    Ok(Answer::ok(dress.result(asked.id, members.as_bytes())))
}
