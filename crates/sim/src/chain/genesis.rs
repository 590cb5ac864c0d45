//! The first blocks of the two regression test networks, built from their parts.
//!
//! Decides nothing. Source: Bitcoin Core and Litecoin Core, `chainparams.cpp`.

use kuraban_chain::btc::{Block, BlockHash, Header, Mweb, OutPoint, Script, Tx, TxIn, TxOut};

use super::{REGTEST_BITS, Regtest, SUBSIDY_SAT};

const BTC_KEY: &str = "04678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de\
                       5c384df7ba0b8d578a4c702b6bf11d5f";
const LTC_KEY: &str = "040184710fa689ad5023690c80f3a49c8f13f8d45b8c857fbcbc8bc4a8e4d3eb4b10f4d4604fa08dce601aaf0f470216fe\
                       1b51850b4acf21b179c45070ac7b03a9";
const BTC_WORDS: &str = "The Times 03/Jan/2009 Chancellor on brink of second bailout for banks";
const LTC_WORDS: &str = "NY Times 05/Oct/2011 Steve Jobs, Apple’s Visionary, Dies at 56";
const TIME_S: u32 = 1_296_688_602;

/// The network's first block.
pub(crate) fn block(regtest: Regtest) -> Block {
    let (key, words, nonce) = match regtest {
        Regtest::Btc => (BTC_KEY, BTC_WORDS, 2),
        Regtest::Ltc => (LTC_KEY, LTC_WORDS, 0),
    };
    let tx = coinbase(key, words);
    let mut block = Block {
        header: Header {
            version: 1,
            prev: BlockHash::ZERO,
            merkle_root: kuraban_chain::btc::MerkleRoot::from_bytes([0; 32]),
            time_s: TIME_S,
            bits: REGTEST_BITS,
            nonce,
        },
        txs: vec![tx],
        extension: None,
    };
    block.header.merkle_root = block.merkle().root;
    block
}

fn coinbase(key: &str, words: &str) -> Tx {
    // The bits of the main network, the number 4, the words: each a push.
    let mut script_sig = vec![4, 0xff, 0xff, 0x00, 0x1d, 1, 4];
    push(&mut script_sig, words.as_bytes());
    let mut script = Vec::new();
    #[expect(clippy::expect_used, reason = "the two keys above are hexadecimal; a test builds both blocks")]
    push(&mut script, &kuraban_base::hex::decode(key).expect("constant above"));
    script.push(0xac);
    Tx {
        version: 1,
        inputs: vec![TxIn {
            prev: OutPoint::NULL,
            script_sig: Script::new(script_sig),
            sequence: u32::MAX,
            witness: Vec::new(),
        }],
        outputs: vec![TxOut { value_sat: SUBSIDY_SAT, script: Script::new(script) }],
        lock_time: 0,
        mweb: Mweb::None,
    }
}

/// Appends a push of at most 75 bytes.
fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_blocks_are_the_real_ones() {
        for regtest in [Regtest::Btc, Regtest::Ltc] {
            let network = regtest.network();
            let block = block(regtest);
            assert_eq!(block.hash(), network.genesis_hash(), "{network}");
            kuraban_chain::btc::pow::judge(network, &block.header).unwrap();
            assert_eq!(Block::decode(network, &block.encode()), Ok(block));
        }
    }

    #[test]
    fn bitcoins_first_block_is_the_peer_crates_byte_for_byte() {
        let theirs = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
        assert_eq!(block(Regtest::Btc).encode(), bitcoin::consensus::encode::serialize(&theirs));
    }
}
