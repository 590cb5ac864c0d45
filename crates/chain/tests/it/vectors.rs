//! Vectors published with the specifications: digests of BIP 143 and BIP 341, and signatures over them.

use kuraban_base::hex;
use kuraban_chain::btc::{
    Digests, EcdsaSighash, Network, Script, TaprootSighash, Tx, TxOut,
    sighash::{TaprootPath, leaf_hash},
    verify_input,
};

fn tx(text: &str) -> Tx {
    Tx::decode(Network::BtcMain, &hex::decode(text).unwrap()).unwrap()
}

fn script(text: &str) -> Script {
    Script::new(hex::decode(text).unwrap())
}

fn output(value_sat: u64, text: &str) -> TxOut {
    TxOut { value_sat, script: script(text) }
}

/// BIP 143, "Native P2WPKH".
#[test]
fn bip_143_p2wpkh() {
    let unsigned = tx(concat!(
        "0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffffffef51e1b8",
        "04cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a914",
        "8280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f016",
        "7faa815988ac11000000",
    ));
    let prevouts = [
        output(625_000_000, "2103c9f4836b9a4f77fc0d81f7bcb01b7f1b35916864b9476c241ce9fc198bd25432ac"),
        output(600_000_000, "00141d0f172a0ecb48aee1be1f2687d2963ae33f71a1"),
    ];
    let digests = Digests::new(&unsigned, &prevouts).unwrap();
    let code = script("76a9141d0f172a0ecb48aee1be1f2687d2963ae33f71a188ac");
    let digest = digests.witness_v0(1, &code, EcdsaSighash::All).unwrap();
    assert_eq!(
        hex::encode(digest.as_bytes()),
        "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670"
    );
}

/// BIP 143, "P2SH-P2WPKH".
#[test]
fn bip_143_p2sh_p2wpkh() {
    let unsigned = tx(concat!(
        "0100000001db6b1b20aa0fd7b23880be2ecbd4a98130974cf4748fb66092ac4d3ceb1a54770100000000feffffff02b8b4eb",
        "0b000000001976a914a457b684d7f0d539a46a45bbc043f35b59d0d96388ac0008af2f000000001976a914fd270b1ee6abca",
        "ea97fea7ad0402e8bd8ad6d77c88ac92040000",
    ));
    let prevouts = [output(1_000_000_000, "a9144733f37cf4db86fbc2efed2500b4f4e49f31202387")];
    let digests = Digests::new(&unsigned, &prevouts).unwrap();
    let code = script("76a91479091972186c449eb1ded22b78e40d009bdf008988ac");
    let digest = digests.witness_v0(0, &code, EcdsaSighash::All).unwrap();
    assert_eq!(
        hex::encode(digest.as_bytes()),
        "64f3b0f4dd2bb3aa1ce8566d220cc74dda9df97d8490cc81d89d735c92e59fb6"
    );
}

/// BIP 143, "P2SH-P2WSH": one script, six keys, six types.
#[test]
fn bip_143_p2sh_p2wsh_in_every_type() {
    let unsigned = tx(concat!(
        "010000000136641869ca081e70f394c6948e8af409e18b619df2ed74aa106c1ca29787b96e0100000000ffffffff0200e9a4",
        "35000000001976a914389ffce9cd9ae88dcc0631e88a821ffdbe9bfe2688acc0832f05000000001976a9147480a33f950689",
        "af511e6e84c138dbbd3c3ee41588ac00000000",
    ));
    let code = script(concat!(
        "56210307b8ae49ac90a048e9b53357a2354b3334e9c8bee813ecb98e99a7e07e8c3ba32103b28f0c28bfab54554ae8c658ac",
        "5c3e0ce6e79ad336331f78c428dd43eea8449b21034b8113d703413d57761b8b9781957b8c0ac1dfe69f492580ca4195f503",
        "76ba4a21033400f6afecb833092a9a21cfdf1ed1376e58c5d1f47de74683123987e967a8f42103a6d48b1131e94ba04d9737",
        "d61acdaa1322008af9602b3b14862c07a1789aac162102d8b661b0b3302ee2f162b09e07a55ad5dfbe673a9f01d9f0c19617",
        "681024306b56ae",
    ));
    let prevouts = [TxOut { value_sat: 987_654_321, script: Script::p2sh_of(&Script::p2wsh_of(&code)) }];
    assert_eq!(prevouts[0].script, script("a9149993a429037b5d912407a71c252019287b8d27a587"));
    let digests = Digests::new(&unsigned, &prevouts).unwrap();
    let check = |kind, want: &str| {
        let digest = digests.witness_v0(0, &code, kind).unwrap();
        assert_eq!(hex::encode(digest.as_bytes()), want, "{kind:?}");
    };
    use EcdsaSighash::*;
    check(All, "185c0be5263dce5b4bb50a047973c1b6272bfbd0103a89444597dc40b248ee7c");
    check(None, "e9733bc60ea13c95c6527066bb975a2ff29a925e80aa14c213f686cbae5d2f36");
    check(Single, "1e1f1c303dc025bd664acb72e583e933fae4cff9148bf78c157d1e8f78530aea");
    check(AllAnyoneCanPay, "2a67f03e63a6a422125878b40b82da593be8d4efaafe88ee528af6e5a9955c6e");
    check(NoneAnyoneCanPay, "781ba15f3779d5542ce8ecb5c18716733a5ee42a6f51488ec96154934e2c890a");
    check(SingleAnyoneCanPay, "511e8e52ed574121fc1b654970395502128263f62662e076dc6baf05c2e6a99b");
}

/// BIP 341, `wallet-test-vectors.json`, `keyPathSpending`: every digest, and the transaction as signed.
#[test]
fn bip_341_key_path() {
    let signed = tx(concat!(
        "020000000001097de20cbff686da83a54981d2b9bab3586f4ca7e48f57f5b55963115f3b334e9c010000000000000000d7b7",
        "cab57b1393ace2d064f4d4a2cb8af6def61273e127517d44759b6dafdd990000000000fffffffff8e1f583384333689228c5",
        "d28eac13366be082dc57441760d957275419a41842000000006b4830450221008f3b8f8f0537c420654d2283673a761b7ee2",
        "ea3c130753103e08ce79201cf32a022079e7ab904a1980ef1c5890b648c8783f4d10103dd62f740d13daa79e298d50c20121",
        "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798fffffffff0689180aa63b30cb162a73c6d",
        "2a38b7eeda2a83ece74310fda0843ad604853b0100000000feffffffaa5202bdf6d8ccd2ee0f0202afbbb7461d9264a25e5b",
        "fd3c5a52ee1239e0ba6c0000000000feffffff956149bdc66faa968eb2be2d2faa29718acbfe3941215893a2a3446d32acd0",
        "50000000000000000000e664b9773b88c09c32cb70a2a3e4da0ced63b7ba3b22f848531bbb1d5d5f4c940100000000000000",
        "00e9aa6b8e6c9de67619e6a3924ae25696bb7b694bb677a632a74ef7eadfd4eabf0000000000ffffffffa778eb6a263dc090",
        "464cd125c466b5a99667720b1c110468831d058aa1b82af10100000000ffffffff0200ca9a3b000000001976a91406afd46b",
        "cdfd22ef94ac122aa11f241244a37ecc88ac807840cb0000000020ac9a87f5594be208f8532db38cff670c450ed2fea8fcde",
        "fcc9a663f78bab962b0141ed7c1647cb97379e76892be0cacff57ec4a7102aa24296ca39af7541246d8ff14d38958d4cc1e2",
        "e478e4d4a764bbfd835b16d4e314b72937b29833060b87276c030141052aedffc554b41f52b521071793a6b88d6dbca9dba9",
        "4cf34c83696de0c1ec35ca9c5ed4ab28059bd606a4f3a657eec0bb96661d42921b5f50a95ad33675b54f83000141ff45f742",
        "a876139946a149ab4d9185574b98dc919d2eb6754f8abaa59d18b025637a3aa043b91817739554f4ed2026cf8022dbd83e35",
        "1ce1fabc272841d2510a010140b4010dd48a617db09926f729e79c33ae0b4e94b79f04a1ae93ede6315eb3669de185a17d2b",
        "0ac9ee09fd4c64b678a0b61a0a86fa888a273c8511be83bfd6810f0247304402202b795e4de72646d76eab3f0ab27dfa30b8",
        "10e856ff3a46c9a702df53bb0d8cc302203ccc4d822edab5f35caddb10af1be93583526ccfbade4b4ead350781e2f8adcd01",
        "2102f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f90141a3785919a2ce3c4ce26f298c3d51",
        "619bc474ae24014bcdd31328cd8cfbab2eff3395fa0a16fe5f486d12f22a9cedded5ae74feb4bbe5351346508c5405bcfee0",
        "020141ea0c6ba90763c2d3a296ad82ba45881abb4f426b3f87af162dd24d5109edc1cdd11915095ba47c3a9963dc1e6c4329",
        "39872bc49212fe34c632cd3ab9fed429c4820141bbc9584a11074e83bc8c6759ec55401f0ae7b03ef290c3139814f545b58a",
        "9f8127258000874f44bc46db7646322107d4d86aec8e73b8719a61fff761d75b5dd9810065cd1d",
    ));
    let prevouts = [
        output(420_000_000, "512053a1f6e454df1aa2776a2814a721372d6258050de330b3c6d10ee8f4e0dda343"),
        output(462_000_000, "5120147c9c57132f6e7ecddba9800bb0c4449251c92a1e60371ee77557b6620f3ea3"),
        output(294_000_000, "76a914751e76e8199196d454941c45d1b3a323f1433bd688ac"),
        output(504_000_000, "5120e4d810fd50586274face62b8a807eb9719cef49c04177cc6b76a9a4251d5450e"),
        output(630_000_000, "512091b64d5324723a985170e4dc5a0f84c041804f2cd12660fa5dec09fc21783605"),
        output(378_000_000, "00147dd65592d0ab2fe0d0257d571abf032cd9db93dc"),
        output(672_000_000, "512075169f4001aa68f15bbed28b218df1d0a62cbbcf1188c6665110c293c907b831"),
        output(546_000_000, "5120712447206d7a5238acc7ff53fbe94a3b64539ad291c7cdbc490b7577e4b17df5"),
        output(588_000_000, "512077e30a5522dd9f894c3f8b8bd4c4b2cf82ca7da8a3ea6a239655c39c050ab220"),
    ];
    let digests = Digests::new(&signed, &prevouts).unwrap();
    let check = |index, byte, want: &str| {
        let kind = TaprootSighash::parse(byte).unwrap();
        let digest = digests.taproot(index, kind, None, TaprootPath::Key).unwrap();
        assert_eq!(hex::encode(digest.as_bytes()), want, "input {index}");
    };
    check(0, 3, "2514a6272f85cfa0f45eb907fcb0d121b808ed37c6ea160a5a9046ed5526d555");
    check(1, 131, "325a644af47e8a5a2591cda0ab0723978537318f10e6a63d4eed783b96a71a4d");
    check(3, 1, "bf013ea93474aa67815b1b6cc441d23b64fa310911d991e713cd34c7f5d46669");
    check(4, 0, "4f900a0bae3f1446fd48490c2958b5a023228f01661cda3496a11da502a7f7ef");
    check(6, 2, "15f25c298eb5cdc7eb1d638dd2d45c97c4c59dcaec6679cfc16ad84f30876b85");
    check(7, 130, "cd292de50313804dabe4685e83f923d2969577191a3e1d2882220dca88cbeb10");
    check(8, 129, "cccb739eca6c13a8a89e6e5cd317ffe55669bbda23f2fd37b0f18755e008edd2");
    for index in 0..9 {
        let spend = verify_input(&signed, index, &prevouts).unwrap();
        assert_eq!(spend.signers().len(), 1, "input {index}");
    }
    // Taproot digests cover what all inputs spend: one satoshi less anywhere, and they are other digests.
    let mut poorer = prevouts.clone();
    poorer[2].value_sat -= 1;
    assert!(verify_input(&signed, 3, &poorer).is_err());
}

/// BIP 341, `wallet-test-vectors.json`, `scriptPubKey`: the second case's leaf.
#[test]
fn bip_341_leaf() {
    let leaf = script("20d85a959b0290bf19bb89ed43c916be835475d013da4b362117393e25a48229b8ac");
    let want = "5b75adecf53548f3ec6ad7d78383bf84cc57b55a3127c72b9a2481752dd88b21";
    assert_eq!(hex::encode(&leaf_hash(0xc0, &leaf)), want);
}
