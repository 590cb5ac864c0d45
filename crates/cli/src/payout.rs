//! A payout as JSON: in files as in the HTTP API, but that times may be RFC 3339 too. Decides whether it can be read as
//! one; never whether it may be paid.

use core::fmt;
use std::path::Path;

use anyhow::Context as _;
use kuraban_base::{Amount, Instant};
use kuraban_chain::btc::{Address, Network};
use kuraban_vault::Payout;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, Visitor},
};

use crate::{
    fail::{Failure, OrFail as _},
    input::{FILE_MAX, instant, json},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PayoutForm {
    id: String,
    kind: String,
    network: String,
    vault: String,
    destination: String,
    #[serde(default)]
    memo: Option<String>,
    amount: u64,
    fee_cap: u64,
    #[serde(alias = "not_before", deserialize_with = "moment")]
    not_before_ms: u64,
    #[serde(alias = "expiry", deserialize_with = "moment")]
    expiry_ms: u64,
}

impl From<PayoutForm> for kuraban_api::Payout {
    fn from(form: PayoutForm) -> Self {
        Self {
            id: form.id,
            kind: form.kind,
            network: form.network,
            vault: form.vault,
            destination: form.destination,
            memo: form.memo,
            amount: form.amount,
            fee_cap: form.fee_cap,
            not_before_ms: form.not_before_ms,
            expiry_ms: form.expiry_ms,
        }
    }
}

/// The payout of a file.
pub(crate) fn read(path: &Path) -> Result<(kuraban_api::Payout, Payout), Failure> {
    let form: PayoutForm = json(path, FILE_MAX)?;
    let form = kuraban_api::Payout::from(form);
    let payout = parse(&form).or_input(path.display())?;
    Ok((form, payout))
}

/// The payout of the API's form.
pub(crate) fn parse(form: &kuraban_api::Payout) -> anyhow::Result<Payout> {
    let network: Network = form.network.parse().context("network")?;
    let payout = Payout {
        id: form.id.parse().context("id")?,
        kind: form.kind.parse().context("kind")?,
        network,
        vault: form.vault.parse().context("vault")?,
        destination: Address::parse(network, &form.destination).context("destination")?.script(),
        memo: form.memo.clone(),
        amount: Amount::from(form.amount),
        fee_cap: Amount::from(form.fee_cap),
        not_before: Instant::from_ms(form.not_before_ms),
        expiry: Instant::from_ms(form.expiry_ms),
    };
    // Through the log's form, which holds the remaining bounds.
    Ok(Payout::from_value(payout.to_value())?)
}

fn moment<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    struct Moment;
    impl Visitor<'_> for Moment {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("milliseconds since 1970, or RFC 3339")
        }

        fn visit_u64<E>(self, ms: u64) -> Result<u64, E> {
            Ok(ms)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
            instant(text).map(Instant::ms).map_err(E::custom)
        }
    }
    from.deserialize_any(Moment).map_err(|error| D::Error::custom(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HONEST: &str = r#"{"id":"p-1","kind":"rebalance","network":"bitcoin-main","vault":"hot",
        "destination":"1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P","amount":5000000000,"fee_cap":100000,
        "not_before":"2024-05-31T04:00:00Z","expiry_ms":1717131600000}"#;

    fn parsed(text: &str) -> anyhow::Result<Payout> {
        let form: PayoutForm = serde_json::from_str(text)?;
        parse(&form.into())
    }

    #[test]
    fn times_are_milliseconds_or_rfc_3339() {
        let payout = parsed(HONEST).unwrap();
        assert_eq!((payout.not_before.ms(), payout.expiry.ms()), (1_717_128_000_000, 1_717_131_600_000));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |from: &str, to: &str, want: &str| {
            let text = HONEST.replace(from, to);
            assert_ne!(text, HONEST, "{from} is not there");
            let error = format!("{:#}", parsed(&text).unwrap_err());
            assert!(error.contains(want), "{error} lacks {want}");
        };
        check("\"id\"", "\"amount\":1,\"id\"", "duplicate field `amount`");
        check("\"id\"", "\"x\":1,\"id\"", "unknown field `x`");
        check("5000000000", "-1", "invalid value: integer `-1`");
        check("5000000000", "1.5", "invalid type: floating point `1.5`");
        check("5000000000", "18446744073709551616", "expected u64");
        check("\"p-1\"", "\"p 1\"", "payout id has ' ' at character 2");
        check("rebalance", "gift", "\"gift\" is not known");
        check("bitcoin-main", "litecoin-main", "destination: ");
        check("7P\"", "7Q\"", "destination: checksum");
        let long = format!("\"memo\":\"{}\",\"amount\"", "m".repeat(257));
        check("\"amount\"", &long, "memo");
        check("1717131600000", "\"tomorrow\"", "is no point in time");
        check("1717131600000", "-5", "invalid type: integer `-5`");
    }
}
