//! Rows for [`address`](super).

use kuraban_base::hex;
use proptest::prelude::*;

use super::*;

fn check(network: Network, text: &str, script: &str) {
    let address = Address::parse(network, text).unwrap();
    assert_eq!(address.script().to_string(), script, "{text}");
    let again = Address::from_script(network, &address.script()).unwrap();
    assert_eq!(again.to_string(), text.to_lowercase(), "{text}");
}

#[test]
fn published_witness_addresses_are_read() {
    // BIP 173 and BIP 350, "Test vectors": valid addresses and their scripts.
    let main = |text: &str, script: &str| check(Network::BtcMain, text, script);
    let test = |text: &str, script: &str| check(Network::BtcTest, text, script);
    main("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "0014751e76e8199196d454941c45d1b3a323f1433bd6");
    test(
        "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
        "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
    );
    main(
        "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
        "5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6",
    );
    main("BC1SW50QGDZ25J", "6002751e");
    main("bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", "5210751e76e8199196d454941c45d1b3a323");
    test(
        "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy",
        "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
    );
    test(
        "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",
        "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
    );
    main(
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    );
}

#[test]
fn published_malformed_witness_addresses_are_refused_for_their_reason() {
    // BIP 350, "Test vectors": invalid addresses.
    let main = |text: &str, want: AddressError| {
        assert_eq!(Address::parse(Network::BtcMain, text), Err(want), "{text}")
    };
    let test = |text: &str, want: AddressError| {
        assert_eq!(Address::parse(Network::BtcTest, text), Err(want), "{text}")
    };
    let variant = |version, found, want| AddressError::Variant { version, found, want };
    let program = |version, got, want| AddressError::Program { version, got, want };
    // An unknown human-readable part is no Bech32 address of ours, and no Base58 either.
    main(
        "tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut",
        AddressError::Base58Character { found: '0', at: 5 },
    );
    main("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", variant(1, "bech32", "bech32m"));
    test("tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf", variant(2, "bech32", "bech32m"));
    main("BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL", variant(16, "bech32", "bech32m"));
    main("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh", variant(0, "bech32m", "bech32"));
    test("tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47", variant(0, "bech32m", "bech32"));
    main(
        "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
        AddressError::Bech32Character { found: 'o', at: 60 },
    );
    main(
        "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
        AddressError::WitnessVersion { found: 17 },
    );
    main("bc1pw5dgrnzv", program(1, 1, "2 to 40"));
    main(
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
        program(1, 41, "2 to 40"),
    );
    main("BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P", program(0, 16, "20 or 32"));
    test(
        "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq",
        AddressError::MixedCase { at: 59 },
    );
    main("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf", AddressError::Padding);
    test("tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j", AddressError::Padding);
    main("bc1gmk9yu", AddressError::Payload { got: 0, want: "a witness version" });
}

#[test]
fn networks_are_kept_apart_and_named() {
    let check = |network, text: &str, want: &str| {
        let got = Address::parse(network, text);
        let got = got.map_or_else(|error| error.to_string(), |address| format!("ok {address}"));
        assert_eq!(got, want, "{text}");
    };
    use Network::*;
    let dmm = "1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P";
    check(BtcMain, dmm, "ok 1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P");
    check(BtcTest, dmm, "address belongs to bitcoin-main, want bitcoin-test");
    check(LtcMain, dmm, "address belongs to bitcoin-main, want litecoin-main");
    // Litecoin reads its old spelling and writes its new one.
    let p2sh = Address::p2sh(BtcMain, &Script::new(vec![0x51])).to_string();
    let ltc = Address::p2sh(LtcMain, &Script::new(vec![0x51])).to_string();
    assert_eq!((&p2sh[..1], &ltc[..1]), ("3", "M"));
    check(LtcMain, &p2sh, &format!("ok {ltc}"));
    check(LtcMain, &ltc, &format!("ok {ltc}"));
    check(BtcMain, &ltc, "address belongs to litecoin-main, want bitcoin-main");
    check(BtcTest, &p2sh, "address belongs to bitcoin-main, litecoin-main, want bitcoin-test");
    let tb = "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7";
    check(BtcSignet, tb, &format!("ok {tb}"));
    check(BtcMain, tb, "address belongs to bitcoin-test, bitcoin-signet, want bitcoin-main");
    check(
        LtcMain,
        "ltcmweb1qqq",
        "address is inside Litecoin's extension block, which payments here do not reach",
    );
    let script = Address::parse(BtcTest, tb).unwrap().script();
    let regtest = Address::from_script(LtcRegtest, &script).unwrap().to_string();
    assert!(regtest.starts_with("rltc1q"), "{regtest}");
    check(LtcRegtest, &regtest, &format!("ok {regtest}"));
    check(LtcMain, &regtest, "address belongs to litecoin-regtest, want litecoin-main");
    let unknown = base58::encode_check(Alphabet::Bitcoin, &[7; 21]);
    check(BtcMain, &unknown, "version byte 7 belongs to no network known here");
    let long = base58::encode_check(Alphabet::Bitcoin, &[0; 22]);
    check(BtcMain, &long, "address holds 22 bytes or letters, want a version byte and 20 bytes");
}

#[test]
fn messages_say_which_characters_are_wrong() {
    let check = |text: &str, want: &str| {
        let error = Address::parse(Network::BtcMain, text).unwrap_err().to_string();
        assert!(error.starts_with(want), "{text}: {error}");
    };
    check("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "checksum does not match: character 42 is wrong");
    check(
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3z5",
        "checksum does not match: characters 41 and 42 are wrong",
    );
    check("bc1qqqqqqqqejxtdg4y5r3zarvary0c5xw7kv8f3t4", "checksum does not match: at least three");
    check("1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7Q", "checksum is [");
    check(" 1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P", "character ' ' at 1 is not one of Base58");
}

#[test]
fn extension_block_scripts_have_no_address() {
    for version in [8, 9] {
        let script = Script::witness(version, &[3; 32]).unwrap();
        assert_eq!(Address::from_script(Network::LtcMain, &script), None);
        assert!(Address::from_script(Network::BtcMain, &script).is_some());
    }
}

fn peer(network: Network) -> Option<bitcoin::Network> {
    match network {
        Network::BtcMain => Some(bitcoin::Network::Bitcoin),
        Network::BtcTest => Some(bitcoin::Network::Testnet),
        Network::BtcSignet => Some(bitcoin::Network::Signet),
        Network::BtcRegtest => Some(bitcoin::Network::Regtest),
        Network::LtcMain | Network::LtcTest | Network::LtcRegtest => None,
    }
}

fn any_network() -> impl Strategy<Value = Network> {
    prop::sample::select(Network::ALL.to_vec())
}

fn any_script() -> impl Strategy<Value = Script> {
    prop_oneof![
        any::<[u8; 20]>().prop_map(|hash| Script::p2pkh(&hash)),
        any::<[u8; 20]>().prop_map(|hash| Script::p2sh(&hash)),
        any::<[u8; 20]>().prop_filter_map("witness", |hash| Script::witness(0, &hash)),
        any::<[u8; 32]>().prop_filter_map("witness", |hash| Script::witness(0, &hash)),
        (1..=16_u8, prop::collection::vec(any::<u8>(), 2..=40))
            .prop_filter_map("witness", |(version, program)| Script::witness(version, &program)),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(Script::new),
    ]
}

proptest! {
    #[test]
    fn any_script_has_the_address_that_the_peer_crate_gives_it(network in any_network(), script in any_script()) {
        let ours = Address::from_script(network, &script);
        if let Some(address) = ours {
            prop_assert_eq!(address.script(), script.clone());
            prop_assert_eq!(Address::parse(network, &address.to_string()), Ok(address));
        }
        if let Some(network) = peer(network) {
            let theirs = bitcoin::Address::from_script(bitcoin::Script::from_bytes(script.as_bytes()), network);
            prop_assert_eq!(ours.map(|address| address.to_string()), theirs.ok().map(|address| address.to_string()));
        }
    }

    #[test]
    fn any_text_is_refused_unless_it_is_what_is_written_back(text in "[ -~]{0,100}|(bc|ltc|tb)1[02-9ac-hj-np-z]{6,80}") {
        for network in Network::ALL {
            if let Ok(address) = Address::parse(network, &text) {
                prop_assert_eq!(Address::parse(network, &address.to_string()), Ok(address));
            }
        }
    }

    #[test]
    fn one_changed_character_is_always_seen(script in any_script(), at: prop::sample::Index, with in "[!-~]") {
        if let Some(address) = Address::from_script(Network::BtcMain, &script) {
            let text = address.to_string();
            let at = at.index(text.len());
            let changed = format!("{}{with}{}", &text[..at], &text[at + 1..]);
            // One case is as good as the other only for a whole Bech32 text; no text here has one letter.
            if changed != text {
                prop_assert!(Address::parse(Network::BtcMain, &changed).is_err(), "{changed}");
            }
        }
    }
}

#[test]
fn keys_have_the_addresses_of_the_peer_crate() {
    let text = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    let key = PublicKey::parse(&hex::decode(text).unwrap()).unwrap();
    assert_eq!(Address::p2pkh(Network::BtcMain, key).to_string(), "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH");
}
