//! Blocks of content in Converse's words, which have no type: one member says what a block is.

use daybook_ledger::Feature;

use crate::decode::messages::{Messages, elements, shape};
use crate::decode::object::object;
use crate::decode::scalar::Text;
use crate::decode::source::Json;

object! {
    struct Block<'a> {
        tool_use: Json<'a> = "toolUse",
        tool_result: Json<'a> = "toolResult",
        image: Json<'a> = "image",
        video: Json<'a> = "video",
        audio: Json<'a> = "audio",
        document: Json<'a> = "document",
        reasoning: Json<'a> = "reasoningContent",
        cache_point: Json<'a> = "cachePoint",
        guard: Json<'a> = "guardContent",
        cited: Json<'a> = "citationsContent",
    }
}

object! {
    struct Tool<'a> {
        id: Json<'a> = "toolUseId",
        name: Json<'a> = "name",
        input: Json<'a> = "input",
        content: Json<'a> = "content",
        kind: Text<'a> = "type",
    }
}

object! {
    struct Media<'a> {
        format: Text<'a> = "format",
        source: Source<'a> = "source",
        citations: Json<'a> = "citations",
    }
}

object! {
    struct Source<'a> {
        bytes: Json<'a> = "bytes",
        s3: Location<'a> = "s3Location",
    }
}

object! {
    struct Location<'a> {
        uri: Json<'a> = "uri",
    }
}

object! {
    struct Texts<'a> {
        text: Json<'a> = "text" | "reasoningText",
        signature: Json<'a> = "signature",
        content: Json<'a> = "content",
    }
}

impl Messages {
    /// Writes a block of Converse; `false` if it is none.
    pub(crate) fn converse_block(&mut self, json: Json<'_>) -> bool {
        let Some(block) = shape::<Block<'_>>(json) else { return false };
        if let Some(tool) = block.tool_use.and_then(shape::<Tool<'_>>) {
            self.converse_tool_use(json, &tool);
        } else if let Some(result) = block.tool_result.and_then(shape::<Tool<'_>>) {
            self.begin("tool_call_response");
            self.member("id", result.id);
            self.member("response", result.content);
            self.end();
            self.note_result(result.content);
        } else if let Some((modality, media)) = media_of(&block) {
            self.converse_media(json, modality, media);
        } else if let Some(reasoning) = block.reasoning {
            self.converse_reasoning(json, reasoning);
        } else if block.cache_point.is_some() {
            self.features.insert(Feature::PromptCacheControl);
        } else if let Some(guard) = block.guard {
            self.features.insert(Feature::Guardrails);
            let inner = shape::<Texts<'_>>(guard).and_then(|guard| guard.text).and_then(shape::<Texts<'_>>);
            match inner.and_then(|inner| inner.text) {
                Some(text) => self.text(text),
                None => self.copy(json),
            }
        } else if let Some(cited) = block.cited {
            self.features.insert(Feature::Citations);
            let texts = shape::<Texts<'_>>(cited).and_then(|cited| cited.content).map(elements).unwrap_or_default();
            texts.into_iter().filter_map(|text| shape::<Texts<'_>>(text)?.text).for_each(|text| self.text(text));
        } else {
            return false;
        }
        true
    }

    fn converse_tool_use(&mut self, json: Json<'_>, tool: &Tool<'_>) {
        if tool.kind.as_ref().is_some_and(|kind| kind.0 == "server_tool_use") {
            let named = tool.name.map(|name| name.get().trim_matches('"')).unwrap_or_default();
            crate::decode::parts::hosted(named).into_iter().for_each(|feature| self.features.insert(feature));
            self.begin("server_tool_call");
            self.member("id", tool.id);
            self.member("name", tool.name);
            self.member("server_tool_call", Some(json));
            return self.end();
        }
        self.features.insert(Feature::ToolCalling);
        self.tool_call(tool.id, tool.name, tool.input.map(|input| input.get()));
    }

    fn converse_media(&mut self, json: Json<'_>, modality: &str, media: Json<'_>) {
        self.note_modality(modality);
        let Some(media) = shape::<Media<'_>>(media) else { return self.copy(json) };
        self.features.insert_if(media.citations.is_some_and(|on| on.get().contains("true")), Feature::Citations);
        let source = media.source.unwrap_or_default();
        let (kind, key, value) = match (source.bytes, source.s3.and_then(|location| location.uri)) {
            (Some(bytes), _) => ("blob", "content", bytes),
            (None, Some(uri)) => ("uri", "uri", uri),
            (None, None) => return self.copy(json),
        };
        self.begin(kind);
        self.member_text("modality", modality);
        if let Some(format) = media.format {
            let group = if modality == "document" { "application" } else { modality };
            self.member_text("mime_type", &format!("{group}/{}", format.0));
        }
        self.member(key, Some(value));
        self.end();
    }

    fn converse_reasoning(&mut self, json: Json<'_>, reasoning: Json<'_>) {
        let text = shape::<Texts<'_>>(reasoning).and_then(|reasoning| reasoning.text);
        match text.and_then(shape::<Texts<'_>>) {
            Some(Texts { text: Some(text), signature, .. }) => {
                self.begin("reasoning");
                self.member("content", Some(text));
                self.member("signature", signature);
                self.end();
            }
            // Encrypted: needed to go on, not to be read.
            _ => self.copy(json),
        }
    }
}

fn media_of<'a>(block: &Block<'a>) -> Option<(&'static str, Json<'a>)> {
    let kinds = [("image", block.image), ("video", block.video), ("audio", block.audio), ("document", block.document)];
    kinds.into_iter().find_map(|(modality, media)| Some((modality, media?)))
}
