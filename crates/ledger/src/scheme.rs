//! Schemes of compensation as data: who is paid what for which holdings, at which rates, how it is rounded, and who bears what
//! rounding leaves. Decides whether a scheme says all that; nothing about anybody's holdings.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::Amount;
use serde::Deserialize;

use crate::{AssetNum, Assets, AssetsError, DecimalError, Rate, Rounding, Share, units};

/// Longest name of a scheme, in characters.
const NAME_MAX: usize = 200;

/// Rates by name, as a valuation gives them.
pub type Prices = BTreeMap<String, Rate>;

/// Who bears what rounding leaves over or takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remainder {
    /// The operator: every claim is rounded on its own.
    Operator,
    /// The customers together: the total is rounded once, and the units that claims rounded down leave of it go to the claims with
    /// the largest fractions, one each, earlier customers first.
    Customers,
}

/// What is paid for one asset to the customers of some groups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pay {
    /// For what.
    pub asset: AssetNum,
    /// To whom; everybody if empty.
    pub groups: BTreeSet<String>,
    /// The part that is paid as coins.
    pub in_kind: Share,
    /// The part that is paid in the scheme's currency.
    pub cash: Share,
    /// What a whole coin is worth; nothing where no cash is paid.
    pub rate: Option<Rate>,
}

/// Payment by an insolvency plan: a base amount for everybody, then a share that ends the claim, or what is left in proportion.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Insolvency {
    /// Paid of every claim first, in the currency's smallest unit.
    pub base: Amount,
    /// The part of what is left that those who chose it get at once.
    pub early: Share,
    /// The groups that chose it.
    pub early_groups: BTreeSet<String>,
    /// What there is for the others, in the currency's smallest unit: they get what is left of their claims times this over what is left
    /// of all claims, and never more than their claims.
    pub assets: Amount,
}

/// The price differences of orders that were filled while services were stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FillTerms {
    /// The fair price of each asset.
    pub references: BTreeMap<AssetNum, Rate>,
}

/// A scheme of compensation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scheme {
    /// What it is called.
    pub name: String,
    /// When customers must have held what they are paid for, as it was written.
    pub as_of: Option<String>,
    /// All assets that holdings may have.
    pub assets: Assets,
    /// What cash is paid in.
    pub currency: AssetNum,
    /// How claims are rounded to the currency's smallest unit, and coins to base units.
    pub rounding: Rounding,
    /// Who bears the difference.
    pub remainder: Remainder,
    /// Groups that are paid; all if empty.
    pub groups: BTreeSet<String>,
    /// Vaults whose coins are paid for; all if empty.
    pub vaults: BTreeSet<String>,
    /// What is paid for each asset; the first that fits counts.
    pub pays: Vec<Pay>,
    /// Assets that are held and not paid for.
    pub not_paid: BTreeSet<AssetNum>,
    /// The least that is paid out to a customer in cash.
    pub minimum: Amount,
    /// The most that is paid out to a customer in cash.
    pub cap: Option<Amount>,
    /// The plan by which claims are paid; in full without one.
    pub insolvency: Option<Insolvency>,
    /// Whether fills are made good, and against which prices.
    pub fills: Option<FillTerms>,
    /// Which fees are refunded, by kind.
    pub refunds: BTreeSet<String>,
}

/// Why a text is no scheme.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SchemeError {
    /// Not the shape of a scheme.
    #[error("is no scheme: {0}")]
    Toml(String),
    /// A number that is none, or an asset.
    #[error("{field}: {problem}")]
    Number {
        /// Which field.
        field: String,
        /// What is wrong.
        problem: DecimalError,
    },
    /// An asset that cannot be.
    #[error("assets: {0}")]
    Asset(#[from] AssetsError),
    /// An asset that the scheme does not define.
    #[error("{field}: {found:?} is not known; add it under [assets] with its decimals")]
    Unknown {
        /// Which field.
        field: String,
        /// What stood there.
        found: String,
    },
    /// A rate by a name that no valuation gives.
    #[error("{field}: there is no price {found:?} among those of the valuation: {known}")]
    Price {
        /// Which field.
        field: String,
        /// What stood there.
        found: String,
        /// All that there are.
        known: String,
    },
    /// Terms that contradict each other or say too little.
    #[error("{field}: {problem}")]
    Terms {
        /// Which field.
        field: String,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScheme {
    name: String,
    currency: String,
    rounding: Rounding,
    remainder: Remainder,
    as_of: Option<String>,
    #[serde(default)]
    assets: BTreeMap<String, u8>,
    #[serde(default)]
    groups: BTreeSet<String>,
    #[serde(default)]
    vaults: BTreeSet<String>,
    #[serde(default)]
    pay: Vec<RawPay>,
    #[serde(default)]
    not_paid: Vec<String>,
    minimum: Option<String>,
    cap: Option<String>,
    insolvency: Option<RawInsolvency>,
    fills: Option<RawFills>,
    #[serde(default)]
    refunds: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPay {
    asset: String,
    #[serde(default)]
    groups: BTreeSet<String>,
    in_kind: Option<String>,
    cash: Option<String>,
    rate: Option<String>,
    price: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInsolvency {
    base: String,
    early: String,
    #[serde(default)]
    early_groups: BTreeSet<String>,
    assets: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFills {
    reference: BTreeMap<String, String>,
}

impl Scheme {
    /// The scheme that a TOML text says; rates that it gives by name are looked up in `prices`.
    ///
    /// # Errors
    /// Unknown keys, numbers, assets or prices, and terms that do not say who gets what.
    pub fn parse(text: &str, prices: &Prices) -> Result<Self, SchemeError> {
        let raw: RawScheme = toml::from_str(text)
            .map_err(|error| SchemeError::Toml(error.to_string().trim_end().to_owned()))?;
        let mut assets = Assets::default();
        for (code, decimals) in &raw.assets {
            assets.add(code, *decimals)?;
        }
        let find = |field: &str, code: &str| find(&assets, field, code);
        let currency = find("currency", &raw.currency)?;
        let money = |field: &str, text: &str| {
            units(text, assets.decimals(currency)).map_err(|problem| number(field, problem))
        };
        let not_paid = raw.not_paid.iter().map(|code| find("not_paid", code)).collect::<Result<_, _>>()?;
        let pays = (1_u32..)
            .zip(&raw.pay)
            .map(|(place, pay)| pay.parse(&format!("pay {place}"), &assets, currency, prices))
            .collect::<Result<_, _>>()?;
        let scheme = Self {
            minimum: raw.minimum.map_or(Ok(Amount::ZERO), |text| money("minimum", &text))?,
            cap: raw.cap.map(|text| money("cap", &text)).transpose()?,
            insolvency: raw.insolvency.map(|plan| plan.parse(money)).transpose()?,
            fills: raw.fills.map(|fills| fills.parse(&assets)).transpose()?,
            name: raw.name,
            as_of: raw.as_of,
            currency,
            rounding: raw.rounding,
            remainder: raw.remainder,
            groups: raw.groups,
            vaults: raw.vaults,
            refunds: raw.refunds,
            pays,
            not_paid,
            assets,
        };
        scheme.whole()
    }

    /// The scheme, if it says who gets what.
    fn whole(self) -> Result<Self, SchemeError> {
        let no = |field: &str, problem| Err(SchemeError::Terms { field: field.to_owned(), problem });
        let name = self.name.trim();
        if name.is_empty() || name.chars().count() > NAME_MAX {
            return no("name", "want 1 to 200 characters");
        }
        if self.pays.is_empty() && self.fills.is_none() && self.refunds.is_empty() {
            return no(
                "pay",
                "nothing is paid; say for which asset with [[pay]], or give [fills] or refunds",
            );
        }
        if self.cap.is_some_and(|cap| cap < self.minimum) {
            return no("cap", "is below the minimum, so that nobody would be paid");
        }
        for (place, pay) in (1_u32..).zip(&self.pays) {
            let field = format!("pay {place}");
            if self.not_paid.contains(&pay.asset) {
                return no(&field, "the asset is under not_paid too");
            }
            let unheard = |group: &String| !self.groups.is_empty() && !self.groups.contains(group);
            if pay.groups.iter().any(unheard) {
                return no(&field, "names a group that the scheme does not pay; add it to groups");
            }
            let mut before = self.pays.iter().zip(1_u32..).take_while(|(_, other)| *other < place);
            let hidden = |other: &Pay| {
                let all = other.groups.is_empty();
                other.asset == pay.asset
                    && (all || (!pay.groups.is_empty() && pay.groups.is_subset(&other.groups)))
            };
            if before.any(|(other, _)| hidden(other)) {
                return no(&field, "never counts: an earlier one is for the same asset and groups");
            }
        }
        Ok(self)
    }

    /// What is paid for an asset to a customer of a group.
    #[must_use]
    pub fn pay(&self, asset: AssetNum, group: &str) -> Option<(usize, &Pay)> {
        let fits = |pay: &Pay| pay.asset == asset && (pay.groups.is_empty() || pay.groups.contains(group));
        self.pays.iter().enumerate().find(|(_, pay)| fits(pay))
    }
}

impl RawPay {
    fn parse(
        &self,
        field: &str,
        assets: &Assets,
        currency: AssetNum,
        prices: &Prices,
    ) -> Result<Pay, SchemeError> {
        let no = |problem| Err(SchemeError::Terms { field: field.to_owned(), problem });
        let share = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or("0");
            text.parse::<Share>().map_err(|problem| number(field, problem))
        };
        let asset = find(assets, field, &self.asset)?;
        let (in_kind, cash) = (share(&self.in_kind)?, share(&self.cash)?);
        let rate = match (&self.rate, &self.price) {
            (Some(_), Some(_)) => return no("has both a rate and the name of a price, want one"),
            (Some(text), None) => Some(text.parse().map_err(|problem| number(field, problem))?),
            (None, Some(name)) => Some(*prices.get(name).ok_or_else(|| SchemeError::Price {
                field: field.to_owned(),
                found: name.clone(),
                known: match prices.is_empty() {
                    true => "it has none; --prices gives them".to_owned(),
                    false => prices.keys().cloned().collect::<Vec<_>>().join(" "),
                },
            })?),
            (None, None) if asset == currency && cash > Share::ZERO => Some(Rate::ONE),
            (None, None) => None,
        };
        if asset == currency && rate.is_some_and(|rate| rate != Rate::ONE) {
            return no("the currency itself is worth 1, leave the rate out");
        }
        if in_kind == Share::ZERO && cash == Share::ZERO {
            return no("pays nothing; give the part in_kind, the part in cash, or both");
        }
        if rate.is_some() != (cash > Share::ZERO) {
            return no("cash needs a rate or the name of a price, and a rate needs a part in cash");
        }
        if in_kind.plus(cash).is_none_or(|sum| sum > Share::ONE) {
            return no("pays more than all: in_kind and cash are together at most 1");
        }
        Ok(Pay { asset, groups: self.groups.clone(), in_kind, cash, rate })
    }
}

impl RawInsolvency {
    fn parse(
        self,
        money: impl Fn(&str, &str) -> Result<Amount, SchemeError>,
    ) -> Result<Insolvency, SchemeError> {
        let early: Share = self.early.parse().map_err(|problem| number("insolvency.early", problem))?;
        if early > Share::ONE {
            let problem = "is above 1, want the part of a claim that is paid early";
            return Err(SchemeError::Terms { field: "insolvency.early".to_owned(), problem });
        }
        Ok(Insolvency {
            base: money("insolvency.base", &self.base)?,
            early,
            early_groups: self.early_groups,
            assets: money("insolvency.assets", &self.assets)?,
        })
    }
}

impl RawFills {
    fn parse(&self, assets: &Assets) -> Result<FillTerms, SchemeError> {
        let reference = |(code, text): (&String, &String)| {
            let field = format!("fills.reference.{code}");
            let rate = text.parse().map_err(|problem| number(&field, problem))?;
            Ok((find(assets, &field, code)?, rate))
        };
        Ok(FillTerms {
            references: self.reference.iter().map(reference).collect::<Result<_, SchemeError>>()?,
        })
    }
}

fn find(assets: &Assets, field: &str, code: &str) -> Result<AssetNum, SchemeError> {
    let unknown = || SchemeError::Unknown { field: field.to_owned(), found: code.to_owned() };
    assets.find(code).ok_or_else(unknown)
}

fn number(field: &str, problem: DecimalError) -> SchemeError {
    SchemeError::Number { field: field.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = \"a\"\ncurrency = \"JPY\"\nrounding = \"half-up\"\nremainder = \"operator\"\n";

    fn read(rest: &str) -> Result<Scheme, SchemeError> {
        Scheme::parse(
            &format!("{HEAD}{rest}"),
            &Prices::from([("xem".to_owned(), "88.549".parse().unwrap())]),
        )
    }

    #[test]
    fn a_scheme_says_who_gets_what() {
        let scheme = read(
            "groups = [\"consents\", \"objects\"]\n[assets]\nQASH = 6\n\
             [[pay]]\nasset = \"MONA\"\ngroups = [\"consents\"]\nin_kind = \"0.6\"\ncash = \"0.4\"\nrate = \"144.548\"\n\
             [[pay]]\nasset = \"MONA\"\ncash = \"1\"\nrate = \"107.7\"\n\
             [[pay]]\nasset = \"XEM\"\ncash = \"1\"\nprice = \"xem\"\n\
             [[pay]]\nasset = \"QASH\"\nin_kind = \"1\"\n\
             [[pay]]\nasset = \"JPY\"\ncash = \"1\"\n",
        )
        .unwrap();
        let mona = scheme.assets.find("MONA").unwrap();
        let rate = |group| scheme.pay(mona, group).and_then(|(_, pay)| pay.rate).unwrap().to_string();
        assert_eq!((rate("consents").as_str(), rate("objects").as_str()), ("144.548", "107.7"));
        let of = |code| {
            scheme.pay(scheme.assets.find(code).unwrap(), "consents").map(|(place, pay)| (place, pay.rate))
        };
        assert_eq!(of("XEM"), Some((2, "88.549".parse().ok())));
        assert_eq!((of("QASH"), of("JPY"), of("BTC")), (Some((3, None)), Some((4, Some(Rate::ONE))), None));
    }

    #[track_caller]
    fn refused(rest: &str, want: &str) {
        let problem = read(rest).unwrap_err().to_string();
        assert!(problem.contains(want), "{problem}");
    }

    #[test]
    fn a_scheme_that_says_too_little_or_too_much_is_refused() {
        let pay = |more: &str| format!("[[pay]]\nasset = \"XEM\"\n{more}\n");
        refused("", "nothing is paid");
        refused("colour = \"red\"", "unknown field `colour`");
        refused(&pay("cash = \"1\"\nrate = 88.549"), "invalid type: floating point");
        refused(&pay("cash = \"1\"\nrate = \"88,549\""), "pay 1: \"88,549\" has ',' at character 3");
        refused(&pay("cash = \"1\""), "pay 1: cash needs a rate");
        refused(&pay("in_kind = \"1\"\nrate = \"88.549\""), "pay 1: cash needs a rate");
        refused(&pay("cash = \"1\"\nrate = \"1\"\nprice = \"xem\""), "want one");
        refused(
            &pay("cash = \"1\"\nprice = \"xrp\""),
            "pay 1: there is no price \"xrp\" among those of the valuation: xem",
        );
        refused(&pay("cash = \"0.5\"\nin_kind = \"0.500001\"\nrate = \"1\""), "pays more than all");
        refused(&pay("cash = \"0\""), "pays nothing");
        refused("[[pay]]\nasset = \"LSK\"\nin_kind = \"1\"", "pay 1: \"LSK\" is not known");
        refused("[[pay]]\nasset = \"JPY\"\ncash = \"1\"\nrate = \"2\"", "the currency itself is worth 1");
        refused("[assets]\nXEM = 8\n[[pay]]\nasset = \"XEM\"\nin_kind = \"1\"", "XEM has 6 decimals, not 8");
        refused(&format!("not_paid = [\"XEM\"]\n{}", pay("in_kind = \"1\"")), "under not_paid too");
        refused(&format!("minimum = \"5\"\ncap = \"4\"\n{}", pay("in_kind = \"1\"")), "below the minimum");
        refused(
            &format!("minimum = \"0.5\"\n{}", pay("in_kind = \"1\"")),
            "minimum: 0.5 has 1 decimals, want at most 0",
        );
        refused(&format!("{}{}", pay("in_kind = \"1\""), pay("in_kind = \"1\"")), "pay 2: never counts");
        refused(
            &format!("groups = [\"a\"]\n{}", pay("groups = [\"b\"]\nin_kind = \"1\"")),
            "names a group that the scheme does not pay",
        );
        refused(
            &format!(
                "{}[insolvency]\nbase = \"1\"\nearly = \"1.000001\"\nassets = \"1\"",
                pay("in_kind = \"1\"")
            ),
            "insolvency.early: is above 1",
        );
    }
}
