use super::*;

const SECOND: i64 = 1_000_000;

fn partition() -> Partition {
    Partition { topic: "calls".into(), number: 0 }
}

/// A core that owns [`partition`] at `position`, and commits after 10 s or 64 rows.
fn core(position: i64) -> Core {
    let rules = Rules {
        limits: FlushLimits { rows_max: 64, bytes_max: 1 << 30, interval_ms: 10_000 },
        capture: Capture::Full,
        formats: BTreeMap::new(),
        prices: Arc::new(Book::default_sheet().unwrap()),
        worker: 1,
    };
    let mut core = Core::new(rules);
    let at = Positions { usage: Some(NextOffset(position)), ..Positions::default() };
    feed(&mut core, 0, Input::Assigned(vec![(partition(), at)]));
    core
}

fn feed(core: &mut Core, at: i64, input: Input<'_>) -> Vec<Effect> {
    let mut effects = Vec::new();
    core.on(Instant::from_micros(1_795_200_000_000_000 + at), input, &mut effects).unwrap();
    effects
}

fn message(offset: i64, value: Option<&[u8]>) -> Input<'_> {
    let headers: &[(&str, &[u8])] = &[];
    Input::Message(Message { topic: "calls", partition: 0, offset, timestamp: None, key: None, value, headers })
}

/// An event of one call, always the same.
fn observation(told: &str) -> String {
    format!(
        r#"{{"id":"a","traceId":"t","type":"GENERATION","startTime":"2026-11-20T09:00:00Z","model":"m","input":"hi",{told}}}"#
    )
}

fn closed(effects: &[Effect]) -> Option<&Range> {
    effects.iter().find_map(|effect| match effect {
        Effect::Write(batch) => batch.ranges.first().map(|(_, range)| range),
        _ => None,
    })
}

#[test]
fn a_clock_that_is_set_back_does_not_hold_a_batch() {
    let mut core = core(0);
    feed(&mut core, 100 * SECOND, message(0, Some(b"{poison")));
    assert!(closed(&feed(&mut core, 105 * SECOND, Input::Tick)).is_none(), "not due yet");
    assert!(closed(&feed(&mut core, 50 * SECOND, Input::Tick)).is_some());
}

#[test]
fn a_tombstone_and_a_hole_of_compaction_lose_and_stop_nothing() {
    let mut core = core(5);
    feed(&mut core, 0, message(7, None));
    feed(&mut core, 0, message(19, Some(b"{poison")));
    let effects = feed(&mut core, 0, Input::Flush);
    let range = closed(&effects).unwrap();
    assert_eq!((range.messages, range.empty, range.quarantined), (2, 1, 1));
    assert_eq!((range.from.usage, range.to), (Some(NextOffset(5)), NextOffset(20)));
}

#[test]
fn what_is_assigned_while_fetching_is_paused_is_paused_too() {
    let mut core = core(0);
    let mut paused = 0;
    for offset in 0..128 {
        let effects = feed(&mut core, 0, message(offset, Some(b"{poison")));
        paused += effects.iter().filter(|effect| matches!(effect, Effect::Pause)).count();
    }
    assert_eq!(paused, 1, "one batch is written, one is full");
    let other = Partition { topic: "calls".into(), number: 1 };
    let effects = feed(&mut core, 0, Input::Assigned(vec![(other, Positions::default())]));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Pause)), "{effects:?}");
}

#[test]
fn messages_that_are_gone_are_recorded_once_and_reading_goes_on_after_them() {
    let mut core = core(5);
    for _ in 0..2 {
        feed(&mut core, 0, Input::Missed(partition(), NextOffset(17)));
    }
    assert_eq!(core.next_offset(&partition()), Some(17));
    feed(&mut core, 0, message(12, Some(b"{}")));
    feed(&mut core, 0, message(17, None));
    let effects = feed(&mut core, 0, Input::Flush);
    let range = closed(&effects).unwrap();
    assert_eq!((range.quarantined, range.empty, range.to), (1, 1, NextOffset(18)));
    let Some(Effect::Write(batch)) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(batch.quarantined_by_code(), [(MISSED.to_owned(), 1)].into());
    assert_eq!(batch.quarantined.first().map(|row| row.offset), Some(5), "at the place of the first one");
}

#[test]
fn what_was_said_before_the_end_of_a_call_stays_when_the_end_goes_to_another_worker_and_once() {
    let other = Partition { topic: "calls".into(), number: 1 };
    let pending = observation(r#""usageDetails":{}"#);
    let end = observation(r#""output":"so","usageDetails":{"input":1,"output":1}"#);
    let mut core = core(0);
    feed(&mut core, 0, Input::Assigned(vec![(other.clone(), Positions::default())]));
    feed(&mut core, 0, message(0, Some(pending.as_bytes())));
    let Input::Message(at_end) = message(0, Some(end.as_bytes())) else { panic!("it is a message") };
    feed(&mut core, 0, Input::Message(Message { partition: 1, ..at_end }));
    feed(&mut core, 0, Input::Revoked(vec![other]));
    feed(&mut core, 0, message(1, Some(pending.as_bytes())));
    let effects = feed(&mut core, 0, Input::Flush);
    let Some(Effect::Write(batch)) = effects.first() else { panic!("{effects:?}") };
    let bodies: Vec<_> = batch.bodies.iter().filter(|body| body.alive).map(|body| body.finality).collect();
    assert_eq!(bodies, [daybook_ledger::Finality::Pending]);
    assert_eq!(batch.rows.iter().filter(|row| row.alive).count(), 1, "and its row comes again");
}

#[test]
fn an_id_that_starts_again_the_next_day_is_another_call_of_the_batch() {
    let today = observation(r#""output":"so","usageDetails":{"input":1,"output":1}"#);
    let yesterday = today.replace("2026-11-20", "2026-11-19");
    let mut core = core(0);
    for (offset, event) in (0..).zip([&today, &yesterday, &today]) {
        feed(&mut core, 0, message(offset, Some(event.as_bytes())));
    }
    let effects = feed(&mut core, 0, Input::Flush);
    let Some(Effect::Write(batch)) = effects.first() else { panic!("{effects:?}") };
    let days = ["2026-11-20", "2026-11-19"].map(|day| daybook_ledger::Date::parse(day).unwrap().days());
    let rows: Vec<_> = batch.rows.iter().filter(|row| row.alive).map(|row| row.day).collect();
    let bodies: Vec<_> = batch.bodies.iter().filter(|body| body.alive).map(|body| body.day).collect();
    assert_eq!((rows, bodies), (days.to_vec(), days.to_vec()));
}

/// Otherwise the position of the one that stays moves past its event, and the call is gone if the next worker does the same the
/// other way round.
#[test]
fn a_call_that_two_partitions_tell_of_stays_whichever_goes_to_another_worker() {
    let other = Partition { topic: "calls".into(), number: 1 };
    let poor = observation(r#""output":"so","usageDetails":{}"#);
    let rich = observation(r#""output":"so","usageDetails":{"input":1,"output":1}"#);
    for (first, second) in [(&rich, &rich), (&rich, &poor), (&poor, &rich)] {
        for gone in [partition(), other.clone()] {
            let mut core = core(0);
            feed(&mut core, 0, Input::Assigned(vec![(other.clone(), Positions::default())]));
            feed(&mut core, 0, message(0, Some(first.as_bytes())));
            let Input::Message(elsewhere) = message(0, Some(second.as_bytes())) else { panic!("it is a message") };
            feed(&mut core, 0, Input::Message(Message { partition: 1, ..elsewhere }));
            feed(&mut core, 0, Input::Revoked(vec![gone.clone()]));
            let effects = feed(&mut core, 0, Input::Flush);
            let Some(Effect::Write(batch)) = effects.first() else { panic!("{effects:?}") };
            let rows: Vec<_> = batch.rows.iter().filter(|row| row.alive).map(|row| row.partition).collect();
            let bodies: Vec<_> = batch.bodies.iter().filter(|body| body.alive).map(|body| body.partition).collect();
            let stays = usize::from(gone == partition());
            assert_eq!((rows, bodies), (vec![stays], vec![stays]), "{first} {second} {gone}");
        }
    }
}
