//! The OpenAPI documents, made from the closed sets of operations and the types themselves.

mod screen;

use serde_json::{Map, Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

pub use screen::screen_openapi;

use crate::{
    AlarmList, ApprovalSubmit, BreakerReset, BreakerView, EventView, Finding, LiabilitiesList,
    LiabilitiesSubmit, LiabilitiesView, Method, OpeningView, Operation, PayoutAccepted, PayoutList,
    PayoutView, Problem, Publication, PublicationList, PublicationSubmit, PublicationView, ResetAccepted,
    SignerList, SignerResume, SignerView, Submit,
};

/// The writer's OpenAPI 3.1 document of version 1.
#[must_use]
pub fn openapi() -> Value {
    let operations = Operation::ALL.iter().map(|one| (one.method(), one.path(), described(*one)));
    document(
        "Kuraban writer",
        "Errors are problem documents (RFC 9457). Amounts are whole base units.",
        operations,
        schemas(),
    )
}

pub(crate) fn document(
    title: &str,
    description: &str,
    operations: impl Iterator<Item = (Method, &'static str, Value)>,
    schemas: Map<String, Value>,
) -> Value {
    let mut paths = Map::new();
    for (method, path, described) in operations {
        let method = match method {
            Method::Get => "get",
            Method::Post => "post",
        };
        let known = paths.entry(path.replace("{*", "{")).or_insert_with(|| json!({}));
        if let Some(known) = known.as_object_mut() {
            known.insert(method.to_owned(), described);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": "1",
            "license": { "name": "Apache-2.0 OR MIT" },
            "description": description,
        },
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

/// A type by name, and what it refers to.
pub(crate) fn add<T: ToSchema + PartialSchema>(into: &mut Vec<(String, RefOr<Schema>)>) {
    into.push((T::name().into_owned(), T::schema()));
    T::schemas(into);
}

pub(crate) fn written(all: Vec<(String, RefOr<Schema>)>) -> Map<String, Value> {
    let value = |schema| serde_json::to_value(schema).unwrap_or(Value::Null);
    all.into_iter().map(|(name, schema)| (name, value(schema))).collect()
}

/// Every type by name, and what they refer to.
fn schemas() -> Map<String, Value> {
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
    add::<LiabilitiesList>(&mut all);
    add::<LiabilitiesSubmit>(&mut all);
    add::<LiabilitiesView>(&mut all);
    add::<Finding>(&mut all);
    add::<Publication>(&mut all);
    add::<PublicationList>(&mut all);
    add::<PublicationSubmit>(&mut all);
    add::<PublicationView>(&mut all);
    add::<AlarmList>(&mut all);
    add::<EventView>(&mut all);
    add::<OpeningView>(&mut all);
    add::<Problem>(&mut all);
    written(all)
}

/// What a successful answer carries.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
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
        Operation::LiabilitiesList => (200, Answer::Json("LiabilitiesList")),
        Operation::LiabilitiesPublish => (201, Answer::Json("LiabilitiesView")),
        Operation::PublicationList => (200, Answer::Json("PublicationList")),
        Operation::PublicationPublish => (201, Answer::Json("PublicationView")),
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
        Operation::LiabilitiesPublish => Some("LiabilitiesSubmit"),
        Operation::PublicationPublish => Some("PublicationSubmit"),
        Operation::PayoutList
        | Operation::PayoutShow
        | Operation::BreakerShow
        | Operation::SignerList
        | Operation::LiabilitiesList
        | Operation::PublicationList
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
        | Operation::LiabilitiesList
        | Operation::LiabilitiesPublish
        | Operation::PublicationList
        | Operation::PublicationPublish
        | Operation::LogCheckpoint
        | Operation::LogTile
        | Operation::LogOpening
        | Operation::Metrics
        | Operation::Health
        | Operation::OpenApi => &[],
    }
}

fn described(operation: Operation) -> Value {
    Described {
        id: operation.id(),
        summary: operation.summary(),
        path: operation.path(),
        answer: answer(operation),
        body: body(operation).map(Answer::Json),
        parameters: parameters(operation),
    }
    .value()
}

/// An operation as the document has it.
pub(crate) struct Described {
    pub(crate) id: &'static str,
    pub(crate) summary: String,
    pub(crate) path: &'static str,
    pub(crate) answer: (u16, Answer),
    pub(crate) body: Option<Answer>,
    /// Beside those in the path: where, name, type, whether required.
    pub(crate) parameters: &'static [(&'static str, &'static str, &'static str, bool)],
}

impl Described {
    pub(crate) fn value(&self) -> Value {
        let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
        let content = |carried: Answer| match carried {
            Answer::Json(name) => json!({ "application/json": { "schema": reference(name) } }),
            Answer::Other(media) => json!({ media: {} }),
        };
        let (status, given) = self.answer;
        let problem = json!({
            "description": "What went wrong, or every broken rule",
            "content": { Problem::MEDIA_TYPE: { "schema": reference("Problem") } },
        });
        let in_path = self.path.split('/').filter_map(|segment| {
            let name = segment.strip_prefix('{')?.strip_suffix('}')?;
            let name = name.trim_start_matches('*');
            Some(json!({ "in": "path", "name": name, "required": true, "schema": { "type": "string" } }))
        });
        let others = self.parameters.iter().map(|(place, name, kind, required)| {
            json!({ "in": place, "name": name, "required": required, "schema": { "type": kind } })
        });
        let mut described = json!({
            "operationId": self.id,
            "summary": self.summary,
            "parameters": in_path.chain(others).collect::<Vec<_>>(),
            "responses": {
                status.to_string(): { "description": "Done", "content": content(given) },
                "default": problem,
            },
        });
        if let (Some(body), Some(fields)) = (self.body, described.as_object_mut()) {
            fields.insert("requestBody".to_owned(), json!({ "required": true, "content": content(body) }));
        }
        described
    }
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
        for name in [
            "Submit",
            "Payout",
            "ApprovalSubmit",
            "BreakerReset",
            "CellName",
            "SignerResume",
            "LiabilitiesSubmit",
            "PublicationSubmit",
            "Finding",
        ] {
            let schema = &document["components"]["schemas"][name];
            assert_eq!(schema["additionalProperties"], Value::Bool(false), "{name}: {schema}");
        }
    }
}
