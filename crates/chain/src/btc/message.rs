//! Messages signed by the owner of an address (BIP 322, forms *simple* and *full*).
//!
//! Decides whether whoever could spend from an address has signed a text, by the same templates as [`super::verify`]; scripts
//! that no template covers and time locks are refused, never good. The older form of 65 bytes is not read; proofs of funds are
//! [`super::funds`]'s.

use sha2::{Digest as _, Sha256};

use super::{
    network::Network,
    psbt,
    read::DecodeError,
    script::Script,
    tx::{Mweb, OutPoint, Tx, TxIn, TxOut},
    verify::{Signer, VerifyError, verify_input},
};

/// Longest signature that is read, in bytes: the multisignatures of standard templates fit many times.
pub const SIGNATURE_BYTES_MAX: usize = 20_000;

/// How a message was signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignedAs {
    /// The witness of the virtual transaction.
    Simple,
    /// The whole virtual transaction.
    Full,
}

/// Why a text was not signed by the owner of an address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MessageError {
    /// Too long.
    #[error("signature has {got} bytes, want at most {max}", max = SIGNATURE_BYTES_MAX)]
    Length {
        /// Bytes.
        got: usize,
    },
    /// Neither a witness nor a transaction.
    #[error("signature is neither a witness (simple) nor a transaction (full) of BIP 322")]
    Form(#[source] DecodeError),
    /// A transaction that is not the virtual one.
    #[error("the transaction is not the one of BIP 322: {problem}")]
    Other {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Signatures that do not hold for this text and address.
    #[error("the signature is not by this address over this text")]
    Signature(#[from] VerifyError),
    /// A signature that does not cover all of the virtual transaction.
    #[error("a signature does not cover everything (SIGHASH_ALL)")]
    Partial,
}

/// The digest of a text: SHA-256 tagged `BIP0322-signed-message`.
fn digest(text: &[u8]) -> [u8; 32] {
    let tag = Sha256::digest("BIP0322-signed-message");
    Sha256::new().chain_update(tag).chain_update(tag).chain_update(text).finalize().into()
}

/// The virtual transaction whose output a signer of the text spends. Only a coinbase spends what it spends, and none that a
/// chain could take up looks so: it can never be mined, and neither can what spends it.
#[must_use]
pub fn to_spend(script: &Script, text: &[u8]) -> Tx {
    let script_sig = [&[0x00, 0x20][..], &digest(text)].concat();
    Tx {
        version: 0,
        inputs: vec![TxIn {
            prev: OutPoint::NULL,
            script_sig: Script::from(script_sig),
            sequence: 0,
            witness: Vec::new(),
        }],
        outputs: vec![TxOut { value_sat: 0, script: script.clone() }],
        lock_time: 0,
        mweb: Mweb::None,
    }
}

/// The virtual transaction that spends it.
fn to_sign(spent: &Tx, witness: Vec<Vec<u8>>) -> Tx {
    Tx {
        version: 0,
        inputs: vec![TxIn {
            prev: OutPoint { txid: spent.txid(), vout: 0 },
            script_sig: Script::default(),
            sequence: 0,
            witness,
        }],
        outputs: vec![TxOut { value_sat: 0, script: Script::from(vec![0x6a]) }],
        lock_time: 0,
        mweb: Mweb::None,
    }
}

/// Checks that the owner of a locking script has signed a text.
///
/// # Errors
/// Why not, or that it cannot be judged.
pub fn verify_message(
    network: Network,
    script: &Script,
    text: &[u8],
    signature: &[u8],
) -> Result<SignedAs, MessageError> {
    if signature.len() > SIGNATURE_BYTES_MAX {
        return Err(MessageError::Length { got: signature.len() });
    }
    let spent = to_spend(script, text);
    let (tx, form) = match psbt::stack(signature) {
        Ok(witness) => (to_sign(&spent, witness), SignedAs::Simple),
        Err(no_witness) => {
            let tx = Tx::decode(network, signature).map_err(|_| MessageError::Form(no_witness))?;
            (full(tx, &spent)?, SignedAs::Full)
        }
    };
    let spend = verify_input(&tx, 0, &spent.outputs)?;
    if spend.signers().iter().all(Signer::covers_all) { Ok(form) } else { Err(MessageError::Partial) }
}

/// The transaction, if it is the virtual one but for what its signer adds.
fn full(tx: Tx, spent: &Tx) -> Result<Tx, MessageError> {
    let other = |problem| Err(MessageError::Other { problem });
    let [input] = tx.inputs.as_slice() else { return other("want one input, a proof of funds is none") };
    if input.prev != (OutPoint { txid: spent.txid(), vout: 0 }) {
        return other("it spends another text, or another address");
    }
    if !matches!(tx.version, 0 | 2) || tx.lock_time != 0 || input.sequence != 0 {
        return other("time locks are not read, want version 0 or 2 and zeros");
    }
    match tx.outputs.as_slice() {
        [TxOut { value_sat: 0, script }] if script.as_bytes() == [0x6a] => Ok(tx),
        [] | [_] | [_, _, ..] => other("want one output of nothing, locked by OP_RETURN"),
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;
    use crate::btc::Address;

    const P2WPKH: &str = "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l";
    const P2TR: &str = "bc1ppv609nr0vr25u07u95waq5lucwfm6tde4nydujnu8npg4q75mr5sxq8lt3";
    // BIP 322, "Test vectors".
    const EMPTY: &str = "AkcwRAIgM2gBAQqvZX15ZiysmKmQpDrG83avLIT492QBzLnQIxYCIBaTpOaD20qRlEylyxFSeEA2ba9YOixpX8z46TSDtS40ASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=";
    const HELLO: &str = "AkcwRAIgZRfIY3p7/DoVTty6YZbWS71bc5Vct9p9Fia83eRmw2QCICK/ENGfwLtptFluMGs2KsqoNSk89pO7F29zJLUx9a/sASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=";
    const HELLO_TAPROOT: &str =
        "AUHd69PrJQEv+oKTfZ8l+WROBHuy9HKrbFCJu7U1iK2iiEy1vMU5EfMtjc+VSHM7aU0SDbak5IUZRVno2P5mjSafAQ==";

    fn script(address: &str) -> Script {
        Address::parse(Network::BtcMain, address).unwrap().script()
    }

    fn verify(address: &str, text: &str, signature: &[u8]) -> Result<SignedAs, MessageError> {
        verify_message(Network::BtcMain, &script(address), text.as_bytes(), signature)
    }

    fn bytes(base64: &str) -> Vec<u8> {
        STANDARD.decode(base64).unwrap()
    }

    #[test]
    fn digests_and_virtual_transactions_are_the_published_ones() {
        let check = |text: &str, want: [&str; 3]| {
            let spent = to_spend(&script(P2WPKH), text.as_bytes());
            let signed = to_sign(&spent, Vec::new());
            let got = [
                kuraban_base::hex::encode(&digest(text.as_bytes())),
                spent.txid().to_string(),
                signed.txid().to_string(),
            ];
            assert_eq!(got, want, "{text:?}");
        };
        check(
            "",
            [
                "c90c269c4f8fcbe6880f72a721ddfbf1914268a794cbb21cfafee13770ae19f1",
                "c5680aa69bb8d860bf82d4e9cd3504b55dde018de765a91bb566283c545a99a7",
                "1e9654e951a5ba44c8604c4de6c67fd78a27e81dcadcfe1edf638ba3aaebaed6",
            ],
        );
        check(
            "Hello World",
            [
                "f0eb03b1a75ac6d9847f55c624a99169b5dccba2a31f5b23bea77ba270de0a7a",
                "b79d196740ad5217771c1098fc4a4b51e0535c32236c71f1ea4d61a2d603352b",
                "88737ae86f2077145f93cc4b153ae9a1cb8d56afa511988c149c5c8c9d93bddf",
            ],
        );
    }

    #[test]
    fn published_signatures_hold_for_their_text_and_address_alone() {
        for (address, text, signature) in
            [(P2WPKH, "", EMPTY), (P2WPKH, "Hello World", HELLO), (P2TR, "Hello World", HELLO_TAPROOT)]
        {
            assert_eq!(verify(address, text, &bytes(signature)), Ok(SignedAs::Simple));
            assert!(matches!(
                verify(address, "Hello World!", &bytes(signature)),
                Err(MessageError::Signature(_))
            ));
            let other = if address == P2TR { P2WPKH } else { P2TR };
            assert!(verify(other, text, &bytes(signature)).is_err());
        }
    }

    #[test]
    fn the_full_form_holds_as_the_simple_one_does() {
        let signed = |text: &str| {
            let spent = to_spend(&script(P2WPKH), text.as_bytes());
            to_sign(&spent, psbt::stack(&bytes(HELLO)).unwrap())
        };
        let tx = signed("Hello World");
        assert_eq!(verify(P2WPKH, "Hello World", &tx.encode()), Ok(SignedAs::Full));
        let check = |change: fn(&mut Tx), want: &str| {
            let mut tx = tx.clone();
            change(&mut tx);
            let error = verify(P2WPKH, "Hello World", &tx.encode()).unwrap_err();
            assert!(error.to_string().contains(want), "{error}");
        };
        check(|tx| tx.lock_time = 1, "time locks");
        check(|tx| tx.version = 1, "time locks");
        check(|tx| tx.inputs[0].sequence = 1, "time locks");
        check(
            |tx| {
                let mut second = tx.inputs[0].clone();
                second.prev.vout = 7;
                tx.inputs.push(second);
            },
            "a proof of funds is none",
        );
        check(|tx| tx.outputs[0].value_sat = 1, "one output of nothing");
        check(|tx| tx.inputs[0].prev.vout = 1, "another text");
        // Of version 2 the signature would be another one.
        check(|tx| tx.version = 2, "not by this address");
        let error = verify(P2WPKH, "Hello World", &signed("Hello").encode()).unwrap_err();
        assert!(error.to_string().contains("another text"), "{error}");
    }

    #[test]
    fn cut_and_changed_signatures_are_refused() {
        let whole = bytes(HELLO);
        for length in 0..whole.len() {
            assert!(verify(P2WPKH, "Hello World", &whole[..length]).is_err(), "{length}");
        }
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            assert!(verify(P2WPKH, "Hello World", &changed).is_err(), "{place}");
        }
        let long = vec![0; SIGNATURE_BYTES_MAX + 1];
        assert_eq!(verify(P2WPKH, "", &long), Err(MessageError::Length { got: SIGNATURE_BYTES_MAX + 1 }));
        assert!(matches!(verify(P2WPKH, "", &long[1..]), Err(MessageError::Form(_))));
    }
}
