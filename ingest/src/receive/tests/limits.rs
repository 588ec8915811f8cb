//! Tokens and limits, at their boundary values, and input that means harm.

use proptest::prelude::*;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nothing_is_taken() {
    let rig = Rig::start(|settings| {
        settings.tokens = Tokens::parse("token-of-team-one, token-of-team-two", "test").unwrap();
    })
    .await;
    for header in [&[][..], &[("authorization", "Bearer token-of-team-six")], &[("authorization", "token-of-team-one")]]
    {
        let answer = rig.post("/v1/events", header, "{}").await;
        assert_eq!(answer.told(), (401, "RECEIVE-101".into()));
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert!(!String::from_utf8_lossy(&answer.body).contains("team"));
        let answer = rig.post("/v1/traces", header, "{}").await;
        assert_eq!((answer.status.as_u16(), answer.json()["code"].as_u64()), (401, Some(16)));
    }
    for token in ["Bearer token-of-team-one", "bearer token-of-team-two"] {
        assert_eq!(rig.post("/v1/events", &[("authorization", token)], "{}").await.status, 200);
    }
    // Probes carry no secret, and tell none.
    assert_eq!(rig.get("/healthz/ready").await.status, 200);
    assert_eq!(rig.messages("events", 2).len(), 2);
    assert!(!format!("{:?}", rig.shared.settings).contains("team"));
}

#[tokio::test]
async fn other_machines_are_listened_to_only_with_a_token_or_on_purpose() {
    let kafka = EmbeddedKafka::start("events", 1).unwrap();
    for (listen, open) in
        [("0.0.0.0:0", true), ("[::]:0", true), ("127.0.0.1:0", false), ("[::ffff:127.0.0.1]:0", false)]
    {
        let start = async |tokens: Tokens, insecure: bool| {
            let settings = Settings { listen: listen.parse().unwrap(), tokens, insecure, ..settings(&kafka) };
            Receiver::start(settings).await.err().map(|error| error.to_string())
        };
        let refused = start(Tokens::default(), false).await;
        match open {
            true => assert!(refused.unwrap().ends_with("can be reached from other machines, and no token is set")),
            false => assert!(!refused.unwrap_or_default().contains("other machines")),
        }
        assert!(!start(Tokens::default(), true).await.unwrap_or_default().contains("other machines"));
        let token = Tokens::parse("a-token-of-some-length", "test").unwrap();
        assert!(!start(token, false).await.unwrap_or_default().contains("other machines"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_at_the_last_byte_and_the_last_event() {
    let rig = Rig::start(|settings| {
        let limits = &mut settings.limits;
        (limits.body_bytes_max, limits.events_max, limits.message_bytes_max) = (2000, 3, 1000);
    })
    .await;
    let told = async |body: String| rig.post("/v1/events", &[], body).await.told();
    let of_length = |bytes: usize| format!("{{\"x\":\"{}\"}}", "y".repeat(bytes - 8));
    // A message also weighs its headers.
    let header = "content-type".len() + "application/json".len();
    let fits = 1000 - header;
    assert_eq!(told(of_length(fits)).await, (200, String::new()));
    assert_eq!(told(of_length(fits + 1)).await, (413, "RECEIVE-105".into()));
    let lines = |last: usize| format!("{}\n{}", of_length(900), of_length(last - 901));
    assert_eq!(told(lines(2000).replace("\"x\"", "\"z\"")).await, (413, "RECEIVE-105".into()));
    assert_eq!(told(of_length(2001)).await, (413, "RECEIVE-103".into()));
    assert_eq!(told("{}{}{}".into()).await, (200, String::new()));
    assert_eq!(told("{}{}{}{}".into()).await, (413, "RECEIVE-104".into()));
    let packed = async |bytes: usize| {
        let headers = [("content-encoding", "gzip")];
        rig.post("/v1/events", &headers, gzip(format!("{}{}", of_length(900), " ".repeat(bytes - 900)).as_bytes()))
            .await
            .told()
    };
    assert_eq!(packed(2000).await, (200, String::new()));
    assert_eq!(packed(2001).await, (413, "RECEIVE-103".into()));
    assert_eq!(rig.shared.budget.held_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_too_large_is_named_and_its_neighbours_are_stored() {
    let rig = Rig::start(|settings| settings.limits.message_bytes_max = 1000).await;
    let body = format!("[{{\"id\":\"a\"}},{{\"id\":\"{}\"}},{{\"id\":\"c\"}}]", "b".repeat(2000));
    let answer = rig.post("/v1/events", &[], body).await;
    assert_eq!(answer.told(), (413, "RECEIVE-105".into()));
    let body = answer.json();
    assert_eq!((body["accepted"].as_u64(), body["items"][0]["index"].as_u64()), (Some(2), Some(1)));
    assert_eq!(body["items"][0]["accepted"], false);
    assert_eq!(rig.messages("events", 2).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_bomb_is_refused_and_leaves_no_bytes_held() {
    let rig = Rig::start(|settings| settings.limits.body_bytes_max = 1 << 20).await;
    let bomb = gzip(&vec![b' '; 32 << 20]);
    let answer = rig.post("/v1/events", &[("content-encoding", "gzip")], bomb).await;
    assert_eq!(answer.told(), (413, "RECEIVE-103".into()));
    let answer = rig.post("/v1/events", &[("content-encoding", "br")], "x").await;
    assert_eq!(answer.told(), (415, "RECEIVE-106".into()));
    assert_eq!(rig.post("/v1/events", &[("content-encoding", "gzip")], "x").await.told(), (400, "RECEIVE-107".into()));
    assert_eq!(rig.shared.budget.held_bytes(), 0);
}

#[test]
fn hostile_bodies_are_answered_and_never_blamed_on_us() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let rig = runtime.block_on(Rig::start(|settings| settings.limits.events_max = 50));
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        "[\\[\\]{}\",:a1 \n]{0,80}".prop_map(String::into_bytes),
        "(\\{\"resourceSpans\":\\[\\{\"scopeSpans\":\\[){0,2}[\\[\\]{}\",:0n]{0,30}".prop_map(String::into_bytes),
    ];
    let headers = prop::sample::select(vec![
        ("content-type", "application/json"),
        ("content-type", "application/x-protobuf"),
        ("content-type", "application/cloudevents-batch+json"),
        ("content-encoding", "gzip"),
        ("content-encoding", "zstd"),
        ("ce-id", "%%%e2%82\"\\"),
        ("daybook-format", "anthropic"),
        ("content-type", "application/vnd.daybook.+json"),
    ]);
    let path = prop::sample::select(vec!["/v1/events", "/v1/traces", "/v1/logs"]);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 300, ..ProptestConfig::default() });
    let outcome = runner.run(&(path, headers, body), |(path, header, body)| {
        let answer = runtime.block_on(rig.post(path, &[header], body));
        prop_assert!(answer.status.as_u16() < 500 && answer.status != 429, "{:?}", answer);
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(rig.shared.budget.held_bytes(), 0);
}
