//! The HTTP contract, version 1: what is sent and answered, and its OpenAPI document, generated from the types.
//!
//! Decides nothing and checks no meaning: names, addresses and hexadecimal are text here and parsed by whoever acts on
//! them. No server, no client. What is asked for refuses fields it does not know; what is answered may grow fields.

mod appeal;
mod breaker;
mod event;
mod liabilities;
mod openapi;
mod operation;
mod payout;
mod problem;
mod publication;
mod screen;
mod signer;

pub use appeal::{APPEAL_TEXT_BYTES_MAX, AppealList, AppealSubmit, AppealView};
pub use breaker::{AlarmList, AlarmView, BreakerReset, BreakerView, CellName, CellView, ResetAccepted};
pub use event::{EventView, OpeningView};
pub use liabilities::{DatingBlock, LiabilitiesList, LiabilitiesSubmit, LiabilitiesView};
pub use openapi::{openapi, screen_openapi};
pub use operation::{Method, Operation, ScreenOperation};
pub use payout::{
    ApprovalSubmit, ApprovalView, Payout, PayoutAccepted, PayoutList, PayoutView, RefusalView, Submit,
    TransactionView,
};
pub use problem::{Problem, ReasonView};
pub use publication::{Finding, Publication, PublicationList, PublicationSubmit, PublicationView};
pub use screen::{
    Bucket, BucketEntry, FeedView, Freshness, HitView, ManyScreened, PrivateTerms, RowView, ScreenMany,
    Screened, SourceView, Subject, TaintView,
};
pub use signer::{SignerList, SignerResume, SignerView};
