//! Where `--until-end` ends: at the end offsets seen at the start.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::Error;
use crate::core::Core;
use crate::partition::Partition;

/// How far every partition reached at the start.
#[derive(Debug)]
pub(crate) struct Ends {
    /// The offsets there were. The end comes down where no message is before it.
    logs: BTreeMap<Partition, Range<i64>>,
    /// Numbers of partitions that were read to an end: of which topic, and whether of a follower that lags behind
    /// (`client.rack`), librdkafka does not say.
    doubtful: BTreeSet<i32>,
}

impl Ends {
    pub(crate) fn new(logs: BTreeMap<Partition, Range<i64>>) -> Self {
        Self { logs, doubtful: BTreeSet::new() }
    }

    /// The end of `partition`.
    pub(crate) fn of(&self, partition: &Partition) -> Option<i64> {
        self.logs.get(partition).map(|log| log.end)
    }

    /// Takes in that librdkafka reached the end of a partition with this number. Transaction markers and compaction leave
    /// the last offsets without a message, so the core may never get there.
    pub(crate) fn reached(&mut self, number: i32) {
        self.doubtful.insert(number);
    }

    /// Whether every partition owned is read to its end. `has_message` tells whether Kafka has one at these offsets.
    ///
    /// # Errors
    /// Those of `has_message`.
    pub(crate) fn are_reached(
        &mut self,
        core: &Core,
        has_message: impl Fn(&Partition, Range<i64>) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        for number in std::mem::take(&mut self.doubtful) {
            for partition in core.owned().filter(|partition| partition.number == number) {
                let left = self.left(partition, core);
                // In the midst of a partition it is hardly this one's end: asked once what was read is written.
                if core.holds(partition) {
                    self.doubtful.insert(number);
                } else if !left.is_empty() && !has_message(partition, left)? {
                    self.come_down(partition, core);
                }
            }
        }
        let mut owned = core.owned().peekable();
        match owned.peek() {
            None => Ok(self.logs.values().all(|log| log.end == 0)),
            Some(_) => Ok(owned.all(|partition| self.left(partition, core).is_empty())),
        }
    }

    /// The offsets of `partition` that are not read yet.
    fn left(&self, partition: &Partition, core: &Core) -> Range<i64> {
        let log = self.logs.get(partition).cloned().unwrap_or_default();
        core.next_offset(partition).unwrap_or(log.start)..log.end
    }

    fn come_down(&mut self, partition: &Partition, core: &Core) {
        let left = self.left(partition, core);
        if let Some(log) = self.logs.get_mut(partition)
            && !left.is_empty()
        {
            log.end = left.start;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use daybook_ledger::price::Book;
    use daybook_ledger::{Instant, NextOffset};

    use super::*;
    use crate::core::{Input, Message, Rules};
    use crate::partition::Positions;
    use crate::settings::{Capture, FlushLimits};

    fn partition(topic: &str) -> Partition {
        Partition { topic: topic.into(), number: 0 }
    }

    fn ends<const N: usize>(logs: [(&str, Range<i64>); N]) -> Ends {
        Ends::new(logs.map(|(topic, log)| (partition(topic), log)).into())
    }

    fn core<const N: usize>(positions: [(&str, Option<i64>); N]) -> Core {
        let mut core = Core::new(Rules {
            limits: FlushLimits::default(),
            capture: Capture::Off,
            formats: BTreeMap::new(),
            prices: Arc::new(Book::default_sheet().unwrap()),
            worker: 1,
        });
        positions.into_iter().for_each(|(topic, position)| stand(&mut core, topic, position));
        core
    }

    fn stand(core: &mut Core, topic: &str, position: Option<i64>) {
        let at = Positions { usage: position.map(NextOffset), ..Positions::default() };
        feed(core, Input::Assigned(vec![(partition(topic), at)]));
    }

    fn read(core: &mut Core, topic: &str, offset: i64) {
        let (timestamp, key, value, headers) = (None, None, None, &[][..]);
        feed(core, Input::Message(Message { topic, partition: 0, offset, timestamp, key, value, headers }));
    }

    fn feed(core: &mut Core, input: Input<'_>) {
        core.on(Instant::from_micros(0), input, &mut Vec::new()).unwrap();
    }

    fn are_reached(ends: &mut Ends, core: &Core) -> bool {
        ends.are_reached(core, |_, _| panic!("there is no doubt")).unwrap()
    }

    #[test]
    fn what_retention_emptied_is_read_unless_the_ledger_stands_before_it() {
        let mut ends = ends([("calls", 0..5), ("emptied", 7..7)]);
        assert!(are_reached(&mut ends, &core([("calls", Some(5)), ("emptied", None)])));
        assert!(!are_reached(&mut ends, &core([("calls", Some(5)), ("emptied", Some(6))])), "6 is missing");
        assert!(!are_reached(&mut ends, &core([])), "nothing is assigned yet");
    }

    #[test]
    fn an_end_that_was_reached_is_not_reached_any_more_after_a_restart_before_it() {
        let (mut ends, mut core) = (ends([("calls", 0..5)]), core([("calls", Some(4))]));
        assert!(!are_reached(&mut ends, &core));
        ends.reached(0);
        assert!(!ends.are_reached(&core, |_, left| Ok(left == (4..5))).unwrap(), "a follower lags behind");
        ends.reached(0);
        assert!(ends.are_reached(&core, |_, left| Ok(left != (4..5))).unwrap(), "a marker is at 4");
        stand(&mut core, "calls", Some(2));
        assert!(!are_reached(&mut ends, &core));
        read(&mut core, "calls", 3);
        assert!(are_reached(&mut ends, &core));
    }

    #[test]
    fn of_partitions_with_one_number_kafka_is_asked_once_what_was_read_is_written() {
        let (mut ends, mut core) =
            (ends([("calls", 0..5), ("more", 0..5)]), core([("calls", None), ("more", Some(4))]));
        read(&mut core, "calls", 1);
        ends.reached(0);
        let has_message = |partition: &Partition, left: Range<i64>| {
            assert_eq!((&*partition.topic, left), ("more", 4..5), "calls are being read");
            Ok(false)
        };
        assert!(!ends.are_reached(&core, has_message).unwrap());
        stand(&mut core, "calls", Some(2));
        assert!(!ends.are_reached(&core, |_, left| Ok(left == (2..5))).unwrap());
        assert!(!are_reached(&mut ends, &core), "it was the end of the other one");
        ends.reached(0);
        assert!(ends.are_reached(&core, |_, left| Ok(left != (2..5))).unwrap());
    }
}
