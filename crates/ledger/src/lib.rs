//! What customers are owed: holdings, rates, and what a scheme of compensation makes of them.
//!
//! Decides by integers and decimals alone, to the base unit and the yen. Reads no file, no clock and no randomness, never uses
//! a float, and never drops a row: what is not paid is counted as not paid.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod asset;
pub mod books;
pub mod claims;
mod decimal;
mod exact;
pub mod funding;
pub mod handover;
pub mod holdings;
pub mod loss;
pub mod price;
pub mod scheme;
pub mod time;

pub use asset::{AssetNum, Assets, AssetsError, Code, CodeError, DECIMALS_MAX};
pub use decimal::{DecimalError, Rate, Share, units};
pub use exact::{Exact, Rounding};
