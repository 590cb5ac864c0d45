//! Each rule at its bounds and one beyond, on made-up transactions.

use super::*;

const BITCOIN: Known = Known { chain: Chain::Bitcoin, exchange_spends: false };

/// Coins of these values, each of its own owner from `first` on.
fn coins(first: u64, values: &[u64]) -> Vec<Coin> {
    (first..).zip(values).map(|(owner, value)| Coin { value: *value, owner, form: Form::KeyHash }).collect()
}

fn view(inputs: &[u64], outputs: &[u64]) -> View {
    View::new(coins(0, inputs), coins(1_000, outputs), 0, 0).unwrap()
}

fn prepares(inputs: &[u64], outputs: &[u64]) -> View {
    View::new(coins(0, inputs), coins(1_000, outputs), 1, 0).unwrap()
}

fn first(view: &View, known: Known) -> (Kind, u8) {
    let label = classify(view, known)[0];
    (label.kind, label.confidence)
}

fn check(view: &View, want: (Kind, u8)) {
    assert_eq!(first(view, BITCOIN), want, "{view:?}");
}

const NONE: (Kind, u8) = (Kind::None, 100);

#[test]
fn whirlpool_has_a_pool_entrants_and_five_to_ten_coins() {
    let mix = |count: usize, pool: u64, entrants: &[u64]| {
        let mut inputs = vec![pool; count - entrants.len()];
        inputs.extend(entrants.iter().map(|excess| pool + excess));
        view(&inputs, &vec![pool; count])
    };
    let sure = (Kind::Whirlpool, 95);
    check(&mix(5, 100_000, &[100]), sure);
    check(&mix(8, 50_000_000, &[110_000, 200, 300, 400]), sure);
    check(&mix(10, 2_500_000, &[302]), sure);
    check(&mix(4, 100_000, &[302]), NONE);
    check(&mix(11, 100_000, &[302]), NONE);
    check(&mix(5, 100_000, &[110_001]), NONE);
    // Too little for a fee, too many entrants, a pool that nobody runs: only the shape is left.
    let shape = (Kind::EqualOutputMix, FIRM);
    check(&mix(5, 100_000, &[99]), shape);
    check(&mix(8, 100_000, &[302; 5]), shape);
    check(&mix(5, 300_000, &[302]), shape);
    check(&mix(5, 100_000, &[302; 5]), NONE);
}

#[test]
fn whirlpool_may_leave_to_another_form_of_script_and_then_is_less_sure() {
    let inputs = coins(0, &[5_000_302, 5_000_000, 5_000_000, 5_000_000, 5_000_000]);
    let mut outputs = coins(1_000, &[5_000_000; 5]);
    outputs[2].form = Form::Other;
    check(&View::new(inputs.clone(), outputs.clone(), 0, 0).unwrap(), (Kind::Whirlpool, 80));
    outputs[2].owner = outputs[1].owner;
    check(&View::new(inputs.clone(), outputs, 0, 0).unwrap(), NONE);
    let mut entrant = inputs;
    entrant[0].form = Form::Other;
    check(&View::new(entrant, coins(1_000, &[5_000_000; 5]), 0, 0).unwrap(), NONE);
}

#[test]
fn a_tx0_carries_bytes_and_pays_the_coordinator() {
    let tx0 = (Kind::WhirlpoolTx0, 60);
    check(
        &prepares(&[800_000], &[106_352; 6].iter().copied().chain([5_000, 67_648]).collect::<Vec<_>>()),
        tx0,
    );
    check(&prepares(&[800_000], &[100_100, 2_500]), tx0);
    check(&prepares(&[800_000], &[100_100, 15_000]), tx0);
    assert_ne!(first(&prepares(&[800_000], &[100_100, 2_499]), BITCOIN).0, Kind::WhirlpoolTx0);
    assert_ne!(first(&prepares(&[800_000], &[100_100, 15_001]), BITCOIN).0, Kind::WhirlpoolTx0);
    assert_ne!(first(&prepares(&[800_000], &[100_099, 5_000]), BITCOIN).0, Kind::WhirlpoolTx0);
    check(&prepares(&[800_000], &[210_000, 5_000]), tx0);
    assert_ne!(first(&prepares(&[800_000], &[210_001, 5_000]), BITCOIN).0, Kind::WhirlpoolTx0);
    assert_ne!(first(&view(&[800_000], &[100_100, 5_000]), BITCOIN).0, Kind::WhirlpoolTx0);
    // Two premix outputs, a fee and change: the shape of a Stonewall, which carries no data.
    check(&prepares(&[400_000, 800_000], &[106_352, 106_352, 5_000, 67_648]), tx0);
}

/// `count` people with a coin each, who take `base` and change.
fn wasabi(count: usize, base: u64) -> View {
    let values: Vec<u64> = (0..).take(count).map(|place: u64| base + 1_000_003 + place * 7_919).collect();
    let changes = values.iter().map(|value| value - base - 30_000 - value % 4_001);
    let outputs: Vec<u64> = vec![base; count].into_iter().chain(changes).chain([55_555]).collect();
    view(&values, &outputs)
}

#[test]
fn wasabi_1_has_a_base_near_a_tenth_of_a_bitcoin() {
    check(&wasabi(20, 9_500_000), (Kind::Wasabi1, 95));
    check(&wasabi(20, 11_600_000), (Kind::Wasabi1, 95));
    check(&wasabi(20, 9_499_999), NONE);
    check(&wasabi(20, 11_600_001), NONE);
    check(&wasabi(9, 10_000_000), NONE);
    let exchange = Known { exchange_spends: true, ..BITCOIN };
    assert_eq!(first(&wasabi(20, 10_000_000), exchange), NONE);
    let other = Known { chain: Chain::OfItsFamily, exchange_spends: false };
    assert_eq!(first(&wasabi(20, 10_000_000), other), NONE);
}

#[test]
fn wasabi_2_has_many_standard_denominations() {
    let denominations = [134_217_728, 50_000_000, 8_388_608, 1_062_882, 20_000];
    let mut outputs: Vec<u64> = denominations.iter().flat_map(|value| [*value; 10]).collect();
    outputs.push(7_777);
    let total: u64 = outputs.iter().sum();
    let inputs = |count: u64| (0..count).map(|place| total / count + 5_000 - place).collect::<Vec<_>>();
    check(&view(&inputs(50), &outputs), (Kind::Wasabi2, 95));
    check(&view(&inputs(49), &outputs), (Kind::Wasabi2, 60));
    check(&view(&inputs(20), &outputs), (Kind::Wasabi2, 60));
    assert_ne!(first(&view(&inputs(19), &outputs), BITCOIN).0, Kind::Wasabi2);
    let shifted: Vec<u64> = outputs.iter().map(|value| value + 1_001).collect();
    check(&view(&inputs(25), &shifted), (Kind::EqualOutputMix, FIRM));
    let reversed: Vec<u64> = outputs.iter().rev().copied().collect();
    check(&view(&inputs(50), &reversed), (Kind::Wasabi2, 60));
}

#[test]
fn joinmarket_gives_everybody_back_what_he_put_in() {
    // Three makers gain 300 each, the taker pays them and the fee.
    let inputs = [30_000_000, 22_000_000, 41_000_000, 25_000_000];
    let paid = [20_000_000; 4].into_iter().chain([10_000_300, 2_000_300, 21_000_300, 4_989_000]);
    let balanced: Vec<u64> = paid.collect();
    check(&view(&inputs, &balanced), (Kind::JoinMarket, 80));
    // The taker has no change.
    check(&view(&[30_000_000, 22_000_000, 41_000_000, 20_010_000], &balanced[..7]), (Kind::JoinMarket, 80));
    // The same outputs from inputs that nobody can have put in like that.
    check(&view(&[60_000_000, 52_000_000, 5_000_000, 1_000_000], &balanced), (Kind::EqualOutputMix, 20));
    let exchange = Known { exchange_spends: true, ..BITCOIN };
    assert_eq!(first(&view(&inputs, &balanced), exchange), NONE);
    // Marks of tokens.
    let marks = |mark: u64| view(&[100_000, 100_000, 100_000], &[mark, mark, mark, 97_100, 97_101, 97_102]);
    check(&marks(2_730), NONE);
    check(&marks(2_731), (Kind::JoinMarket, 80));
}

#[test]
fn two_parts_are_a_mix_only_where_one_gains() {
    // The published example: the maker gains 107 units, the taker pays them and the fee.
    let taker = [46_981, 100_420, 1_347_800, 100_420];
    check(&view(&[148_798, 1_448_113], &taker), (Kind::JoinMarket, 49));
    // Both pay half of the fee.
    check(&view(&[300_500, 200_500], &[100_000, 100_000, 200_000, 100_000 - 1]), (Kind::EqualOutputMix, 30));
    check(&view(&[300_500, 205_000], &[100_000, 100_000, 200_000, 100_001]), (Kind::EqualOutputMix, 20));
    // No division of the inputs pays for it.
    check(&view(&[500_500, 5_000], &[100_000, 100_000, 200_000, 100_001]), NONE);
    // The bound of a Stonewall's equal outputs.
    check(&view(&[15_500, 9_500], &[5_000, 5_000, 10_000, 4_001]), (Kind::EqualOutputMix, 30));
    check(&view(&[15_500, 9_500], &[4_999, 4_999, 10_000, 4_001]), NONE);
}

#[test]
fn plain_shapes_are_told_by_counts() {
    check(&view(&[1_000_000], &[100_000, 899_000]), NONE);
    check(&view(&[1_000_000], &[99_000, 891_000]), (Kind::Peel, 20));
    check(&view(&[1_000_000], &[99_000, 890_999]), NONE);
    check(&view(&[1_000; 5], &[4_000]), (Kind::Consolidation, 70));
    check(&view(&[1_000; 4], &[4_000]), NONE);
    check(&view(&[1_000; 20], &[4_000, 5_000]), (Kind::Consolidation, 50));
    check(&view(&[1_000; 19], &[4_000, 5_000]), NONE);
    let many: Vec<u64> = (1..=10).collect();
    check(&view(&[1_000; 2], &many), (Kind::Dispersal, 70));
    check(&view(&[1_000; 3], &many), NONE);
    check(&view(&[1_000; 1], &many[..9]), NONE);
    check(&view(&[], &[5_000_000_000]), NONE);
}

#[test]
fn amounts_are_those_of_a_transaction() {
    let of = |inputs: &[u64], outputs: &[u64]| View::new(coins(0, inputs), coins(1_000, outputs), 0, 0);
    assert_eq!(of(&[5], &[5]).unwrap().fee(), 0);
    assert_eq!(of(&[5], &[6]), Err(ViewError::Overspent { inputs: 5, outputs: 6 }));
    assert_eq!(of(&[], &[6]).unwrap().fee(), 0);
    let max = 8_400_000_000_000_000;
    assert!(of(&[max], &[1]).is_ok());
    assert_eq!(of(&[max, 1], &[1]), Err(ViewError::Sum { side: "inputs", max }));
    assert_eq!(of(&[], &[u64::MAX, u64::MAX]), Err(ViewError::Sum { side: "outputs", max }));
}

proptest::proptest! {
    #[test]
    fn a_made_up_mix_is_never_called_unbalanced(
        amount in 100_000_u64..50_000_000,
        makers in proptest::collection::vec((1_u64..80_000_000, 1_u64..4, 0_u64..500), 2..5),
        change in 1_u64..50_000_000,
        fee in 500_u64..100_000,
    ) {
        // Each maker's purse is cut into parts; the taker pays what they gain.
        let (mut inputs, mut outputs, mut paid) = (Vec::new(), Vec::new(), 0);
        for (place, (own, parts, gain)) in (0..).zip(&makers) {
            // Different changes, so that none is taken for the amount.
            let own = own + place;
            let total = amount + own;
            inputs.extend((1..*parts).map(|_| total / parts));
            inputs.push(total - total / parts * (parts - 1));
            outputs.extend([amount, own + gain]);
            paid += gain;
        }
        inputs.push(amount + change + paid + fee);
        outputs.extend([amount, change]);
        proptest::prop_assume!(outputs.iter().filter(|value| **value == amount).count() == makers.len() + 1);
        let found = joinmarket::party(&view(&inputs, &outputs));
        proptest::prop_assert!(matches!(found, Some(Party::Balanced | Party::NotDecided)), "{found:?}");
    }

    #[test]
    fn memos_of_any_bytes_are_read_or_refused(script in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
        // Nothing here may panic; that it ends is the property.
        drop(swap_memo(&[&[0x6a][..], &script].concat()));
        drop(swap_memo(&script));
    }
}
