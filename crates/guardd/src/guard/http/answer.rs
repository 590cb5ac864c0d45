//! Answers: documents, text, and problem documents (RFC 9457) for whatever goes wrong. Decides which status says what.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use kuraban_api::{Problem, ReasonView};
use kuraban_vault::Reason;
use serde::Serialize;

use super::super::{desk::Busy, store::StoreError};

/// Something that is answered by a problem document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure(Box<Problem>);

impl Failure {
    fn new(status: u16, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem::new(status, code, title, detail.into())))
    }

    /// The request is not what the contract says.
    pub(super) fn malformed(code: &str, detail: impl Into<String>) -> Self {
        Self::new(400, code, "The request is malformed", detail)
    }

    /// There is no such thing.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, "not-found", "Not found", detail)
    }

    /// There is no such thing yet, or it was never asked for.
    pub(super) fn unknown(code: &str, detail: impl Into<String>) -> Self {
        Self::new(404, code, "Not found", detail)
    }

    /// It contradicts what is in the log.
    pub(super) fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(409, code, "It contradicts what is in the log", detail)
    }

    /// The body is too large.
    pub(super) fn too_large(max: usize) -> Self {
        let detail = format!("the body has more than {max} bytes");
        Self::new(413, "body-too-large", "The body is too large", detail)
    }

    /// The path takes another method.
    pub(super) fn method_not_allowed() -> Self {
        let detail = "the path does not take this method; see /openapi.json";
        Self::new(405, "method-not-allowed", "Method not allowed", detail)
    }

    /// Not now.
    pub(super) fn unavailable(code: &str, detail: impl Into<String>) -> Self {
        Self::new(503, code, "Try again later", detail)
    }

    /// What names something that the policy does not have.
    pub(super) fn unprocessable(code: &str, detail: impl Into<String>) -> Self {
        Self::new(422, code, "It cannot be done", detail)
    }

    /// The policy refuses.
    pub(super) fn refused(reasons: &[Reason]) -> Self {
        let detail = match reasons.len() {
            1 => "1 rule is broken".to_owned(),
            count => format!("{count} rules are broken"),
        };
        let mut failure = Self::new(422, "refused", "Refused by the policy", detail);
        let view =
            |reason: &Reason| ReasonView { code: reason.code().to_owned(), detail: reason.to_string() };
        failure.0.reasons = reasons.iter().map(view).collect();
        failure
    }

    /// The writer itself has failed; what happened stands in its own journal, not in the answer.
    pub(super) fn internal() -> Self {
        Self::new(500, "internal", "The writer has failed", "see the writer's journal")
    }
}

impl From<Busy> for Failure {
    fn from(busy: Busy) -> Self {
        Self::unavailable("busy", busy.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(problem: StoreError) -> Self {
        tracing::error!(problem = crate::log::told(&problem), "store-failed");
        Self::internal()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = json(self.0.status, self.0.as_ref());
        let media = HeaderValue::from_static(Problem::MEDIA_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, media);
        if self.0.status == 503 {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A JSON document.
pub(super) fn json<T: Serialize>(status: u16, document: &T) -> Response {
    let bytes = match serde_json::to_vec(document) {
        Ok(bytes) => bytes,
        // Types of the contract always serialise; an empty answer is no document, so nobody takes it for one.
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, Body::from(bytes)).into_response()
}

/// Text that changes.
pub(super) fn text(media: &'static str, text: String) -> Response {
    let headers = [(header::CONTENT_TYPE, media), (header::CACHE_CONTROL, "no-cache")];
    (headers, text).into_response()
}

/// Bytes that never change.
pub(super) fn immutable(bytes: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, bytes).into_response()
}
