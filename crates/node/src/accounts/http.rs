//! HTTP to a node of a chain of accounts. Decides whether an answer came in time and within its limit; never what it means.

use std::{io::Read as _, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

use super::AnswerError;

/// Largest answer that is read.
pub const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// Longest text of a node's error that is kept.
const ERROR_CHARS_MAX: usize = 200;

/// A node that is asked. Holds no connection.
#[derive(Clone, Debug)]
pub struct Http {
    url: String,
    within_s: u64,
}

impl Http {
    /// A node at `host:port` or `http://host[:port][/path]`.
    pub(super) fn new(place: &str, within: Duration) -> Result<Self, AnswerError> {
        let wrong = |problem| AnswerError::Place { place: place.to_owned(), problem };
        if place.starts_with("https://") {
            return Err(wrong(
                "only plain HTTP is spoken: put a proxy that ends TLS on this machine before it",
            ));
        }
        let rest = place.strip_prefix("http://").unwrap_or(place).trim_end_matches('/');
        if rest.is_empty()
            || rest.starts_with('/')
            || rest.contains(['?', '#', ' ', '@'])
            || rest.contains("//")
        {
            return Err(wrong("want host:port or http://host[:port][/path]"));
        }
        let within_s = within.as_secs().saturating_add(u64::from(within.subsec_nanos() > 0)).max(1);
        Ok(Self { url: format!("http://{rest}"), within_s })
    }

    /// Posts JSON to a path under the node's place.
    pub(super) fn post(&self, what: &'static str, path: &str, json: &Value) -> Result<Answer, AnswerError> {
        let url = format!("{}/{path}", self.url);
        let request = minreq::post(&url).with_header("Content-Type", "application/json");
        self.send(what, url, request.with_body(json.to_string()))
    }

    /// Gets a path under the node's place.
    pub(super) fn get(&self, what: &'static str, path: &str) -> Result<Answer, AnswerError> {
        let url = format!("{}/{path}", self.url);
        let request = minreq::get(&url);
        self.send(what, url, request)
    }

    fn send(&self, what: &'static str, url: String, request: minreq::Request) -> Result<Answer, AnswerError> {
        let unreachable = |source| AnswerError::Unreachable { what, url: url.clone(), source };
        let request = request.with_timeout(self.within_s).with_follow_redirects(false);
        let answer = request.send_lazy().map_err(unreachable)?;
        let status = answer.status_code;
        let mut bytes = Vec::new();
        let read = answer.take(ANSWER_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| unreachable(minreq::Error::IoError(error)))?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > ANSWER_BYTES_MAX) {
            return Err(AnswerError::Large { what });
        }
        Ok(Answer { what, status, bytes })
    }

    /// Calls a method of JSON-RPC 2.0; the result as it was written.
    pub(super) fn call(&self, method: &'static str, params: &Value) -> Result<Box<RawValue>, AnswerError> {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(borrow, default)]
            result: Option<&'a RawValue>,
            #[serde(default)]
            error: Option<Failure>,
            id: u64,
        }
        #[derive(Deserialize)]
        struct Failure {
            message: String,
        }
        let ask = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = self.post(method, "", &ask)?;
        let form = AnswerError::Form { what: method, want: "a JSON-RPC answer to this call" };
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(&answer.bytes) else { return Err(form) };
        match envelope {
            Envelope { error: Some(Failure { message }), .. } => Err(said(method, &message)),
            Envelope { id: 1, result, .. } => {
                let null = || serde_json::value::to_raw_value(&Value::Null).map_err(|_| form);
                result.map_or_else(null, |result| Ok(result.to_owned()))
            }
            Envelope { .. } => Err(form),
        }
    }
}

/// An answer, not yet read.
pub(super) struct Answer {
    what: &'static str,
    pub(super) status: u16,
    pub(super) bytes: Vec<u8>,
}

impl Answer {
    /// It, if it is of the form wanted.
    pub(super) fn parse<T: DeserializeOwned>(&self, want: &'static str) -> Result<T, AnswerError> {
        serde_json::from_slice(&self.bytes).map_err(|_| AnswerError::Form { what: self.what, want })
    }
}

/// The node's own words, cut.
pub(super) fn said(what: &'static str, message: &str) -> AnswerError {
    let message = message.chars().take(ERROR_CHARS_MAX);
    AnswerError::Said { what, message: message.map(|c| if c.is_control() { ' ' } else { c }).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_is_spoken() {
        let check = |place: &str, want: Option<&str>| {
            let found = Http::new(place, Duration::from_millis(1));
            assert_eq!(found.ok().map(|http| http.url).as_deref(), want, "{place}");
        };
        check("127.0.0.1:8545", Some("http://127.0.0.1:8545"));
        check("http://127.0.0.1:8545/", Some("http://127.0.0.1:8545"));
        check("http://node.example/key/1", Some("http://node.example/key/1"));
        check("https://node.example", None);
        check("http://", None);
        check("", None);
        check("ws://node.example", None);
        check("user:password@node.example", None);
        check("node.example/?a", None);
    }
}
