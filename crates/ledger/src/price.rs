//! What a coin was worth: price rules as data, over a tape of trades. Decides a rate and says on what it stands; where trades are
//! missing it says so and gives none.

mod rule;

use core::fmt;

use kuraban_base::{Amount, Instant};

pub use rule::{Named, Rule, RuleError, Rules};

use crate::{
    Exact, Rate, Share,
    time::{instant, shown_utc},
    units,
};

/// Most trades that a tape may have.
const TRADES_MAX: usize = 200_000_000;

/// A trade on a venue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trade {
    /// When.
    pub at: Instant,
    /// The venue's place in the tape.
    venue: u16,
    /// What a whole coin cost.
    pub price: Rate,
    /// How many coins, in 10⁻¹⁸ of one.
    pub amount: Amount,
}

/// Trades of one pair on some venues, in order of time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tape {
    venues: Vec<String>,
    trades: Vec<Trade>,
}

/// Why a tape does not take a trade.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TapeError {
    /// No time, price or amount.
    #[error("{field}: {problem}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Before the one before it.
    #[error("time: {} is before {} on the line before; sort the tape by time", shown_utc(*found), shown_utc(*before))]
    Order {
        /// What stood there.
        found: Instant,
        /// What stood before it.
        before: Instant,
    },
    /// More than is counted.
    #[error("more than {TRADES_MAX} trades or 65,535 venues")]
    Many,
}

impl Tape {
    /// Takes the next trade; times do not go back.
    ///
    /// # Errors
    /// Fields that are no time with its offset, no price, no amount, and a time before the last one.
    pub fn push(&mut self, at: &str, venue: &str, price: &str, amount: &str) -> Result<(), TapeError> {
        let field =
            |field, problem: &dyn fmt::Display| TapeError::Field { field, problem: problem.to_string() };
        let at = instant(at).map_err(|problem| field("time", &problem))?;
        if let Some(before) = self.trades.last().map(|trade| trade.at).filter(|before| at < *before) {
            return Err(TapeError::Order { found: at, before });
        }
        let price: Rate = price.parse().map_err(|problem| field("price", &problem))?;
        let amount = units(amount, crate::DECIMALS_MAX).map_err(|problem| field("amount", &problem))?;
        if price.mantissa() == 0 {
            return Err(field("price", &"is 0, want more"));
        }
        let place = self.venues.iter().position(|known| known == venue).unwrap_or_else(|| {
            self.venues.push(venue.to_owned());
            self.venues.len().saturating_sub(1)
        });
        let venue = u16::try_from(place).ok().filter(|_| self.trades.len() < TRADES_MAX);
        self.trades.push(Trade { at, venue: venue.ok_or(TapeError::Many)?, price, amount });
        Ok(())
    }

    /// The trades of a venue from one instant to another, the first included and the second not; of all venues where none is named.
    fn within<'a>(
        &'a self,
        venue: Option<&'a str>,
        from: Instant,
        to: Instant,
    ) -> impl Iterator<Item = &'a Trade> {
        let begin = self.trades.partition_point(|trade| trade.at < from);
        let end = self.trades.partition_point(|trade| trade.at < to);
        let named = move |trade: &&Trade| venue.is_none_or(|venue| self.venue(trade) == venue);
        self.trades.get(begin..end).unwrap_or_default().iter().filter(named)
    }

    fn venue(&self, trade: &Trade) -> &str {
        self.venues.get(usize::from(trade.venue)).map_or("", String::as_str)
    }
}

/// A rate, and what it stands on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Price {
    /// The rate.
    pub rate: Rate,
    /// How many trades it stands on.
    pub trades: u64,
    /// How many coins they moved, in 10⁻¹⁸ of one.
    pub volume: Amount,
    /// The first and the last of them.
    pub span: Option<(Instant, Instant)>,
    /// The longest time without a trade within the window, in milliseconds.
    pub gap_ms: u64,
}

/// Why there is no rate.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PriceError {
    /// Nobody traded.
    #[error("{venue} has no trade from {} to {}; name another venue or window", shown_utc(*from), shown_utc(*to))]
    None {
        /// The venue, or all.
        venue: String,
        /// The window's begin.
        from: Instant,
        /// The window's end.
        to: Instant,
    },
    /// Trades of no coins.
    #[error(
        "{venue} has {trades} trades from {} to {} and no volume; name another venue or window",
        shown_utc(*from), shown_utc(*to)
    )]
    Volume {
        /// The venue, or all.
        venue: String,
        /// How many.
        trades: u64,
        /// The window's begin.
        from: Instant,
        /// The window's end.
        to: Instant,
    },
    /// A silence longer than the rule bears.
    #[error(
        "{venue} has no trade from {} to {}, longer than the {max_s} s that gap_s allows: an outage, or a tape with a gap",
        shown_utc(*from), shown_utc(*to)
    )]
    Gap {
        /// The venue, or all.
        venue: String,
        /// Since when.
        from: Instant,
        /// Until when.
        to: Instant,
        /// What the rule allows, in seconds.
        max_s: u64,
    },
    /// Numbers beyond counting.
    #[error("the sum of prices and amounts is larger than is counted")]
    Large,
}

impl Rule {
    /// The rate that this rule finds on a tape, rounded to its places.
    ///
    /// # Errors
    /// No trades, no volume, a silence longer than the rule allows.
    pub fn price(&self, tape: &Tape) -> Result<Price, PriceError> {
        match self {
            Self::Fixed { rate } => {
                Ok(Price { rate: *rate, trades: 0, volume: Amount::ZERO, span: None, gap_ms: 0 })
            }
            Self::Vwap { venue, from, to, gap_s, places, rounding } => {
                let window = Window { tape, venue: venue.as_deref(), from: *from, to: *to, gap_s: *gap_s };
                let seen = window.seen()?;
                if seen.coins == Exact::ZERO {
                    return Err(window.empty(seen.trades));
                }
                let rate = seen.money.per(seen.coins, *places, *rounding).ok_or(PriceError::Large)?;
                Ok(Price {
                    rate,
                    trades: seen.trades,
                    volume: seen.volume,
                    span: seen.span,
                    gap_ms: seen.gap_ms,
                })
            }
            Self::Last { venue, at, age_s } => {
                let from = Instant::from_ms(at.ms().saturating_sub(age_s.saturating_mul(1000)));
                let window = Window { tape, venue: venue.as_deref(), from, to: at.plus_ms(1), gap_s: None };
                window.last()
            }
            Self::Close { venue, from, to } => {
                Window { tape, venue: venue.as_deref(), from: *from, to: *to, gap_s: None }.last()
            }
            Self::Midpoint { venues: (one, other), at, age_s, places, rounding } => {
                let from = Instant::from_ms(at.ms().saturating_sub(age_s.saturating_mul(1000)));
                let to = at.plus_ms(1);
                let last = |venue| Window { tape, venue: Some(venue), from, to, gap_s: None }.last();
                let (one, other) = (last(one.as_str())?, last(other.as_str())?);
                let rate = one.rate.midpoint(other.rate, *places, *rounding).ok_or(PriceError::Large)?;
                let volume = one.volume.plus(other.volume).ok_or(PriceError::Large)?;
                let span = one.span.zip(other.span).map(|((a, _), (b, _))| (a.min(b), a.max(b)));
                Ok(Price { rate, trades: 2, volume, span, gap_ms: 0 })
            }
        }
    }
}

/// What trades of a window come to.
struct Seen {
    money: Exact,
    coins: Exact,
    trades: u64,
    volume: Amount,
    span: Option<(Instant, Instant)>,
    gap_ms: u64,
}

struct Window<'a> {
    tape: &'a Tape,
    venue: Option<&'a str>,
    from: Instant,
    to: Instant,
    gap_s: Option<u64>,
}

impl Window<'_> {
    fn venue(&self) -> String {
        self.venue.unwrap_or("the tape").to_owned()
    }

    fn trades(&self) -> impl Iterator<Item = &Trade> {
        self.tape.within(self.venue, self.from, self.to)
    }

    fn empty(&self, trades: u64) -> PriceError {
        let (venue, from, to) = (self.venue(), self.from, self.to);
        if trades == 0 {
            PriceError::None { venue, from, to }
        } else {
            PriceError::Volume { venue, trades, from, to }
        }
    }

    fn last(&self) -> Result<Price, PriceError> {
        let trade = self.trades().last().ok_or_else(|| self.empty(0))?;
        let span = Some((trade.at, trade.at));
        Ok(Price { rate: trade.price, trades: 1, volume: trade.amount, span, gap_ms: 0 })
    }

    fn seen(&self) -> Result<Seen, PriceError> {
        let mut seen = Seen {
            money: Exact::ZERO,
            coins: Exact::ZERO,
            trades: 0,
            volume: Amount::ZERO,
            span: None,
            gap_ms: 0,
        };
        let mut before = self.from;
        for trade in self.trades() {
            seen.take(trade).ok_or(PriceError::Large)?;
            self.silence(before, trade.at, &mut seen)?;
            before = trade.at;
        }
        if seen.trades == 0 {
            return Err(self.empty(0));
        }
        self.silence(before, self.to, &mut seen)?;
        Ok(seen)
    }

    fn silence(&self, from: Instant, to: Instant, seen: &mut Seen) -> Result<(), PriceError> {
        let gap_ms = to.ms_since(from);
        seen.gap_ms = seen.gap_ms.max(gap_ms);
        match self.gap_s {
            Some(max_s) if gap_ms > max_s.saturating_mul(1000) => {
                Err(PriceError::Gap { venue: self.venue(), from, to, max_s })
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Seen {
    fn take(&mut self, trade: &Trade) -> Option<()> {
        self.money =
            self.money.plus(Exact::worth(trade.amount, crate::DECIMALS_MAX, trade.price, Share::ONE)?)?;
        self.coins = self.coins.plus(Exact::of(trade.amount, crate::DECIMALS_MAX)?)?;
        self.volume = self.volume.plus(trade.amount)?;
        self.trades = self.trades.saturating_add(1);
        self.span = Some((self.span.map_or(trade.at, |(first, _)| first), trade.at));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tape(rows: &[(&str, &str, &str, &str)]) -> Tape {
        let mut tape = Tape::default();
        rows.iter().for_each(|(at, venue, price, amount)| tape.push(at, venue, price, amount).unwrap());
        tape
    }

    fn rule(text: &str) -> Rule {
        Rules::parse(&format!("[[price]]\nname = \"x\"\n{text}")).unwrap().into_iter().next().unwrap().rule
    }

    fn zaif() -> Tape {
        tape(&[
            ("2018-01-26T12:08:59.999+09:00", "zaif", "999", "1"),
            ("2018-01-26T12:09:00+09:00", "zaif", "100", "1"),
            ("2018-01-26T03:30:00Z", "zaif", "80", "3"),
            ("2018-01-26T12:40:00+09:00", "other", "1", "1000"),
            ("2018-01-27T22:59:59.999+09:00", "zaif", "90.5", "2"),
            ("2018-01-27T23:00:00+09:00", "zaif", "999", "1"),
        ])
    }

    const WINDOW: &str = "rule = \"vwap\"\nvenue = \"zaif\"\nplaces = 3\nrounding = \"half-up\"\n\
        from = \"2018-01-26T12:09:00+09:00\"\nto = \"2018-01-27T23:00:00+09:00\"\n";

    /// (100 × 1 + 80 × 3 + 90.5 × 2) / 6 = 86.8333…
    #[test]
    fn an_average_weighs_by_volume_within_its_window_in_its_time_zone() {
        let price = rule(WINDOW).price(&zaif()).unwrap();
        assert_eq!((price.rate.to_string().as_str(), price.trades), ("86.833", 3));
        assert_eq!(price.volume.to_coins(18), "6");
        let (first, last) = price.span.unwrap();
        assert_eq!(
            (shown_utc(first), shown_utc(last)),
            ("2018-01-26T03:09:00Z".into(), "2018-01-27T13:59:59.999Z".into())
        );
        // From 12:30 on the 26th to a millisecond before 23:00 on the 27th, JST.
        assert_eq!(price.gap_ms, (34 * 60 + 30) * 60_000 - 1);
    }

    #[test]
    fn an_outage_and_a_window_without_volume_are_named() {
        let problem = rule(&format!("{WINDOW}gap_s = 3600\n")).price(&zaif()).unwrap_err().to_string();
        assert!(problem.starts_with("zaif has no trade from 2018-01-26T03:30:00Z to 2018-01-27T13:59:59.999Z, longer than the 3600 s"), "{problem}");
        let nobody = WINDOW.replace("\"zaif\"", "\"nobody\"");
        let problem = rule(&nobody).price(&zaif()).unwrap_err().to_string();
        assert!(
            problem.starts_with("nobody has no trade from 2018-01-26T03:09:00Z to 2018-01-27T14:00:00Z"),
            "{problem}"
        );
        let empty = tape(&[("2018-01-26T12:10:00+09:00", "zaif", "100", "0")]);
        let problem = rule(WINDOW).price(&empty).unwrap_err().to_string();
        assert!(problem.starts_with("zaif has 1 trades from"), "{problem}");
    }

    #[test]
    fn the_last_trade_counts_at_its_instant_and_no_longer_than_its_age() {
        let last = |at: &str, age: u64| {
            let text = format!("rule = \"last\"\nvenue = \"zaif\"\nat = \"{at}\"\nage_s = {age}");
            rule(&text).price(&zaif()).map(|price| price.rate.to_string())
        };
        assert_eq!(last("2018-01-26T12:09:00+09:00", 0), Ok("100".to_owned()));
        assert_eq!(last("2018-01-26T12:09:00.001+09:00", 1), Ok("100".to_owned()));
        assert!(last("2018-01-26T12:09:01+09:00", 0).is_err());
        let close = "rule = \"close\"\nvenue = \"zaif\"\nday = \"2018-01-26\"\noffset = \"+09:00\"";
        assert_eq!(rule(close).price(&zaif()).unwrap().rate.to_string(), "80");
        let utc = "rule = \"close\"\nvenue = \"zaif\"\nday = \"2018-01-27\"\noffset = \"+00:00\"";
        assert_eq!(rule(utc).price(&zaif()).unwrap().rate.to_string(), "999");
    }

    /// Zaif's rule for MONA: halfway between two venues at 09:00 JST.
    #[test]
    fn a_midpoint_lies_between_two_venues_and_needs_both() {
        let tape = tape(&[
            ("2018-10-08T23:59:58Z", "bitflyer", "144.096", "5"),
            ("2018-10-09T08:59:59+09:00", "bitbank", "145.0", "5"),
            ("2018-10-09T00:00:00.001Z", "bitbank", "1", "5"),
        ]);
        let text = "rule = \"midpoint\"\nvenues = [\"bitflyer\", \"bitbank\"]\nat = \"2018-10-09T09:00:00+09:00\"\n\
                    age_s = 60\nplaces = 3\nrounding = \"half-up\"";
        assert_eq!(rule(text).price(&tape).unwrap().rate.to_string(), "144.548");
        let problem = rule(&text.replace("age_s = 60", "age_s = 1")).price(&tape).unwrap_err().to_string();
        assert!(problem.starts_with("bitflyer has no trade"), "{problem}");
    }

    #[test]
    fn a_tape_is_in_order_and_of_numbers() {
        let mut tape = zaif();
        let mut refused = |at: &str, price: &str, amount: &str| {
            tape.push(at, "zaif", price, amount).unwrap_err().to_string()
        };
        let late = "2018-02-01T00:00:00Z";
        assert!(
            refused("2018-01-26T00:00:00Z", "1", "1").starts_with("time: 2018-01-26T00:00:00Z is before")
        );
        assert!(
            refused("2018-02-01 00:00:00", "1", "1")
                .starts_with("time: \"2018-02-01 00:00:00\" is no instant")
        );
        assert_eq!(refused(late, "0", "1"), "price: is 0, want more");
        assert_eq!(refused(late, "-1", "1"), "price: -1 is negative, want zero or more");
        assert!(refused(late, "1", "1e3").starts_with("amount: \"1e3\" has 'e'"));
    }
}
