//! The breaker: which service may run for which asset. Anyone entitled may tighten it; only a quorum loosens.
//! Decides nothing about who is entitled: callers verify the trip or the reset first.

use std::collections::BTreeMap;

use kuraban_base::{
    Asset, Digest, Instant, MachineId,
    cbor::{CborError, Fields, Value, invalid},
};

use crate::statement::{Statement, instant};

macro_rules! closed_words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word used in files, messages and the API.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl ::core::str::FromStr for $name {
            type Err = crate::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|value| value.word() == text).ok_or_else(|| {
                    crate::UnknownWord::new($what, text, Self::ALL.iter().map(|value| value.word()))
                })
            }
        }
    };
}
pub(crate) use closed_words;

closed_words! {
    /// A service that an exchange offers, as a row of the breaker's matrix.
    Service, "service" {
        /// Opening an account.
        AccountOpening = "account-opening",
        /// Receiving coins.
        Deposit = "deposit",
        /// Sending coins out.
        Withdrawal = "withdrawal",
        /// Buying.
        Buy = "buy",
        /// Selling.
        Sell = "sell",
        /// Opening a margin position.
        MarginOpen = "margin-open",
        /// Closing a margin position.
        MarginClose = "margin-close",
        /// Paying yen in.
        FiatIn = "fiat-in",
        /// Paying yen out.
        FiatOut = "fiat-out",
        /// Paying at a shop.
        PointOfSale = "point-of-sale",
    }
}

closed_words! {
    /// How far a cell is shut; the later the tighter.
    Stage, "stage" {
        /// Runs.
        Open = "open",
        /// Runs with a delay.
        Delayed = "delayed",
        /// Only what reduces the exchange's or the customer's exposure.
        ReduceOnly = "reduce-only",
        /// Stopped.
        Closed = "closed",
    }
}

/// One cell of the matrix.
pub type Cell = (Service, Asset);

/// The matrix service × asset. A cell that nobody tightened is open; an asset outside the closed set has no cell
/// and so no permit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Breaker {
    tightened: BTreeMap<Cell, Stage>,
    epoch: u64,
}

impl Breaker {
    /// The stage of a cell.
    #[must_use]
    pub fn stage(&self, cell: Cell) -> Stage {
        self.tightened.get(&cell).copied().unwrap_or(Stage::Open)
    }

    /// How many changes the breaker has seen. Leases name it, so that an old lease dies with a trip.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The cells that are not open.
    pub fn tightened(&self) -> impl Iterator<Item = (Cell, Stage)> {
        self.tightened.iter().map(|(cell, stage)| (*cell, *stage))
    }

    /// Tightens cells to `stage`; a cell that is already tighter stays so. Returns whether any cell changed.
    pub fn tighten(&mut self, cells: impl IntoIterator<Item = Cell>, stage: Stage) -> bool {
        let mut changed = false;
        for cell in cells {
            if self.stage(cell) < stage {
                self.tightened.insert(cell, stage);
                changed = true;
            }
        }
        self.epoch = self.epoch.saturating_add(1);
        changed
    }

    /// Opens cells again. The caller holds a quorum's order.
    pub fn loosen(&mut self, cells: impl IntoIterator<Item = Cell>) {
        for cell in cells {
            self.tightened.remove(&cell);
        }
        self.epoch = self.epoch.saturating_add(1);
    }
}

/// Why a breaker was tripped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trip {
    /// The watcher or trip key that trips.
    pub by: MachineId,
    /// Which cells.
    pub cells: Vec<Cell>,
    /// To which stage.
    pub stage: Stage,
    /// The rule that fired.
    pub rule: String,
    /// SHA-256 of the evidence (the alarm's body).
    pub evidence: Digest,
    /// When, by the tripper's clock.
    pub at: Instant,
}

pub(crate) fn cells_to_value(cells: &[Cell]) -> Value {
    Value::array(
        cells.iter().map(|(service, asset)| Value::array([Value::text(service), Value::text(asset)])),
    )
}

pub(crate) fn cells_from_value(field: &str, items: Vec<Value>) -> Result<Vec<Cell>, CborError> {
    let problem = || invalid(field, "want pairs of service and asset");
    let cell = |item| {
        let Value::Array(pair) = item else { return Err(problem()) };
        let [Value::Text(service), Value::Text(asset)] = pair.as_slice() else { return Err(problem()) };
        let service = service.parse().map_err(|problem| invalid(field, problem))?;
        let asset = asset.parse().map_err(|problem| invalid(field, problem))?;
        Ok((service, asset))
    };
    items.into_iter().map(cell).collect()
}

impl Statement for Trip {
    const DOMAIN: &'static str = "kuraban-trip-v1";

    fn by(&self) -> &MachineId {
        &self.by
    }

    fn to_value(&self) -> Value {
        Value::map([
            ("by", Value::text(&self.by)),
            ("cells", cells_to_value(&self.cells)),
            ("stage", Value::text(self.stage)),
            ("rule", Value::text(&self.rule)),
            ("evidence", Value::bytes(self.evidence.as_bytes())),
            ("at", Value::uint(self.at.ms())),
        ])
    }

    fn from_value(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of("trip", value)?;
        let cells = fields.items("cells")?;
        let trip = Self {
            by: fields.parse("by")?,
            cells: cells_from_value("cells", cells)?,
            stage: fields.parse("stage")?,
            rule: fields.text("rule")?,
            evidence: Digest::from_bytes(fields.array("evidence")?),
            at: instant(&mut fields, "at")?,
        };
        fields.end()?;
        Ok(trip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BTC_OUT: Cell = (Service::Withdrawal, Asset::Btc);
    const LTC_OUT: Cell = (Service::Withdrawal, Asset::Ltc);

    #[test]
    fn trips_only_tighten_and_every_change_moves_the_epoch() {
        let mut breaker = Breaker::default();
        assert_eq!((breaker.stage(BTC_OUT), breaker.epoch()), (Stage::Open, 0));
        assert!(breaker.tighten([BTC_OUT], Stage::Closed));
        assert!(!breaker.tighten([BTC_OUT], Stage::Closed));
        assert!(!breaker.tighten([BTC_OUT], Stage::Delayed));
        assert_eq!(breaker.tightened().collect::<Vec<_>>(), [(BTC_OUT, Stage::Closed)]);
        assert_eq!((breaker.stage(BTC_OUT), breaker.epoch()), (Stage::Closed, 3));
        assert_eq!(breaker.stage(LTC_OUT), Stage::Open);
        breaker.loosen([BTC_OUT]);
        assert_eq!((breaker.stage(BTC_OUT), breaker.epoch()), (Stage::Open, 4));
    }

    #[test]
    fn words_are_closed() {
        let unknown: Result<Stage, _> = "ajar".parse();
        assert_eq!(
            unknown.unwrap_err().to_string(),
            "stage \"ajar\" is not known, want one of open, delayed, reduce-only, closed"
        );
    }
}
