//! Which scripts are a vault's own: what it handed out, and change no further ahead than the log tells.

use kuraban_chain::btc::{Branch, Descriptor, Script};
use kuraban_vault::scripts::{CHANGE_AHEAD, ScriptTable};

use crate::kit;

fn script(branch: Branch, index: u32) -> Script {
    kit::descriptor().script_at(branch, index).unwrap()
}

#[test]
fn a_table_has_what_was_handed_out_and_change_a_little_ahead_of_what_was_used() {
    let mut table = ScriptTable::new(&kit::descriptor(), 10);
    let own = |table: &ScriptTable, branch, index| {
        let place = table.place(&script(branch, index));
        assert!(place.is_none_or(|place| place == (branch, index)), "{place:?}");
        place.is_some()
    };
    for (index, want) in [(0, true), (9, true), (10, false)] {
        assert_eq!(own(&table, Branch::Receive, index), want, "receive {index}");
    }
    assert_eq!((CHANGE_AHEAD, table.place(&kit::address(9).script())), (20, None));
    // Change that the log uses, the first index after it, and the last that is own then.
    for (used, next, last) in
        [(None, 0, 19), (Some(0), 1, 20), (Some(7), 8, 27), (Some(3), 8, 27), (Some(27), 28, 47)]
    {
        let used = used.map(|index| script(Branch::Change, index));
        let outputs = [kit::address(9).script(), script(Branch::Receive, 9)];
        table.used(outputs.iter().chain(&used));
        assert_eq!(table.change_next(), next);
        for (index, want) in [(0, true), (last, true), (last + 1, false)] {
            assert_eq!(own(&table, Branch::Change, index), want, "change {index} of {last}");
        }
    }
}

/// A vault of one script, such as one of devices that never give out another: its change comes back to it.
#[test]
fn a_vault_of_one_script_has_its_change_there() {
    let ranged = kit::descriptor().to_string();
    let (ranged, _checksum) = ranged.split_once('#').unwrap();
    let descriptor = Descriptor::parse(kit::NETWORK, &ranged.replace("/<0;1>/*", "/0/0")).unwrap();
    assert!(!descriptor.is_ranged());
    let only = descriptor.script_at(Branch::Change, 0).unwrap();
    let mut table = ScriptTable::new(&descriptor, 10);
    for next in [0, 1, 1] {
        assert_eq!((table.place(&only), table.change_next()), (Some((Branch::Change, 0)), next));
        assert_eq!(table.place(&kit::address(9).script()), None);
        table.used([&only]);
    }
}
