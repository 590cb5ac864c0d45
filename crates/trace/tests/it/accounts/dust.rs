//! 30 January 2018: the thief of 523,000,000 XEM sent 100 XEM each to accounts of strangers, so that whatever marks
//! every recipient marks them too.

use std::collections::BTreeMap;

use kuraban_trace::accounts::{Kind, Opening, Outcome, Rule, Terms, Transfer, Units};
use kuraban_trace::taint::Method;

use super::{seed, trace, transfer};

const XEM: u64 = 1_000_000;
const STOLEN: u64 = 523_000_000 * XEM;

/// The theft, then 100 XEM each to nine strangers who have 5,000 XEM of their own and later pay each other.
fn list() -> Vec<Transfer> {
    let mut list = vec![
        transfer(1, Kind::Opening, None, Some("coincheck"), STOLEN + XEM),
        transfer(2, Kind::Payment, Some("coincheck"), Some("thief"), STOLEN),
    ];
    for n in 0..9 {
        let stranger = format!("stranger{n}");
        list.push(transfer(10 + n, Kind::Opening, None, Some(&stranger), 5_000 * XEM));
        list.push(transfer(20 + n, Kind::Payment, Some("thief"), Some(&stranger), 100 * XEM));
    }
    list.push(transfer(30, Kind::Payment, Some("stranger0"), Some("stranger1"), 2_000 * XEM));
    list.push(transfer(31, Kind::Payment, Some("thief"), Some("second-hop"), 100_000_000 * XEM));
    list.sort_by_key(|t| t.height);
    list
}

fn outcome(method: Rule, dust_xem: u64) -> Outcome {
    let dust = BTreeMap::from([("xem".to_owned(), Units::from(dust_xem * XEM))]);
    let terms = Terms { dust, ..Terms::new(method) };
    trace(Opening::Stated, &list(), &terms, &[seed(2, "coincheck")]).unwrap()
}

/// Strangers with taint, and the most that one of them has.
fn strangers(outcome: &Outcome) -> (usize, u64) {
    let held = outcome.held.iter().filter(|held| held.account.starts_with("stranger"));
    let tainted: Vec<u64> = held.map(|held| u64::try_from(held.tainted).unwrap()).collect();
    (tainted.len(), tainted.iter().copied().max().unwrap_or(0))
}

#[test]
fn a_threshold_of_101_xem_leaves_the_nine_bystanders_alone_by_every_method() {
    for method in Rule::ALL {
        let outcome = outcome(method, 101);
        assert_eq!(strangers(&outcome), (0, 0), "{method}");
        assert!(outcome.marked.keys().all(|account| !account.starts_with("stranger")), "{method}");
        let totals = &outcome.totals[0].by_asset;
        assert_eq!(totals["xem"].dust, Units::from(900 * XEM), "{method}");
        let followed = outcome.held.iter().find(|held| held.account == "second-hop").unwrap();
        assert_eq!(followed.tainted, Units::from(100_000_000 * XEM), "{method}");
    }
}

#[test]
fn the_threshold_itself_is_followed() {
    let (count, _) = strangers(&outcome(Rule::Of(Method::Fifo), 100));
    assert_eq!(count, 9);
}

#[test]
fn without_a_threshold_amounts_stay_within_the_100_xem_and_poison_takes_all() {
    for method in Rule::ALL.into_iter().filter(|method| method.conserves()) {
        let (_, most) = strangers(&outcome(method, 0));
        assert!(most <= 200 * XEM, "{method}: {most}");
    }
    let (count, most) = strangers(&outcome(Rule::Of(Method::Poison), 0));
    assert_eq!((count, most), (9, 7_100 * XEM));
}
