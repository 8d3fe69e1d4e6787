//! What an ID token proves (OpenID Connect Core, 3.1.3.7).

use cityevents_domain::time::Timestamp;
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJwsSigningAlgorithm};
use openidconnect::{
    ClaimsVerificationError, ClientId, EndUserName, LocalizedClaim, Nonce,
    SignatureVerificationError,
};

use super::flow::LIFE_MS;
use super::links::Person;
use crate::identity::person_name;

/// Signatures that the provider alone can make. Those by the client's secret are not among them, nor
/// is none at all, whatever the provider says that it uses.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];
/// Longest subject (OpenID Connect Core, 2).
const SUBJECT_BYTES_MAX: usize = 255;

/// Why a token proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The provider has no such key, as far as is known.
    UnknownKey,
    /// What is wrong, without what it says.
    Wrong(&'static str),
}

/// The algorithms of a provider that count.
pub(super) fn algorithms(
    said: &[CoreJwsSigningAlgorithm],
) -> impl Iterator<Item = CoreJwsSigningAlgorithm> {
    said.iter().filter(|algorithm| ALGORITHMS.contains(algorithm)).cloned()
}

/// Who a token is about, if it proves it to this client, for this sign-in, now.
pub(super) fn verified(
    token: &CoreIdToken,
    verifier: &CoreIdTokenVerifier<'_>,
    client: &ClientId,
    nonce: &Nonce,
    now: Timestamp,
) -> Result<Person, Refusal> {
    let claims = token.claims(verifier, nonce).map_err(|error| refusal(&error))?;
    // It was made just now, for this sign-in.
    let age_ms = now.as_millis().saturating_sub(claims.issue_time().timestamp_millis());
    if !(-LIFE_MS..LIFE_MS).contains(&age_ms) {
        return Err(Refusal::Wrong("it was issued at another time"));
    }
    if claims.authorized_party().is_some_and(|party| party != client) {
        return Err(Refusal::Wrong("it was issued to another client"));
    }
    let subject = claims.subject().as_str();
    if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX {
        return Err(Refusal::Wrong("its subject is none"));
    }
    Ok(Person {
        subject: subject.to_owned(),
        email: claims.email().map(|email| email.to_string()),
        email_verified: claims.email_verified() == Some(true),
        name: name(claims.name()),
    })
}

/// A name, if it can be shown.
pub(super) fn name(said: Option<&LocalizedClaim<EndUserName>>) -> Option<String> {
    let said = said?;
    let name = said.get(None).or_else(|| said.iter().next().map(|(_, name)| name))?;
    person_name(name).ok().flatten()
}

fn refusal(error: &ClaimsVerificationError) -> Refusal {
    use ClaimsVerificationError as Claims;
    use SignatureVerificationError as Signature;
    Refusal::Wrong(match error {
        Claims::SignatureVerification(Signature::NoMatchingKey) => return Refusal::UnknownKey,
        Claims::SignatureVerification(Signature::NoSignature) => "it is not signed",
        Claims::SignatureVerification(
            Signature::DisallowedAlg(_) | Signature::UnsupportedAlg(_),
        ) => "it is signed in a way that proves nothing",
        Claims::SignatureVerification(_) => "its signature is wrong",
        Claims::Expired(_) => "it has expired",
        Claims::InvalidAudience(_) => "it is for somebody else",
        Claims::InvalidIssuer(_) => "it is of another issuer",
        Claims::InvalidNonce(_) => "it is of another sign-in",
        _ => "it makes no sense",
    })
}
