//! Holds `kuraban-chain` against published vectors, real blocks and other people's code.

#[cfg(all(test, feature = "accounts"))]
mod accounts;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod funds;
#[cfg(test)]
mod real;
#[cfg(test)]
mod sighash;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod verify;
