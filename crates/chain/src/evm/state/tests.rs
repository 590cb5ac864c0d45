//! Proofs that a node gave, and each way of bending them.

use kuraban_base::hex;

use super::*;
use crate::evm::{Header, Later};

/// The root of the state after block 1 of a new chain of anvil 1.7.1, and the nodes that it answered (`eth_getProof`) for the
/// first of its accounts, the one that it paid, and one that the state does not have.
const ROOT: &str = "61e80a713becf362bd7822c2ada1c8fe363c700508ceffe45f7041464c7c8aa0";
const FIRST: &[&str] = &[
    "f8d1a0b91a8b7a7e9d3eab90afd81da3725030742f663c6ed8c26657bf00d842a9f4aa808080a037658e942168bc0b2a5e6b7278ff4aadd9e919f7ae5768dc98b36eb3761508c1a01b8eda2ad32131a5ce90f4f1417beabf2084b0a450c3fba4398f838346ce364ea02a2a5f2828c036e7a0b31f841605ed6a278ff4578b5df2904a95ec541463e62080a04b29efa44ecf50c19b34950cf1d0f05e00568bcc873120fbea9a4e8439de09628080808080a0d5edea7e7a5939887440e84773a31d93da8d659ab6da46cf46d43443b7a264b58080",
    "f873a039707d0e6171f728f7473c24cc0432a9b07eaaf1efed6a137a4a8c12c79552d9b850f84e018a021e0bffffed994f71c7a056e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421a0c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
];
const PAID: &[&str] = &[
    "f8d1a0b91a8b7a7e9d3eab90afd81da3725030742f663c6ed8c26657bf00d842a9f4aa808080a037658e942168bc0b2a5e6b7278ff4aadd9e919f7ae5768dc98b36eb3761508c1a01b8eda2ad32131a5ce90f4f1417beabf2084b0a450c3fba4398f838346ce364ea02a2a5f2828c036e7a0b31f841605ed6a278ff4578b5df2904a95ec541463e62080a04b29efa44ecf50c19b34950cf1d0f05e00568bcc873120fbea9a4e8439de09628080808080a0d5edea7e7a5939887440e84773a31d93da8d659ab6da46cf46d43443b7a264b58080",
    "e21ca0ac6073a1aa80792d85abd964608522aedee95415bab22af92aa899b60620cfd7",
    "f8518080808080a0182f782f52d119c8026372f9697771960ccbf2af9760d701efea9a46414215d3808080a037adcbf96a0317245705011acd1d533ad08c3ff0ee6f3f46093dcc236793fa9180808080808080",
    "f8709f3efa1707c93140989e0f95b9a0b8616e0c8ef51392617bf9c917aff96ef769b84ef84c80880de0b6b3a7640001a056e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421a0c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
];
const NONE: &[&str] = &[
    "f8d1a0b91a8b7a7e9d3eab90afd81da3725030742f663c6ed8c26657bf00d842a9f4aa808080a037658e942168bc0b2a5e6b7278ff4aadd9e919f7ae5768dc98b36eb3761508c1a01b8eda2ad32131a5ce90f4f1417beabf2084b0a450c3fba4398f838346ce364ea02a2a5f2828c036e7a0b31f841605ed6a278ff4578b5df2904a95ec541463e62080a04b29efa44ecf50c19b34950cf1d0f05e00568bcc873120fbea9a4e8439de09628080808080a0d5edea7e7a5939887440e84773a31d93da8d659ab6da46cf46d43443b7a264b58080",
];

const FIRST_ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const PAID_ADDRESS: &str = "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1";
const NONE_ADDRESS: &str = "0x00000000000000000000000000000000000000ff";

fn nodes(text: &[&str]) -> Vec<Vec<u8>> {
    text.iter().map(|node| hex::decode(node).unwrap()).collect()
}

fn root() -> [u8; 32] {
    hex::decode_array(ROOT).unwrap()
}

fn check(address: &str, nodes: &[Vec<u8>], want: Result<u128, StateError>) {
    let found = holding(&root(), &Address::parse(address).unwrap(), nodes);
    assert_eq!(found, want.map(|wei| Holding { wei: Some(wei) }), "{address}");
}

#[test]
fn balances_of_a_node_are_shown_by_its_proofs() {
    check(FIRST_ADDRESS, &nodes(FIRST), Ok(9_998_999_978_999_999_852_999));
    check(PAID_ADDRESS, &nodes(PAID), Ok(1_000_000_000_000_000_001));
    check(NONE_ADDRESS, &nodes(NONE), Ok(0));
    let empty = keccak256(&[0x80]);
    let address = Address::parse(PAID_ADDRESS).unwrap();
    assert_eq!(holding(&empty, &address, &[]), Ok(Holding { wei: Some(0) }));
}

#[test]
fn a_bent_proof_shows_nothing() {
    let good = nodes(PAID);
    for at in 0..good.len() {
        for byte in 0..good[at].len() {
            let mut bent = good.clone();
            bent[at][byte] ^= 1;
            check(PAID_ADDRESS, &bent, Err(StateError::Hash { at }));
        }
        check(PAID_ADDRESS, &good[..at], Err(StateError::Short { at }));
    }
    let more = [good.clone(), good[..1].to_vec()].concat();
    check(PAID_ADDRESS, &more, Err(StateError::Trailing { got: 1 }));
    // An account's proof is no other's.
    check(PAID_ADDRESS, &nodes(FIRST), Err(StateError::Hash { at: 1 }));
    check(FIRST_ADDRESS, &nodes(PAID), Err(StateError::Hash { at: 1 }));
    check(PAID_ADDRESS, &nodes(NONE), Err(StateError::Short { at: 1 }));
    check(NONE_ADDRESS, &nodes(FIRST), Err(StateError::Trailing { got: 1 }));
    let many = vec![vec![0xc0]; NODES_MAX + 1];
    check(PAID_ADDRESS, &many, Err(StateError::Size { nodes: 66, longest: 1 }));
    let long = vec![vec![0; NODE_BYTES_MAX + 1]];
    check(PAID_ADDRESS, &long, Err(StateError::Size { nodes: 1, longest: 1025 }));
    check(PAID_ADDRESS, &vec![vec![0; NODE_BYTES_MAX]; NODES_MAX], Err(StateError::Hash { at: 0 }));
}

/// A trie of one node that says of the paid address whatever it is made to.
#[test]
fn nodes_that_no_trie_has_are_refused() {
    let address = Address::parse(PAID_ADDRESS).unwrap();
    let key = keccak256(address.as_bytes());
    let node = |items: &[Vec<u8>]| {
        let mut out = Vec::new();
        items.iter().for_each(|item| rlp::put(&mut out, item));
        rlp::list_of(&out)
    };
    let check = |node: Vec<u8>, want: Result<Option<u128>, StateError>| {
        assert_eq!(holding(&keccak256(&node), &address, &[node]), want.map(|wei| Holding { wei }));
    };
    let broken = |problem| Err(StateError::Node { at: 0, problem });
    let path = |head: &[u8]| [head, &key[..]].concat();
    let account = |balance: &[u8]| node(&[vec![], balance.to_vec(), vec![1; 32], vec![2; 32]]);
    check(node(&[path(&[0x20]), account(&[5])]), Ok(Some(5)));
    check(node(&[path(&[0x20]), account(&[0xff; 16])]), Ok(Some(u128::MAX)));
    check(node(&[path(&[0x20]), account(&[1; 17])]), Ok(None));
    let refused = |problem| Err(StateError::Account { problem });
    check(node(&[path(&[0x20]), account(&[1; 33])]), refused("a field has another length"));
    check(node(&[path(&[0x20]), account(&[0, 1])]), refused("its balance has zeros before it"));
    check(node(&[path(&[0x20]), node(&[vec![], vec![5]])]), refused("it has not four fields"));
    check(node(&[path(&[0x20]), vec![5]]), refused("it is no list"));
    check(node(&[path(&[0x21]), account(&[5])]), broken("its path is malformed"));
    check(node(&[path(&[0x40]), account(&[5])]), broken("its path is malformed"));
    check(node(&[vec![], account(&[5])]), broken("its path is malformed"));
    check(node(&[vec![0], vec![1; 32]]), broken("an extension goes nowhere"));
    check(node(&[vec![1]]), broken("it has neither 17 items nor 2"));
    check(node(&vec![vec![1]; 17]), broken("a reference is no hash"));
    check(node(&vec![vec![]; 17]), Ok(Some(0)));
    check(
        vec![0x80],
        Err(StateError::Rlp { at: 0, problem: RlpError::Kind { found: "a string", want: "a list" } }),
    );
}

#[test]
fn headers_of_a_node_and_of_the_main_chain_have_their_hashes() {
    let array = |text: &str| hex::decode_array::<32>(text).unwrap();
    let none = array("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");
    // Block 1 of that chain, with all that upgrades to Prague added.
    let mut block = Header {
        parent: array("a94166d461c2f22e5e4459355b2d0227287729a229c3243f86b02112175d26e9"),
        ommers: array("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"),
        beneficiary: [0; 20],
        state_root: root(),
        transactions: array("1496a532e9ecc92cf6f40f0c54ad6c9c2033c4c4b6aecf9e85818c767ea6ab11"),
        receipts: array("f78dfb743fbd92ade140711c8bbc542b5e307f0ab7984eff35d751969fe57efa"),
        bloom: vec![0; 256],
        difficulty: 0,
        number: 1,
        gas_limit: 0x01c9_c380,
        gas_used: 0x5208,
        time_s: 0x6b02_a9bc,
        extra: Vec::new(),
        mix: array("ae48287358f51ed4eac6bb4e49e270a3832a0bd588f52e717760ce5e8edf3c53"),
        nonce: [0; 8],
        later: vec![
            Later::Number(7),
            Later::Hash(none),
            Later::Number(0),
            Later::Number(0),
            Later::Hash([0; 32]),
            Later::Hash(array("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")),
        ],
    };
    let hash = "10a65d643fc4b4fcbe289eda5503dcc94928c29d3d442f55b25692f2e9c915f8";
    assert_eq!(hex::encode(&block.hash()), hash);
    block.gas_used += 1;
    assert_ne!(hex::encode(&block.hash()), hash);
    // Ethereum's block 1,755,634, of proof of work.
    let block = Header {
        parent: array("112aa801c14d16d9b929fd8e1e639a29d79e467334054a111c2f860e462e3ff4"),
        beneficiary: hex::decode_array("61c808d82a3ac53231750dadc13c777b59310bd9").unwrap(),
        state_root: array("596d5e71f1cbdd30a2111d3b04fabf3390baedc15d3a582b8b0469c508ce30b3"),
        transactions: none,
        receipts: none,
        difficulty: 0x3023_0882_f0bf,
        number: 0x001a_c9f2,
        gas_limit: 0x0047_e7c4,
        gas_used: 0,
        time_s: 0x576b_99f5,
        extra: hex::decode("e4b883e5bda9e7a59ee4bb99e9b1bc").unwrap(),
        mix: array("c58cb44953531c1448aa6b33f500f833966cb426f81c669f1dba4bc3120d0693"),
        nonce: hex::decode_array("803fc62205a3b6bb").unwrap(),
        later: Vec::new(),
        ..block
    };
    let hash = "a06fc36a7144c4bbb1f7ab13b541144414fa7808c119e8a4635e392ea544c178";
    assert_eq!(hex::encode(&block.hash()), hash);
}
