//! What a report tells beside the trace: bounds through mixes, and where the stolen units come from. As rows that page and
//! paper both print.
//!
//! Decides words and order alone.

use super::{
    Sheet,
    words::{Coin, coins, count, short, thousands, whole},
};
use crate::{say::Lang, trace::origins::Answer as Origins};

/// Rows of one table; what more there is, is counted.
pub(super) const ROWS: usize = 200;

/// A section: what page and paper print of it.
pub(super) struct Section {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) lead: String,
    /// Heads, and whether amounts stand beneath.
    pub(super) heads: [(&'static str, bool); 4],
    pub(super) rows: Vec<Line>,
    /// Rows that there are.
    pub(super) all: usize,
}

/// A row.
pub(super) struct Line {
    pub(super) address: Option<String>,
    pub(super) tags: Vec<String>,
    /// An outpoint, or the block and the transaction that made the units.
    pub(super) place: String,
    pub(super) amounts: [String; 2],
}

/// The sections in one language.
pub(super) fn sections(sheet: &Sheet<'_>, lang: Lang) -> Vec<Section> {
    let mut sections: Vec<Section> = intervals(sheet, lang).into_iter().collect();
    sections.extend((0..).zip(sheet.beside.origins).map(|(at, found)| origins(sheet, at, found, lang)));
    sections
}

fn intervals(sheet: &Sheet<'_>, lang: Lang) -> Option<Section> {
    let found = sheet.beside.intervals?;
    let (mixes, exact) = (found.mixes.len(), found.mixes.iter().filter(|mix| mix.exact).count());
    let (mixes, exact) = (count(mixes), count(exact));
    let certain = whole(sheet.coin(), found.certain_sat);
    let lead = match lang {
        Lang::En => format!(
            "Stolen units went through {mixes} mixes (CoinJoins), of which {exact} were looked through in every interpretation. \
             Nobody knows who is who in a mix: each output holds between the least and the most. Outside of mixes haircut \
             applies. The place of {certain} is certain."
        ),
        Lang::Ja => format!(
            "盗難分は {mixes} 件のミキシング（CoinJoin）を通り、うち {exact} 件はすべての解釈を調べました。誰の分かは分からないため、\
             各出力の盗難分は最小と最大の間です。ミキシング以外には haircut を用います。{certain} の所在は確実です。"
        ),
    };
    let largest = found.largest();
    let row = |held: &&crate::trace::bounds::HeldRow| Line {
        address: held.address.clone(),
        tags: Vec::new(),
        place: format!("{}:{}", held.txid, held.vout),
        amounts: [coins(sheet.coin(), held.least_sat.into()), coins(sheet.coin(), held.most_sat.into())],
    };
    Some(Section {
        id: "intervals".to_owned(),
        title: lang.pick("Through mixes: the least and the most", "ミキシング後の最小と最大").to_owned(),
        lead,
        heads: [
            (lang.pick("Address", "アドレス"), false),
            (lang.pick("Output", "出力"), false),
            (lang.pick("Least", "最小"), true),
            (lang.pick("Most", "最大"), true),
        ],
        rows: largest.iter().take(ROWS).map(row).collect(),
        all: largest.len(),
    })
}

fn origins(sheet: &Sheet<'_>, at: usize, found: &Origins, lang: Lang) -> Section {
    let Origins { txid, vout, method, transactions_touched, .. } = found;
    let (value, looked) = (whole(sheet.coin(), found.value_sat.into()), count(*transactions_touched));
    let seed = format!("{}:{vout}", short(txid, 10, 8));
    let lead = match lang {
        Lang::En => format!(
            "The {value} of seed {txid}:{vout}, by {method} in reverse through {looked} transactions. The rows add up to them, to \
             the unit."
        ),
        Lang::Ja => format!(
            "起点 {txid}:{vout} の {value} を {method} で逆に {looked} 件の取引をさかのぼりました。各行の合計は最小単位まで一致します。"
        ),
    };
    let source = |row: &crate::trace::origins::SourceRow| {
        let tags = row.address.as_ref().and_then(|address| sheet.origin_tags.get(address));
        let line = Line {
            address: row.address.clone(),
            tags: tags.cloned().unwrap_or_default(),
            place: format!("{}:{}", row.txid, row.vout),
            amounts: pair(sheet.coin(), row.amount_sat, row.value_sat),
        };
        (row.amount_sat, line)
    };
    let minted = |row: &crate::trace::origins::MintedRow| {
        let height = thousands(&row.height.to_string());
        let place = match lang {
            Lang::En => format!("new in block {height}, {}", row.txid),
            Lang::Ja => format!("ブロック {height} で新規発行、{}", row.txid),
        };
        let amounts = pair(sheet.coin(), row.amount_sat, row.amount_sat);
        (row.amount_sat, Line { address: None, tags: Vec::new(), place, amounts })
    };
    let mut rows: Vec<(u64, Line)> =
        found.sources.iter().map(source).chain(found.minted.iter().map(minted)).collect();
    rows.sort_by_key(|(sat, _)| core::cmp::Reverse(*sat));
    let all = rows.len();
    Section {
        id: format!("origins-{at}"),
        title: match lang {
            Lang::En => format!("Where the units of {seed} come from"),
            Lang::Ja => format!("{seed} の出所"),
        },
        lead,
        heads: [
            (lang.pick("Address", "アドレス"), false),
            (lang.pick("Output", "出力"), false),
            (lang.pick("Units of the seed", "起点に至った分"), true),
            (lang.pick("All its units", "出力の全額"), true),
        ],
        rows: rows.into_iter().take(ROWS).map(|(_, line)| line).collect(),
        all,
    }
}

fn pair(coin: Coin<'_>, one: u64, other: u64) -> [String; 2] {
    [coins(coin, one.into()), coins(coin, other.into())]
}
