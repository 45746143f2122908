//! The merged tree against the table of keys: every unknown key and every value of the wrong kind.

use config::{Map, Value, ValueKind};

use super::{
    kind::Kind,
    nearest,
    problem::Report,
    schema::{self, Field, Key, Place},
};

/// A table of settings as it was read.
pub(super) type Tree = Map<String, Value>;

/// Puts every value of `merged` that fits its key into `sound`, and reports every other.
///
/// `sound` holds the compiled-in defaults, so that after a report the rules can still be tried on the
/// rest, and one start shows everything that is wrong.
pub(super) fn tree(merged: &Tree, sound: &mut Tree, report: &mut Report) {
    section(&[], merged, sound, report);
}

fn section(path: &[&str], found: &Tree, sound: &mut Tree, report: &mut Report) {
    for (name, value) in found {
        let parts = [path, &[name.as_str()]].concat();
        match (schema::place(&parts), &value.kind) {
            (Place::Key(key), _) => {
                if is_sound(key, &parts, value, report) {
                    sound.insert(name.clone(), value.clone());
                }
            }
            (Place::Section, ValueKind::Table(inner)) => {
                let empty = || Value::new(None, Tree::new());
                if let ValueKind::Table(sound) = &mut sound.entry(name.clone()).or_insert_with(empty).kind {
                    section(&parts, inner, sound, report);
                }
            }
            (Place::Section, _) => {
                let at = schema::shown(&parts);
                came_from(&at, value, report);
                report.refuse(&at, "is a section, not a key", format!("write [{at}] and the keys below it"));
            }
            (Place::Nowhere, _) => unknown(&parts, value, report),
        }
    }
}

fn is_sound(key: &Key, parts: &[&str], value: &Value, report: &mut Report) -> bool {
    let at = schema::shown(parts);
    came_from(&at, value, report);
    let fault = key.kind.fault(value);
    if let Some((problem, fix)) = &fault {
        report.refuse(&at, problem, fix);
        return false;
    }
    match (key.kind, &value.kind) {
        (Kind::Tables(fields), ValueKind::Array(entries)) => {
            // Every entry is looked at, whatever the one before was like.
            let unsound =
                |(n, entry): &(usize, &Value)| !are_sound(&format!("{at}[{n}]"), fields, entry, report);
            entries.iter().enumerate().filter(unsound).count() == 0
        }
        _ => true,
    }
}

/// Whether the table `entry` of a list, called `at`, has each of `fields` that it needs and no other.
fn are_sound(at: &str, fields: &[Field], entry: &Value, report: &mut Report) -> bool {
    came_from(at, entry, report);
    let ValueKind::Table(table) = &entry.kind else {
        report.refuse(at, "must be a table", "write it as a section in double brackets");
        return false;
    };
    let mut all = true;
    for field in fields.iter().filter(|field| field.is_required && !table.contains_key(field.name)) {
        report.refuse(&format!("{at}.{}", field.name), "is missing", "write it");
        all = false;
    }
    for (name, value) in table {
        let inner = format!("{at}.{}", schema::shown(&[name]));
        came_from(&inner, value, report);
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            let nearest = nearest::name(name, fields.iter().map(|field| field.name)).unwrap_or_default();
            let fix = format!("take it out, or write {nearest} if that was meant");
            report.refuse(&inner, "there is no such key", fix);
            all = false;
            continue;
        };
        if let Some((problem, fix)) = field.kind.fault(value) {
            report.refuse(&inner, problem, fix);
            all = false;
        }
    }
    all
}

/// Reports each key below an unknown table, since each has a nearest one of its own.
fn unknown(parts: &[&str], value: &Value, report: &mut Report) {
    match &value.kind {
        ValueKind::Table(inner) if !inner.is_empty() => {
            for (name, value) in inner {
                unknown(&[parts, &[name.as_str()]].concat(), value, report);
            }
        }
        _ => {
            let at = schema::shown(parts);
            came_from(&at, value, report);
            refuse_unknown(&at, parts, report);
        }
    }
}

/// Reports that there is no key at the path of these `parts`, shown as `at`.
pub(super) fn refuse_unknown(at: &str, parts: &[&str], report: &mut Report) {
    let nearest = schema::nearest(parts).unwrap_or_default();
    report.refuse(at, "there is no such key", format!("take it out, or write {nearest} if that was meant"));
}

fn came_from(at: &str, value: &Value, report: &mut Report) {
    if let Some(origin) = value.origin() {
        report.came_from(at, origin);
    }
}
