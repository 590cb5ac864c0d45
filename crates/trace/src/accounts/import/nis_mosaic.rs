//! Mosaics of NEM: their definitions, as far as a list's blocks have them, and what follows from these and stands in no block.
//!
//! Decides what a definition makes, what a levy takes, and which mosaics cannot be followed. Source: NIS1, `Mosaics`,
//! `TransferTransaction`, `DefaultMosaicTransferFeeCalculator`, `BlockMarkerConstants`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::{
    super::{transfer::Kind, units::Units},
    ImportProblem, Writer,
    nis::{NATIVE, address},
    typed,
};

/// What 100 % is for a levy in proportion.
const WHOLE: u64 = 10_000;
/// The network of the main chain, and of the public test chain: the highest byte of versions.
const MAIN: u8 = 0x68;
const TEST: u8 = 0x98;

/// From which height on a definition that changes a description alone leaves balances as they are.
const fn keeps_balances(network: u8, height: u64) -> bool {
    match network {
        MAIN => height >= 1_110_000,
        TEST => height >= 871_500,
        _ => true,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawMosaicId {
    namespace_id: String,
    name: String,
}

impl RawMosaicId {
    /// Namespace and name as NIS allows them, so that a list can carry them.
    pub(super) fn name(&self) -> Result<String, ImportProblem> {
        let name = format!("{}:{}", self.namespace_id, self.name);
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'\'' | b':');
        let fits = (3..=128).contains(&name.len()) && name.bytes().all(plain);
        if fits {
            Ok(name)
        } else {
            Err(ImportProblem::field("mosaicId", &name, "letters, digits, '.', '_', '-'"))
        }
    }
}

#[derive(Deserialize)]
pub(super) struct RawDefinition {
    id: RawMosaicId,
    properties: Vec<RawProperty>,
    levy: Option<Value>,
}

#[derive(Deserialize)]
struct RawProperty {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLevy {
    #[serde(rename = "type")]
    kind: u32,
    recipient: String,
    mosaic_id: RawMosaicId,
    fee: u64,
}

/// What whoever sends a mosaic pays somebody else for it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Levy {
    /// In ten-thousandths of what is sent; else a fixed amount.
    in_proportion: bool,
    recipient: String,
    asset: String,
    fee: u64,
}

/// A mosaic's definition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Definition {
    pub(super) mosaic: String,
    /// Base units in a whole unit.
    unit: Units,
    /// Base units that it makes.
    supply: Units,
    /// What a later definition may change only while one account has all units.
    properties: BTreeMap<String, String>,
    levy: Option<Levy>,
}

impl Definition {
    pub(super) fn of(raw: RawDefinition) -> Result<Self, ImportProblem> {
        let properties: BTreeMap<String, String> =
            raw.properties.into_iter().map(|property| (property.name, property.value)).collect();
        let missing =
            |what: &str| ImportProblem::Missing { what: what.to_owned(), give: "whole transactions" };
        let number = |name: &str| properties.get(name).and_then(|value| value.parse::<u64>().ok());
        let places = number("divisibility").filter(|places| *places <= 6);
        let places = places.ok_or_else(|| missing("divisibility from 0 to 6"))?;
        let ten = Units::from(10);
        let unit = (0..places).try_fold(Units::from(1), |unit, _| unit.times(ten)).unwrap_or_default();
        let supply = Units::from(number("initialSupply").ok_or_else(|| missing("initialSupply"))?);
        let levy = raw.levy.filter(|levy| levy.as_object().is_some_and(|fields| !fields.is_empty()));
        Ok(Self {
            mosaic: raw.id.name()?,
            unit,
            supply: supply.times(unit).unwrap_or(Units::MAX),
            properties,
            levy: levy.map(Levy::of).transpose()?,
        })
    }
}

impl Levy {
    fn of(value: Value) -> Result<Self, ImportProblem> {
        let raw: RawLevy = typed(value).map_err(|problem| problem.under("mosaicDefinition.levy"))?;
        let in_proportion = match raw.kind {
            1 => false,
            2 => true,
            other => return Err(ImportProblem::field("levy type", &other.to_string(), "1 or 2")),
        };
        let asset = asset(&raw.mosaic_id.name()?).to_owned();
        Ok(Self { in_proportion, recipient: address(&raw.recipient)?, asset, fee: raw.fee })
    }
}

/// A mosaic's name in lists: XEM is one of them.
fn asset(mosaic: &str) -> &str {
    if mosaic == "nem:xem" { NATIVE } else { mosaic }
}

/// The definitions that were met.
#[derive(Debug, Default)]
pub(super) struct Mosaics {
    known: BTreeMap<String, Definition>,
    /// Mosaics whose units changed hands in a way that no list can say.
    pub(super) left_out: BTreeSet<String>,
}

impl Mosaics {
    /// Takes up a definition: the first one makes units. One that changes what they are takes all units from the creator, who
    /// must have them, and makes new ones. One that changes its description alone takes them from everybody before a fork,
    /// and changes nothing after it.
    pub(super) fn define(&mut self, place: (u8, u64), signer: &str, new: &Definition, out: &mut Writer<'_>) {
        let old = self.known.get(&new.mosaic);
        let same = old.is_some_and(|old| (&old.properties, &old.levy) == (&new.properties, &new.levy));
        if same && keeps_balances(place.0, place.1) {
            return;
        }
        if same {
            self.left_out.insert(new.mosaic.clone());
        }
        if let Some(old) = old {
            out.write(Kind::Burn, &new.mosaic, Some(signer), None, old.supply);
        }
        out.write(Kind::Mint, &new.mosaic, None, Some(signer), new.supply);
        self.known.insert(new.mosaic.clone(), new.clone());
    }

    /// Makes or destroys whole units.
    pub(super) fn supply(
        &mut self,
        signer: &str,
        (mosaic, delta, more): (&str, u64, bool),
        out: &mut Writer<'_>,
    ) -> Result<(), ImportProblem> {
        let known = self.known.get_mut(mosaic).ok_or_else(|| ImportProblem::Missing {
            what: format!("the definition of {mosaic}"),
            give: "the blocks from its definition on",
        })?;
        let amount = Units::from(delta).times(known.unit).unwrap_or(Units::MAX);
        if more {
            known.supply = known.supply.plus(amount).unwrap_or(Units::MAX);
            out.write(Kind::Mint, mosaic, None, Some(signer), amount);
        } else {
            known.supply = known.supply.beyond(amount);
            out.write(Kind::Burn, mosaic, Some(signer), None, amount);
        }
        Ok(())
    }

    /// What a transfer moves: XEM first, then the other mosaics, each with its levy after it.
    pub(super) fn transfer(
        &self,
        (from, to): (&str, &str),
        amount: u64,
        mosaics: &[(String, u64)],
        out: &mut Writer<'_>,
    ) {
        let raw = |quantity: u64| {
            let product = Units::from(quantity).times(Units::from(amount)).unwrap_or(Units::MAX);
            product.over(Units::from(super::nis::ONE)).unwrap_or_default()
        };
        if let Some((_, quantity)) = mosaics.iter().find(|(mosaic, _)| asset(mosaic) == NATIVE) {
            out.write(Kind::Payment, NATIVE, Some(from), Some(to), raw(*quantity));
        }
        for (mosaic, quantity) in mosaics.iter().filter(|(mosaic, _)| asset(mosaic) != NATIVE) {
            let sent = raw(*quantity);
            out.write(Kind::Token, mosaic, Some(from), Some(to), sent);
            let Some(levy) = self.known.get(mosaic).and_then(|known| known.levy.as_ref()) else { continue };
            let fee = Units::from(levy.fee);
            let part = || sent.times(fee).and_then(|product| product.over(Units::from(WHOLE)));
            let fee = if levy.in_proportion { part().unwrap_or(Units::MAX) } else { fee };
            let kind = if levy.asset == NATIVE { Kind::Payment } else { Kind::Token };
            out.write(kind, &levy.asset, Some(from), Some(&levy.recipient), fee);
        }
    }
}
