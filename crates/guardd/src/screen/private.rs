//! Answers for callers that do not name their customers: everything under a prefix of a key, or a filter of all keys.
//!
//! Decides how little of a key may be asked for. What is found is what is found openly: both come from [`hits`].

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH},
};
use kuraban_api::{BucketEntry, PrivateTerms};
use kuraban_base::hex;
use kuraban_trace::tags::{filter, store::Key};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, mpsc};

use super::{
    ask,
    body::Payload,
    desk::{Desk, add, freshness},
    hits::hits,
    refusal::{Refusal, refusal},
    route::{Answer, json, response},
    sources::Sources,
};

/// What keys are.
const HASH: &str = "first 16 bytes of SHA-256 over `address` or `tx_hash`, a zero byte, the chain's name in capitals, a zero byte, \
                    the normal form: Bech32 and Ethereum in small letters, BCH as before 2018, LTC scripts with M, others as \
                    they are";
/// Before the bits and the prefix.
const PATH: &str = "/v1/private/buckets/";
/// An answer is sent in pieces of about this length.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait for a slow reader.
const PIECES: usize = 2;
/// How long a filter is handed out after the sources have changed.
const FILTER_FOR: Duration = Duration::from_secs(60);
/// How many keys a filter holds.
const KEYS_HEADER: HeaderName = HeaderName::from_static("x-kuraban-filter-keys");
/// When a filter was made, in milliseconds since 1970.
const MADE_HEADER: HeaderName = HeaderName::from_static("x-kuraban-filter-made-ms");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// How to ask.
pub(super) fn terms(desk: &Desk) -> Answer {
    let now = desk.look();
    json(&PrivateTerms {
        hash: HASH,
        bits_min: now.terms.bits_min,
        bits_max: now.terms.bits_max,
        subjects_min: u64::from(now.terms.subjects_min),
        filter_false_one_in: filter::M,
        freshness: freshness(&now),
    })
}

/// Everything whose key begins with a prefix.
pub(super) fn bucket(desk: &Arc<Desk>, path: &str) -> Answer {
    add(&desk.counts.private, 1);
    let (bits, prefix) = path.strip_prefix(PATH).and_then(|rest| rest.split_once('/')).unwrap_or_default();
    let digits = prefix;
    let (bits, prefix) = parsed(bits, prefix)?;
    let now = desk.now();
    let terms = now.terms;
    if !(terms.bits_min..=terms.bits_max).contains(&bits) {
        let detail = format!(
            "{bits} bits, want {} to {}: fewer are too long an answer, more say too much of the address",
            terms.bits_min, terms.bits_max
        );
        return Err(refusal(422, "prefix-bits", "A prefix of this length is not answered", detail));
    }
    let mut begun = format!("{{\"bits\":{bits},\"prefix\":\"{digits}\",\"freshness\":").into_bytes();
    drop(serde_json::to_writer(&mut begun, &freshness(&now)));
    begun.extend_from_slice(b",\"entries\":[");
    let (send, pieces) = mpsc::channel(PIECES);
    tokio::spawn(flow(now, prefix, bits, begun, send));
    Ok(response(JSON, Payload::Flow(pieces)))
}

/// The number of bits, and the key that begins with the prefix and goes on with zeros.
fn parsed(bits: &str, prefix: &str) -> Result<(u32, Key), Refusal> {
    let malformed = |detail: String| refusal(400, "malformed-prefix", "The prefix cannot be read", detail);
    let plain = !bits.is_empty() && bits.len() <= 3 && bits.bytes().all(|byte| byte.is_ascii_digit());
    let count = bits.parse::<u32>().ok().filter(|count| plain && *count <= 128);
    let count = count.ok_or_else(|| malformed(format!("{:?} bits, want 0 to 128", ask::bounded(bits))))?;
    let want = usize::try_from(count.div_ceil(4)).unwrap_or(0);
    if prefix.len() != want {
        let detail = format!("{} digits for {count} bits, want {want} in hexadecimal", prefix.len());
        return Err(malformed(detail));
    }
    let whole = format!("{prefix:0<32}");
    let key: Key = hex::decode_array(&whole)
        .map_err(|problem| malformed(format!("{:?}: {problem}", ask::bounded(prefix))))?;
    if u128::from_be_bytes(key) & u128::MAX.checked_shr(count).unwrap_or(0) != 0 {
        return Err(malformed(format!("{prefix:?} has bits after the first {count}, want zeros")));
    }
    Ok((count, key))
}

/// Writes the entries, a piece at a time.
async fn flow(now: Arc<Sources>, prefix: Key, bits: u32, mut out: Vec<u8>, send: mpsc::Sender<Bytes>) {
    let now_ms = crate::clock::wall().ms();
    let mut first = true;
    for key in now.keys(&prefix, bits) {
        let hits = hits(&now, key, now_ms);
        if hits.is_empty() {
            continue;
        }
        if !core::mem::take(&mut first) {
            out.push(b',');
        }
        drop(serde_json::to_writer(&mut out, &BucketEntry { key: &hex::encode(key), hits }));
        if out.len() >= PIECE_BYTES {
            if send.send(core::mem::take(&mut out).into()).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
    out.extend_from_slice(b"]}");
    drop(send.send(out.into()).await);
}

/// The filter that is handed out.
#[derive(Debug, Default)]
pub(super) struct Filters(Mutex<Option<Arc<Made>>>);

#[derive(Debug)]
struct Made {
    of: Weak<Sources>,
    at: Instant,
    made_ms: u64,
    keys: u64,
    bytes: Bytes,
    tag: String,
}

impl Made {
    fn of(sources: &Arc<Sources>) -> Self {
        let keys = || sources.keys(&[0; 16], 0);
        let count = u64::try_from(keys().count()).unwrap_or(u64::MAX);
        let (at, made_ms) = (Instant::now(), crate::clock::wall().ms());
        let bytes = filter::of_keys(count, keys());
        let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&bytes)));
        Self { of: Arc::downgrade(sources), at, made_ms, keys: count, bytes: bytes.into(), tag }
    }
}

impl Filters {
    /// The filter of these sources, or one that is hardly older. It is made by one caller while others wait.
    async fn of(&self, now: &Arc<Sources>) -> Result<Arc<Made>, Refusal> {
        let mut known = self.0.lock().await;
        if let Some(made) = known.as_ref() {
            let same = made.of.as_ptr() == Arc::as_ptr(now);
            if same || made.at.elapsed() < FILTER_FOR {
                return Ok(Arc::clone(made));
            }
        }
        let sources = Arc::clone(now);
        let made = tokio::task::spawn_blocking(move || Made::of(&sources)).await;
        let failed = |problem: tokio::task::JoinError| {
            refusal(500, "filter-failed", "The filter could not be made", problem.to_string())
        };
        let made = Arc::new(made.map_err(failed)?);
        *known = Some(Arc::clone(&made));
        Ok(made)
    }
}

/// The filter of all keys; 304 where the caller has it.
pub(super) async fn filter(desk: &Desk, request: &Request<Incoming>) -> Answer {
    add(&desk.counts.private, 1);
    let made = desk.filters.of(&desk.now()).await?;
    let known =
        request.headers().get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == made.tag.as_bytes());
    let mut response = if known {
        let mut response = Response::new(Payload::Whole(None));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(Payload::of(made.bytes.clone()))
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, OCTETS);
    headers.insert(KEYS_HEADER, HeaderValue::from(made.keys));
    headers.insert(MADE_HEADER, HeaderValue::from(made.made_ms));
    if let Ok(tag) = HeaderValue::try_from(&made.tag) {
        headers.insert(ETAG, tag);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_to_the_bit() {
        let check = |bits: &str, prefix: &str, want: Option<(u32, [u8; 3])>| {
            let got = parsed(bits, prefix).ok().map(|(bits, key)| (bits, *key.first_chunk().unwrap()));
            assert_eq!(got, want, "{bits} {prefix}");
        };
        check("0", "", Some((0, [0; 3])));
        check("1", "8", Some((1, [0x80, 0, 0])));
        check("12", "abc", Some((12, [0xab, 0xc0, 0])));
        check("16", "abcd", Some((16, [0xab, 0xcd, 0])));
        check("128", &"0".repeat(32), Some((128, [0; 3])));
        check("129", &"0".repeat(33), None);
        check("1", "4", None);
        check("11", "abd", None);
        check("12", "ab", None);
        check("12", "abcd", None);
        check("12", "aBc", Some((12, [0xab, 0xc0, 0])));
        check("12", "é0", None);
        check("+1", "8", None);
        check("", "", None);
        check("x", "8", None);
    }
}
