//! The writer's HTTP interface as a client sees it. Brings what the writer says; nothing of it is believed here.

use kuraban_api::{
    AlarmList, AlarmView, ApprovalSubmit, BreakerReset, BreakerView, LiabilitiesSubmit, LiabilitiesView,
    PayoutAccepted, PayoutList, PayoutView, Problem, PublicationSubmit, PublicationView, ReasonView,
    ResetAccepted, SignerList, SignerResume, SignerView, Submit,
};
use kuraban_base::PayoutId;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    fail::{Failure, OrFail as _},
    http::{Answer, Client},
    say::tame,
};

/// Longest answer that is read: a page of payouts with their transactions.
const ANSWER_MAX: usize = 64 * 1024 * 1024;
/// Most pages of the list that are read.
const PAGES_MAX: usize = 1000;

/// A writer.
#[derive(Debug)]
pub(crate) struct Writer(Client);

/// What a writer, or another service that answers by problem documents, refuses, and why; free of what steers a terminal.
#[derive(Debug, Serialize)]
pub(crate) struct Refused {
    pub(crate) code: String,
    pub(crate) detail: String,
    pub(crate) reasons: Vec<ReasonView>,
}

impl Writer {
    /// The writer at this URL.
    pub(crate) fn new(url: &str) -> Result<Self, Failure> {
        Client::new(url).map(Self)
    }

    /// Every payout, page by page.
    pub(crate) fn payouts(&self) -> Result<Vec<PayoutView>, Failure> {
        self.listed("v1/payouts".to_owned(), "")
    }

    /// Every payout whose id begins so; this beginning is no whole id.
    pub(crate) fn family(&self, begins: &PayoutId) -> Result<Vec<PayoutView>, Failure> {
        self.listed(format!("v1/payouts?after={begins}"), begins.as_str())
    }

    /// The first payout behind this id, in the order of ids.
    pub(crate) fn next(&self, after: &PayoutId) -> Result<Option<PayoutView>, Failure> {
        let path = format!("v1/payouts?after={after}&limit=1");
        let page: PayoutList = shown(&path, self.0.get(&path, ANSWER_MAX)?)?;
        Ok(page.payouts.into_iter().find(|view| view.payout.id.as_str() > after.as_str()))
    }

    /// Payouts by id from a page on, as long as they begin so.
    fn listed(&self, mut path: String, begins: &str) -> Result<Vec<PayoutView>, Failure> {
        let mut payouts: Vec<PayoutView> = Vec::new();
        for _ in 0..PAGES_MAX {
            let page: PayoutList = shown(&path, self.0.get(&path, ANSWER_MAX)?)?;
            let goes_on = page.payouts.iter().all(|view| view.payout.id.starts_with(begins));
            payouts.extend(page.payouts.into_iter().filter(|view| view.payout.id.starts_with(begins)));
            // Ids are in order: behind one that begins otherwise none begins so.
            match page.next.filter(|_| goes_on) {
                None => return Ok(payouts),
                // It goes into a URL, so it must be a payout's name and nothing else.
                Some(next) => {
                    let after: PayoutId = next.parse().or_undone("the list's next page")?;
                    path = format!("v1/payouts?after={after}");
                }
            }
        }
        Err(Failure::undone(format!("v1/payouts: more than {PAGES_MAX} pages")))
    }

    /// One payout.
    pub(crate) fn payout(&self, id: &PayoutId) -> Result<PayoutView, Failure> {
        let path = format!("v1/payouts/{id}");
        let answer = self.0.get(&path, ANSWER_MAX)?;
        if answer.status == 404 {
            return Err(Failure::input(format!("payout {id} is not known to the writer")));
        }
        shown(&path, answer)
    }

    /// Asks for a payout. The key names the attempt: repeated, it changes nothing more.
    pub(crate) fn request(
        &self,
        submit: &Submit,
        key: &str,
    ) -> Result<Result<PayoutAccepted, Refused>, Failure> {
        let json = serde_json::to_string(submit).or_undone("the request")?;
        let path = "v1/payouts";
        taken(path, self.0.post(path, &[("idempotency-key", key)], json, ANSWER_MAX)?)
    }

    /// Hands in an approval.
    pub(crate) fn approve(
        &self,
        id: &PayoutId,
        submit: &ApprovalSubmit,
    ) -> Result<Result<PayoutAccepted, Refused>, Failure> {
        let json = serde_json::to_string(submit).or_undone("the approval")?;
        let path = format!("v1/payouts/{id}/approvals");
        taken(&path, self.0.post(&path, &[], json, ANSWER_MAX)?)
    }

    /// The breaker.
    pub(crate) fn breaker(&self) -> Result<BreakerView, Failure> {
        let path = "v1/breaker";
        shown(path, self.0.get(path, ANSWER_MAX)?)
    }

    /// The signers.
    pub(crate) fn signers(&self) -> Result<SignerList, Failure> {
        let path = "v1/signers";
        shown(path, self.0.get(path, ANSWER_MAX)?)
    }

    /// Every alarm, oldest first, page by page.
    pub(crate) fn alarms(&self) -> Result<Vec<AlarmView>, Failure> {
        let mut alarms = Vec::new();
        let mut path = "v1/alarms".to_owned();
        for _ in 0..PAGES_MAX {
            let page: AlarmList = shown(&path, self.0.get(&path, ANSWER_MAX)?)?;
            alarms.extend(page.alarms);
            let Some(next) = page.next else { return Ok(alarms) };
            path = format!("v1/alarms?from={next}");
        }
        Err(Failure::undone(format!("v1/alarms: more than {PAGES_MAX} pages")))
    }

    /// Hands in an order to open the breaker again.
    pub(crate) fn reset(&self, order: &BreakerReset) -> Result<Result<(), Refused>, Failure> {
        let json = serde_json::to_string(order).or_undone("the order")?;
        let path = "v1/breaker/reset";
        let answer = taken::<ResetAccepted>(path, self.0.post(path, &[], json, ANSWER_MAX)?)?;
        Ok(answer.map(drop))
    }

    /// Hands in a root of liabilities.
    pub(crate) fn publish_liabilities(
        &self,
        submit: &LiabilitiesSubmit,
    ) -> Result<Result<LiabilitiesView, Refused>, Failure> {
        let json = serde_json::to_string(submit).or_undone("the liabilities")?;
        let path = "v1/liabilities";
        taken(path, self.0.post(path, &[], json, ANSWER_MAX)?)
    }

    /// Hands in what else is published.
    pub(crate) fn publish(
        &self,
        submit: &PublicationSubmit,
    ) -> Result<Result<PublicationView, Refused>, Failure> {
        let json = serde_json::to_string(submit).or_undone("the publication")?;
        let path = "v1/publications";
        taken(path, self.0.post(path, &[], json, ANSWER_MAX)?)
    }

    /// Hands in an order to let a signer resume.
    pub(crate) fn resume(&self, order: &SignerResume) -> Result<Result<(), Refused>, Failure> {
        let json = serde_json::to_string(order).or_undone("the order")?;
        let path = "v1/signers/resume";
        let answer = taken::<SignerView>(path, self.0.post(path, &[], json, ANSWER_MAX)?)?;
        Ok(answer.map(drop))
    }
}

pub(crate) fn shown<T: DeserializeOwned>(path: &str, answer: Answer) -> Result<T, Failure> {
    if answer.status != 200 {
        let refused = refused(&answer);
        return Err(Failure::undone(format!("{path}: HTTP status {}: {}", answer.status, refused.detail)));
    }
    serde_json::from_slice(&answer.body).or_undone(path)
}

/// A refusal (status 4xx) is an answer, everything else but success is none.
pub(crate) fn taken<T: DeserializeOwned>(path: &str, answer: Answer) -> Result<Result<T, Refused>, Failure> {
    match answer.status {
        200..=299 => serde_json::from_slice(&answer.body).or_undone(path).map(Ok),
        400..=499 => Ok(Err(refused(&answer))),
        status => {
            let refused = refused(&answer);
            Err(Failure::undone(format!("{path}: HTTP status {status}: {}", refused.detail)))
        }
    }
}

fn refused(answer: &Answer) -> Refused {
    match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => {
            let reason =
                |reason: ReasonView| ReasonView { code: tame(&reason.code), detail: tame(&reason.detail) };
            Refused {
                code: tame(&problem.code),
                detail: tame(&problem.detail),
                reasons: problem.reasons.into_iter().map(reason).collect(),
            }
        }
        Err(_) => Refused {
            code: format!("http-{}", answer.status),
            detail: "the answer is no problem document".to_owned(),
            reasons: Vec::new(),
        },
    }
}
