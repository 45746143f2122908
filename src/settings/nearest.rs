//! What somebody who mistyped a name most likely meant.

/// Characters of a name that are compared; a longer one is no typing mistake.
const COMPARED: usize = 100;

/// The candidate most like `name`; the first of equals.
pub(super) fn name<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().map(|candidate| (candidate, likeness(name, candidate)));
    best(scored)
}

/// The key path most like `path`. One with the same last part comes before any other, because a key
/// in the wrong section is as common as a mistyped one.
pub(super) fn path(path: &str, candidates: impl IntoIterator<Item = String>) -> Option<String> {
    let (section, last) = split(path);
    let score = |candidate: &str| match split(candidate) {
        (theirs, same) if same == last => 1.0 + likeness(section, theirs),
        _ => likeness(path, candidate),
    };
    best(candidates.into_iter().map(|candidate| {
        let score = score(&candidate);
        (candidate, score)
    }))
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

fn best<T>(scored: impl IntoIterator<Item = (T, f64)>) -> Option<T> {
    let keep = |best: (T, f64), next: (T, f64)| if next.1 > best.1 { next } else { best };
    scored.into_iter().reduce(keep).map(|(candidate, _)| candidate)
}

fn likeness(one: &str, other: &str) -> f64 {
    let cut = |text: &str| text.chars().take(COMPARED).collect::<String>();
    strsim::normalized_damerau_levenshtein(&cut(one), &cut(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_key_and_a_key_in_the_wrong_section_are_both_found() {
        let known = ["server.host", "server.port", "admin.port", "jwt.secret", "jwt.secret_file"];
        for (typed, meant) in [
            ("server.prot", "server.port"),
            ("jwt.secert", "jwt.secret"),
            ("sever.port", "server.port"),
            ("server.secret", "jwt.secret"),
            ("port", "server.port"),
        ] {
            assert_eq!(path(typed, known.map(String::from)).as_deref(), Some(meant), "{typed}");
        }
    }
}
