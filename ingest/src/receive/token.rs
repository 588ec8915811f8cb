//! Who may send: bearer tokens, compared in constant time, never shown.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::error::Error;

/// A shorter token can be guessed over a network.
const TOKEN_BYTES_MIN: usize = 16;

/// The tokens that are accepted, as digests: neither a dump nor a log can show one.
#[derive(Clone, Default)]
pub struct Tokens {
    digests: Vec<[u8; 32]>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.digests.len())
    }
}

impl Tokens {
    /// Tokens from text: one per line or separated by commas; `#` starts a comment line. `origin` says where it is from.
    ///
    /// # Errors
    /// [`Error::Token`] when there is none, or one that cannot be a token.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Error> {
        let refused = |number: usize, reason| Error::Token { origin: origin.to_owned(), number, reason };
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let tokens = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|token| !token.is_empty());
        let mut digests = Vec::new();
        for (index, token) in tokens.enumerate() {
            if token.len() < TOKEN_BYTES_MIN {
                return Err(refused(index + 1, "is shorter than 16 characters"));
            }
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(refused(index + 1, "has characters that a header cannot carry"));
            }
            digests.push(digest(token.as_bytes()));
        }
        if digests.is_empty() {
            return Err(refused(1, "is missing"));
        }
        Ok(Self { digests })
    }

    /// Accepts `other` as well.
    pub fn extend(&mut self, other: Self) {
        self.digests.extend(other.digests);
    }

    /// Whether everyone who can connect may send.
    pub const fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// Whether an `authorization` header carries one of the tokens.
    pub(super) fn accept(&self, authorization: Option<&[u8]>) -> bool {
        if self.is_empty() {
            return true;
        }
        let given = authorization.and_then(bearer).unwrap_or_default();
        let given = digest(given);
        // Every token is compared, so time tells neither which one was close nor which one it was.
        let found = self.digests.iter().fold(Choice::from(0), |found, token| found | token.ct_eq(&given));
        found.into()
    }
}

/// The token of `Bearer <token>`; the scheme's case does not count (RFC 9110, section 11.1).
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "one-token-of-length";
    const TWO: &str = "another-token-here";

    #[test]
    fn any_of_several_tokens_is_accepted_and_nothing_else() {
        let tokens = Tokens::parse(&format!("# team a\n{ONE}\n\n  {TWO}  \n"), "file").unwrap();
        for token in [ONE, TWO] {
            assert!(tokens.accept(Some(format!("Bearer {token}").as_bytes())));
            assert!(tokens.accept(Some(format!("bEARER   {token} ").as_bytes())));
            assert!(!tokens.accept(Some(format!("Basic {token}").as_bytes())));
            assert!(!tokens.accept(Some(token.as_bytes())));
        }
        for header in ["", "Bearer", "Bearer ", "Bearer one-token-of-lengtH", "Bearer one-token-of-length2"] {
            assert!(!tokens.accept(Some(header.as_bytes())), "{header}");
        }
        assert!(!tokens.accept(None));
        assert!(Tokens::default().accept(None), "without tokens everyone may send");
    }

    #[test]
    fn tokens_that_cannot_be_are_refused_without_being_shown() {
        let error = |text: &str| Tokens::parse(text, "tokens.txt").unwrap_err().to_string();
        assert_eq!(error(" \n# none\n"), "token 1 in tokens.txt is missing");
        assert_eq!(error(&format!("{ONE},fifteen-letters")), "token 2 in tokens.txt is shorter than 16 characters");
        assert!(Tokens::parse("sixteen-letters-", "x").is_ok());
        let spaced = error("a token with spaces in it");
        assert!(spaced.contains("cannot carry") && !spaced.contains("spaces in it"), "{spaced}");
    }

    #[test]
    fn tokens_are_never_shown() {
        let tokens = Tokens::parse(ONE, "env").unwrap();
        assert_eq!(format!("{tokens:?}"), "1 tokens");
    }
}
