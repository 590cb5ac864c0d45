//! An upstream over HTTP, bounded in time and size. Whoever serves is not trusted: what comes is verified by who asked.

use std::io::Read as _;

use kuraban_proof::Resource;

/// How long one answer may take, in seconds.
const WITHIN_S: u64 = 20;
/// Longest checkpoint, in bytes.
const CHECKPOINT_BYTES_MAX: u64 = 64 * 1024;
/// Longest bundle, in bytes: 256 entries of 65,535 and their lengths.
const RESOURCE_BYTES_MAX: u64 = 256 * (65_535 + 2);

/// Why nothing came.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It does not answer.
    #[error("{url} does not answer")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// Why.
        #[source]
        source: minreq::Error,
    },
    /// It answers otherwise.
    #[error("{url} answered {status}, want 200")]
    Status {
        /// What was asked for.
        url: String,
        /// What came.
        status: u16,
    },
    /// More than there can be.
    #[error("{url} sent more than {max} bytes")]
    Long {
        /// What was asked for.
        url: String,
        /// The limit.
        max: u64,
    },
}

/// A checkpoint, unless it is the one that is known.
pub(super) enum Fetched {
    /// As before.
    Same,
    /// Another one, and its entity tag.
    New { bytes: Vec<u8>, tag: Option<String> },
}

/// Where a feed is read.
pub(super) struct Upstream {
    base: String,
    tag: Option<String>,
}

impl Upstream {
    pub(super) fn new(url: &str) -> Self {
        Self { base: url.trim_end_matches('/').to_owned(), tag: None }
    }

    /// What was taken up bears this entity tag.
    pub(super) fn remember(&mut self, tag: Option<String>) {
        self.tag = tag;
    }

    pub(super) fn checkpoint(&self) -> Result<Fetched, FetchError> {
        let url = format!("{}/{}", self.base, Resource::Checkpoint);
        let answer = get(&url, self.tag.as_deref(), CHECKPOINT_BYTES_MAX)?;
        match answer.status {
            304 if self.tag.is_some() => Ok(Fetched::Same),
            200 => Ok(Fetched::New { bytes: answer.bytes, tag: answer.tag }),
            status => Err(FetchError::Status { url, status }),
        }
    }

    pub(super) fn resource(&self, resource: Resource) -> Result<Vec<u8>, FetchError> {
        let url = format!("{}/{resource}", self.base);
        let answer = get(&url, None, RESOURCE_BYTES_MAX)?;
        if answer.status == 200 {
            return Ok(answer.bytes);
        }
        Err(FetchError::Status { url, status: answer.status })
    }
}

struct Answer {
    status: u16,
    tag: Option<String>,
    bytes: Vec<u8>,
}

fn get(url: &str, tag: Option<&str>, max: u64) -> Result<Answer, FetchError> {
    let unreachable = |source| FetchError::Unreachable { url: url.to_owned(), source };
    let mut request = minreq::get(url).with_timeout(WITHIN_S).with_follow_redirects(false);
    if let Some(tag) = tag {
        request = request.with_header("If-None-Match", tag);
    }
    let answer = request.send_lazy().map_err(unreachable)?;
    let status = answer.status_code;
    let tag =
        answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("etag")).map(|(_, tag)| tag.clone());
    let mut bytes = Vec::new();
    if status != 304 {
        let read = answer.take(max.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|problem| unreachable(minreq::Error::IoError(problem)))?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length > max) {
        return Err(FetchError::Long { url: url.to_owned(), max });
    }
    Ok(Answer { status, tag, bytes })
}
