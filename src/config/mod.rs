//! Settings: default < file < environment < flag, each with where it came from.

mod maintain;
mod receive;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use daybook_ingest::decode::Format;
use daybook_ingest::{Capture, FlushLimits, OnGap, SILENCE_MAX, Settings, Start};
use daybook_ledger::Kind;
use serde::Deserialize;

use crate::commands::ingest::IngestArgs;
use crate::failure::Failure;

/// `daybook.toml`. A key that is not one of these is an error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    ledger: Option<String>,
    kafka: KafkaSection,
    ingest: IngestSection,
    receive: receive::ReceiveSection,
    maintain: maintain::MaintainSection,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KafkaSection {
    brokers: Option<String>,
    topics: Option<Vec<String>>,
    group: Option<String>,
    cluster: Option<String>,
    start: Option<String>,
    instance_id: Option<String>,
    on_gap: Option<String>,
    librdkafka: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct IngestSection {
    capture: Option<String>,
    formats: BTreeMap<String, String>,
    flush_rows_max: Option<i64>,
    flush_bytes_max: Option<i64>,
    flush_interval_ms: Option<i64>,
    metrics_listen: Option<String>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File(PathBuf),
    Env(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Env(name) => write!(f, "${name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One effective value.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

/// Picks each value from the strongest layer that has it, remembers where from, and collects every fault.
pub(crate) struct Layers {
    file: File,
    path: PathBuf,
    env: fn(&str) -> Option<String>,
    pub(crate) shown: Vec<Shown>,
    faults: Vec<String>,
}

impl Layers {
    /// Reads the settings file: `explicit`, else `$DAYBOOK_CONFIG`, else `./daybook.toml`, else the user's.
    pub(crate) fn load(explicit: Option<&Path>) -> Result<Self, Failure> {
        Self::load_with(explicit, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn load_with(explicit: Option<&Path>, env: fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let named = explicit.map(Path::to_path_buf).or_else(|| env("DAYBOOK_CONFIG").map(PathBuf::from));
        let user =
            env("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(env("HOME")?).join(".config")));
        let usual = [Some(PathBuf::from("daybook.toml")), user.map(|folder| folder.join("daybook/daybook.toml"))];
        let path = named.or_else(|| usual.into_iter().flatten().find(|path| path.is_file()));
        let (file, path) = match path {
            Some(path) => (read_file(&path)?, path),
            None => (File::default(), PathBuf::new()),
        };
        Ok(Self { file, path, env, shown: Vec::new(), faults: Vec::new() })
    }

    fn pick(
        &mut self,
        key: &str,
        (flag_name, flag): (&str, Option<String>),
        env_name: &str,
        file: Option<String>,
        default: Option<&str>,
    ) -> Option<String> {
        let env = || (self.env)(env_name).map(|value| (value, Origin::Env(env_name.into())));
        let (value, origin) = flag
            .map(|value| (value, Origin::Flag(flag_name.into())))
            .or_else(env)
            .or_else(|| file.map(|value| (value, Origin::File(self.path.clone()))))
            .or_else(|| default.map(|value| (value.to_owned(), Origin::Default)))?;
        self.shown.push(Shown { key: key.into(), value: mask(key, &value), origin });
        Some(value)
    }

    /// A whole number of `range`, by the flag and the variable that are named after `key`.
    fn limit<T: TryFrom<i64> + ToString>(
        &mut self,
        key: &str,
        flag: &Option<String>,
        file: Option<i64>,
        default: T,
        range: RangeInclusive<i64>,
    ) -> T {
        self.limit_if_any(key, flag, file, Some(default.to_string()), range).unwrap_or(default)
    }

    /// As [`Layers::limit`]; `None` if no layer has one, or after a fault.
    fn limit_if_any<T: TryFrom<i64>>(
        &mut self,
        key: &str,
        flag: &Option<String>,
        file: Option<i64>,
        default: Option<String>,
        range: RangeInclusive<i64>,
    ) -> Option<T> {
        let name = key.rsplit('.').next().unwrap_or(key).replace('_', "-");
        // Keys of `ingest` have variables from before other commands had settings.
        let variable = key.strip_prefix("ingest.").unwrap_or(key).replace('.', "_").to_uppercase();
        let (flag, variable) = ((format!("--{name}"), flag.clone()), format!("DAYBOOK_{variable}"));
        let file = file.map(|number| number.to_string());
        let picked = self.pick(key, (&flag.0, flag.1), &variable, file, default.as_deref());
        self.number(key, picked, range)
    }

    /// A number of `range`.
    fn number<T: TryFrom<i64>>(&mut self, key: &str, picked: Option<String>, range: RangeInclusive<i64>) -> Option<T> {
        let text = picked?;
        let value = text.parse::<i64>().ok().filter(|value| range.contains(value));
        let value = value.and_then(|value| T::try_from(value).ok());
        if value.is_none() {
            self.faults.push(format!(
                "`{key}` is `{text}`; it takes a whole number from {} to {}",
                range.start(),
                range.end()
            ));
        }
        value
    }

    /// One of a few words.
    fn word<T: Copy>(
        &mut self,
        key: &str,
        picked: Option<String>,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Option<T> {
        let text = picked?;
        let found = all.iter().copied().find(|value| name(*value) == text);
        if found.is_none() {
            let words: Vec<_> = all.iter().map(|value| format!("`{}`", name(*value))).collect();
            self.faults.push(format!("`{key}` is `{text}`; it takes {}", words.join(", ")));
        }
        found
    }

    /// The ledger's address.
    pub(crate) fn ledger(&mut self, flag: Option<String>) -> String {
        let file = self.file.ledger.clone();
        self.pick("ledger", ("--ledger", flag), "DAYBOOK_LEDGER", file, Some("./ledger")).unwrap_or_default()
    }

    /// The brokers' addresses.
    fn brokers(&mut self, flag: Option<String>) -> String {
        let file = self.file.kafka.brokers.clone();
        let picked = self.pick("kafka.brokers", ("--brokers", flag), "KAFKA_BROKERS", file, Some("localhost:9092"));
        picked.unwrap_or_default()
    }

    /// The topics that `ingest` reads.
    fn topics(&mut self, flags: &[String]) -> Vec<String> {
        let flag = (!flags.is_empty()).then(|| flags.join(","));
        let file = self.file.kafka.topics.as_ref().map(|topics| topics.join(","));
        let topics = self.pick("kafka.topics", ("--topic", flag), "KAFKA_TOPIC", file, None);
        let names = topics.iter().flat_map(|list| list.split(',')).map(str::trim);
        names.filter(|name| !name.is_empty()).map(String::from).collect()
    }

    /// Everything `daybook ingest` is told.
    ///
    /// # Errors
    /// One failure that names every fault.
    pub(crate) fn ingest(&mut self, args: &IngestArgs) -> Result<Settings, Failure> {
        let kafka = self.file.kafka.clone();
        let file = self.file.ingest.clone();
        let brokers = self.brokers(args.brokers.clone());
        let topics = self.topics(&args.topic);
        let group = self.pick(
            "kafka.group",
            ("--group", args.group.clone()),
            "KAFKA_CONSUMER_GROUP",
            kafka.group,
            Some("daybook"),
        );
        let cluster =
            self.pick("kafka.cluster", ("--cluster", args.cluster.clone()), "KAFKA_CLUSTER", kafka.cluster, None);
        let start = self.pick(
            "kafka.start",
            ("--start", args.start.clone()),
            "KAFKA_AUTO_OFFSET_RESET",
            kafka.start,
            Some("earliest"),
        );
        let start = self.word("kafka.start", start, Start::ALL, Start::as_str).unwrap_or_default();
        let instance_id = self.pick(
            "kafka.instance_id",
            ("--instance-id", args.instance_id.clone()),
            "KAFKA_GROUP_INSTANCE_ID",
            kafka.instance_id,
            None,
        );
        let on_gap = self.pick(
            "kafka.on_gap",
            ("--on-gap", args.on_gap.clone()),
            "DAYBOOK_ON_GAP",
            kafka.on_gap,
            Some(OnGap::default().as_str()),
        );
        let on_gap = self.word("kafka.on_gap", on_gap, OnGap::ALL, OnGap::as_str).unwrap_or_default();
        let metrics_listen = self.metrics_listen(args.metrics_listen.clone());
        let capture = self.capture(args.capture.clone());
        let limits = self.limits(args);
        let formats = self.formats(args, &topics, file.formats);
        let librdkafka = self.librdkafka(&args.librdkafka);
        if args.until_end && topics.iter().any(|topic| topic.starts_with('^')) {
            self.faults.push("--until-end needs the names of topics, a pattern has no end".into());
        }
        self.finish()?;
        Ok(Settings {
            brokers,
            topics,
            formats,
            group: group.unwrap_or_default(),
            instance_id,
            cluster,
            limits,
            capture,
            start,
            on_gap,
            metrics_listen,
            silence_max: SILENCE_MAX,
            until_end: args.until_end,
            librdkafka,
        })
    }

    /// When `daybook import` writes, and what becomes of bodies.
    ///
    /// # Errors
    /// One failure that names every fault.
    pub(crate) fn import(&mut self, capture: Option<String>) -> Result<(FlushLimits, Capture), Failure> {
        let capture = self.capture(capture);
        let limits = self.limits(&IngestArgs::default());
        self.finish()?;
        Ok((limits, capture))
    }

    /// As [`Layers::import`], with the formats of topics.
    ///
    /// # Errors
    /// One failure that names every fault.
    pub(crate) fn replay(
        &mut self,
        capture: Option<String>,
    ) -> Result<(FlushLimits, Capture, BTreeMap<String, Format>), Failure> {
        let file = self.file.ingest.formats.clone();
        let formats = self.formats(&IngestArgs::default(), &[], file);
        let (limits, capture) = self.import(capture)?;
        Ok((limits, capture, formats))
    }

    fn metrics_listen(&mut self, flag: Option<String>) -> Option<SocketAddr> {
        const KEY: &str = "ingest.metrics_listen";
        let file = self.file.ingest.metrics_listen.clone();
        let text = self.pick(KEY, ("--metrics-listen", flag), "DAYBOOK_METRICS_LISTEN", file, None)?;
        let address = text.parse().ok();
        if address.is_none() {
            self.faults.push(format!("`{KEY}` is `{text}`; it takes an address and a port, such as `127.0.0.1:9464`"));
        }
        address
    }

    fn capture(&mut self, flag: Option<String>) -> Capture {
        let file = self.file.ingest.capture.clone();
        let capture = self.pick("ingest.capture", ("--capture", flag), "DAYBOOK_CAPTURE", file, Some("full"));
        self.word("ingest.capture", capture, Capture::ALL, Capture::as_str).unwrap_or_default()
    }

    fn limits(&mut self, args: &IngestArgs) -> FlushLimits {
        let default = FlushLimits::default();
        let file = self.file.ingest.clone();
        let (rows, bytes) = (file.flush_rows_max, file.flush_bytes_max);
        FlushLimits {
            rows_max: self.limit("ingest.flush_rows_max", &args.flush_rows, rows, default.rows_max, 1..=10_000_000),
            bytes_max: self.limit(
                "ingest.flush_bytes_max",
                &args.flush_bytes,
                bytes,
                default.bytes_max,
                1 << 20..=1 << 30,
            ),
            interval_ms: self.limit(
                "ingest.flush_interval_ms",
                &args.flush_interval_ms,
                file.flush_interval_ms,
                default.interval_ms,
                100..=3_600_000,
            ),
        }
    }

    /// Formats by topic: `TOPIC=FORMAT`, or one format for every topic named.
    fn formats(
        &mut self,
        args: &IngestArgs,
        topics: &[String],
        file: BTreeMap<String, String>,
    ) -> BTreeMap<String, Format> {
        let mut named: BTreeMap<String, (String, Origin)> =
            file.into_iter().map(|(topic, format)| (topic, (format, Origin::File(self.path.clone())))).collect();
        for given in &args.format {
            let pairs: Vec<(String, &str)> = match given.split_once('=') {
                Some((topic, format)) => vec![(topic.to_owned(), format)],
                None => topics.iter().map(|topic| (topic.clone(), given.as_str())).collect(),
            };
            named.extend(
                pairs.into_iter().map(|(topic, format)| (topic, (format.to_owned(), Origin::Flag("--format".into())))),
            );
        }
        let mut formats = BTreeMap::new();
        for (topic, (text, origin)) in named {
            let key = format!("ingest.formats.{topic}");
            if text != "auto" {
                match text.parse::<Format>() {
                    Ok(format) => drop(formats.insert(topic, format)),
                    Err(error) => self.faults.push(format!("`{key}`: {error}; {}", error.hint())),
                }
            }
            self.shown.push(Shown { key, value: text, origin });
        }
        formats
    }

    fn librdkafka(&mut self, flags: &[String]) -> BTreeMap<String, String> {
        let file = self.file.kafka.librdkafka.clone();
        let mut all: BTreeMap<String, (String, Origin)> =
            file.into_iter().map(|(key, value)| (key, (value, Origin::File(self.path.clone())))).collect();
        for given in flags {
            match given.split_once('=') {
                Some((key, value)) => drop(all.insert(key.into(), (value.into(), Origin::Flag("-X".into())))),
                None => self.faults.push(format!("-X takes `key=value`, not `{given}`")),
            }
        }
        for (key, (value, origin)) in &all {
            let key = format!("kafka.librdkafka.{key}");
            self.shown.push(Shown { value: mask(&key, value), key, origin: origin.clone() });
        }
        all.into_iter().map(|(key, (value, _))| (key, value)).collect()
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let message = std::mem::take(&mut self.faults).join("\n  and ");
        Err(Failure::plain(
            "CLI-002",
            Kind::Usage,
            message,
            Some("`daybook config show` prints each value and where it came from".into()),
        ))
    }
}

fn read_file(path: &Path) -> Result<File, Failure> {
    let place = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new("CLI-003", &format!("settings file {place} cannot be read"), error))
        .map_err(|failure| failure.with_hint("check the path and its permissions"))?;
    toml::from_str(&text)
        .map_err(|error| Failure::new("CLI-003", &format!("settings file {place} is not valid"), error))
        .map_err(|failure| failure.with_hint("docs/configuration.md describes every setting"))
}

/// Hides what must not be shown: passwords, secrets, keys; credentials inside URLs.
pub(crate) fn mask(key: &str, value: &str) -> String {
    let key = key.to_ascii_lowercase();
    let secret =
        ["password", "secret", "token", "access_key", "key.pem", "private"].iter().any(|word| key.contains(word))
            && !key.ends_with("_file");
    match value.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?.1))) {
        _ if secret && !value.is_empty() => "********".into(),
        Some((scheme, rest)) => format!("{scheme}://********@{rest}"),
        None => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::maintain::MaintainArgs;
    use crate::commands::receive::ReceiveArgs;

    pub(super) fn layers(file: &str, env: fn(&str) -> Option<String>) -> Layers {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daybook.toml");
        std::fs::write(&path, file).unwrap();
        Layers::load_with(Some(&path), env).unwrap()
    }

    fn value(layers: &Layers, key: &str) -> (String, Origin) {
        let shown = layers.shown.iter().find(|shown| shown.key == key).unwrap();
        (shown.value.clone(), shown.origin.clone())
    }

    #[test]
    fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
        let file = "[kafka]\nbrokers = 'file:1'\ngroup = 'file'\ntopics = ['a', 'b']\n";
        let mut layers = layers(file, |name| (name == "KAFKA_BROKERS").then(|| "env:1".into()));
        let args = IngestArgs { group: Some("flag".into()), ..IngestArgs::default() };
        let settings = layers.ingest(&args).unwrap();
        assert_eq!(settings.brokers, "env:1");
        assert_eq!(settings.group, "flag");
        assert_eq!(settings.topics, ["a", "b"]);
        assert_eq!(settings.limits, FlushLimits::default());
        assert_eq!(value(&layers, "kafka.brokers").1, Origin::Env("KAFKA_BROKERS".into()));
        assert_eq!(value(&layers, "kafka.start").1, Origin::Default);
    }

    #[test]
    fn every_variable_that_is_asked_for_is_documented() {
        let asked = |name: &str| {
            let text = include_str!("../../docs/configuration.md");
            let is_ours = name.starts_with("DAYBOOK_") || name.starts_with("KAFKA_");
            assert!(!is_ours || text.contains(&format!("{name}`")), "{name} is not in docs/configuration.md");
            (name == "DAYBOOK_FLUSH_ROWS_MAX" || name == "DAYBOOK_MAINTAIN_ORPHAN_DAYS").then(|| "3".into())
        };
        let mut layers = layers("", asked);
        layers.ledger(None);
        assert_eq!(layers.ingest(&IngestArgs::default()).unwrap().limits.rows_max, 3);
        layers.receive(&ReceiveArgs::default()).unwrap();
        layers.maintain_every(None).unwrap();
        let kept = layers.maintain(&MaintainArgs::default()).unwrap().keep.unnamed;
        assert_eq!(kept.as_secs(), 3 * 24 * 60 * 60);
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let mut layers = layers("[ingest]\nflush_interval_ms = 99\ncapture = 'some'\n", |_| None);
        let failure = layers.ingest(&IngestArgs::default()).unwrap_err().to_string();
        assert!(
            failure.contains("`ingest.flush_interval_ms` is `99`; it takes a whole number from 100 to 3600000"),
            "{failure}"
        );
        assert!(failure.contains("`ingest.capture` is `some`; it takes `full`, `digest`, `off`"), "{failure}");
    }

    #[test]
    fn an_unknown_key_in_the_file_is_an_error_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daybook.toml");
        std::fs::write(&path, "[kafka]\nbroker = 'x'\n").unwrap();
        let failure = Layers::load_with(Some(&path), |_| None).err().unwrap().to_string();
        assert!(failure.contains("line 2") && failure.contains("`broker`"), "{failure}");
    }

    #[test]
    fn secrets_are_masked() {
        assert_eq!(mask("kafka.librdkafka.sasl.password", "hunter2"), "********");
        assert_eq!(mask("AWS_SECRET_ACCESS_KEY", "abc"), "********");
        assert_eq!(mask("receive.token_file", "/etc/tokens"), "/etc/tokens");
        assert_eq!(mask("ledger", "s3://user:pass@bucket/x"), "s3://********@bucket/x");
        assert_eq!(mask("kafka.brokers", "localhost:9092"), "localhost:9092");
    }
}
