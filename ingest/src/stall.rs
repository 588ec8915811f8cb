//! Partitions of which nothing comes although the brokers have more.
//!
//! librdkafka may take a partition to be without a leader for good, once a broker that shut down said so (its issue 5430),
//! and reports nothing then. So another client asks, which was told nothing.

use std::collections::BTreeMap;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Error;
use crate::core::Core;
use crate::partition::Partition;
use crate::settings::Settings;
use crate::source::brokers::Brokers;

/// How often partitions are looked at.
const INTERVAL: Duration = Duration::from_millis(250);
/// What the brokers have may be on its way, for one in so many parts of the silence.
const ON_ITS_WAY: u32 = 4;

/// A partition and the offset that is read next, if that is known.
pub(crate) type Place = (Partition, Option<i64>);

/// Since when nothing has come of each partition.
#[derive(Debug)]
pub(crate) struct Stalls {
    silence_max: Duration,
    stands: BTreeMap<Partition, Stand>,
    /// Tells of which places there is more.
    asking: Option<JoinHandle<Vec<Place>>>,
    looked_at: Option<Instant>,
}

#[derive(Debug)]
struct Stand {
    next: Option<i64>,
    since: Instant,
    has_more: bool,
}

impl Stalls {
    pub(crate) fn new(silence_max: Duration) -> Self {
        Self { silence_max, stands: BTreeMap::new(), asking: None, looked_at: None }
    }

    /// Looks at the partitions of `core`; one of which nothing comes although there is more, if there is one. `ask` finds out,
    /// on a thread of its own, in which of the places it is given there is a message.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        core: &Core,
        ask: impl FnOnce(Vec<Place>) -> JoinHandle<Vec<Place>>,
    ) -> Option<Partition> {
        if self.looked_at.is_some_and(|at| now < at + INTERVAL) {
            return None;
        }
        let looked_at = self.looked_at.replace(now).unwrap_or(now);
        self.stands.retain(|partition, _| core.positions(partition).is_some());
        if core.is_paused() {
            // Nothing is fetched, so this is no silence.
            self.stands.values_mut().for_each(|stand| stand.since += now - looked_at);
            return None;
        }
        for partition in core.owned() {
            let next = core.next_offset(partition);
            let stand = || Stand { next, since: now, has_more: false };
            let known = self.stands.entry(partition.clone()).or_insert_with(stand);
            if known.next != next {
                *known = stand();
            }
        }
        self.take_answer(now);
        self.ask(now, ask);
        let is_stalled = |stand: &Stand| stand.has_more && stand.since + self.silence_max / ON_ITS_WAY <= now;
        self.stands.iter().find(|(_, stand)| is_stalled(stand)).map(|(partition, _)| partition.clone())
    }

    /// Forgets what was seen: another consumer reads from now on.
    pub(crate) fn clear(&mut self) {
        self.stands.clear();
    }

    fn take_answer(&mut self, now: Instant) {
        let Some(answer) = self.asking.take_if(|asking| asking.is_finished()) else { return };
        for (partition, next) in answer.join().unwrap_or_default() {
            if let Some(stand) = self.stands.get_mut(&partition).filter(|stand| stand.next == next) {
                *stand = Stand { next, since: now, has_more: true };
            }
        }
    }

    fn ask(&mut self, now: Instant, ask: impl FnOnce(Vec<Place>) -> JoinHandle<Vec<Place>>) {
        let is_silent = |stand: &Stand| !stand.has_more && stand.since + self.silence_max <= now;
        let silent = self.stands.iter_mut().filter(|(_, stand)| self.asking.is_none() && is_silent(stand));
        let places = silent.map(|(partition, stand)| {
            stand.since = now;
            (partition.clone(), stand.next)
        });
        let places: Vec<_> = places.collect();
        if !places.is_empty() {
            self.asking = Some(ask(places));
        }
    }
}

/// Asks the brokers of `settings` in which of `places` there is a message.
pub(crate) fn ask(settings: Settings, places: Vec<Place>) -> JoinHandle<Vec<Place>> {
    let has_more = |brokers: &Brokers, (partition, next): &Place| -> Result<bool, Error> {
        let (low, high) = brokers.watermarks(partition)?;
        let from = next.map_or(low, |next| next.max(low));
        Ok(from < high && brokers.has_message(partition, from..high)?)
    };
    let tell = |found: Result<bool, Error>| {
        found.unwrap_or_else(|error| {
            tracing::debug!(%error, "the brokers do not tell what they have, they are asked again");
            false
        })
    };
    std::thread::spawn(move || {
        // Without settings that make a client there would be no worker.
        let Ok(brokers) = Brokers::new(&settings) else { return Vec::new() };
        places.into_iter().filter(|place| tell(has_more(&brokers, place))).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use daybook_ledger::NextOffset;
    use daybook_ledger::price::Book;

    use super::*;
    use crate::core::{Input, Message, Rules};
    use crate::partition::Positions;
    use crate::settings::{Capture, FlushLimits};
    use crate::writer::{Counts, Written};

    const SILENCE: Duration = Duration::from_secs(120);

    fn partition() -> Partition {
        Partition { topic: "calls".into(), number: 0 }
    }

    fn core() -> Core {
        let mut core = Core::new(Rules {
            limits: FlushLimits { rows_max: 1, ..FlushLimits::default() },
            capture: Capture::Off,
            formats: BTreeMap::new(),
            prices: Arc::new(Book::default_sheet().unwrap()),
            worker: 1,
        });
        let at = Positions { usage: Some(NextOffset(7)), ..Positions::default() };
        feed(&mut core, Input::Assigned(vec![(partition(), at)]));
        core
    }

    fn read(core: &mut Core, offset: i64) {
        let (timestamp, key, value, headers) = (None, None, Some(&b"{poison"[..]), &[][..]);
        feed(core, Input::Message(Message { topic: "calls", partition: 0, offset, timestamp, key, value, headers }));
    }

    fn feed(core: &mut Core, input: Input<'_>) {
        core.on(daybook_ledger::Instant::from_micros(0), input, &mut Vec::new()).unwrap();
    }

    /// Looks twice, the second time with the answer.
    fn look(stalls: &mut Stalls, now: Instant, core: &Core, has_more: bool) -> Option<Partition> {
        let answer = move |places: Vec<Place>| if has_more { places } else { Vec::new() };
        let found = stalls.look(now, core, |places| std::thread::spawn(move || answer(places)));
        while stalls.asking.as_ref().is_some_and(|asking| !asking.is_finished()) {
            std::thread::yield_now();
        }
        let again = stalls.look(now + INTERVAL, core, |_| panic!("it was asked"));
        found.or(again)
    }

    #[test]
    fn a_partition_that_stays_silent_though_there_is_more_is_stalled() {
        let (mut stalls, core, began) = (Stalls::new(SILENCE), core(), Instant::now());
        assert_eq!(look(&mut stalls, began, &core, true), None);
        assert_eq!(look(&mut stalls, began + SILENCE, &core, true), None, "it may be on its way");
        assert_eq!(look(&mut stalls, began + SILENCE / 8 * 9, &core, true), None);
        assert_eq!(look(&mut stalls, began + SILENCE / 4 * 6, &core, true), Some(partition()));
        stalls.clear();
        assert_eq!(look(&mut stalls, began + SILENCE * 2, &core, true), None, "another consumer reads");
    }

    #[test]
    fn a_partition_at_its_end_and_one_that_is_read_are_not() {
        let (mut stalls, mut core, mut now) = (Stalls::new(SILENCE), core(), Instant::now());
        for _ in 0..3 {
            assert_eq!(look(&mut stalls, now, &core, false), None, "it is silent, and there is no more");
            now += SILENCE;
        }
        assert_eq!(look(&mut stalls, now, &core, true), None);
        read(&mut core, 7);
        assert_eq!(look(&mut stalls, now + SILENCE / 2, &core, true), None, "it came");
        feed(&mut core, Input::Revoked(vec![partition()]));
        assert_eq!(look(&mut stalls, now + SILENCE * 2, &core, true), None, "it went");
    }

    #[test]
    fn what_waits_for_the_ledger_is_not_stalled() {
        let (mut stalls, mut core, began) = (Stalls::new(SILENCE), core(), Instant::now());
        (7..200).for_each(|offset| read(&mut core, offset));
        assert!(core.is_paused());
        for times in 0..4 {
            assert_eq!(look(&mut stalls, began + SILENCE * times, &core, true), None);
        }
    }

    #[test]
    fn pauses_stretch_a_silence_and_do_not_end_it() {
        let (mut stalls, mut core, began) = (Stalls::new(SILENCE), core(), Instant::now());
        let silent = Partition { topic: "calls".into(), number: 1 };
        feed(&mut core, Input::Assigned(vec![(silent.clone(), Positions::default())]));
        let (mut found, mut offset, mut now) = (None, 7, began);
        while found.is_none() && now < began + SILENCE * 4 {
            // The ledger is busy every other time with what the other partition brings.
            (offset..offset + 200).for_each(|offset| read(&mut core, offset));
            offset += 200;
            assert!(core.is_paused());
            now += SILENCE / 8;
            assert_eq!(look(&mut stalls, now, &core, true), None);
            feed(&mut core, Input::Written(Written::Committed(Counts::default())));
            feed(&mut core, Input::Written(Written::Committed(Counts::default())));
            assert!(!core.is_paused());
            now += SILENCE / 8;
            found = look(&mut stalls, now, &core, true);
        }
        assert_eq!(found, Some(silent));
    }
}
