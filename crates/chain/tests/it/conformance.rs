//! One suite that every chain family passes: decode and encode are inverse, ids and digests are the
//! published ones, addresses go both ways, and nothing cut short or drawn out is taken.

use kuraban_base::hex;
use kuraban_chain::btc::{Address, Block, Digests, EcdsaSighash, Network, Script, Tx, TxOut};

/// What a family shows of itself. Errors are compared by whether there is one: their texts have rows of
/// their own.
pub(crate) trait Family {
    /// The family's name, for messages.
    const NAME: &'static str;

    /// Encoded transactions, with the ids that others gave them.
    fn txs() -> Vec<(Vec<u8>, &'static str)>;
    /// Encoded blocks, with the names that others gave them.
    fn blocks() -> Vec<(Vec<u8>, &'static str)>;
    /// Addresses as text, with the destination that others say they mean, in hexadecimal.
    fn addresses() -> Vec<(&'static str, &'static str)>;
    /// Addresses of another chain or network, which must be refused.
    fn strangers() -> Vec<&'static str>;
    /// Digests to sign, with what others computed, in hexadecimal.
    fn digests() -> Vec<(Vec<u8>, &'static str)>;

    /// Decodes a transaction, encodes it again, and names it.
    fn tx(bytes: &[u8]) -> Result<(Vec<u8>, String), String>;
    /// Decodes a block, encodes it again, and names it.
    fn block(bytes: &[u8]) -> Result<(Vec<u8>, String), String>;
    /// The destination of an address, and its text written back.
    fn address(text: &str) -> Result<(Vec<u8>, String), String>;
}

/// The suite.
pub(crate) fn check<F: Family>() {
    check_encoding(F::NAME, "transaction", &F::txs(), F::tx);
    check_encoding(F::NAME, "block", &F::blocks(), F::block);
    for (text, want) in F::addresses() {
        let (destination, written) =
            F::address(text).unwrap_or_else(|error| panic!("{} {text}: {error}", F::NAME));
        assert_eq!(hex::encode(&destination), want, "{} {text}", F::NAME);
        assert_eq!(F::address(&written).map(|(again, _)| again), Ok(destination), "{} {text}", F::NAME);
        for at in 0..text.len() {
            for other in ['2', 'q', 'Z'] {
                let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                // A text that differs in case alone can be the same address.
                if !changed.eq_ignore_ascii_case(text) {
                    assert!(F::address(&changed).is_err(), "{} {changed} for {text}", F::NAME);
                }
            }
            assert!(F::address(&text[..at]).is_err(), "{} {text} cut at {at}", F::NAME);
        }
        assert!(F::address(&format!("{text} ")).is_err(), "{} {text} with a blank", F::NAME);
    }
    for text in F::strangers() {
        assert!(F::address(text).is_err(), "{} {text} is another chain's", F::NAME);
    }
    for (got, want) in F::digests() {
        assert_eq!(hex::encode(&got), want, "{} digest", F::NAME);
    }
}

type Decode = fn(&[u8]) -> Result<(Vec<u8>, String), String>;

fn check_encoding(family: &str, what: &str, rows: &[(Vec<u8>, &str)], decode: Decode) {
    assert!(!rows.is_empty(), "{family} has a {what} to show");
    for (bytes, want) in rows {
        let (again, id) = decode(bytes).unwrap_or_else(|error| panic!("{family} {what} {want}: {error}"));
        assert_eq!((hex::encode(&again), id.as_str()), (hex::encode(bytes), *want), "{family} {what}");
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{family} {what} {want} cut at {length}");
        }
        assert!(
            decode(&[bytes.as_slice(), &[0]].concat()).is_err(),
            "{family} {what} {want} with a byte more"
        );
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            // What still decodes must be exactly what stands there.
            if let Ok((again, _)) = decode(&changed) {
                assert_eq!(again, changed, "{family} {what} {want} changed at {at}");
            }
        }
    }
}

fn btc_tx(network: Network, bytes: &[u8]) -> Result<(Vec<u8>, String), String> {
    let tx = Tx::decode(network, bytes).map_err(|error| error.to_string())?;
    Ok((tx.encode(), tx.txid().to_string()))
}

fn btc_block(network: Network, bytes: &[u8]) -> Result<(Vec<u8>, String), String> {
    let block = Block::decode(network, bytes).map_err(|error| error.to_string())?;
    Ok((block.encode(), block.hash().to_string()))
}

fn btc_address(network: Network, text: &str) -> Result<(Vec<u8>, String), String> {
    let address = Address::parse(network, text).map_err(|error| error.to_string())?;
    let again = Address::from_script(network, &address.script()).ok_or("script has no address")?;
    Ok((address.script().into_bytes(), again.to_string()))
}

/// BIP 143, "Native P2WPKH": the unsigned transaction and its digest.
const BIP_143: &str = concat!(
    "0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffffffef51e1b8",
    "04cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a914",
    "8280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f016",
    "7faa815988ac11000000",
);
const BIP_143_DIGEST: &str = "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670";

fn bip_143_digest(network: Network) -> Vec<u8> {
    let tx = Tx::decode(network, &hex::decode(BIP_143).unwrap()).unwrap();
    let output = TxOut { value_sat: 600_000_000, script: Script::default() };
    let prevouts = [output.clone(), output];
    let code = Script::p2pkh(&hex::decode_array("1d0f172a0ecb48aee1be1f2687d2963ae33f71a1").unwrap());
    let digests = Digests::new(&tx, &prevouts).unwrap();
    digests.witness_v0(1, &code, EcdsaSighash::All).unwrap().as_bytes().to_vec()
}

struct Btc;

impl Family for Btc {
    const NAME: &'static str = "btc";

    fn txs() -> Vec<(Vec<u8>, &'static str)> {
        let rows = [
            // Bitcoin's first transaction.
            (GENESIS_TX, "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"),
            // BIP 143, "P2SH-P2WPKH", signed.
            (
                concat!(
                    "01000000000101db6b1b20aa0fd7b23880be2ecbd4a98130974cf4748fb66092ac4d3ceb1a5477010000001716",
                    "001479091972186c449eb1ded22b78e40d009bdf0089feffffff02b8b4eb0b000000001976a914a457b684d7f0",
                    "d539a46a45bbc043f35b59d0d96388ac0008af2f000000001976a914fd270b1ee6abcaea97fea7ad0402e8bd8a",
                    "d6d77c88ac02473044022047ac8e878352d3ebbde1c94ce3a10d057c24175747116f8288e5d794d12d482f0220",
                    "217f36a485cae903c713331d877c1f64677e3622ad4010726870540656fe9dcb012103ad1d8e89212f0b92c74d",
                    "23bb710c00662ad1470198ac48c43f7d6f93a2a2687392040000",
                ),
                "ef48d9d0f595052e0f8cdcf825f7a5e50b6a388a81f206f3f4846e5ecd7a0c23",
            ),
        ];
        rows.map(|(text, id)| (hex::decode(text).unwrap(), id)).to_vec()
    }

    fn blocks() -> Vec<(Vec<u8>, &'static str)> {
        let bytes = hex::decode(&[GENESIS_HEADER, "01", GENESIS_TX].concat()).unwrap();
        vec![(bytes, "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f")]
    }

    fn addresses() -> Vec<(&'static str, &'static str)> {
        vec![
            ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac"),
            // The addresses of the 2024 theft and of its imitated destination.
            ("3P8MfdM4pULv7ozdQvfwAqNF29zAjmnUYD", "a914eb25855f1c231b6899e15e5e8aabf5a62f6c4d6387"),
            ("1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P", "76a9146ecc7dd816248cd5919fcd86a0832c8553f4296e88ac"),
            // BIP 173 and BIP 350.
            ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
            (
                "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
                "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
            ),
        ]
    }

    fn strangers() -> Vec<&'static str> {
        vec!["LM2WMpR1Rp6j3Sa59cMXMs1SPzj9eXpGc1", "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", ""]
    }

    fn digests() -> Vec<(Vec<u8>, &'static str)> {
        vec![(bip_143_digest(Network::BtcMain), BIP_143_DIGEST)]
    }

    fn tx(bytes: &[u8]) -> Result<(Vec<u8>, String), String> {
        btc_tx(Network::BtcMain, bytes)
    }

    fn block(bytes: &[u8]) -> Result<(Vec<u8>, String), String> {
        btc_block(Network::BtcMain, bytes)
    }

    fn address(text: &str) -> Result<(Vec<u8>, String), String> {
        btc_address(Network::BtcMain, text)
    }
}

struct Ltc;

impl Family for Ltc {
    const NAME: &'static str = "ltc";

    fn txs() -> Vec<(Vec<u8>, &'static str)> {
        let bytes = hex::decode(LTC_GENESIS_TX).unwrap();
        vec![(bytes, "97ddfbbae6be97fd6cdf3e7ca13232a3afff2353e29badfab7f73011edd4ced9")]
    }

    fn blocks() -> Vec<(Vec<u8>, &'static str)> {
        let bytes = hex::decode(&[LTC_GENESIS_HEADER, "01", LTC_GENESIS_TX].concat()).unwrap();
        vec![(bytes, "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2")]
    }

    fn addresses() -> Vec<(&'static str, &'static str)> {
        // As Litecoin Core 0.21.2.1 answers `validateaddress` and `decodescript`.
        vec![
            ("LM2WMpR1Rp6j3Sa59cMXMs1SPzj9eXpGc1", "76a91413c60d8e68d7349f5b4ca362c3954b15045061b188ac"),
            ("M7uWktm4AttpT71jJco9LVZcTnCT77yGzp", "a91400112233445566778899aabbccddeeff0011223387"),
            // One script, in the new spelling and in the one that is Bitcoin's too.
            ("MVLVyWm2mbCLvKGXWofGzUceLrachcpK1Y", "a914eb25855f1c231b6899e15e5e8aabf5a62f6c4d6387"),
            ("3P8MfdM4pULv7ozdQvfwAqNF29zAjmnUYD", "a914eb25855f1c231b6899e15e5e8aabf5a62f6c4d6387"),
            ("ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
            (
                "ltc1qevm5lmf8t9qhmwhantu74tldankdge80p0pzrya4yqfwlcnpt86seay8yx",
                "0020cb374fed2759417dbafd9af9eaafedececd464ef0bc22193b52012efe26159f5",
            ),
            (
                "ltc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqpj6zg2",
                "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
            ),
        ]
    }

    fn strangers() -> Vec<&'static str> {
        vec!["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"]
    }

    fn digests() -> Vec<(Vec<u8>, &'static str)> {
        vec![(bip_143_digest(Network::LtcMain), BIP_143_DIGEST)]
    }

    fn tx(bytes: &[u8]) -> Result<(Vec<u8>, String), String> {
        btc_tx(Network::LtcMain, bytes)
    }

    fn block(bytes: &[u8]) -> Result<(Vec<u8>, String), String> {
        btc_block(Network::LtcMain, bytes)
    }

    fn address(text: &str) -> Result<(Vec<u8>, String), String> {
        btc_address(Network::LtcMain, text)
    }
}

const GENESIS_HEADER: &str = concat!(
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e6776",
    "8f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c",
);
const GENESIS_TX: &str = concat!(
    "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d010445",
    "5468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e",
    "64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7",
    "105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac",
    "00000000",
);
const LTC_GENESIS_HEADER: &str = concat!(
    "010000000000000000000000000000000000000000000000000000000000000000000000d9ced4ed1130f7b7faad9be25323",
    "ffafa33232a17c3edf6cfd97bee6bafbdd97b9aa8e4ef0ff0f1ecd513f7c",
);
const LTC_GENESIS_TX: &str = concat!(
    "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4804ffff001d010440",
    "4e592054696d65732030352f4f63742f32303131205374657665204a6f62732c204170706c65e280997320566973696f6e61",
    "72792c2044696573206174203536ffffffff0100f2052a010000004341040184710fa689ad5023690c80f3a49c8f13f8d45b",
    "8c857fbcbc8bc4a8e4d3eb4b10f4d4604fa08dce601aaf0f470216fe1b51850b4acf21b179c45070ac7b03a9ac00000000",
);

#[test]
fn bitcoin_conforms() {
    check::<Btc>();
}

#[test]
fn litecoin_conforms() {
    check::<Ltc>();
}
