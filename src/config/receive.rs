//! Settings of `daybook receive`.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::time::Duration;

use daybook_ingest::decode::Format;
use daybook_ingest::receive::{BusyStatus, Limits, Path, Settings, Tokens, Topics};
use serde::Deserialize;

use super::{Layers, Origin, Shown};
use crate::commands::receive::ReceiveArgs;
use crate::failure::Failure;

/// `[receive]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReceiveSection {
    listen: Option<String>,
    token_file: Option<String>,
    insecure: bool,
    /// By name: `default`, a path, or a format.
    topics: BTreeMap<String, String>,
    body_bytes_max: Option<i64>,
    events_max: Option<i64>,
    message_bytes_max: Option<i64>,
    in_flight_bytes_max: Option<i64>,
    connections_max: Option<i64>,
    timeout_ms: Option<i64>,
    slow_after_ms: Option<i64>,
    busy_status: Option<i64>,
}

impl Layers {
    /// Everything `daybook receive` is told.
    ///
    /// # Errors
    /// One failure that names every fault; the one of a token that cannot be.
    pub(crate) fn receive(&mut self, args: &ReceiveArgs) -> Result<Settings, Failure> {
        let file = self.file.receive.clone();
        let brokers = self.brokers(args.brokers.clone());
        let listen = self.pick(
            "receive.listen",
            ("--listen", args.listen.clone()),
            "DAYBOOK_RECEIVE_LISTEN",
            file.listen.clone(),
            Some("127.0.0.1:4318"),
        );
        let listen = listen.and_then(|text| match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                self.faults.push(format!("`receive.listen` is `{text}`; it takes an IP address and a port"));
                None
            }
        });
        let topics = self.receive_topics(args, &file);
        let limits = self.receive_limits(args, &file);
        let busy_status = self.pick(
            "receive.busy_status",
            ("--busy-status", args.busy_status.clone()),
            "DAYBOOK_RECEIVE_BUSY_STATUS",
            file.busy_status.map(|status| status.to_string()),
            Some("429"),
        );
        let busy_status = self.word("receive.busy_status", busy_status, BusyStatus::ALL, BusyStatus::as_str);
        let insecure = args.insecure || file.insecure;
        let origin = match (args.insecure, file.insecure) {
            (true, _) => Origin::Flag("--insecure".into()),
            (_, true) => Origin::File(self.path.clone()),
            _ => Origin::Default,
        };
        self.shown.push(Shown { key: "receive.insecure".into(), value: insecure.to_string(), origin });
        let librdkafka = self.librdkafka(&args.librdkafka);
        let tokens = self.tokens(args, &file);
        self.finish()?;
        Ok(Settings {
            brokers,
            // Without an address there was a fault.
            listen: listen.unwrap_or_else(|| ([127, 0, 0, 1], 4318).into()),
            tokens: tokens?,
            insecure,
            topics,
            limits,
            busy_status: busy_status.unwrap_or_default(),
            librdkafka,
        })
    }

    /// Tokens of the file and of the environment, together.
    fn tokens(&mut self, args: &ReceiveArgs, file: &ReceiveSection) -> Result<Tokens, Failure> {
        let flag = args.token_file.as_ref().map(|path| path.display().to_string());
        let path = self.pick(
            "receive.token_file",
            ("--token-file", flag),
            "DAYBOOK_RECEIVE_TOKEN_FILE",
            file.token_file.clone(),
            None,
        );
        let given = self.pick("receive.tokens", ("", None), "DAYBOOK_RECEIVE_TOKENS", None, None);
        let mut tokens = Tokens::default();
        if let Some(path) = path {
            let text = std::fs::read_to_string(FilePath::new(&path))
                .map_err(|error| Failure::new("CLI-003", &format!("the token file {path} cannot be read"), error))?;
            tokens.extend(Tokens::parse(&text, &path)?);
        }
        if let Some(text) = given {
            tokens.extend(Tokens::parse(&text, "DAYBOOK_RECEIVE_TOKENS")?);
        }
        Ok(tokens)
    }

    /// Topics by name; the strongest layer that names any names all of them.
    fn receive_topics(&mut self, args: &ReceiveArgs, file: &ReceiveSection) -> Topics {
        let joined = |names: &BTreeMap<String, String>| {
            let pairs: Vec<String> = names.iter().map(|(name, topic)| format!("{name}={topic}")).collect();
            (!pairs.is_empty()).then(|| pairs.join(","))
        };
        let flag = (!args.topic.is_empty()).then(|| args.topic.join(","));
        let picked =
            self.pick("receive.topics", ("--topic", flag), "DAYBOOK_RECEIVE_TOPICS", joined(&file.topics), None);
        // One topic for both commands is named once.
        let picked = picked.or_else(|| self.topics(&[]).first().filter(|topic| !topic.starts_with('^')).cloned());
        let mut topics = Topics::default();
        for pair in picked.iter().flat_map(|list| list.split(',')).map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, topic) = pair.split_once('=').unwrap_or(("default", pair));
            let path = Path::ALL.iter().find(|path| path.as_str() == name);
            match (name, path, name.parse::<Format>()) {
                _ if topic.is_empty() => self.faults.push(format!("`receive.topics` names no topic for `{name}`")),
                ("default", ..) => topics.default = Some(topic.into()),
                (_, Some(path), _) => drop(topics.paths.insert(*path, topic.into())),
                (_, None, Ok(format)) => drop(topics.formats.insert(format.as_str(), topic.into())),
                (_, None, Err(error)) => self.faults.push(format!(
                    "`receive.topics` has `{name}`, which is neither `default`, `events`, `traces`, `logs` nor a \
                     format; {}",
                    error.hint()
                )),
            }
        }
        topics
    }

    fn receive_limits(&mut self, args: &ReceiveArgs, file: &ReceiveSection) -> Limits {
        let default = Limits::default();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let body_bytes_max = self.limit(
            "receive.body_bytes_max",
            &args.body_bytes_max,
            file.body_bytes_max,
            default.body_bytes_max,
            1 << 10..=1 << 30,
        );
        let events_max =
            self.limit("receive.events_max", &args.events_max, file.events_max, default.events_max, 1..=1_000_000);
        let message_bytes_max = self.limit(
            "receive.message_bytes_max",
            &args.message_bytes_max,
            file.message_bytes_max,
            default.message_bytes_max,
            1 << 10..=900_000_000,
        );
        let in_flight_bytes_max = self.limit(
            "receive.in_flight_bytes_max",
            &args.in_flight_bytes_max,
            file.in_flight_bytes_max,
            default.in_flight_bytes_max,
            1 << 20..=64 << 30,
        );
        let connections_max = self.limit(
            "receive.connections_max",
            &args.connections_max,
            file.connections_max,
            default.connections_max,
            1..=100_000,
        );
        let timeout_ms = self.limit(
            "receive.timeout_ms",
            &args.timeout_ms,
            file.timeout_ms,
            millis(default.timeout),
            1_000..=600_000,
        );
        let slow_after_ms = self.limit(
            "receive.slow_after_ms",
            &args.slow_after_ms,
            file.slow_after_ms,
            millis(default.slow_after),
            100..=600_000,
        );
        if in_flight_bytes_max < 3 * body_bytes_max {
            self.faults.push(format!(
                "`receive.in_flight_bytes_max` is `{in_flight_bytes_max}`; it takes three times `receive.body_bytes_max` \
                 ({body_bytes_max}) or more, so that the largest request fits in beside its unpacked form"
            ));
        }
        Limits {
            body_bytes_max,
            events_max,
            message_bytes_max,
            in_flight_bytes_max,
            connections_max,
            timeout: Duration::from_millis(timeout_ms),
            slow_after: Duration::from_millis(slow_after_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::layers;
    use super::*;

    fn told(file: &str, args: &ReceiveArgs) -> Result<Settings, String> {
        layers(file, |_| None).receive(args).map_err(|failure| failure.to_string())
    }

    #[test]
    fn defaults_listen_on_loopback_and_the_topic_of_ingest_is_enough() {
        let settings = told("[kafka]\ntopics = ['usage']\n", &ReceiveArgs::default()).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:4318");
        assert_eq!(settings.topics.default.as_deref(), Some("usage"));
        assert_eq!(settings.limits, Limits::default());
        assert!(settings.tokens.is_empty() && !settings.insecure);
    }

    #[test]
    fn topics_are_named_by_default_path_and_format() {
        let file = "[receive.topics]\ndefault = 'a'\ntraces = 'b'\nlitellm-standard = 'c'\n";
        let topics = told(file, &ReceiveArgs::default()).unwrap().topics;
        assert_eq!(topics.default.as_deref(), Some("a"));
        assert_eq!(topics.paths, BTreeMap::from([(Path::Traces, "b".into())]));
        assert_eq!(topics.formats, BTreeMap::from([("litellm-standard", "c".into())]));
        let args = ReceiveArgs { topic: vec!["x".into(), "logs=y".into()], ..ReceiveArgs::default() };
        let topics = told(file, &args).unwrap().topics;
        assert_eq!((topics.default.as_deref(), topics.formats.len()), (Some("x"), 0), "the flag names all of them");
        let args = ReceiveArgs { topic: vec!["litelm-standard=y".into(), "logs=".into()], ..ReceiveArgs::default() };
        let fault = told("", &args).unwrap_err();
        assert!(fault.contains("did you mean `litellm-standard`?"), "{fault}");
        assert!(fault.contains("names no topic for `logs`"), "{fault}");
    }

    #[test]
    fn limits_are_checked_at_their_bounds_and_against_each_other() {
        let fault = told(
            "[receive]\nbody_bytes_max = 1023\nbusy_status = 500\nlisten = 'localhost'\n",
            &ReceiveArgs::default(),
        )
        .unwrap_err();
        assert!(fault.contains("`receive.body_bytes_max` is `1023`; it takes a whole number from 1024"), "{fault}");
        assert!(fault.contains("`receive.busy_status` is `500`; it takes `429`, `503`"), "{fault}");
        assert!(fault.contains("`receive.listen` is `localhost`; it takes an IP address and a port"), "{fault}");
        let in_flight = |bytes: i64| {
            told(
                &format!("[receive]\nbody_bytes_max = 1048576\nin_flight_bytes_max = {bytes}\n"),
                &ReceiveArgs::default(),
            )
        };
        assert!(in_flight(3 << 20).is_ok());
        assert!(in_flight((3 << 20) - 1).unwrap_err().contains("three times"));
    }

    #[test]
    fn tokens_come_from_file_and_environment_and_are_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        std::fs::write(&path, "# first\na-token-of-the-file\n").unwrap();
        let args = ReceiveArgs { token_file: Some(path.clone()), ..ReceiveArgs::default() };
        let mut layers = layers("", |name| (name == "DAYBOOK_RECEIVE_TOKENS").then(|| "a-token-of-the-env".into()));
        let settings = layers.receive(&args).unwrap();
        assert_eq!(format!("{:?}", settings.tokens), "2 tokens");
        let shown = |key: &str| layers.shown.iter().find(|shown| shown.key == key).unwrap().value.clone();
        assert_eq!(shown("receive.tokens"), "********");
        assert_eq!(shown("receive.token_file"), path.display().to_string());
        std::fs::write(&path, "short\n").unwrap();
        assert!(told("", &args).unwrap_err().contains("is shorter than 16 characters"));
    }
}
