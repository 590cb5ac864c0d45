//! Worlds by the hundred: the real machines of an exchange against faults and foes, and proof that the oracle which
//! watches them can find fault.
#![cfg(test)]

mod worlds;
