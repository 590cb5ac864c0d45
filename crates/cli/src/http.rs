//! Plain HTTP/1.1 as a client, with limits on time and size. What is fetched is verified or recomputed by whoever asked
//! for it, so nothing here depends on who answers.

use std::io::Read as _;

use crate::fail::{Failure, OrFail as _};

/// How long one request may take, in seconds.
const WITHIN_S: u64 = 30;

/// A place to send requests to.
#[derive(Debug)]
pub(crate) struct Client {
    base: String,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Requests go to `http://host[:port][/path]`.
    pub(crate) fn new(url: &str) -> Result<Self, Failure> {
        if url.starts_with("https://") {
            return Err(Failure::input(format!(
                "{url}: this version speaks plain HTTP only; put a proxy that ends TLS on this machine before it"
            )));
        }
        let host = url.strip_prefix("http://").filter(|rest| !rest.is_empty() && !rest.starts_with('/'));
        if host.is_none() || url.contains(['?', '#', ' ']) {
            return Err(Failure::input(format!("{url}: want http://host[:port][/path]")));
        }
        Ok(Self { base: url.trim_end_matches('/').to_owned() })
    }

    /// Gets a path, at most `max` bytes of it.
    pub(crate) fn get(&self, path: &str, max: usize) -> Result<Answer, Failure> {
        let url = format!("{}/{path}", self.base);
        send(&url, minreq::get(&url), max)
    }

    /// Posts JSON to a path; reads at most `max` bytes of the answer.
    pub(crate) fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        json: String,
        max: usize,
    ) -> Result<Answer, Failure> {
        let url = format!("{}/{path}", self.base);
        let request = minreq::post(&url).with_header("content-type", "application/json").with_body(json);
        send(&url, request.with_headers(headers.iter().copied()), max)
    }
}

fn send(url: &str, request: minreq::Request, max: usize) -> Result<Answer, Failure> {
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let request = request.with_timeout(WITHIN_S).with_follow_redirects(false);
    let answer = request.send_lazy().or_undone(url)?;
    let status = answer.status_code;
    let mut body = Vec::new();
    answer.take(limit).read_to_end(&mut body).or_undone(url)?;
    if body.len() > max {
        return Err(Failure::undone(format!("{url}: the answer is longer than {max} bytes")));
    }
    Ok(Answer { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_is_spoken() {
        let check = |url: &str, want: bool| assert_eq!(Client::new(url).is_ok(), want, "{url}");
        check("http://127.0.0.1:8080", true);
        check("http://guard.example/log/", true);
        check("https://guard.example", false);
        check("http://", false);
        check("http:///log", false);
        check("guard.example", false);
        check("http://guard.example/?a", false);
    }
}
