//! What is shown is harmless, what it says is unchanged, and no credential is left.

use proptest::prelude::*;

use super::*;

/// Put together here, so that no search for secrets finds this file.
fn secrets() -> Vec<String> {
    let letters = "A1b2C3d4".repeat(8);
    vec![
        format!("mcp_{}", &letters[..43]),
        format!("eyJ{}.eyJ{}.{}", &letters[..20], &letters[..60], &letters[..43]),
        format!("AKIA{}", "Z2".repeat(8)),
        format!("ghp_{}", &letters[..36]),
        format!("github_pat_{}", &letters[..30]),
        format!("-----BEGIN RSA PRIVATE KEY-----\n{letters}\n-----END RSA PRIVATE KEY-----"),
    ]
}

/// Whatever its size.
fn rewrite(text: &str, form: Form, redacts: bool) -> (Cow<'_, str>, Redacted) {
    super::rewrite(text, form, redacts, usize::MAX).unwrap()
}

fn of_json(value: &Value) -> (Value, String, Redacted) {
    let text = value.to_string();
    let (harmless, redacted) = rewrite(&text, Form::Json, true);
    (serde_json::from_str(&harmless).unwrap(), harmless.into_owned(), redacted)
}

#[test]
fn what_needs_nothing_is_not_copied() {
    for text in
        [r#"{"city":"São Paulo","temperature":-3.5,"source":"fixed"}"#, "", "東京 \\n _ xoxb-", "mcp_short"]
    {
        let (harmless, redacted) = rewrite(text, Form::Json, true);
        assert!(matches!(harmless, Cow::Borrowed(same) if same == text), "{text}");
        assert_eq!(redacted.count(), 0);
    }
}

#[test]
fn invisible_characters_are_escapes_of_the_same_value() {
    let hostile = "\u{1b}[2J\u{9b}31m\u{202e}evil\u{2066}\u{200b}\u{feff}\u{7f}\u{e0041}\u{e0101}\u{2028}é";
    let (value, text, _) = of_json(&json!({ "name": hostile }));
    assert_eq!(value["name"], hostile);
    assert!(text.chars().all(is_visible), "{text:?}");
    assert!(text.contains("\\u202e") && text.contains("\\udb40\\udc41") && text.contains('é'));
    let (shown, _) = failure(hostile);
    assert!(shown.chars().all(is_visible), "{shown:?}");
    assert_eq!(failure("one\n\ttwo").0, "one\n\ttwo");
    assert_eq!(rewrite("{\n \"a\": 1\r\n}", Form::Json, true).0, "{  \"a\": 1  }");
}

#[test]
fn each_credential_is_replaced_within_its_string_and_counted() {
    let all = secrets();
    let value = json!({ "before": "b", "notes": all.iter().map(|s| format!("say {s}, \"please\"")).collect::<Vec<_>>(), "after": "a" });
    let (read, text, redacted) = of_json(&value);
    assert_eq!(redacted, Redacted { api_keys: 4, tokens: 1, private_keys: 1 });
    assert_eq!((&read["before"], &read["after"]), (&json!("b"), &json!("a")));
    for note in read["notes"].as_array().unwrap() {
        let note = note.as_str().unwrap();
        assert!(note.starts_with("say [redacted: ") && note.ends_with("], \"please\""), "{note}");
    }
    assert_eq!(rewrite(&text, Form::Json, true).0, text, "a second look changes nothing");
    let cut = "-----BEGIN PRIVATE KEY-----\nMC4\" \\";
    let (read, _, redacted) = of_json(&json!({ "a": cut, "b": [1] }));
    assert_eq!((read, redacted.private_keys), (json!({ "a": "[redacted: private key]", "b": [1] }), 1));
    assert_eq!(rewrite(&value.to_string(), Form::Json, false).0, value.to_string(), "verbatim");
    for secret in &all {
        assert!(!failure(secret).0.contains(&secret[..20]));
    }
}

#[test]
fn a_failure_is_cut_at_its_limit() {
    assert_eq!(failure(&"é".repeat(MAX_FAILURE)).0.chars().count(), MAX_FAILURE);
    let cut = failure(&"é".repeat(MAX_FAILURE + 1)).0;
    assert!(cut.chars().count() == MAX_FAILURE + 1 && cut.ends_with("é…"));
}

#[test]
fn a_failure_is_cut_before_it_is_looked_through_and_not_within_a_credential() {
    let words = "word ".repeat(4 * MAX_FAILURE / 5);
    let key = &secrets()[0];
    let (shown, redacted) = failure(&format!("{}{key} {}", &words[..words.len() - 20], words.repeat(200)));
    assert!(shown.ends_with('…') && redacted.count() == 0);
    // Much that becomes short, and then one that the cut goes through.
    let token = format!("eyJ{0}.{0}.{0} ", "A1b2C3d4".repeat(500));
    let (shown, redacted) =
        failure(&format!("{token}{}{key}", "x".repeat(4 * MAX_FAILURE - token.len() - 11) + " "));
    assert_eq!(redacted.tokens, 1);
    assert!(shown.starts_with("[redacted: token] xxx") && shown.ends_with("x…"), "{}", shown.len());
    assert!(!shown.contains("mcp_"));
}

#[test]
fn what_would_outgrow_its_bound_is_not_written() {
    let text = "\u{7f}".repeat(1 << 20);
    for (form, grown) in [(Form::Json, 6 << 20), (Form::Plain, 6 << 20)] {
        assert!(super::rewrite(&text, form, true, grown).is_some_and(|(out, _)| out.len() == grown));
        assert!(super::rewrite(&text, form, true, grown - 1).is_none());
    }
    assert!(
        super::rewrite(&format!("{}\u{7f}a", "x".repeat(8)), Form::Json, true, 14).is_none(),
        "at its end"
    );
}

/// How long this thread has been on a processor: whoever else is there makes it wait, and is no cost of ours.
fn spent() -> std::time::Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    std::time::Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn a_large_text_that_only_begins_like_credentials_costs_no_more_than_another_one() {
    const MOST: std::time::Duration = std::time::Duration::from_secs(2);
    for piece in ["mcp_ ", "mcp_", "eyJ", "eyJaaaaaaaa.", "AKIA", "AKIAZ2", "-----BEGIN ", "xoxb-", "ghp_a"] {
        let text = json!(piece.repeat((4 << 20) / piece.len())).to_string();
        let before = spent();
        drop(rewrite(&text, Form::Json, true));
        let took = spent() - before;
        assert!(!took.is_zero() && took < MOST, "{piece}: {took:?}");
    }
    for block in ["-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----"] {
        let text = json!(block.repeat((4 << 20) / block.len())).to_string();
        let before = spent();
        assert!(rewrite(&text, Form::Json, true).1.private_keys > 0);
        let took = spent() - before;
        assert!(!took.is_zero() && took < MOST, "{block}: {took:?}");
    }
}

#[test]
fn one_private_key_right_behind_another_is_not_shown() {
    let key = "-----BEGIN PRIVATE KEY-----MC4-----END PRIVATE KEY-----";
    let two = format!("{key}{}", &key[5..]);
    let (shown, redacted) = rewrite(&two, Form::Plain, true);
    assert_eq!((&*shown, redacted.private_keys), ("[redacted: private key][redacted: private key]", 2));
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~]{0,12}".boxed(),
        any::<char>().prop_map(String::from).boxed(),
        prop::sample::select(vec!["\u{1b}[", "\u{202e}", "\\", "\"", "\n", "_", "eyJ", "-----BEGIN ", "AKI"])
            .prop_map(str::to_owned)
            .boxed(),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_value_stays_itself_and_shows_nothing_invisible(name in text(), inner in text(), number in any::<f64>()) {
        let value = json!({ name: [inner, number], "x": null });
        let (read, text, redacted) = of_json(&value);
        prop_assert!(text.chars().all(is_visible));
        prop_assert!(redacted.count() > 0 || read == value);
    }

    #[test]
    fn a_credential_is_found_wherever_it_stands(before in text(), after in text(), which in 0..6_usize) {
        let secret = secrets().swap_remove(which);
        // Right behind a letter capitals are part of a word.
        let value = json!({ "a": format!("{before} {secret}\n{after}") });
        let (_, text, redacted) = of_json(&value);
        prop_assert!(redacted.count() > 0 && !text.contains(&secret[4..20]), "{}", text);
    }
}
