//! Microsoft 365 Copilot's audit records (`CopilotInteraction`), as the Office 365 Management Activity API and exports of
//! Purview's audit log give them. Usage without tokens: Copilot is paid by the seat.

use std::borrow::Cow;

use daybook_ledger::{Entry, Feature, Instant, Operation, Status};

use super::about::About;
use super::extra::Extra;
use super::messages::{elements, is_string, shape};
use super::object::object;
use super::scalar::{Flag, Text, flag, present};
use super::source::{Json, Source};
use super::{DecodeError, Format};

pub(super) const ABOUT: About = About {
    format: "microsoft-copilot",
    title: "Microsoft 365 Copilot audit records",
    what: "One `CopilotInteraction` record of the Office 365 Management Activity API, or a row of an audit log search with the record in `AuditData`. Records of other operations in the same feed are no calls.",
    recognised_by: "`CopilotEventData`, or `AuditData` beside `RecordType`.",
    identity: "`Id` of the record.",
    stream: "",
    columns: &[
        ("started_at", "`CreationTime`, which is UTC without saying so"),
        ("provider", "`microsoft_365_copilot`"),
        ("response_model", "`ModelTransparencyDetails[0].ModelName`"),
        ("end_user", "`UserId`"),
        ("workload_hint", "`AppHost`"),
        ("session_id", "`ThreadId`"),
        ("region", "`ClientRegion`"),
        ("tags", "`OrganizationId`, `AppIdentity`, `AgentId`, `AgentName`"),
        (
            "features",
            "`hosted_files` for `AccessedResources`, `document_input` for a file in `Contexts`, `web_search` for the Bing plugin, `hosted_state` for an agent or a meeting, `guardrails` for a detected jailbreak",
        ),
    ],
    cannot_say: &[
        "Tokens and cost: `usage_source` is `absent` and no price applies.",
        "What was said: records hold ids of messages. How long it took, and whether it was answered.",
    ],
};

object! {
    struct Record<'a> {
        id: Text<'a> = "Id",
        created: Text<'a> = "CreationTime",
        operation: Json<'a> = "Operation",
        organization: Text<'a> = "OrganizationId",
        user: Text<'a> = "UserId",
        region: Text<'a> = "ClientRegion",
        app: Text<'a> = "AppIdentity",
        agent_id: Text<'a> = "AgentId",
        agent_name: Text<'a> = "AgentName",
        data: EventData<'a> = "CopilotEventData",
        /// The record itself, in a row of a search.
        audit_data: Json<'a> = "AuditData" | "auditData",
    }
    ignoring ["RecordType", "Workload", "UserKey", "UserType", "ClientIP", "Version", "ObjectId", "CopilotLogVersion"]
}

object! {
    struct EventData<'a> {
        host: Text<'a> = "AppHost",
        thread: Text<'a> = "ThreadId",
        contexts: Json<'a> = "Contexts",
        messages: Vec<Message<'a>> = "Messages",
        resources: Json<'a> = "AccessedResources",
        plugins: Json<'a> = "AISystemPlugin",
        models: Vec<Model<'a>> = "ModelTransparencyDetails",
    }
    ignoring ["MessageIds"]
}

object! {
    struct Message<'a> {
        jailbreak: Flag = "JailbreakDetected",
    }
    ignoring ["Id", "isPrompt", "Size"]
}

object! {
    struct Model<'a> {
        name: Text<'a> = "ModelName",
        provider: Text<'a> = "ModelProviderName",
        version: Text<'a> = "ModelVersion",
    }
}

/// Decodes one record, or one row of a search that holds one.
pub(super) fn decode<'a>(source: &Source<'a>, raw: &'a [u8]) -> Result<Option<Entry<'a>>, DecodeError> {
    let record: Record<'a> = source.parse(source.text())?;
    match record.audit_data {
        Some(packed) if record.data.is_none() && is_string(packed) => {
            let text = source.string(packed)?.into_owned();
            let inner = Source::new(text.as_bytes())?;
            Ok(read(&inner, inner.parse(inner.text())?, raw)?.map(|entry| entry.into_owned(raw)))
        }
        Some(inner) if record.data.is_none() => read(source, source.object(inner)?, raw),
        _ => read(source, record, raw),
    }
}

fn read<'s>(source: &Source<'s>, record: Record<'s>, raw: &'s [u8]) -> Result<Option<Entry<'s>>, DecodeError> {
    let Some(data) = record.data else {
        let other = |operation: Json<'_>| is_string(operation) && operation.get() != "\"CopilotInteraction\"";
        if record.operation.is_some_and(other) {
            return Ok(None);
        }
        let looks_like = super::sniff(source.text()).filter(|format| *format != Format::Copilot);
        return Err(DecodeError::WrongFormat { format: Format::Copilot, missing: "`CopilotEventData`", looks_like });
    };
    let mut extra = Extra::default();
    extra.add("", &record.unknown);
    extra.add("CopilotEventData", &data.unknown);
    for (name, json) in
        [("Contexts", data.contexts), ("AccessedResources", data.resources), ("AISystemPlugin", data.plugins)]
    {
        if let Some(json) = json.filter(|json| says(json)) {
            extra.member(format!("CopilotEventData.{name}"), json.get());
        }
    }
    let mut entry = Entry::new("microsoft-copilot", Operation::Chat, raw);
    note_features(&mut entry, &data, record.agent_id.is_some());
    entry.event_id = present(record.id);
    entry.started_at = created(source, record.created)?;
    entry.provider = Some(Cow::Borrowed("microsoft_365_copilot"));
    entry.response_model = data.models.into_iter().flatten().find_map(|model| present(model.name));
    entry.status = Status::Success;
    entry.end_user = present(record.user);
    entry.workload_hint = present(data.host);
    entry.session_id = present(data.thread);
    entry.region = present(record.region);
    for (name, value) in [
        ("microsoft.organization_id", record.organization),
        ("microsoft.app_identity", record.app),
        ("microsoft.agent_id", record.agent_id),
        ("gen_ai.agent.name", record.agent_name),
    ] {
        entry.tags.extend(present(value).map(|value| (Cow::Borrowed(name), value)));
    }
    entry.extra = extra.into_json();
    Ok(Some(entry))
}

fn says(json: Json<'_>) -> bool {
    !matches!(json.get(), "[]" | "{}" | "null" | "\"\"")
}

/// When the record was written: UTC, though the text does not say so.
fn created<'a>(source: &Source<'a>, text: Option<Text<'a>>) -> Result<Option<Instant>, DecodeError> {
    let Some(text) = present(text) else { return Ok(None) };
    match Instant::parse(&text).or_else(|| Instant::parse(&format!("{text}Z"))) {
        Some(instant) => Ok(Some(instant)),
        None => Err(source.bad_member("CreationTime", "expected a time such as 2026-11-20T09:00:00")),
    }
}

fn note_features(entry: &mut Entry<'_>, data: &EventData<'_>, agent: bool) {
    const FILES: [&str; 12] =
        ["docx", "doc", "xlsx", "xls", "pptx", "ppt", "pdf", "txt", "loop", "fluid", "aspx", "msg"];
    let features = &mut entry.features;
    let contexts = data.contexts.map(elements).unwrap_or_default();
    for context in contexts.iter().filter_map(|context| shape::<Context<'_>>(context)) {
        let kind = context.kind.map(|kind| kind.0.to_ascii_lowercase()).unwrap_or_default();
        features.insert_if(FILES.contains(&kind.as_str()), Feature::DocumentInput);
        features.insert_if(kind.starts_with("teams"), Feature::HostedState);
    }
    features.insert_if(data.resources.is_some_and(says), Feature::HostedFiles);
    let web = data.plugins.is_some_and(|plugins| plugins.get().to_ascii_lowercase().contains("bing"));
    features.insert_if(web, Feature::WebSearch);
    features.insert_if(agent, Feature::HostedState);
    let jailbreak = data.messages.iter().flatten().any(|message| flag(message.jailbreak) == Some(true));
    features.insert_if(jailbreak, Feature::Guardrails);
}

object! {
    struct Context<'a> {
        kind: Text<'a> = "Type",
    }
}
