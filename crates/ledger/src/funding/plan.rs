//! Plans of funding as data. Decides whether a plan says what comes and goes when, and which coins are bought when.

use jiff::civil::Date;
use kuraban_base::Amount;
use serde::Deserialize;

use crate::{AssetNum, Assets, AssetsError, Rate, Rounding, Share, units};

/// Most flows, tranches or steps of one kind.
const MANY_MAX: usize = 10_000;
/// Longest name, in characters.
const NAME_MAX: usize = 200;

/// Money that comes or goes on a day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flow {
    /// The day.
    pub date: Date,
    /// What it is.
    pub what: String,
    /// How much, in the currency's smallest unit.
    pub amount: Amount,
}

/// A part of a purchase.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tranche {
    /// The day on which it is paid.
    pub date: Date,
    /// How much, in base units.
    pub quantity: Amount,
    /// The rate that was agreed, which does not move.
    pub agreed: Option<Rate>,
}

/// Coins that are bought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Buy {
    /// Which.
    pub asset: AssetNum,
    /// How many, in base units: the sum of the tranches.
    pub quantity: Amount,
    /// What a whole coin is expected to cost.
    pub rate: Rate,
    /// The parts.
    pub tranches: Vec<Tranche>,
}

/// A plan of funding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What it is called.
    pub name: String,
    /// All assets that it may name.
    pub assets: Assets,
    /// What money is counted in.
    pub currency: AssetNum,
    /// How costs are rounded to the currency's smallest unit.
    pub rounding: Rounding,
    /// By which shares rates are moved down and up, the smallest first.
    pub sensitivity: Vec<Share>,
    /// What comes.
    pub sources: Vec<Flow>,
    /// What goes, beside coins.
    pub needs: Vec<Flow>,
    /// The coins.
    pub buys: Vec<Buy>,
}

/// Why a text is no plan.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FundingError {
    /// Not the shape of a plan.
    #[error("is no plan of funding: {0}")]
    Toml(String),
    /// An asset that cannot be.
    #[error("assets: {0}")]
    Assets(#[from] AssetsError),
    /// A value that cannot stand there.
    #[error("{field}: {problem}")]
    Field {
        /// Which field.
        field: String,
        /// What is wrong, and what to do.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    name: String,
    currency: String,
    rounding: Rounding,
    #[serde(default)]
    assets: std::collections::BTreeMap<String, u8>,
    #[serde(default)]
    sensitivity: Vec<String>,
    #[serde(default)]
    source: Vec<RawFlow>,
    #[serde(default)]
    need: Vec<RawFlow>,
    #[serde(default)]
    buy: Vec<RawBuy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFlow {
    date: String,
    what: String,
    amount: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBuy {
    asset: String,
    quantity: String,
    rate: String,
    tranche: Vec<RawTranche>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTranche {
    date: String,
    quantity: String,
    agreed: Option<String>,
}

impl Plan {
    /// The plan that a TOML text says.
    ///
    /// # Errors
    /// Unknown keys, numbers, assets or days, tranches that are not the quantity together, a plan without needs.
    pub fn parse(text: &str) -> Result<Self, FundingError> {
        let raw: RawPlan = toml::from_str(text)
            .map_err(|error| FundingError::Toml(error.to_string().trim_end().to_owned()))?;
        let mut assets = Assets::default();
        for (code, decimals) in &raw.assets {
            assets.add(code, *decimals)?;
        }
        if raw.name.trim().is_empty() || raw.name.chars().count() > NAME_MAX {
            return Err(field("name", "want 1 to 200 characters"));
        }
        let currency = find(&assets, "currency", &raw.currency)?;
        let decimals = assets.decimals(currency);
        let flows = |kind: &str, raw: &[RawFlow]| -> Result<Vec<Flow>, FundingError> {
            few(kind, raw.len())?;
            (1_u32..)
                .zip(raw)
                .map(|(number, flow)| flow.parse(&format!("{kind} {number}"), decimals))
                .collect()
        };
        let (sources, needs) = (flows("source", &raw.source)?, flows("need", &raw.need)?);
        few("buy", raw.buy.len())?;
        let buys: Vec<Buy> = (1_u32..)
            .zip(&raw.buy)
            .map(|(number, buy)| buy.parse(&format!("buy {number}"), &assets))
            .collect::<Result<_, _>>()?;
        if needs.is_empty() && buys.is_empty() {
            return Err(field("need", "nothing is needed; name it with [[need]] or [[buy]]"));
        }
        few("sensitivity", raw.sensitivity.len())?;
        let mut sensitivity = Vec::new();
        for text in &raw.sensitivity {
            let share: Share = text.parse().map_err(|problem| field("sensitivity", problem))?;
            if share == Share::ZERO || share > Share::ONE {
                return Err(field(
                    "sensitivity",
                    format_args!("{share}: want above 0 and at most 1, such as 0.1 for 10 %"),
                ));
            }
            sensitivity.push(share);
        }
        sensitivity.sort_unstable();
        sensitivity.dedup();
        Ok(Self {
            name: raw.name,
            assets,
            currency,
            rounding: raw.rounding,
            sensitivity,
            sources,
            needs,
            buys,
        })
    }
}

impl RawFlow {
    fn parse(&self, place: &str, decimals: u8) -> Result<Flow, FundingError> {
        let amount = units(&self.amount, decimals)
            .map_err(|problem| field(format_args!("{place}, amount"), problem))?;
        if self.what.trim().is_empty() || self.what.chars().count() > NAME_MAX {
            return Err(field(format_args!("{place}, what"), "want 1 to 200 characters"));
        }
        Ok(Flow { date: date(place, &self.date)?, what: self.what.clone(), amount })
    }
}

impl RawBuy {
    fn parse(&self, place: &str, assets: &Assets) -> Result<Buy, FundingError> {
        let asset = find(assets, place, &self.asset)?;
        let decimals = assets.decimals(asset);
        let coins = |place: &str, text: &str| {
            let found =
                units(text, decimals).map_err(|problem| field(format_args!("{place}, quantity"), problem))?;
            if found == Amount::ZERO {
                return Err(field(format_args!("{place}, quantity"), "is 0, want more"));
            }
            Ok(found)
        };
        let rate = |place: &str, text: &str| {
            text.parse().map_err(|problem| field(format_args!("{place}, rate"), problem))
        };
        few(place, self.tranche.len())?;
        let mut tranches = Vec::new();
        for (number, raw) in (1_u32..).zip(&self.tranche) {
            let place = format!("{place}, tranche {number}");
            let agreed = raw.agreed.as_deref().map(|text| rate(&place, text)).transpose()?;
            tranches.push(Tranche {
                date: date(&place, &raw.date)?,
                quantity: coins(&place, &raw.quantity)?,
                agreed,
            });
        }
        let quantity = coins(place, &self.quantity)?;
        let sum = Amount::sum(tranches.iter().map(|tranche| tranche.quantity));
        if sum != Some(quantity) {
            let sum = sum.map_or_else(|| "too much".to_owned(), |sum| sum.to_coins(decimals));
            let want = quantity.to_coins(decimals);
            return Err(field(
                format_args!("{place}, tranche"),
                format_args!("the tranches are {sum} together, want {want}"),
            ));
        }
        Ok(Buy { asset, quantity, rate: rate(place, &self.rate)?, tranches })
    }
}

fn field(field: impl core::fmt::Display, problem: impl core::fmt::Display) -> FundingError {
    FundingError::Field { field: field.to_string(), problem: problem.to_string() }
}

fn few(kind: &str, count: usize) -> Result<(), FundingError> {
    if count > MANY_MAX {
        return Err(field(kind, format_args!("there are {count}, want at most {MANY_MAX}")));
    }
    Ok(())
}

fn find(assets: &Assets, place: &str, code: &str) -> Result<AssetNum, FundingError> {
    let found: String = code.chars().take(40).collect();
    let unknown = || {
        field(place, format_args!("asset {found:?} is not known; add it under [assets] with its decimals"))
    };
    assets.find(code).ok_or_else(unknown)
}

fn date(place: &str, text: &str) -> Result<Date, FundingError> {
    let shown: String = text.chars().take(40).collect();
    // Longer forms carry a time and a place, which a day has not.
    let plain = text.len() == 10;
    let parsed = plain.then(|| text.parse().ok()).flatten();
    parsed.ok_or_else(|| {
        field(format_args!("{place}, date"), format_args!("{shown:?}, want a day such as 2024-06-03"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = \"a\"\ncurrency = \"JPY\"\nrounding = \"up\"\n";

    #[track_caller]
    fn refused(text: &str, want: &str) {
        let found = Plan::parse(&format!("{HEAD}{text}")).unwrap_err().to_string();
        assert!(found.contains(want), "{found}");
    }

    #[test]
    fn plans_that_say_too_little_or_what_cannot_be_are_refused() {
        let need = |date: &str, amount: &str| {
            format!("[[need]]\ndate = \"{date}\"\nwhat = \"x\"\namount = \"{amount}\"\n")
        };
        assert!(Plan::parse(&format!("{HEAD}{}", need("2024-06-03", "1"))).is_ok());
        refused("", "need: nothing is needed");
        refused("extra = 1\n", "unknown field `extra`");
        refused(&need("2024-06-31", "1"), "need 1, date: \"2024-06-31\", want a day such as 2024-06-03");
        refused(&need("2024-06-03T00:00:00Z", "1"), "need 1, date: \"2024-06-03T00:00:00Z\"");
        refused(&need("2024-06-03", "1.5"), "need 1, amount: 1.5 has 1 decimals, want at most 0");
        refused(&need("2024-06-03", "-1"), "need 1, amount: -1 is negative");
        for (share, want) in
            [("0", "0: want above 0"), ("1.000001", "1.000001: want above 0"), ("x", "sensitivity: \"x\"")]
        {
            refused(&format!("sensitivity = [\"{share}\"]\n{}", need("2024-06-03", "1")), want);
        }
        let buy = |asset: &str, quantity: &str, part: &str| {
            format!(
                "[[buy]]\nasset = \"{asset}\"\nquantity = \"{quantity}\"\nrate = \"1\"\n\
                 [[buy.tranche]]\ndate = \"2024-06-03\"\nquantity = \"{part}\"\n"
            )
        };
        assert!(Plan::parse(&format!("{HEAD}{}", buy("BTC", "1.5", "1.5"))).is_ok());
        refused(&buy("BTC", "1.5", "1"), "buy 1, tranche: the tranches are 1 together, want 1.5");
        refused(&buy("BTC", "0", "0"), "buy 1, tranche 1, quantity: is 0, want more");
        refused(&buy("LSK", "1", "1"), "buy 1: asset \"LSK\" is not known");
    }
}
