//! Every operation of the contract. A closed set: the server routes by it and the OpenAPI document is made from it, so
//! neither can have what the other lacks.

/// How an operation is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// Reads.
    Get,
    /// Changes.
    Post,
}

macro_rules! operations {
    (#[doc = $of:literal] $all:ident: $($(#[doc = $doc:literal])* $name:ident = $method:ident $path:literal $id:literal,)*) => {
        #[doc = $of]
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $all { $($(#[doc = $doc])* $name,)* }

        impl $all {
            /// All of them, in the order of the document.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// How it is asked for.
            #[must_use]
            pub const fn method(self) -> Method {
                match self { $(Self::$name => Method::$method,)* }
            }

            /// Where; a name in braces stands for one segment, with `*` for all that follow.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self { $(Self::$name => $path,)* }
            }

            /// Its name in the document.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// What it does, in one sentence.
            #[must_use]
            pub fn summary(self) -> String {
                let lines = match self { $(Self::$name => concat!($($doc, "\n",)*),)* };
                lines.split_whitespace().collect::<Vec<_>>().join(" ")
            }
        }
    };
}

operations! {
    /// What the writer does over HTTP.
    Operation:
    /// Asks for a payout. The header Idempotency-Key names the attempt: repeated with the same body, the answer is the
    /// same.
    PayoutRequest = Post "/v1/payouts" "requestPayout",
    /// Lists payouts by id, a page at a time.
    PayoutList = Get "/v1/payouts" "listPayouts",
    /// Shows one payout with all that its digest is made of.
    PayoutShow = Get "/v1/payouts/{id}" "showPayout",
    /// Takes an approver's signature.
    PayoutApprove = Post "/v1/payouts/{id}/approvals" "approvePayout",
    /// Shows the breaker.
    BreakerShow = Get "/v1/breaker" "showBreaker",
    /// Loosens the breaker on a quorum's order.
    BreakerReset = Post "/v1/breaker/reset" "resetBreaker",
    /// Lists the signers with the numbers of their receipts in the log.
    SignerList = Get "/v1/signers" "listSigners",
    /// Lets a signer resume whose disk was set back, on a quorum's order.
    SignerResume = Post "/v1/signers/resume" "resumeSigner",
    /// Lists the roots of liabilities in the log, oldest first.
    LiabilitiesList = Get "/v1/liabilities" "listLiabilities",
    /// Publishes a root of liabilities, signed by somebody on the roster.
    LiabilitiesPublish = Post "/v1/liabilities" "publishLiabilities",
    /// Lists what else was published, oldest first: roots of claims, digests of hand-overs, and how checks ended.
    PublicationList = Get "/v1/publications" "listPublications",
    /// Publishes one of these, signed by somebody on the roster.
    PublicationPublish = Post "/v1/publications" "publishPublication",
    /// Lists alarms, oldest first, a page at a time.
    AlarmList = Get "/v1/alarms" "listAlarms",
    /// Streams log entries as server-sent events, from an index on or from now on.
    Events = Get "/v1/events" "streamEvents",
    /// The latest checkpoint that a quorum of witnesses co-signed (C2SP tlog-checkpoint).
    LogCheckpoint = Get "/log/checkpoint" "logCheckpoint",
    /// A tile of the log or a bundle of its entries (C2SP tlog-tiles).
    LogTile = Get "/log/tile/{*path}" "logTile",
    /// What opens an entry's commitment. For approvers and auditors inside: keep it from the public.
    LogOpening = Get "/log/opening/{index}" "logOpening",
    /// Figures in Prometheus' text format.
    Metrics = Get "/metrics" "metrics",
    /// Answers while the writer takes requests.
    Health = Get "/healthz" "health",
    /// This document.
    OpenApi = Get "/openapi.json" "openapi",
}

operations! {
    /// What the screening service does over HTTP.
    ScreenOperation:
    /// Says what is known of an address or a transaction; without hits where nothing is.
    One = Get "/v1/screen/{chain}/{address}" "screenOne",
    /// Says what is known of up to 10,000 subjects, in the order asked; a row that cannot be read bears a problem.
    Many = Post "/v1/screen" "screenMany",
    /// The same for any number: a JSON document a line in, one a line out, with a line of freshness before the first and
    /// wherever it changes.
    Stream = Post "/v1/screen/stream" "screenStream",
    /// Says how to ask without naming addresses.
    Private = Get "/v1/private" "privateTerms",
    /// Everything whose key begins with so many bits: the caller looks for its own key among it.
    Bucket = Get "/v1/private/buckets/{bits}/{prefix}" "privateBucket",
    /// A filter of all keys (Golomb-coded set), for callers that keep even the prefix to themselves.
    Filter = Get "/v1/private/filter" "privateFilter",
    /// Takes an appeal against a tag, signed by the owner of its address (BIP 322).
    Appeal = Post "/v1/appeals" "appeal",
    /// The checkpoint of this service's own copy of the feed (C2SP tlog-checkpoint).
    FeedCheckpoint = Get "/v1/tags/feed/checkpoint" "feedCheckpoint",
    /// A tile of the feed or a bundle of its entries (C2SP tlog-tiles).
    FeedTile = Get "/v1/tags/feed/tile/{*path}" "feedTile",
    /// Figures in Prometheus' text format.
    Metrics = Get "/metrics" "metrics",
    /// Answers while screening is possible and says how the feed stands.
    Health = Get "/healthz" "health",
    /// This document.
    OpenApi = Get "/openapi.json" "openapi",
}
