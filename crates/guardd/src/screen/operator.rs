//! What the operator alone may ask, on an address of its own: the appeals.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::Deserialize;

use super::appeals::Appeals;
use crate::{http::Bound, log};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    after: u64,
}

/// Answers for ever.
pub(super) fn serve(bound: Bound, appeals: Arc<Appeals>) {
    let router = Router::new().route("/v1/appeals", get(list)).with_state(appeals);
    let Err(problem) = bound.serve(router, 1);
    tracing::error!(problem = log::told(&problem), "http-ended");
}

async fn list(State(appeals): State<Arc<Appeals>>, Query(page): Query<Page>) -> Response {
    let body = serde_json::to_vec(&appeals.list(page.after)).unwrap_or_default();
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
