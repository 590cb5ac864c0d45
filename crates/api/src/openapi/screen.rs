//! The screening service's document.

use serde_json::Value;

use super::{Answer, Described, add, document, written};
use crate::{
    AppealSubmit, AppealView, Bucket, ManyScreened, PrivateTerms, Problem, RowView, ScreenMany,
    ScreenOperation as Operation, Screened,
};

/// The screening service's OpenAPI 3.1 document of version 1.
#[must_use]
pub fn screen_openapi() -> Value {
    let operations = Operation::ALL.iter().map(|one| (one.method(), one.path(), described(*one).value()));
    let mut all = Vec::new();
    add::<ScreenMany>(&mut all);
    add::<Screened<'_>>(&mut all);
    add::<ManyScreened<'_>>(&mut all);
    add::<RowView<'_>>(&mut all);
    add::<PrivateTerms<'_>>(&mut all);
    add::<Bucket<'_>>(&mut all);
    add::<AppealSubmit>(&mut all);
    add::<AppealView>(&mut all);
    add::<Problem>(&mut all);
    document(
        "Kuraban screening",
        "A clean address is answered 200 without hits. Errors are problem documents (RFC 9457). Amounts are whole base units.",
        operations,
        written(all),
    )
}

fn described(operation: Operation) -> Described {
    Described {
        id: operation.id(),
        summary: operation.summary(),
        path: operation.path(),
        answer: (if operation == Operation::Appeal { 201 } else { 200 }, answer(operation)),
        body: body(operation),
        parameters: &[],
    }
}

fn answer(operation: Operation) -> Answer {
    match operation {
        Operation::One => Answer::Json("Screened"),
        Operation::Many => Answer::Json("ManyScreened"),
        Operation::Stream => Answer::Other("application/x-ndjson"),
        Operation::Appeal => Answer::Json("AppealView"),
        Operation::Private => Answer::Json("PrivateTerms"),
        Operation::Bucket => Answer::Json("Bucket"),
        Operation::Filter | Operation::FeedTile => Answer::Other("application/octet-stream"),
        Operation::FeedCheckpoint | Operation::Metrics | Operation::Health => Answer::Other("text/plain"),
        Operation::OpenApi => Answer::Other("application/json"),
    }
}

fn body(operation: Operation) -> Option<Answer> {
    match operation {
        Operation::Many => Some(Answer::Json("ScreenMany")),
        Operation::Appeal => Some(Answer::Json("AppealSubmit")),
        Operation::Stream => Some(Answer::Other("application/x-ndjson")),
        Operation::One
        | Operation::Private
        | Operation::Bucket
        | Operation::Filter
        | Operation::FeedCheckpoint
        | Operation::FeedTile
        | Operation::Metrics
        | Operation::Health
        | Operation::OpenApi => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_to_a_schema() {
        let document = screen_openapi();
        let text = document.to_string();
        let references: Vec<&str> =
            text.split("\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(references.len() > 15, "{references:?}");
        for reference in references {
            assert!(document.pointer(reference).is_some_and(Value::is_object), "{reference}");
        }
    }

    #[test]
    fn every_operation_stands_in_the_document_once() {
        let document = screen_openapi();
        let paths = document["paths"].as_object().unwrap();
        let count: usize = paths.values().map(|methods| methods.as_object().unwrap().len()).sum();
        assert_eq!(count, Operation::ALL.len());
    }

    #[test]
    fn a_hit_shows_its_taint_among_its_own_fields() {
        let document = screen_openapi();
        let hit = document["components"]["schemas"]["HitView"].to_string();
        assert!(hit.contains("TaintView"), "{hit}");
    }
}
