//! What an S3 store says in the body of an error.

use std::error::Error;

/// Answers that say no, however often one asks.
const REFUSALS: [&str; 10] = [
    "NoSuchBucket",
    "InvalidBucketName",
    "AccessDenied",
    "AllAccessDisabled",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
];

/// `<Error><Code>NoSuchBucket</Code><Message>…`, as a cause that says it once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct Answer {
    code: String,
    message: String,
}

impl Answer {
    /// The answer that `error` is about. The client's own errors have it in their text alone.
    pub(crate) fn behind(error: &dyn Error) -> Option<Self> {
        let text = error.to_string();
        let within = |tag: &str| {
            let (_, rest) = text.split_once(&format!("<{tag}>"))?;
            Some(rest.split_once(&format!("</{tag}>"))?.0.to_owned())
        };
        match within("Code") {
            Some(code) => Some(Self { code, message: within("Message").unwrap_or_default() }),
            None => Self::of_one_key(&text),
        }
    }

    /// Of a request for many keys: `… request failed for key x: Access Denied (code: AccessDenied)`.
    fn of_one_key(text: &str) -> Option<Self> {
        let (message, code) = text.strip_suffix(')')?.rsplit_once(" (code: ")?;
        let (_, message) = message.split_once("request failed for ")?;
        Some(Self { code: code.into(), message: message.into() })
    }

    /// Whether to ask again is of no use.
    pub(crate) fn is_refusal(&self) -> bool {
        REFUSALS.contains(&self.code.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: &str) -> Option<Answer> {
        let text = format!(
            "Error performing list request: 404 Not Found: <?xml version=\"1.0\"?>\n<Error><Code>{code}</Code>\
             <Message>The bucket is not there.</Message><Resource>/x</Resource></Error>"
        );
        Answer::behind(&std::io::Error::other(text))
    }

    #[test]
    fn what_the_store_says_is_found_and_said_once() {
        let absent = answer("NoSuchBucket").unwrap();
        assert_eq!(absent.to_string(), "NoSuchBucket: The bucket is not there.");
        assert!(absent.is_refusal());
        assert!(!answer("SlowDown").unwrap().is_refusal());
        assert_eq!(Answer::behind(&std::io::Error::other("connection refused")), None);
    }

    #[test]
    fn an_answer_about_one_of_many_keys_is_found() {
        let text = "Generic S3 error: DeleteObjects request failed for key a/b: No (really). (code: AccessDenied)";
        let answer = Answer::behind(&std::io::Error::other(text)).unwrap();
        assert_eq!(answer.to_string(), "AccessDenied: key a/b: No (really).");
        assert!(answer.is_refusal());
    }
}
