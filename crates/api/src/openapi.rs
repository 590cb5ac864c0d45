//! The OpenAPI document, made from the closed set of operations and the types themselves.

use serde_json::{Map, Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::{
    AlarmList, ApprovalSubmit, BreakerReset, BreakerView, EventView, Method, OpeningView, Operation,
    PayoutAccepted, PayoutList, PayoutView, Problem, ResetAccepted, SignerList, SignerResume, SignerView,
    Submit,
};

/// The OpenAPI 3.1 document of version 1.
#[must_use]
pub fn openapi() -> Value {
    let mut paths = Map::new();
    for operation in Operation::ALL {
        let path = operation.path().replace("{*", "{");
        let method = match operation.method() {
            Method::Get => "get",
            Method::Post => "post",
        };
        if let Some(known) = paths.entry(path).or_insert_with(|| json!({})).as_object_mut() {
            known.insert(method.to_owned(), described(*operation));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Kuraban writer",
            "version": "1",
            "license": { "name": "Apache-2.0 OR MIT" },
            "description": "Errors are problem documents (RFC 9457). Amounts are whole base units.",
        },
        "paths": paths,
        "components": { "schemas": schemas() },
    })
}

/// Every type by name, and what they refer to.
fn schemas() -> Map<String, Value> {
    fn add<T: ToSchema + PartialSchema>(into: &mut Vec<(String, RefOr<Schema>)>) {
        into.push((T::name().into_owned(), T::schema()));
        T::schemas(into);
    }
    let mut all = Vec::new();
    add::<Submit>(&mut all);
    add::<ApprovalSubmit>(&mut all);
    add::<PayoutAccepted>(&mut all);
    add::<PayoutView>(&mut all);
    add::<PayoutList>(&mut all);
    add::<BreakerView>(&mut all);
    add::<BreakerReset>(&mut all);
    add::<ResetAccepted>(&mut all);
    add::<SignerList>(&mut all);
    add::<SignerResume>(&mut all);
    add::<SignerView>(&mut all);
    add::<AlarmList>(&mut all);
    add::<EventView>(&mut all);
    add::<OpeningView>(&mut all);
    add::<Problem>(&mut all);
    let value = |schema| serde_json::to_value(schema).unwrap_or(Value::Null);
    all.into_iter().map(|(name, schema)| (name, value(schema))).collect()
}

/// What a successful answer carries.
enum Answer {
    /// A JSON document of this type.
    Json(&'static str),
    /// Something else, by media type.
    Other(&'static str),
}

fn answer(operation: Operation) -> (u16, Answer) {
    match operation {
        Operation::PayoutRequest => (201, Answer::Json("PayoutAccepted")),
        Operation::PayoutApprove => (201, Answer::Json("PayoutAccepted")),
        Operation::PayoutList => (200, Answer::Json("PayoutList")),
        Operation::PayoutShow => (200, Answer::Json("PayoutView")),
        Operation::BreakerShow => (200, Answer::Json("BreakerView")),
        Operation::BreakerReset => (201, Answer::Json("ResetAccepted")),
        Operation::SignerList => (200, Answer::Json("SignerList")),
        Operation::SignerResume => (201, Answer::Json("SignerView")),
        Operation::AlarmList => (200, Answer::Json("AlarmList")),
        Operation::LogOpening => (200, Answer::Json("OpeningView")),
        Operation::Events => (200, Answer::Other("text/event-stream")),
        Operation::LogCheckpoint | Operation::Metrics | Operation::Health => {
            (200, Answer::Other("text/plain"))
        }
        Operation::LogTile => (200, Answer::Other("application/octet-stream")),
        Operation::OpenApi => (200, Answer::Other("application/json")),
    }
}

fn body(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::PayoutRequest => Some("Submit"),
        Operation::PayoutApprove => Some("ApprovalSubmit"),
        Operation::BreakerReset => Some("BreakerReset"),
        Operation::SignerResume => Some("SignerResume"),
        Operation::PayoutList
        | Operation::PayoutShow
        | Operation::BreakerShow
        | Operation::SignerList
        | Operation::AlarmList
        | Operation::Events
        | Operation::LogCheckpoint
        | Operation::LogTile
        | Operation::LogOpening
        | Operation::Metrics
        | Operation::Health
        | Operation::OpenApi => None,
    }
}

/// Parameters beside those in the path: where, name, type, whether required.
fn parameters(operation: Operation) -> &'static [(&'static str, &'static str, &'static str, bool)] {
    match operation {
        Operation::PayoutRequest => &[("header", "Idempotency-Key", "string", true)],
        Operation::PayoutList => &[("query", "after", "string", false), ("query", "limit", "integer", false)],
        Operation::AlarmList => &[("query", "from", "integer", false), ("query", "limit", "integer", false)],
        Operation::Events => {
            &[("query", "from", "integer", false), ("header", "Last-Event-ID", "integer", false)]
        }
        Operation::PayoutShow
        | Operation::PayoutApprove
        | Operation::BreakerShow
        | Operation::BreakerReset
        | Operation::SignerList
        | Operation::SignerResume
        | Operation::LogCheckpoint
        | Operation::LogTile
        | Operation::LogOpening
        | Operation::Metrics
        | Operation::Health
        | Operation::OpenApi => &[],
    }
}

fn described(operation: Operation) -> Value {
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let (status, given) = answer(operation);
    let content = match given {
        Answer::Json(name) => json!({ "application/json": { "schema": reference(name) } }),
        Answer::Other(media) => json!({ media: {} }),
    };
    let problem = json!({
        "description": "What went wrong, or every broken rule",
        "content": { Problem::MEDIA_TYPE: { "schema": reference("Problem") } },
    });
    let in_path = operation.path().split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        let name = name.trim_start_matches('*');
        Some(json!({ "in": "path", "name": name, "required": true, "schema": { "type": "string" } }))
    });
    let others = parameters(operation).iter().map(|(place, name, kind, required)| {
        json!({ "in": place, "name": name, "required": required, "schema": { "type": kind } })
    });
    let mut described = json!({
        "operationId": operation.id(),
        "summary": operation.summary(),
        "parameters": in_path.chain(others).collect::<Vec<_>>(),
        "responses": {
            status.to_string(): { "description": "Done", "content": content },
            "default": problem,
        },
    });
    if let (Some(name), Some(fields)) = (body(operation), described.as_object_mut()) {
        let content = json!({ "application/json": { "schema": reference(name) } });
        fields.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                into.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|field| references(field, into));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, into)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let document = openapi();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20, "{found:?}");
        for reference in found {
            let at = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(at).is_some_and(Value::is_object), "{reference}");
        }
    }

    #[test]
    fn every_operation_stands_in_the_document_once() {
        let document = openapi();
        let paths = document["paths"].as_object().unwrap();
        let count: usize = paths.values().map(|methods| methods.as_object().unwrap().len()).sum();
        assert_eq!(count, Operation::ALL.len());
        let ids: std::collections::BTreeSet<_> = Operation::ALL.iter().map(|one| one.id()).collect();
        assert_eq!(ids.len(), Operation::ALL.len());
        assert_eq!(document["paths"]["/log/tile/{path}"]["get"]["parameters"][0]["name"], "path");
    }

    #[test]
    fn what_is_asked_for_refuses_unknown_fields_in_the_document_too() {
        let document = openapi();
        for name in ["Submit", "Payout", "ApprovalSubmit", "BreakerReset", "CellName", "SignerResume"] {
            let schema = &document["components"]["schemas"][name];
            assert_eq!(schema["additionalProperties"], Value::Bool(false), "{name}: {schema}");
        }
    }
}
