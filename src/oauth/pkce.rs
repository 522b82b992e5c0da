//! Proof Key for Code Exchange, [RFC 7636](https://www.rfc-editor.org/rfc/rfc7636).

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use sha2::{Digest, Sha256};

use crate::text::{base64, base64url};

/// The secret that only the one who began a sign-in can show when the code is exchanged.
///
/// RFC 7636 §7: it never appears in a URL or a log. Not `Clone`: it is used once.
pub struct CodeVerifier(String);

impl CodeVerifier {
    /// A fresh verifier from 32 random octets: 43 characters (RFC 7636 §4.1).
    pub fn from_octets(octets: &[u8; 32]) -> Self {
        CodeVerifier(base64url(octets))
    }

    /// The verifier that belongs to an invitation token.
    ///
    /// DIFFERENCE: JHE derives it from the token that stands in the link; RFC 7636 §4.1 wants it random.
    pub(crate) fn from_invitation(token: &[u8; 32]) -> Self {
        CodeVerifier(base64(token))
    }

    /// A verifier that comes back from storage after the redirect.
    pub(crate) fn restored(text: String) -> Self {
        CodeVerifier(text)
    }

    /// The `S256` challenge (RFC 7636 §4.2). `plain` does not exist here: SMART forbids it.
    pub fn challenge(&self) -> CodeChallenge {
        CodeChallenge(s256(&self.0))
    }

    /// The verifier's text. It belongs into the token request, and until then into this tab's storage.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeVerifier(..)")
    }
}

/// What the authorization request shows of a [`CodeVerifier`].
#[derive(Debug, PartialEq, Eq)]
pub struct CodeChallenge(String);

impl CodeChallenge {
    /// The value of `code_challenge`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A nonce that goes with the challenge (OpenID Connect Core §15.5.2: the hash of a random value that only this tab
    /// knows): so none has to be kept. An identity token with it is of the request that had this challenge, and of no other.
    pub fn nonce(&self) -> String {
        s256(&self.0)
    }
}

fn s256(text: &str) -> String {
    base64url(&Sha256::digest(text.as_bytes()).into())
}

/// The unguessable value that ties an answer to the request that this tab sent (RFC 6749 §10.12). SMART asks for at
/// least 122 bits; this has 256.
#[derive(PartialEq, Eq)]
pub struct State(String);

impl State {
    /// A fresh state from 32 random octets.
    pub fn from_octets(octets: &[u8; 32]) -> Self {
        State(base64url(octets))
    }

    /// A state that comes back from storage, or one that a caller chose.
    pub(crate) fn restored(text: &str) -> Self {
        State(text.to_owned())
    }

    /// The value of the parameter `state`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State(..)")
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn s256_matches_rfc7636_appendix_b() {
        let octets = [
            116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212,
            37, 77, 105, 214, 191, 240, 91, 88, 5, 88, 83, 132, 141, 121,
        ];
        let verifier = CodeVerifier::from_octets(&octets);
        assert_eq!(
            verifier.secret(),
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        );
        assert_eq!(
            verifier.challenge().as_str(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn the_verifier_of_an_invitation_is_its_token_in_base64_without_padding() {
        let verifier = CodeVerifier::from_invitation(b"0wYuXvhoyRfko9yFYl9inpBiNkHLVBMy");
        assert_eq!(
            verifier.secret(),
            "MHdZdVh2aG95UmZrbzl5RllsOWlucEJpTmtITFZCTXk"
        );
    }

    #[test]
    fn debug_shows_neither_verifier_nor_state() {
        assert_eq!(
            format!("{:?}", CodeVerifier::from_octets(&[7; 32])),
            "CodeVerifier(..)"
        );
        assert_eq!(format!("{:?}", State::from_octets(&[7; 32])), "State(..)");
    }
}
