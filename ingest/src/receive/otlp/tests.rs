use proptest::prelude::*;

use super::*;
use crate::receive::budget::Budget;

/// Resources, scopes and items of given texts, as OTLP in both forms; items belong to the trace of their first letter.
type Shape = Vec<Vec<Vec<String>>>;

fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_field(&mut out, number, content);
    out
}

fn trace_of(item: &str) -> [u8; 16] {
    [item.as_bytes().first().copied().unwrap_or_default(); 16]
}

fn as_protobuf(shape: &Shape) -> Bytes {
    let item = |text: &String| field(2, &[field(1, &trace_of(text)), field(5, text.as_bytes())].concat());
    let scope = |items: &Vec<String>| {
        field(2, &[field(1, b"scope"), items.iter().flat_map(item).collect(), field(3, b"schema")].concat())
    };
    let resource = |(n, scopes): (usize, &Vec<Vec<String>>)| {
        let resource = field(1, format!("resource {n}").as_bytes());
        field(1, &[resource, scopes.iter().flat_map(scope).collect()].concat())
    };
    shape.iter().enumerate().flat_map(resource).collect::<Vec<u8>>().into()
}

fn as_json(shape: &Shape) -> Bytes {
    let hex = |text: &str| trace_of(text).iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let item = |text: &String| serde_json::json!({"traceId": hex(text), "name": text});
    let scope = |items: &Vec<String>| serde_json::json!({"scope": {"name": "s"}, "spans": items.iter().map(item).collect::<Vec<_>>()});
    let resource = |(n, scopes): (usize, &Vec<Vec<String>>)| serde_json::json!({"resource": {"n": n}, "scopeSpans": scopes.iter().map(scope).collect::<Vec<_>>()});
    let resources: Vec<_> = shape.iter().enumerate().map(resource).collect();
    serde_json::to_vec(&serde_json::json!({"resourceSpans": resources})).unwrap().into()
}

fn held(budget: usize) -> Held {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(Budget::new(budget).admit(0)).unwrap()
}

fn cut_traces(form: Form, body: &Bytes, bytes_max: usize) -> Result<Vec<Message>, Refusal> {
    cut(Path::Traces, form, body, &[], None, bytes_max, &mut held(1 << 30))
}

/// Every item of the messages with the rest of its scope and resource, in order.
fn flatten(form: Form, messages: &[Message]) -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    fn of(codec: &impl Codec, body: &[u8]) -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
        let tree = grow(codec, body, &mut held(1 << 30)).unwrap();
        let around = |scope: usize| (tree.resources[tree.scopes[scope].0].clone(), tree.scopes[scope].1.clone());
        tree.items.iter().map(|(scope, item)| (around(*scope).0, around(*scope).1, item.to_vec())).collect()
    }
    let all = messages.iter().map(|message| match form {
        Form::Json => of(&json::Json(TRACES), &message.value),
        Form::Protobuf => of(&protobuf::Protobuf(TRACES), &message.value),
    });
    all.flatten().collect()
}

fn shape(resources: usize, items: usize, bytes: usize) -> Shape {
    let item = |n: usize| format!("{}{}", char::from(b"abcdefg"[n % 7]), "x".repeat(bytes));
    vec![vec![(0..items).map(item).collect(); 2]; resources]
}

#[test]
fn a_body_that_fits_is_sent_as_it_is() {
    for (form, body) in [(Form::Json, as_json(&shape(2, 3, 10))), (Form::Protobuf, as_protobuf(&shape(2, 3, 10)))] {
        let messages = cut_traces(form, &body, body.len() + FRAME_BYTES).unwrap();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].value, body);
        assert_eq!(messages[0].items, 12);
        assert!(cut_traces(form, &body, body.len() + FRAME_BYTES - 1).unwrap().len() > 1);
    }
}

#[test]
fn the_key_is_the_trace_if_there_is_only_one() {
    let one: Shape = vec![vec![vec!["a1".into(), "a2".into()]], vec![vec!["a3".into()]]];
    let two: Shape = vec![vec![vec!["a1".into(), "b2".into()]]];
    for (form, one, two) in
        [(Form::Json, as_json(&one), as_json(&two)), (Form::Protobuf, as_protobuf(&one), as_protobuf(&two))]
    {
        assert_eq!(cut_traces(form, &one, 9999).unwrap()[0].key, Some("61".repeat(16)), "{form:?}");
        assert_eq!(cut_traces(form, &two, 9999).unwrap()[0].key, None);
        let given = cut(Path::Traces, form, &two, &[], Some("given"), 9999, &mut held(1 << 30)).unwrap();
        assert_eq!(given[0].key.as_deref(), Some("given"));
    }
}

#[test]
fn an_item_larger_than_a_message_stands_alone() {
    let mut shape = shape(1, 3, 50);
    shape[0][0][1] = format!("L{}", "y".repeat(2000));
    for (form, body) in [(Form::Json, as_json(&shape)), (Form::Protobuf, as_protobuf(&shape))] {
        let messages = cut_traces(form, &body, 1000).unwrap();
        let large: Vec<_> = messages.iter().filter(|message| message.bytes() > 1000).collect();
        assert_eq!(large.len(), 1, "{form:?}");
        assert_eq!(large[0].items, 1);
        assert_eq!(messages.iter().map(|message| message.items).sum::<usize>(), 6);
    }
}

#[test]
fn a_request_without_telemetry_makes_no_message() {
    for body in ["{}", "{\"resourceSpans\":[]}", "{\"resourceSpans\":null}", " {\n} "] {
        assert_eq!(cut_traces(Form::Json, &Bytes::from(body), 999).unwrap(), [], "{body}");
    }
    assert_eq!(cut_traces(Form::Protobuf, &Bytes::new(), 999).unwrap(), []);
}

#[test]
fn what_is_no_otlp_is_refused() {
    let refusal = |path, form, body: &'static [u8]| {
        cut(path, form, &Bytes::from_static(body), &[], None, 999, &mut held(1 << 20)).unwrap_err().to_string()
    };
    let json = |body: &'static str| refusal(Path::Traces, Form::Json, body.as_bytes());
    assert_eq!(json(""), "not JSON at line 1, column 0: EOF while parsing a value");
    assert_eq!(json("{\"resourceSpans\":["), "not JSON at line 1, column 18: EOF while parsing a list");
    assert_eq!(json("[]"), "not OTLP: `the request` holds objects only");
    assert_eq!(json("{\"a\":1}"), "not OTLP: there is no `resourceSpans`");
    assert_eq!(json("{\"resourceSpans\":{}}"), "not OTLP: `resourceSpans` is no array");
    assert_eq!(json("{\"resourceSpans\":[1]}"), "not OTLP: `resourceSpans` holds objects only");
    assert_eq!(
        json("{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[1]}]}]}"),
        "not OTLP: `spans` holds objects only"
    );
    let logs = refusal(Path::Logs, Form::Json, b"{\"resourceSpans\":[]}");
    assert_eq!(logs, "not OTLP: there is no `resourceLogs`");
    assert!(refusal(Path::Traces, Form::Protobuf, b"{\"resourceSpans\":[]}").contains("broken protobuf"));
}

#[test]
fn cutting_that_would_mostly_repeat_the_resource_is_refused() {
    let resource = field(1, &field(1, &[b'r'; 900]));
    let items: Vec<u8> = (0..200).flat_map(|_| field(2, &field(5, b"x"))).collect();
    let body = Bytes::from(field(1, &[resource, field(2, &items)].concat()));
    let refusal = cut_traces(Form::Protobuf, &body, 1100).unwrap_err();
    assert_eq!(refusal.code(), "RECEIVE-105");
}

/// Of two bytes a child makes many times as many.
#[test]
fn what_a_body_is_cut_with_is_held_too() {
    let protobuf = |items: usize| field(1, &field(2, &[0x12, 0].repeat(items)));
    let json = |items: usize| {
        let items = vec!["{}"; items].join(",");
        format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{items}]}}]}}]}}").into_bytes()
    };
    for (form, body) in [(Form::Protobuf, &protobuf as &dyn Fn(usize) -> Vec<u8>), (Form::Json, &json)] {
        let cut_in = |items, budget| {
            cut(Path::Traces, form, &body(items).into(), &[], None, 1 << 30, &mut held(budget)).map(|cut| cut[0].items)
        };
        assert_eq!(cut_in(50_000, 8 << 20), Ok(50_000), "{form:?}");
        assert_eq!(cut_in(50_000, 1 << 20), Err(Refusal::Busy), "{form:?}");
        let too_many = Refusal::TooManyEvents { events_max: CHILDREN_MAX };
        assert_eq!(cut_in(CHILDREN_MAX, 1 << 30), Err(too_many), "{form:?}");
    }
}

proptest! {
    #[test]
    fn parts_fit_and_hold_every_item_once_under_its_resource(
        shape in prop::collection::vec(prop::collection::vec(prop::collection::vec("[a-c][a-z]{0,60}", 0..6), 0..4), 1..4),
        bytes_max in 300_usize..1500,
    ) {
        for (form, body) in [(Form::Json, as_json(&shape)), (Form::Protobuf, as_protobuf(&shape))] {
            let messages = cut_traces(form, &body, bytes_max).unwrap();
            let whole = Message { key: None, headers: Vec::new(), value: body, doubt: None, items: 0 };
            prop_assert_eq!(flatten(form, &messages), flatten(form, &[whole]));
            for message in &messages {
                prop_assert!(message.bytes() <= bytes_max || message.items < 2);
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), bytes_max in 0_usize..300) {
        for form in [Form::Json, Form::Protobuf] {
            // Refused or sent on: either is an answer.
            drop(cut_traces(form, &Bytes::from(bytes.clone()), bytes_max));
        }
    }
}
