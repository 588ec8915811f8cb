//! Are brokers, topics and group as a worker needs them? What can be found out by asking, with what to do about it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use daybook_ledger::doctor::{Finding, Level};
use daybook_ledger::{Ledger, NextOffset};
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::base_consumer::BaseConsumer;
use rdkafka::consumer::{Consumer as _, ConsumerContext};
use rdkafka::metadata::Metadata;

use crate::Error;
use crate::driver::blocking;
use crate::partition::Partition;
use crate::settings::Settings;
use crate::source::brokers::{Brokers, CONNECT_TIMEOUT, look_up_cluster, partitions_of};
use crate::source::kafka::{Gap, RECEIVE_BYTES_MAX, config, setting_error};

const BROKERS: &str = "brokers";
const TOPIC: &str = "topic";
const GROUP: &str = "group";
const POSITIONS: &str = "positions";

/// Asks the brokers of `settings`, and compares their topics with the positions of `ledger`, if there is one.
pub async fn check_kafka(settings: &Settings, ledger: Option<&Ledger>) -> Vec<Finding> {
    let asked = settings.clone();
    let answer = blocking(move || ask(&asked)).await.and_then(|answer| answer);
    let Answer { mut findings, partitions, cluster } = match answer {
        Ok(answer) => answer,
        Err(error) => return vec![Finding::of_error(BROKERS, &settings.brokers, &error)],
    };
    findings.extend(check_topic_settings(settings, &partitions).await);
    if let Some(ledger) = ledger
        && !partitions.is_empty()
    {
        match check_positions(settings, ledger, &cluster, partitions).await {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(Finding::of_error(POSITIONS, "all", &error)),
        }
    }
    findings
}

struct Answer {
    findings: Vec<Finding>,
    partitions: Vec<Partition>,
    cluster: String,
}

fn ask(settings: &Settings) -> Result<Answer, Error> {
    let brokers = Brokers::new(settings)?;
    let began = Instant::now();
    let metadata = brokers.metadata()?;
    let found = format!("{} brokers, answered within {} ms", metadata.brokers().len(), began.elapsed().as_millis());
    let mut findings = vec![Finding::ok(BROKERS, &settings.brokers, found)];
    findings.push(check_version(settings)?);
    let mut partitions = Vec::new();
    for name in settings.topics.iter().filter(|name| !name.starts_with('^')) {
        match partitions_of(&metadata, name) {
            Ok(found) => {
                findings.push(check_topic(&metadata, name, found.len()));
                partitions.extend(found);
            }
            Err(error) => findings.push(Finding::of_error(TOPIC, name, &error)),
        }
    }
    findings.push(check_group(settings, partitions.len())?);
    Ok(Answer { findings, partitions, cluster: brokers.cluster_name(settings) })
}

fn check_topic(metadata: &Metadata, name: &str, partitions: usize) -> Finding {
    let topic = metadata.topics().iter().find(|topic| topic.name() == name);
    let parts = topic.map(|topic| topic.partitions()).unwrap_or_default();
    let copies = parts.iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
    let found = format!("{partitions} partitions, {copies} copies");
    if let Some(headless) = parts.iter().find(|partition| partition.leader() < 0) {
        let found = format!("{found}, partition {} has no leader", headless.id());
        return Finding::of(Level::Unavailable, TOPIC, name, found)
            .todo("bring its brokers back: nothing of it can be read");
    }
    match copies < 2 && metadata.brokers().len() > 1 {
        true => Finding::of(Level::Warn, TOPIC, name, found)
            .todo("with one copy a lost disk loses what was not read yet: raise the replication factor"),
        false => Finding::ok(TOPIC, name, found),
    }
}

/// Keeps what librdkafka says of the brokers' requests.
#[derive(Debug, Default)]
struct Versions(Mutex<BTreeMap<String, i16>>);

impl ClientContext for Versions {
    /// Takes `ApiKey Fetch (1) Versions 0..17`.
    fn log(&self, _: RDKafkaLogLevel, _: &str, message: &str) {
        let Some((_, api)) = message.split_once("ApiKey ") else { return };
        let parsed = || {
            let (name, rest) = api.split_once(" (")?;
            Some((name.to_owned(), rest.rsplit_once("..")?.1.trim().parse().ok()?))
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(parsed());
    }
}

impl ConsumerContext for Versions {}

/// The first release whose brokers speak a version of Fetch.
const RELEASES: &[(i16, &str)] =
    &[(4, "0.11"), (11, "2.3"), (12, "2.7"), (13, "3.1"), (15, "3.5"), (16, "3.7"), (17, "3.9"), (18, "4.1")];

/// Brokers do not tell their release; what requests they take tells what they can.
fn check_version(settings: &Settings) -> Result<Finding, Error> {
    let mut config = config(settings)?;
    config.set("debug", "feature").set_log_level(RDKafkaLogLevel::Debug);
    let consumer: BaseConsumer<Versions> = config.create_with_context(Versions::default()).map_err(setting_error)?;
    // Asked before, so an error here tells nothing new.
    consumer.fetch_metadata(None, CONNECT_TIMEOUT).ok();
    // Log lines come by polling.
    consumer.poll(Duration::from_millis(100));
    let versions = consumer.context().0.lock().unwrap_or_else(PoisonError::into_inner);
    let of = |name: &str| versions.get(name).copied().unwrap_or(-1);
    let release = RELEASES.iter().rev().find(|(fetch, _)| of("Fetch") >= *fetch).map(|(_, release)| *release);
    let Some(release) = release else {
        let found = format!("Fetch is taken up to version {}, which cannot tell aborted transactions", of("Fetch"));
        return Ok(Finding::of(Level::Fail, BROKERS, "version", found).todo("upgrade to Kafka 0.11 or later"));
    };
    let found = format!("speaks as Kafka {release} does, or later");
    // Static members came with version 5 of JoinGroup.
    match settings.instance_id.is_some() && of("JoinGroup") < 5 {
        true => Ok(Finding::of(Level::Fail, BROKERS, "version", found)
            .todo("kafka.instance_id needs Kafka 2.3 or later: leave it out, or upgrade")),
        false => Ok(Finding::ok(BROKERS, "version", found)),
    }
}

fn check_group(settings: &Settings, partitions: usize) -> Result<Finding, Error> {
    let consumer: BaseConsumer = config(settings)?.create().map_err(setting_error)?;
    let groups = match consumer.fetch_group_list(Some(&settings.group), CONNECT_TIMEOUT) {
        Ok(groups) => groups,
        Err(error) => {
            let found = format!("its members cannot be read: {error}");
            return Ok(Finding::of(Level::Warn, GROUP, &settings.group, found)
                .todo("allow DESCRIBE on the group, to see who is in it"));
        }
    };
    let Some(group) = groups.groups().iter().find(|group| group.name() == settings.group) else {
        return Ok(Finding::ok(GROUP, &settings.group, "has no members yet"));
    };
    let members = group.members();
    let names: Vec<String> =
        members.iter().map(|member| format!("{} at {}", member.client_id(), member.client_host())).collect();
    let found = format!("{}, {} members {}", group.state(), members.len(), names.join(", "));
    let foreign = members.iter().find(|member| !member.client_id().starts_with("daybook"));
    Ok(if let Some(foreign) = foreign {
        let found = format!("{found}: `{}` is none of ours", foreign.client_id());
        Finding::of(Level::Fail, GROUP, &settings.group, found)
            .todo("another program reads in this group and takes partitions away: give it or Daybook another --group")
    } else if partitions > 0 && members.len() > partitions {
        Finding::of(Level::Warn, GROUP, &settings.group, found)
            .todo(format!("{partitions} partitions feed no more than as many workers: add partitions, or stop some"))
    } else {
        Finding::ok(GROUP, &settings.group, found)
    })
}

/// What of a topic's settings matters to a ledger.
async fn check_topic_settings(settings: &Settings, partitions: &[Partition]) -> Vec<Finding> {
    let mut names: Vec<&str> = partitions.iter().map(|partition| &*partition.topic).collect();
    names.dedup();
    if names.is_empty() {
        return Vec::new();
    }
    let described = async {
        let admin: AdminClient<DefaultClientContext> = config(settings)?.create().map_err(setting_error)?;
        let topics: Vec<ResourceSpecifier<'_>> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let options = AdminOptions::new().request_timeout(Some(CONNECT_TIMEOUT));
        let failed = |source| Error::Kafka { action: "describe topics", source };
        admin.describe_configs(&topics, &options).await.map_err(failed)
    };
    let unreadable = |name: &str, found: String| {
        Finding::of(Level::Warn, TOPIC, name, format!("its settings cannot be read: {found}"))
            .todo("allow DESCRIBE_CONFIGS on the topic, to see cleanup.policy and max.message.bytes")
    };
    match described.await {
        Ok(topics) => names
            .iter()
            .zip(topics)
            .flat_map(|(name, topic)| match topic {
                Ok(topic) => check_settings_of(name, &topic),
                Err(code) => vec![unreadable(name, code.to_string())],
            })
            .collect(),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            names.iter().map(|name| unreadable(name, cause.clone().unwrap_or_else(|| error.to_string()))).collect()
        }
    }
}

fn check_settings_of(name: &str, topic: &ConfigResource) -> Vec<Finding> {
    /// A shorter one leaves no time to repair what stands still.
    const RETENTION_MS_MIN: i64 = 24 * 3_600_000;
    let value = |key: &str| topic.get(key).and_then(|entry| entry.value.as_deref());
    let number = |key: &str| value(key).and_then(|text| text.parse::<i64>().ok());
    let policy = value("cleanup.policy").unwrap_or("delete");
    let cleanup = match policy.contains("compact") {
        true => Finding::of(Level::Warn, TOPIC, name, format!("cleanup.policy is `{policy}`"))
            .todo("of events with one key all but the last vanish before they may be read: set cleanup.policy=delete"),
        false => Finding::ok(TOPIC, name, format!("cleanup.policy is `{policy}`")),
    };
    let retention = match number("retention.ms") {
        Some(ms) if (0..RETENTION_MS_MIN).contains(&ms) => {
            Finding::of(Level::Warn, TOPIC, name, format!("retention.ms is {ms}, {} hours", ms / 3_600_000))
                .todo("a worker that stands still for longer loses events: keep them for days")
        }
        Some(ms) if ms >= 0 => Finding::ok(TOPIC, name, format!("retention.ms is {ms}")),
        _ => Finding::ok(TOPIC, name, "events are kept for ever"),
    };
    let size = number("max.message.bytes").unwrap_or(0);
    let size = match size > RECEIVE_BYTES_MAX {
        true => Finding::of(Level::Fail, TOPIC, name, format!("max.message.bytes is {size}")).todo(format!(
            "a message above {RECEIVE_BYTES_MAX} bytes would stop its partition: lower it, or raise -X receive.message.max.bytes"
        )),
        false => Finding::ok(TOPIC, name, format!("max.message.bytes is {size}")),
    };
    vec![cleanup, retention, size]
}

/// How far the ledger is, beside how far a partition of Kafka reaches.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The partition.
    pub partition: Partition,
    /// The next offset the ledger reads, if it read any.
    pub position: Option<NextOffset>,
    /// The first offset Kafka has.
    pub low: i64,
    /// The offset after the last.
    pub high: i64,
}

impl Progress {
    /// Messages that are not in the ledger yet.
    pub fn lag(&self) -> i64 {
        (self.high - self.position.map_or(self.low, |position| position.0.max(self.low))).max(0)
    }
}

/// Every partition of the topics of `settings`, beside the positions of `ledger`.
///
/// # Errors
/// Those of the brokers and of the ledger.
pub async fn load_progress(settings: &Settings, ledger: &Ledger) -> Result<Vec<Progress>, Error> {
    let asked = settings.clone();
    let cluster = blocking(move || look_up_cluster(&asked)).await??;
    progress_of(settings, ledger, &cluster.id, cluster.logs.into_keys().collect()).await
}

async fn progress_of(
    settings: &Settings,
    ledger: &Ledger,
    cluster: &str,
    partitions: Vec<Partition>,
) -> Result<Vec<Progress>, Error> {
    let mut usage = ledger.usage().load(None).await?;
    let app_ids: Vec<String> = partitions.iter().map(|partition| partition.app_id(cluster)).collect();
    ledger.usage().load_positions(&mut usage, &app_ids.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let asked = settings.clone();
    blocking(move || {
        let brokers = Brokers::new(&asked)?;
        let progress = partitions.into_iter().zip(app_ids).map(|(partition, app_id)| {
            let position = usage.position(&app_id);
            let (low, high) = brokers.watermarks(&partition)?;
            Ok(Progress { partition, position, low, high })
        });
        progress.collect()
    })
    .await?
}

async fn check_positions(
    settings: &Settings,
    ledger: &Ledger,
    cluster: &str,
    partitions: Vec<Partition>,
) -> Result<Vec<Finding>, Error> {
    let progress = progress_of(settings, ledger, cluster, partitions).await?;
    let mut findings: Vec<Finding> = progress.iter().filter_map(gap).collect();
    if findings.is_empty() {
        let lag: i64 = progress.iter().map(Progress::lag).sum();
        let found = format!("{} partitions, {lag} messages behind", progress.len());
        findings.push(Finding::ok(POSITIONS, "all", found));
    }
    Ok(findings)
}

fn gap(progress: &Progress) -> Option<Finding> {
    let Progress { partition, position, low, high } = progress;
    let position = position.filter(|position| !(*low..=*high).contains(&position.0))?.0;
    let error = Error::from(Gap { partition: partition.clone(), position, low: *low, high: *high });
    Some(Finding { level: Level::Fail, ..Finding::of_error(POSITIONS, partition.to_string(), &error) })
}
