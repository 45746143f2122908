//! Questions, answers, and who can be asked.

use super::*;
use crate::policy::{CallTool, permit_for_tests};

#[derive(Debug, PartialEq, Eq, Deserialize, JsonSchema)]
struct Named {
    /// Your name.
    #[schemars(length(min = 1, max = 20))]
    name: String,
    age: Option<u32>,
}

/// Runs `tool` for a client with these capabilities and answers; gives what it came to and what it asks.
fn asked<T>(
    capabilities: &str,
    answers: Answers,
    tool: impl FnOnce(&Call<'_>) -> Result<T, ToolError>,
) -> (Result<T, ToolError>, Vec<Question>) {
    let asking = Asking::new(capabilities, answers);
    let permit = permit_for_tests::<CallTool>();
    let came_to = tool(&Call::new(&permit).answered(&asking));
    (came_to, asking.into_parts().0)
}

fn answered(round: &Value) -> Answers {
    let mut answers = Answers::none();
    answers.add(&round.to_string(), &[]).unwrap();
    answers
}

const ALL: &str = r#"{"elicitation":{},"sampling":{},"roots":{}}"#;

fn name(call: &Call<'_>) -> Result<Said<Named>, ToolError> {
    call.elicit("who", "Who are you?")
}

#[test]
fn what_is_not_answered_is_asked_with_a_flat_form() {
    let (came_to, questions) = asked(ALL, Answers::none(), name);
    assert_eq!(came_to, Err(ToolError::Unanswered));
    let [question] = questions.as_slice() else { panic!("{questions:?}") };
    assert_eq!((question.key, question.method), ("who", "elicitation/create"));
    let form = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 20, "description": "Your name." },
            "age": { "type": "integer", "minimum": 0 },
        },
        "required": ["name"],
    });
    let expected = json!({ "mode": "form", "message": "Who are you?", "requestedSchema": form });
    assert_eq!(question.params, expected);
}

#[test]
fn an_answer_that_fits_is_taken_and_any_other_is_asked_again() {
    let ada = json!({ "who": { "action": "accept", "content": { "name": "Ada" } }, "other": 1 });
    let (came_to, questions) = asked(ALL, answered(&ada), name);
    assert_eq!(came_to, Ok(Said::Accepted(Named { name: "Ada".into(), age: None })));
    assert!(questions.is_empty());
    for (action, said) in [("decline", Said::Declined), ("cancel", Said::Cancelled)] {
        assert_eq!(asked(ALL, answered(&json!({ "who": { "action": action } })), name).0, Ok(said));
    }
    for wrong in [
        json!(7),
        json!(null),
        json!({}),
        json!({ "action": "accept" }),
        json!({ "action": "accept", "content": { "name": "" } }),
        json!({ "action": "accept", "content": { "name": 7 } }),
        json!({ "action": "accept", "content": { "name": "Ada", "age": -1 } }),
        json!({ "action": "maybe", "content": { "name": "Ada" } }),
    ] {
        let (came_to, questions) = asked(ALL, answered(&json!({ "who": wrong })), name);
        assert_eq!((came_to, questions.len()), (Err(ToolError::Unanswered), 1), "{wrong}");
    }
}

#[test]
fn a_client_is_asked_only_what_it_has_declared() {
    let url_only = r#"{"elicitation":{"url":{}}}"#;
    for (capabilities, can) in [
        ("{}", false),
        ("", false),
        (r#"{"sampling":{}}"#, false),
        (url_only, false),
        (r#"{"elicitation":{}}"#, true),
        (r#"{"elicitation":{"form":{},"url":{}}}"#, true),
    ] {
        let (came_to, questions) = asked(capabilities, Answers::none(), |call| {
            assert_eq!(call.can_ask(Ask::User), can, "{capabilities}");
            name(call)
        });
        let expected = if can { ToolError::Unanswered } else { ToolError::CannotAsk(Ask::User) };
        assert_eq!((came_to, questions.len()), (Err(expected), usize::from(can)), "{capabilities}");
    }
    let permit = permit_for_tests::<CallTool>();
    let call = Call::new(&permit);
    assert!(!call.can_ask(Ask::Roots));
    assert_eq!(call.roots("r"), Err(ToolError::CannotAsk(Ask::Roots)));
}

#[test]
fn several_things_are_asked_at_once_and_each_answer_is_for_its_own() {
    let tool = |call: &Call<'_>| {
        let (text, roots) = (call.sample("text", "Say hello.", 50), call.roots("roots"));
        Ok((text?, roots?))
    };
    let (came_to, questions) = asked(ALL, Answers::none(), tool);
    assert_eq!(came_to, Err(ToolError::Unanswered));
    let keys: Vec<_> = questions.iter().map(|question| (question.key, question.method)).collect();
    assert_eq!(keys, [("text", "sampling/createMessage"), ("roots", "roots/list")]);
    assert_eq!(questions[0].params["maxTokens"], 50);
    let round = json!({
        "text": { "role": "assistant", "model": "m", "content": { "type": "text", "text": "Hello." } },
        "roots": { "roots": [{ "uri": "file:///home", "name": "Home" }, { "uri": "file:///x" }] },
    });
    let (text, roots) = asked(ALL, answered(&round), tool).0.unwrap();
    assert_eq!((text.as_str(), roots.len(), roots[0].name.as_deref()), ("Hello.", 2, Some("Home")));
}

#[test]
fn a_yes_counts_only_from_somebody_who_was_asked() {
    let confirm = |call: &Call<'_>| call.confirm("sure", "Go on?");
    let yes = json!({ "sure": { "action": "accept", "content": { "confirmed": true } } });
    let (came_to, questions) = asked(ALL, answered(&yes), confirm);
    assert_eq!((came_to, questions[0].is_once), (Err(ToolError::Unanswered), true), "nobody has asked it");
    let round = |answer: Value| {
        let mut answers = Answers::none();
        answers.add(&json!({ "sure": answer }).to_string(), &["sure".to_owned()]).unwrap();
        answers
    };
    assert_eq!(asked(ALL, round(yes["sure"].clone()), confirm).0, Ok(true));
    let no = json!({ "action": "accept", "content": { "confirmed": false } });
    assert_eq!(asked(ALL, round(no), confirm).0, Ok(false));
    assert_eq!(asked(ALL, round(json!({ "action": "decline" })), confirm).0, Ok(false));
}

#[test]
fn what_was_asked_is_all_that_is_answered_and_wrong_answers_are_not_kept() {
    let mut answers = Answers::none();
    answers.add(r#"{"who":7,"more":1}"#, &["who".to_owned()]).unwrap();
    assert_eq!((answers.find("who", true), answers.find("more", false)), (Some("7"), None));
    let asking = Asking::new(ALL, answers);
    let permit = permit_for_tests::<CallTool>();
    assert_eq!(name(&Call::new(&permit).answered(&asking)), Err(ToolError::Unanswered));
    assert_eq!(asking.into_parts().1.find("who", false), None);
    for nonsense in ["[]", "7", "null", "{"] {
        assert!(Answers::none().add(nonsense, &[]).is_err(), "{nonsense}");
    }
}

#[test]
fn what_no_form_can_hold_is_a_fault_of_the_tool() {
    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    struct Nested {
        inner: Named,
    }
    let (came_to, questions) = asked(ALL, Answers::none(), |call| call.elicit::<Nested>("x", "?"));
    assert_eq!((came_to, questions.len()), (Err(ToolError::Output), 0));
}
