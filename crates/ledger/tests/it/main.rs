//! What schemes pay, on made-up customers of the six incidents, against totals that were published or computed by other means.
#![cfg(test)]

mod books;
mod incidents;
mod properties;
