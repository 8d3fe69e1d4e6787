//! Every code that an answer can carry, with its status. Code strings never change.

use axum::http::StatusCode;

macro_rules! error_codes {
    ($($variant:ident $code:literal $status:ident $title:literal;)*) => {
        /// A stable code. Clients match on its text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $code, "`: ", $title, ".")] $variant,)*
        }

        impl ErrorCode {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The status of answers with this code.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// A short sentence for people: the problem's `title`.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

error_codes! {
    ValidationFailed "validation_failed" BAD_REQUEST "the request is not acceptable as it is";
    TokenInvalid "token_invalid" BAD_REQUEST "this link is not valid or has been used";
    OauthStateInvalid "oauth_state_invalid" BAD_REQUEST
        "this sign-in was not begun in this browser, or was used, or took too long: begin again";
    Unauthenticated "unauthenticated" UNAUTHORIZED "sign in first";
    TokenExpired "token_expired" UNAUTHORIZED "the access token has expired, refresh it";
    InvalidCredentials "invalid_credentials" UNAUTHORIZED "address or password is wrong";
    OauthFailed "oauth_failed" UNAUTHORIZED "what the provider says does not prove who this is";
    Forbidden "forbidden" FORBIDDEN "this is not yours to do";
    AccountLocked "account_locked" FORBIDDEN "this account is locked";
    OauthDenied "oauth_denied" FORBIDDEN "the sign-in was not allowed at the provider";
    EmailNotVerified "email_not_verified" FORBIDDEN
        "the provider does not say that the address is yours";
    Banned "banned" FORBIDDEN "the organiser keeps this person out";
    RemovedByOrganizer "removed_by_organizer" FORBIDDEN "the organiser removed this person";
    NotFound "not_found" NOT_FOUND "there is nothing here";
    EventNotFound "event_not_found" NOT_FOUND "there is no such event";
    NotJoined "not_joined" NOT_FOUND "this person never joined the event";
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED "this method is not possible here";
    RequestTimeout "request_timeout" REQUEST_TIMEOUT "the request came too slowly";
    EmailAlreadyExists "email_already_exists" CONFLICT "an account with this address exists";
    OauthAlreadyLinked "oauth_already_linked" CONFLICT
        "this sign-in belongs to another account, or the account has another one there";
    EventNotPublished "event_not_published" CONFLICT "the event is not published";
    NotOpenYet "not_open_yet" CONFLICT "joining is not open yet";
    IsOrganizer "is_organizer" CONFLICT "not possible with the organiser of the event";
    EventFull "event_full" CONFLICT "no place is left, and no room in the line";
    AlreadyCheckedIn "already_checked_in" CONFLICT "this person has come through the door before";
    InvalidState "invalid_state" CONFLICT "the present state does not allow this";
    EventCanceled "event_canceled" GONE "the event was called off";
    EventEnded "event_ended" GONE "the event is over";
    VersionConflict "version_conflict" PRECONDITION_FAILED "the event has changed meanwhile";
    PayloadTooLarge "payload_too_large" PAYLOAD_TOO_LARGE "the body is larger than allowed";
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE
        "this kind of body is not understood";
    IdempotencyKeyMismatch "idempotency_key_mismatch" UNPROCESSABLE_ENTITY
        "this idempotency key was used with another body";
    RateLimited "rate_limited" TOO_MANY_REQUESTS "too many requests, try again later";
    InternalError "internal_error" INTERNAL_SERVER_ERROR "something went wrong on our side";
    Unavailable "unavailable" SERVICE_UNAVAILABLE "not available right now, try again";
    UpstreamTimeout "upstream_timeout" GATEWAY_TIMEOUT "the answer did not come in time";
}

impl ErrorCode {
    /// The code of a text, if there is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_read_back() {
        let unique: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(unique.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(*code));
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }
}
