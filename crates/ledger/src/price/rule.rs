//! Price rules in TOML. Decides whether a rule says everything that its price depends on.

use std::collections::BTreeSet;

use jiff::civil::Date;
use kuraban_base::Instant;
use serde::Deserialize;

use crate::{Rate, Rounding, decimal::RATE_PLACES, time::instant};

/// How a price is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rule {
    /// A rate that somebody has stated.
    Fixed {
        /// The rate.
        rate: Rate,
    },
    /// The average of prices, weighted by volume, from one instant up to another.
    Vwap {
        /// On this venue, or on all of the tape.
        venue: Option<String>,
        /// The first instant of the window.
        from: Instant,
        /// The first instant after it.
        to: Instant,
        /// The longest time without a trade that is borne.
        gap_s: Option<u64>,
        /// To how many decimals it is rounded.
        places: u8,
        /// How.
        rounding: Rounding,
    },
    /// The last trade at or before an instant.
    Last {
        /// On this venue, or on all of the tape.
        venue: Option<String>,
        /// The instant.
        at: Instant,
        /// The oldest that it may be, in seconds.
        age_s: u64,
    },
    /// The last trade of a day.
    Close {
        /// On this venue, or on all of the tape.
        venue: Option<String>,
        /// The day's first instant.
        from: Instant,
        /// The next day's.
        to: Instant,
    },
    /// Halfway between the last trades of two venues at an instant.
    Midpoint {
        /// Which two.
        venues: (String, String),
        /// The instant.
        at: Instant,
        /// The oldest that they may be, in seconds.
        age_s: u64,
        /// To how many decimals it is rounded.
        places: u8,
        /// How.
        rounding: Rounding,
    },
}

/// A rule and what its price is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// The name by which schemes ask for it.
    pub name: String,
    /// The tape that it is found on, by the name that the rules give it; nothing for a fixed rate.
    pub tape: Option<String>,
    /// The rule.
    pub rule: Rule,
}

/// Price rules, each with its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules(Vec<Named>);

/// Why a text holds no rules.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RuleError {
    /// Not the shape of rules.
    #[error("are no price rules: {0}")]
    Toml(String),
    /// A field that is missing, wrong or too much.
    #[error("price {name:?}, {field}: {problem}")]
    Field {
        /// Of which rule.
        name: String,
        /// Which field.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Two of a name.
    #[error("there are two prices {0:?}, want one")]
    Double(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Fixed,
    Vwap,
    Last,
    Close,
    Midpoint,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRules {
    price: Vec<RawRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    name: String,
    rule: Kind,
    tape: Option<String>,
    rate: Option<String>,
    venue: Option<String>,
    venues: Option<[String; 2]>,
    from: Option<String>,
    to: Option<String>,
    at: Option<String>,
    day: Option<String>,
    offset: Option<String>,
    age_s: Option<u64>,
    gap_s: Option<u64>,
    places: Option<u8>,
    rounding: Option<Rounding>,
}

impl Rule {
    /// Whether it needs no tape.
    #[must_use]
    pub const fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed { .. })
    }
}

impl Rules {
    /// The rules that a TOML text holds.
    ///
    /// # Errors
    /// Unknown keys, and rules that leave open what their price depends on.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let raw: RawRules =
            toml::from_str(text).map_err(|error| RuleError::Toml(error.to_string().trim_end().to_owned()))?;
        let mut names = BTreeSet::new();
        for rule in &raw.price {
            if !names.insert(rule.name.clone()) {
                return Err(RuleError::Double(rule.name.clone()));
            }
        }
        raw.price.into_iter().map(RawRule::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl IntoIterator for Rules {
    type Item = Named;
    type IntoIter = std::vec::IntoIter<Named>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl RawRule {
    fn parse(mut self) -> Result<Named, RuleError> {
        let rule = match self.rule {
            Kind::Fixed => {
                let text = self.rate.take();
                let rate = self.must("rate", text)?;
                Rule::Fixed {
                    rate: rate.parse().map_err(|problem| self.wrong("rate", format!("{problem}")))?,
                }
            }
            Kind::Vwap => {
                let (from, to) = (self.from.take(), self.to.take());
                let (from, to) = (self.instant("from", from)?, self.instant("to", to)?);
                if from >= to {
                    return Err(self.wrong("to", format!("{to} is not after from, {from}")));
                }
                let (places, rounding) = self.rounded()?;
                Rule::Vwap { venue: self.venue.take(), from, to, gap_s: self.gap_s.take(), places, rounding }
            }
            Kind::Last => {
                let at = self.at.take();
                let (at, age) = (self.instant("at", at)?, self.age_s.take());
                Rule::Last { venue: self.venue.take(), at, age_s: self.must("age_s", age)? }
            }
            Kind::Close => {
                let (from, to) = self.day()?;
                Rule::Close { venue: self.venue.take(), from, to }
            }
            Kind::Midpoint => {
                let (at, age, venues) = (self.at.take(), self.age_s.take(), self.venues.take());
                let [one, other] = self.must("venues", venues)?;
                if one == other {
                    return Err(self.wrong("venues", "are the same, want two".to_owned()));
                }
                let (places, rounding) = self.rounded()?;
                let at = self.instant("at", at)?;
                Rule::Midpoint { venues: (one, other), at, age_s: self.must("age_s", age)?, places, rounding }
            }
        };
        let tape = self.tape.take();
        if tape.is_some() && self.rule == Kind::Fixed {
            return Err(self.wrong("tape", "a fixed rate stands on none".to_owned()));
        }
        if let Some(field) = self.left() {
            return Err(self.wrong(field, "does not belong to this rule; take it out".to_owned()));
        }
        Ok(Named { name: self.name, tape, rule })
    }

    /// A field that no arm has taken.
    fn left(&self) -> Option<&'static str> {
        let texts = [
            ("rate", &self.rate),
            ("venue", &self.venue),
            ("from", &self.from),
            ("to", &self.to),
            ("at", &self.at),
            ("day", &self.day),
            ("offset", &self.offset),
        ];
        let texts = texts.into_iter().filter(|(_, field)| field.is_some()).map(|(name, _)| name);
        let others = [
            ("venues", self.venues.is_some()),
            ("age_s", self.age_s.is_some()),
            ("gap_s", self.gap_s.is_some()),
            ("places", self.places.is_some()),
            ("rounding", self.rounding.is_some()),
        ];
        texts.chain(others.into_iter().filter(|(_, there)| *there).map(|(name, _)| name)).next()
    }

    fn rounded(&mut self) -> Result<(u8, Rounding), RuleError> {
        let (places, rounding) = (self.places.take(), self.rounding.take());
        let places = self.must("places", places)?;
        if places > RATE_PLACES {
            return Err(self.wrong("places", format!("{places}, want at most {RATE_PLACES}")));
        }
        Ok((places, self.must("rounding", rounding)?))
    }

    fn day(&mut self) -> Result<(Instant, Instant), RuleError> {
        let (day, offset) = (self.day.take(), self.offset.take());
        let (day, offset) = (self.must("day", day)?, self.must("offset", offset)?);
        let wrong = |field, want: &str, found: &str| self.wrong(field, format!("{found:?}, want {want}"));
        let date: Date = day.parse().map_err(|_| wrong("day", "a day such as 2018-09-18", &day))?;
        let begin = |date: Date| instant(&format!("{date}T00:00:00{offset}"));
        let from = begin(date).map_err(|_| wrong("offset", "an offset such as +09:00", &offset))?;
        let next = date.tomorrow().map_err(|_| wrong("day", "a day that has a next one", &day))?;
        let to = begin(next).map_err(|_| wrong("offset", "an offset such as +09:00", &offset))?;
        Ok((from, to))
    }

    fn instant(&self, field: &'static str, text: Option<String>) -> Result<Instant, RuleError> {
        let text = self.must(field, text)?;
        instant(&text).map_err(|problem| self.wrong(field, problem))
    }

    fn must<T>(&self, field: &'static str, value: Option<T>) -> Result<T, RuleError> {
        value.ok_or_else(|| self.wrong(field, "is missing".to_owned()))
    }

    fn wrong(&self, field: &'static str, problem: String) -> RuleError {
        RuleError::Field { name: self.name.clone(), field, problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, want: &str) {
        let problem = Rules::parse(&format!("[[price]]\nname = \"x\"\n{text}")).unwrap_err().to_string();
        assert!(problem.contains(want), "{problem}");
    }

    #[test]
    fn rules_say_all_that_a_price_depends_on_and_nothing_else() {
        refused("rule = \"mean\"", "unknown variant");
        refused("rule = \"fixed\"", "price \"x\", rate: is missing");
        refused("rule = \"fixed\"\nrate = \"1\"\nvenue = \"a\"", "venue: does not belong to this rule");
        refused("rule = \"fixed\"\nrate = \"1\"\ntape = \"a\"", "tape: a fixed rate stands on none");
        refused(
            "rule = \"last\"\nat = \"2018-01-26T12:09:00\"\nage_s = 1",
            "at: \"2018-01-26T12:09:00\" is no instant",
        );
        refused("rule = \"last\"\nat = \"2018-01-26T12:09:00Z\"", "age_s: is missing");
        refused(
            "rule = \"close\"\nday = \"2018-09-31\"\noffset = \"+09:00\"",
            "day: \"2018-09-31\", want a day",
        );
        refused(
            "rule = \"close\"\nday = \"2018-09-18\"\noffset = \"JST\"",
            "offset: \"JST\", want an offset",
        );
        let window = "rule = \"vwap\"\nfrom = \"2018-01-26T12:09:00Z\"\n";
        refused(
            &format!("{window}to = \"2018-01-26T12:09:00Z\"\nplaces = 3\nrounding = \"down\""),
            "is not after from",
        );
        refused(
            &format!("{window}to = \"2018-01-26T12:10:00Z\"\nplaces = 13\nrounding = \"down\""),
            "places: 13, want at most 12",
        );
        refused(&format!("{window}to = \"2018-01-26T12:10:00Z\"\nplaces = 3"), "rounding: is missing");
        refused(
            "rule = \"midpoint\"\nvenues = [\"a\", \"a\"]\nat = \"2018-01-26T12:09:00Z\"\nage_s = 1",
            "are the same",
        );
        refused(
            "rule = \"fixed\"\nrate = \"1\"\n[[price]]\nname = \"x\"\nrule = \"fixed\"\nrate = \"1\"",
            "two prices",
        );
    }
}
