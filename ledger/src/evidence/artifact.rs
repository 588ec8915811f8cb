//! Artifacts: what a company made with a vendor beside its calls. A row of `evidence` says what one is and where it is kept.

use serde::{Deserialize, Serialize};

use super::{Evidence, EvidenceKind};
use crate::Date;
use crate::words::words;

words! {
    /// What an artifact is.
    ArtifactKind {
        /// Examples a model was or will be tuned on.
        FineTuningSet = "fine_tuning_set",
        /// A model's weights, or an adapter's.
        Weights = "weights",
        /// Cases with what is expected.
        EvalSuite = "eval_suite",
        /// Vectors.
        Embeddings = "embeddings",
        /// A prompt with its variables.
        PromptTemplate = "prompt_template",
    }
}

impl ArtifactKind {
    /// Reads the word.
    ///
    /// # Errors
    /// The words there are.
    pub fn parse(word: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|kind| kind.as_str() == word);
        let words = || Self::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| format!("`{word}` is none of {}", words()))
    }
}

/// What `details` of an artifact has; its name and SHA-256 have columns of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactDetails {
    /// The word of an [`ArtifactKind`].
    pub kind: String,
    /// Its length.
    pub bytes: u64,
    /// Where it is kept: a path or a URL.
    pub place: String,
    /// The format whose header it has, if it is one that is checked.
    pub format: Option<String>,
    /// What that header says it holds.
    pub holds: Option<String>,
}

impl ArtifactDetails {
    /// Reads `details` of a row.
    ///
    /// # Errors
    /// What is missing or of no kind.
    pub fn parse(details: &str) -> Result<Self, String> {
        let read: Self = serde_json::from_str(details).map_err(|error| error.to_string())?;
        ArtifactKind::parse(&read.kind)?;
        Ok(read)
    }

    /// The fact that a file with this SHA-256, called `name`, is kept.
    pub fn evidence(&self, name: String, sha256: String, date: Date) -> Evidence {
        Evidence {
            artifact: Some(name),
            artifact_sha256: Some(sha256),
            // A struct of text and numbers is JSON.
            details: serde_json::to_string(self).ok(),
            ..Evidence::new(EvidenceKind::Artifact, date)
        }
    }
}

/// Why nobody could find an artifact by this row.
pub(super) fn fault(fact: &Evidence) -> Option<String> {
    let told = fact.artifact.as_ref().and(fact.artifact_sha256.as_ref()).and(fact.details.as_deref());
    let reason = match told.map(ArtifactDetails::parse) {
        Some(Ok(_)) => return None,
        Some(Err(reason)) => format!("its details: {reason}"),
        None => "it has no name, no SHA-256 or no details".into(),
    };
    Some(format!("no artifact ({reason}); `daybook artifacts add` records one"))
}
