//! Files under a veil from somebody who means harm. The first byte says of what kind: bytes as a statement, as a customer's file or
//! as a proof, or changes to a proof that holds. What is read has one spelling, nothing but the proof itself holds, and nothing panics:
//! a panic that the verifier would take for a refusal ends the run here.
#![no_main]

use std::sync::OnceLock;

use kuraban_inclusion::{Asset, Scope};
use kuraban_veil::{
    Batch, BatchFile, Leaf, Opening, Plan, Public, Salt, Shape, Statement, Totals, prove, verify,
};

/// A batch with its proof, made once.
struct Made {
    shape: Shape,
    public: Public,
    proof: Vec<u8>,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let asset = Asset { code: "BTC".to_owned(), decimals: 8 };
        let scope = Scope::new("example.com/log".to_owned(), 1, 9, vec![asset], vec![]).unwrap();
        let plan = Plan::new(scope, 8, 1).unwrap();
        let leaf = |number: usize| Leaf {
            name: format!("customer-{number}"),
            salt: Salt::new(&[7; 32]),
            amounts: vec![number.try_into().unwrap()],
        };
        let leaves = (0..plan.shape().leaves()).map(leaf).collect();
        let batch = Batch { before: Totals::zero(1), leaves, after: Salt::new(&[9; 32]) };
        let (_, public, file) = prove(plan.shape(), &batch, plan.context(0), &[1; 32]).unwrap();
        assert_eq!(verify(plan.shape(), &public, &file.proof), Ok(()));
        Made { shape: plan.shape(), public, proof: file.proof }
    })
}

/// A proof after changes of five bytes each: where, how, and with what.
fn changed(proof: &[u8], changes: &[u8]) -> Vec<u8> {
    let mut proof = proof.to_vec();
    for change in changes.chunks_exact(5) {
        let [a, b, c, how, with] = change else { continue };
        let place = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let at = place % proof.len().max(1);
        match how % 5 {
            0 => proof[at] ^= with | 1,
            1 => proof[at] = *with,
            2 => proof.insert(at, *with),
            3 => drop(proof.drain(at..(at + 1 + usize::from(*with)).min(proof.len()))),
            _ => {
                let copied: Vec<u8> = proof[at..].iter().take(usize::from(*with)).copied().collect();
                proof.splice(at..at, copied).for_each(drop);
            }
        }
        if proof.is_empty() {
            break;
        }
    }
    proof
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let made = made();
    let proof = match kind % 5 {
        0 => {
            if let Ok(statement) = Statement::decode(bytes) {
                assert_eq!(statement.encode(), bytes);
            }
            return;
        }
        1 => {
            if let Ok(opening) = Opening::decode(bytes, 2) {
                assert_eq!(opening.encode(), bytes);
            }
            return;
        }
        2 => {
            let file: Vec<u8> =
                b"KRBNVEB1".iter().copied().chain(vec![0; 253 * 32]).chain(bytes.to_vec()).collect();
            let file = BatchFile::decode(made.shape, &file).unwrap();
            assert_eq!(file.proof, bytes);
            file.proof
        }
        _ => changed(&made.proof, bytes),
    };
    if proof != made.proof {
        assert!(verify(made.shape, &made.public, &proof).is_err(), "another proof holds");
    }
});
