//! Appeals against tags: taken when the owner of the address signed them, kept for the operator, bounded.
//!
//! Decides whether an appeal is about a tag that stands and whether its signature holds. Takes no tag away: a person does.

mod kept;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::{StatusCode, body::Incoming};
use kuraban_api::{APPEAL_TEXT_BYTES_MAX as TEXT_BYTES_MAX, AppealList, AppealSubmit, AppealView, HitView};
use kuraban_chain::btc::{
    Address, Network,
    message::{SignedAs, verify_message},
};

use self::kept::Kept;
pub use self::kept::KeptError;
use super::{
    ask,
    body::whole,
    config::FEED,
    desk::Desk,
    hits::hits,
    refusal::{Refusal, refusal},
    route::{Answer, json},
    sources::Sources,
};
use crate::clock;

/// Longest body, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Most appeals that are kept.
const APPEALS_MAX: usize = 100_000;
/// Most appeals from one address within [`WINDOW_MS`].
const PER_ADDRESS_MAX: usize = 3;
/// A day.
const WINDOW_MS: u64 = 86_400_000;
/// Most appeals on a page.
const PAGE: usize = 100;

/// The appeals of a service.
#[derive(Debug)]
pub(super) struct Appeals(Mutex<Book>);

#[derive(Debug)]
struct Book {
    kept: Kept,
    all: Vec<AppealView>,
    /// Places in `all`, by chain and address.
    of: BTreeMap<(String, String), Vec<usize>>,
}

impl Appeals {
    /// Reads what was taken before.
    ///
    /// # Errors
    /// The file cannot be read, or is none.
    pub(super) fn open(folder: &Path) -> Result<Self, KeptError> {
        let (kept, all) = Kept::open(folder, APPEALS_MAX)?;
        let mut of: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (place, view) in all.iter().enumerate() {
            of.entry(owner(&view.appeal)).or_default().push(place);
        }
        Ok(Self(Mutex::new(Book { kept, all, of })))
    }

    /// Makes the file.
    pub(super) fn create(folder: &Path) -> Result<(), KeptError> {
        Kept::create(folder)
    }

    /// A page, oldest first.
    pub(super) fn list(&self, after: u64) -> AppealList {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = usize::try_from(after).unwrap_or(usize::MAX).min(book.all.len());
        let rest = book.all.get(from..).unwrap_or_default();
        let appeals: Vec<AppealView> = rest.iter().take(PAGE).cloned().collect();
        let next = (rest.len() > appeals.len()).then(|| appeals.last().map(|last| last.number)).flatten();
        AppealList { appeals, next }
    }

    /// Keeps an appeal that was verified. The same one again is the same appeal.
    fn take(&self, appeal: AppealSubmit, origin: String, signed_as: SignedAs) -> Result<AppealView, Refusal> {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = clock::wall().ms();
        let owner = owner(&appeal);
        let places = book.of.get(&owner).map(Vec::as_slice).unwrap_or_default();
        let earlier: Vec<&AppealView> = places.iter().filter_map(|place| book.all.get(*place)).collect();
        let about = |appeal: &AppealSubmit| AppealSubmit { signature: String::new(), ..appeal.clone() };
        let same = |view: &&&AppealView| view.origin == origin && about(&view.appeal) == about(&appeal);
        if let Some(known) = earlier.iter().find(same) {
            return Ok((*known).clone());
        }
        let recent = earlier.iter().filter(|view| now_ms.saturating_sub(view.at_ms) < WINDOW_MS).count();
        if recent >= PER_ADDRESS_MAX {
            let detail =
                format!("{recent} appeals from this address within a day, want at most {PER_ADDRESS_MAX}");
            return Err(refusal(429, "too-many-appeals", "Too many appeals", detail));
        }
        if book.all.len() >= APPEALS_MAX {
            let detail = format!(
                "{APPEALS_MAX} appeals are kept here, and no more; write to whoever runs this service"
            );
            return Err(refusal(503, "appeals-full", "No more appeals are taken", detail));
        }
        let number = u64::try_from(book.all.len()).unwrap_or(u64::MAX).saturating_add(1);
        let signed_as = match signed_as {
            SignedAs::Simple => "simple",
            SignedAs::Full => "full",
        };
        let view = AppealView { number, at_ms: now_ms, origin, signed_as: signed_as.to_owned(), appeal };
        book.kept.append(&view).map_err(|problem| {
            tracing::error!(problem = crate::log::told(&problem), "appeal-not-kept");
            refusal(500, "not-kept", "The appeal could not be kept", "try again later".to_owned())
        })?;
        let place = book.all.len();
        book.all.push(view.clone());
        book.of.entry(owner).or_default().push(place);
        tracing::info!(number, origin = view.origin, case = view.appeal.case, "appeal");
        Ok(view)
    }
}

/// The network and the address in its one form, however they were written.
fn owner(appeal: &AppealSubmit) -> (String, String) {
    let known = network(&appeal.chain).ok();
    let address = known.and_then(|network| Address::parse(network, &appeal.address).ok());
    let chain = known.map_or_else(|| appeal.chain.clone(), |network| network.to_string());
    (chain, address.map_or_else(|| appeal.address.clone(), |address| address.to_string()))
}

/// Takes an appeal.
pub(super) async fn post(desk: &Desk, body: Incoming) -> Answer {
    let Some(appeals) = desk.appeals.clone() else {
        let detail = "this service takes no appeals".to_owned();
        return Err(refusal(404, "no-appeals", "There is nothing here", detail));
    };
    let bytes = whole(body, BODY_BYTES_MAX).await?;
    let appeal: AppealSubmit = serde_json::from_slice(&bytes)
        .map_err(|problem| refusal(400, "malformed-body", "The body cannot be read", problem.to_string()))?;
    let now = desk.now();
    // Verifying and writing to the disk hold nobody else up.
    let taken = tokio::task::spawn_blocking(move || judged(&appeals, &now, appeal)).await;
    let failed = |problem: tokio::task::JoinError| {
        refusal(500, "appeal-failed", "The appeal could not be judged", problem.to_string())
    };
    let mut answer = json(&taken.map_err(failed)??)?;
    *answer.status_mut() = StatusCode::CREATED;
    Ok(answer)
}

fn judged(appeals: &Arc<Appeals>, now: &Sources, mut appeal: AppealSubmit) -> Result<AppealView, Refusal> {
    appeal.chain.make_ascii_lowercase();
    if !(1..=TEXT_BYTES_MAX).contains(&appeal.text.len()) {
        let detail = format!("text has {} bytes, want 1 to {TEXT_BYTES_MAX}", appeal.text.len());
        return Err(refusal(422, "appeal-text", "The text is too long, or empty", detail));
    }
    let network = network(&appeal.chain)?;
    let key = ask::key_of(now, &appeal.chain, &appeal.address)?;
    let standing = hits(now, &key, clock::wall().ms());
    if !standing.iter().any(|hit| is_meant(hit, &appeal)) {
        let detail = "no tag with this `from`, `case` and `feed_number` stands on this address; screen it and copy them";
        return Err(refusal(422, "nothing-to-appeal", "There is no such tag", detail.to_owned()));
    }
    let origin = origin(now, &appeal.from);
    let wrong = |detail: String| refusal(422, "appeal-signature", "The signature does not hold", detail);
    // The prefixes of the forms are of a later version of the BIP than most wallets.
    let plain = ["smp", "ful"].iter().find_map(|prefix| appeal.signature.strip_prefix(prefix));
    let signature = STANDARD.decode(plain.unwrap_or(&appeal.signature));
    let signature = signature.map_err(|problem| wrong(format!("base64: {problem}")))?;
    let address = Address::parse(network, &appeal.address).map_err(|problem| wrong(problem.to_string()))?;
    let message = appeal.message(&origin);
    let signed = verify_message(network, &address.script(), message.as_bytes(), &signature);
    let signed_as = signed.map_err(|problem| {
        wrong(format!("{}; the message to sign is {message:?}", crate::log::told(&problem)))
    })?;
    appeals.take(appeal, origin, signed_as)
}

fn is_meant(hit: &HitView<'_>, appeal: &AppealSubmit) -> bool {
    hit.from == appeal.from
        && hit.feed_number == appeal.feed_number
        && hit.taint.as_ref().is_some_and(|taint| taint.case == appeal.case)
}

/// Whose tag it is.
fn origin(now: &Sources, from: &str) -> String {
    match &now.live {
        Some(live) if from == FEED => live.origin.clone(),
        Some(_) | None => {
            let view = now.views.iter().find(|view| view.name == from);
            view.map(|view| view.sha256.clone()).unwrap_or_default()
        }
    }
}

fn network(chain: &str) -> Result<Network, Refusal> {
    match chain {
        "btc" => Ok(Network::BtcMain),
        "ltc" => Ok(Network::LtcMain),
        other => other.parse().map_err(|_| {
            let detail = format!("{:?}: appeals are signed by BIP 322, want btc or ltc", ask::bounded(other));
            refusal(422, "appeal-chain", "Nobody can sign on this chain", detail)
        }),
    }
}
