//! A Kafka that is slow, gone or picky, senders that leave, and the end.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::receive::budget::EVENT_OVERHEAD_BYTES;
use crate::receive::{BusyStatus, Error, Totals};

const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `what` holds.
async fn until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < PATIENCE, "it did not happen in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Limits of time that a busy machine does not reach.
fn patient() -> Limits {
    Limits { timeout: 6 * PATIENCE, slow_after: 6 * PATIENCE, ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_gone_is_an_error_to_retry_and_nothing_is_lost_by_it() {
    let rig = Rig::start(|settings| settings.limits.timeout = Duration::from_millis(1500)).await;
    assert_eq!(rig.post("/v1/events", &[], "{\"id\":\"before\"}").await.status, 200);
    rig.kafka.set_reachable(false).unwrap();
    let answer = rig.post("/v1/events", &[], "[{\"id\":\"a\"},{\"id\":\"b\"}]").await;
    assert_eq!(answer.told(), (503, "RECEIVE-114".into()));
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(answer.json()["accepted"], 0);
    until(|| rig.shared.budget.held_bytes() == 0).await;
    rig.kafka.set_reachable(true).unwrap();
    let began = Instant::now();
    while rig.post("/v1/events", &[], "[{\"id\":\"a\"},{\"id\":\"b\"}]").await.status != 200 {
        assert!(began.elapsed() < PATIENCE, "the receiver did not recover");
    }
    let ids: Vec<_> = rig.messages("events", 3).into_iter().map(|message| message.value).collect();
    for id in ["a", "b", "before"] {
        assert!(ids.contains(&format!("{{\"id\":\"{id}\"}}")), "{id} is not in {ids:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_gets_nothing_through_to_brokers_that_answer_ends_the_receiver() {
    let kafka = EmbeddedKafka::start("events", 4).unwrap();
    let mut settings = settings(&kafka);
    settings.limits.timeout = Duration::from_secs(1);
    let receiver = Receiver::start(settings).await.unwrap();
    let shared = receiver.shared();
    kafka.refuse_messages();
    let mut run = tokio::spawn(receiver.run(std::future::pending()));
    let began = Instant::now();
    let error = loop {
        let request = router(Arc::clone(&shared)).oneshot(post("/v1/events", &[], "{}"));
        let (ended, answer) = tokio::join!(tokio::time::timeout(Duration::from_secs(2), &mut run), request);
        assert_eq!(answer.unwrap().status(), 503);
        match ended {
            Ok(ended) => break ended.unwrap().unwrap_err(),
            Err(_) => assert!(began.elapsed() < 2 * PATIENCE, "it goes on"),
        }
    };
    assert!(error.to_string().contains("brokers answer, but took no message for"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn success_waits_for_the_acknowledgement() {
    let rig = Rig::start(|_| {}).await;
    rig.kafka.set_round_trip(Duration::from_millis(700)).unwrap();
    let began = Instant::now();
    assert_eq!(rig.post("/v1/events", &[], "{}").await.status, 200);
    assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn when_too_many_bytes_wait_for_kafka_senders_are_told_to_come_back() {
    for (busy_status, expected) in [(BusyStatus::TooManyRequests, 429), (BusyStatus::ServiceUnavailable, 503)] {
        let rig = Rig::start(|settings| {
            settings.limits = Limits { in_flight_bytes_max: 1 << 20, ..patient() };
            settings.busy_status = busy_status;
        })
        .await;
        assert_eq!(rig.post("/v1/events", &[], "{}").await.status, 200);
        rig.kafka.set_reachable(false).unwrap();
        let large = || format!("{{\"x\":\"{}\"}}", "y".repeat(700_000));
        let headers = [("content-length", "700008")];
        let first = tokio::spawn(router(Arc::clone(&rig.shared)).oneshot(post("/v1/events", &headers, large())));
        // With what its event costs beside its bytes: until then the first might be turned away for the second, which waits.
        until(|| rig.shared.budget.held_bytes() > 700_008 + EVENT_OVERHEAD_BYTES).await;
        for path in ["/v1/events", "/v1/traces"] {
            let answer = rig.post(path, &headers, large()).await;
            assert_eq!(answer.status.as_u16(), expected);
            assert_eq!(answer.header("retry-after"), "1");
        }
        rig.kafka.set_reachable(true).unwrap();
        assert_eq!(first.await.unwrap().unwrap().status(), 200, "what was taken on is finished");
        until(|| rig.shared.budget.held_bytes() == 0).await;
        assert_eq!(rig.post("/v1/events", &headers, large()).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_kafka_acknowledges_nothing_new_requests_are_turned_away_at_once() {
    const SLOW_AFTER: Duration = Duration::from_millis(500);
    let rig = Rig::start(|settings| settings.limits = Limits { slow_after: SLOW_AFTER, ..patient() }).await;
    assert_eq!(rig.post("/v1/events", &[], "{}").await.status, 200);
    rig.kafka.set_reachable(false).unwrap();
    let first = tokio::spawn(router(Arc::clone(&rig.shared)).oneshot(post("/v1/events", &[], "{}")));
    until(|| rig.shared.budget.held_bytes() > 0).await;
    tokio::time::sleep(2 * SLOW_AFTER).await;
    let answer = rig.post("/v1/events", &[], "{}").await;
    assert_eq!((answer.told(), answer.header("retry-after")), ((429, "RECEIVE-113".into()), "5"));
    assert!(!first.is_finished(), "the answer came before any from Kafka");
    rig.kafka.set_reachable(true).unwrap();
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    assert_eq!(rig.post("/v1/events", &[], "{}").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_takes_smaller_messages_is_named() {
    let rig = Rig::start(|_| {}).await;
    rig.kafka.refuse_size_of_next(1);
    let answer = rig.post("/v1/events", &[], "{}").await;
    assert_eq!(answer.told(), (413, "RECEIVE-105".into()));
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("topic `events`"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_does_not_exist_keeps_a_receiver_from_starting() {
    let kafka = EmbeddedKafka::start("events", 1).unwrap();
    let mut settings = settings(&kafka);
    settings.topics.default = Some("event".into());
    let error = Receiver::start(settings).await.unwrap_err().to_string();
    assert_eq!(error, "topic `event` does not exist; did you mean `events`?");
}

/// A receiver on a socket.
struct Running {
    rig: Rig,
    address: std::net::SocketAddr,
    stop: tokio::sync::oneshot::Sender<()>,
    end: tokio::task::JoinHandle<Result<Totals, Error>>,
}

impl Running {
    async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let kafka = EmbeddedKafka::start("events", 1).unwrap();
        let mut settings = settings(&kafka);
        change(&mut settings);
        let receiver = Receiver::start(settings).await.unwrap();
        let (address, shared) = (receiver.local_addr().unwrap(), receiver.shared());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let end = tokio::spawn(receiver.run(async move { drop(stopped.await) }));
        Self { rig: Rig { kafka, shared }, address, stop, end }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn stop(self) -> Totals {
        self.stop.send(()).unwrap();
        tokio::time::timeout(PATIENCE, self.end).await.unwrap().unwrap().unwrap()
    }
}

async fn exchange(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

const ONE_EVENT: &str = "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";

#[tokio::test(flavor = "multi_thread")]
async fn stopping_answers_what_has_arrived_and_takes_nothing_new() {
    let running = Running::start(|_| {}).await;
    let address = running.address;
    let mut idle = running.connect().await;
    assert!(exchange(&mut idle, ONE_EVENT).await.starts_with("HTTP/1.1 200"));
    running.rig.kafka.set_round_trip(Duration::from_millis(800)).unwrap();
    let mut busy = running.connect().await;
    let answered = tokio::spawn(async move { exchange(&mut busy, ONE_EVENT).await });
    until(|| running.rig.shared.budget.held_bytes() > 0).await;
    let totals = running.stop().await;
    assert!(answered.await.unwrap().starts_with("HTTP/1.1 200"), "the request at hand is answered");
    assert_eq!((totals.requests, totals.messages), (2, 2));
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0, "idle connections are closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_leaves_gives_its_bytes_back_and_its_events_arrive_anyway() {
    let running = Running::start(|_| {}).await;
    let budget = &running.rig.shared.budget;
    running.rig.kafka.set_round_trip(Duration::from_millis(500)).unwrap();
    let mut sender = running.connect().await;
    sender.write_all(ONE_EVENT.as_bytes()).await.unwrap();
    until(|| budget.held_bytes() > 0).await;
    drop(sender);
    let mut cut_short = running.connect().await;
    cut_short.write_all(b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 90000\r\n\r\n{").await.unwrap();
    until(|| budget.held_bytes() > 80_000).await;
    drop(cut_short);
    until(|| budget.held_bytes() == 0).await;
    assert_eq!(running.rig.messages("events", 1).len(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_arrive_in_time_is_given_up() {
    let running = Running::start(|settings| settings.limits.timeout = Duration::from_secs(1)).await;
    let mut slow = running.connect().await;
    let answer = exchange(&mut slow, "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("RECEIVE-111"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("retry-after: 1\r\n"), "{answer}");
    until(|| running.rig.shared.budget.held_bytes() == 0).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_still_writing_sees_why_it_is_refused() {
    let running = Running::start(|settings| settings.limits.body_bytes_max = 100_000).await;
    let mut sender = running.connect().await;
    let head = "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n\r\n";
    let answer = exchange(&mut sender, &format!("{head}{}", " ".repeat(4_000_000))).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_the_broker() {
    let running = Running::start(|_| {}).await;
    let Rig { kafka, shared } = &running.rig;
    let probe = async || exchange(&mut running.connect().await, "GET /healthz/ready HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(probe().await.starts_with("HTTP/1.1 200"));
    kafka.set_reachable(false).unwrap();
    until(|| !shared.is_ready()).await;
    let answer = probe().await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("no broker of"), "{answer}");
    kafka.set_reachable(true).unwrap();
    until(|| shared.is_ready()).await;
    running.stop().await;
}
