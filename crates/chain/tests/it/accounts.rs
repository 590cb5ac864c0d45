//! Texts that wallets' own libraries signed, for each chain of accounts: what they signed holds, and nothing near it does.

use kuraban_base::hex;
use kuraban_chain::{
    accounts::{Network, Signed, signed},
    nem,
};

use crate::real::{json, real_data_folder};

/// What a peer signed with keys made up for this: ethers.js 6.17.0 (`Wallet.signMessage`), ripple-keypairs 3.1.0 (`sign`,
/// both kinds of keys), nem-sdk 1.6.11 (`keyPair.sign` of the text in hexadecimal).
struct Row {
    network: Network,
    address: &'static str,
    key: Option<&'static str>,
    signature: &'static str,
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row {
        network: Network::EthereumMain,
        address: "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1",
        key: None,
        signature: "0x6207b5b108ad5f74b668e1dde61d9f99f60d7bc90540b5ef38e952f08fa2602a649cd56501baabfca7becc3aac233b06969874e80d2816d9259c1b262e64d4451c",
    },
    Row {
        network: Network::EthereumMain,
        address: "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        key: None,
        signature: "0x8db490fab87c9a1198f1f0363d15130c23b6a9d97dff6dc493baa59c4f4e6490777dfa170442d347681d2b4f02144cc0d7c05f8b4752a1c84592188b9915417c1b",
    },
    Row {
        network: Network::EthereumMain,
        address: "0xa1d79dfa76e98D5e8A776114d9524c4B6E888daa",
        key: None,
        signature: "0xd5d4e5b48823b1f6075dd19c15033bff16fa5863e405499752fde8af7b7ff06821255ad7d18bd1979544326c1ea1dbec9696d5c15747f55a47af74f394ae90f51c",
    },
    Row {
        network: Network::XrplMain,
        address: "rMPrYipfRHJryWfwYARAwhsVGvHwpUDjgA",
        key: Some("035A7FA22521397BE0FFE9CD7C35DDE0FB0C8EA96E48FF84E0C6309D0D4D70D9EA"),
        signature: "304402205966A4145E765260CCEF1EAA863169D23EE48FAEE0800376EE43037D0E58430502200683A361B570C221C136109DF169BFFC318CED886DBDFE9DCD23C5DA05F61003",
    },
    Row {
        network: Network::XrplMain,
        address: "r3sNTMefq5gsRumMYsNznnX6yzzxVH6dTC",
        key: Some("ED06895BEC3FDE4090F06D840770D888D49E3089B3757C4285E3851BC33964E0F9"),
        signature: "1A0EC9F077EF3A534CF0BED77B344F4576723431485EB66F7A3B2074F5A4FC74D4810F6D9FD1BEEF441C76F3118F0D86A351A5F5EF6145D08C129673D49A3A06",
    },
    Row {
        network: Network::XrplMain,
        address: "rLpgximdBvEHy8TxUwyj6mjCRNcJju5qGG",
        key: Some("038AFFACA9B0DD89ABC97E519F187AEA000054F4BDDA96B83E59B8EBAD5A8E72FD"),
        signature: "3045022100CDE801B41AA25EA8D0C86A21532852895B93E1284CE2BABE46B2D83E2BE59FB102207655984159FCAF8C35912D7964C0BC3600D7E429E3081BDDDD809F2418F30AAD",
    },
    Row {
        network: Network::XrplMain,
        address: "rEhh6f9rj5UUBhFzGGaxS5zYU2CCqKFXBC",
        key: Some("EDF9096653463E3A0B79A67E69D9E66AB83D93D4E867335ADE5DAFE8467F4F1734"),
        signature: "80B34BD5901345EEF1014C20417E90EF3C96E6F48453AC83E371AABD4B1EEBF0DC16CB8C9FABB33B357467EC1066B6DF081674F84BC26EE9436F6232548B1009",
    },
    Row {
        network: Network::NemMain,
        address: "NCOBFU4E56PBUI23AUHTPKMZHX7FPGX67BLPS77U",
        key: Some("c4db8627b36975d61fb643283a0407a8be48ba4a1825a293aef5f0542dcb4a44"),
        signature: "81d51d734613e1ddf15f202f67112273317d407620802d9b7d9503fbb1c0995fd11ecd1b5adaae179423d522305cd8b9468b1b6a97ac894e4e600b8e32e37706",
    },
    Row {
        network: Network::NemMain,
        address: "NDD2CT6LQLIYQ56KIXI3ENTM6EK3D44P5JFXJ4R4",
        key: Some("c5f54ba980fcbb657dbaaa42700539b207873e134d2375efeab5f1ab52f87844"),
        signature: "f2bf32161fd19f1e48d9c8fa278a455efb8acbb8311d33563e51bf06cef23a192c3001317432e62710c47b8b3ffd95ff03aad77c4f699c434a61f22dbd264907",
    },
];

/// The challenge that each of them signed.
fn challenge(network: Network) -> String {
    let (root, block) = ("05".repeat(32), format!("{}7", "0".repeat(63)));
    let (form, asset) = (network.form(), network.native());
    format!("kuraban-reserves-v1 {form} example.com/log 12 {root} {block} {asset} 1790000000000")
}

fn check(row: &Row, text: &str, address: &str, key: Option<&str>, signature: &str) -> Result<Signed, String> {
    signed(row.network, text.as_bytes(), address, key, signature).map_err(|error| error.to_string())
}

#[test]
fn what_wallets_signed_is_their_accounts() {
    assert_eq!(ROWS.len(), 9);
    for row in ROWS {
        let found = check(row, &challenge(row.network), row.address, row.key, row.signature).unwrap();
        assert_eq!(found.account.to_string(), row.address);
        assert_eq!(found.signer, found.account);
        let other = challenge(row.network).replace("1790000000000", "1790000000001");
        assert!(check(row, &other, row.address, row.key, row.signature).is_err(), "{}", row.address);
    }
}

#[test]
fn what_was_signed_is_no_other_accounts() {
    for row in ROWS {
        let text = challenge(row.network);
        for other in ROWS.iter().filter(|other| other.address != row.address) {
            let with_its_key = check(row, &text, other.address, row.key, row.signature);
            match with_its_key {
                // A regular key: the ledger says whether the account has it.
                Ok(found) if row.network == Network::XrplMain => {
                    assert_eq!(found.signer.to_string(), row.address);
                    assert_eq!(found.account.to_string(), other.address);
                }
                found => assert!(found.is_err(), "{}", other.address),
            }
            assert!(check(row, &text, other.address, other.key, row.signature).is_err());
            if other.key != row.key {
                assert!(check(row, &text, row.address, other.key, row.signature).is_err());
            }
        }
    }
}

#[test]
fn a_signature_with_any_bit_changed_is_refused() {
    for row in ROWS {
        let text = challenge(row.network);
        let (head, digits) = row.signature.split_at(if row.key.is_none() { 2 } else { 0 });
        let bytes = hex::decode(digits).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            let bent = format!("{head}{}", hex::encode(&bent));
            assert!(check(row, &text, row.address, row.key, &bent).is_err(), "{} bit {bit}", row.address);
        }
        for length in 0..row.signature.len() {
            assert!(check(row, &text, row.address, row.key, &row.signature[..length]).is_err());
        }
    }
}

#[test]
fn what_is_missing_or_too_much_is_named() {
    let row = |network| ROWS.iter().find(|row| row.network == network).unwrap();
    let fault = |row: &Row, key, signature| {
        check(row, &challenge(row.network), row.address, key, signature).unwrap_err()
    };
    let ethereum = row(Network::EthereumMain);
    let want = "a public key was given: it follows from the signature";
    assert_eq!(fault(ethereum, Some("02"), ethereum.signature), want);
    for network in [Network::XrplMain, Network::NemMain] {
        assert_eq!(fault(row(network), None, row(network).signature), "the public key is missing");
        assert_eq!(fault(row(network), row(network).key, "xy"), "signature is not hexadecimal");
    }
    let nem = row(Network::NemMain);
    let error = signed(Network::NemTest, b"", nem.address, nem.key, nem.signature).unwrap_err();
    assert_eq!(error.to_string(), "address is of network 0x68, want 0x98");
}

/// The first block of NEM's test network pays by transactions whose signatures NEM's own software made.
#[test]
fn signatures_in_nems_first_block_hold() {
    let Some(folder) = real_data_folder() else { return };
    let block = json(folder.join("nem").join("nemproject_nemesis-testnet.json"));
    let transactions = block["transactions"].as_array().unwrap();
    assert_eq!(transactions.len(), 20);
    for tx in transactions {
        let small = |field: &str| u32::try_from(tx[field].as_u64().unwrap()).unwrap().to_le_bytes();
        let large = |field: &str| tx[field].as_u64().unwrap().to_le_bytes();
        let text = |field: &str| tx[field].as_str().unwrap();
        let version = i32::try_from(tx["version"].as_i64().unwrap()).unwrap().to_le_bytes();
        let signer = hex::decode(text("signer")).unwrap();
        let recipient = text("recipient");
        // A payment without a message, as NIS writes it down to be signed.
        let bytes = [
            &small("type")[..],
            &version,
            &small("timeStamp"),
            &32_u32.to_le_bytes(),
            &signer,
            &large("fee"),
            &small("deadline"),
            &40_u32.to_le_bytes(),
            recipient.as_bytes(),
            &large("amount"),
            &0_u32.to_le_bytes(),
        ]
        .concat();
        let key: nem::PublicKey = text("signer").parse().unwrap();
        let signature = hex::decode(text("signature")).unwrap();
        assert_eq!(key.verify(&bytes, &signature), Ok(()));
        assert_eq!(key.verify(&bytes[1..], &signature), Err(nem::NemError::Other));
        assert_eq!(nem::Address::parse(0x98, recipient).unwrap().to_string(), recipient);
    }
}
