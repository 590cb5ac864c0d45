//! Labelled transactions of real mixes, and real blocks with the outputs that they spend, from the shared data.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kuraban_base::hex;
use kuraban_chain::btc::{Block, Network};
use kuraban_trace::patterns::{Kind, View, esplora::Transaction};

/// The folder of shared data, if it is there.
pub(crate) fn shared() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("KURABAN_SHARED").map_or_else(beside, PathBuf::from);
    folder.join("data").is_dir().then(|| folder.join("data"))
}

/// Transactions of which something is known.
pub(crate) struct Set {
    pub(crate) name: &'static str,
    /// What they are; nothing for those of which nobody said.
    pub(crate) want: Want,
    pub(crate) views: Vec<View>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Want {
    /// Each is of this kind.
    Is(Kind),
    /// Each is of either kind: two people's mix, or one's imitation of it.
    Either(Kind, Kind),
    /// None is a mix.
    NoMix,
    /// Spends of mixed coins; some of them are mixes themselves.
    Unsaid,
}

impl Want {
    pub(crate) fn allows(self, kind: Kind) -> bool {
        match self {
            Self::Is(want) => kind == want,
            Self::Either(one, other) => kind == one || kind == other,
            Self::NoMix => !kind.is_mix(),
            Self::Unsaid => true,
        }
    }
}

/// Everything there is.
pub(crate) fn sets(data: &Path) -> Vec<Set> {
    let zip = |name: &str| fs::read(data.join("coinjoin").join(name)).unwrap();
    let read = |zip: &[u8], name: &str| views(&member(zip, name));
    let samourai = zip("dumplings__sw_202403.zip");
    let wasabi = zip("dumplings__ww1_202405.zip");
    let others = zip("dumplings__jm_202406.zip");
    // The file of tx0 has mixes among them; a tx0 always has one output of data.
    let tx0 = read(&samourai, "Scanner/SamouraiTx0s.txt");
    let (tx0, mixes): (Vec<_>, Vec<_>) = tx0.into_iter().partition(|view| view.unspendable() > 0);
    let equal = read(&others, "Scanner/OtherCoinJoins.txt");
    let (marked, equal): (Vec<_>, Vec<_>) =
        equal.into_iter().partition(|view| view.mode().is_none_or(|(value, _)| value <= 2_730));
    let (distinct, reusing): (Vec<_>, Vec<_>) = equal.into_iter().partition(View::pays_each_once);
    // JoinMarket's wallets hold one form of script; who trades brings what he has.
    let (one_form, forms): (Vec<_>, Vec<_>) = distinct.into_iter().partition(has_one_form);
    let (pairs, parties): (Vec<_>, Vec<_>) =
        one_form.into_iter().partition(|view| view.mode().is_some_and(|(_, count)| count == 2));
    let set = |name, want, views| Set { name, want, views };
    let either = Want::Either(Kind::JoinMarket, Kind::EqualOutputMix);
    vec![
        set("whirlpool", Want::Is(Kind::Whirlpool), read(&samourai, "Scanner/SamouraiCoinJoins.txt")),
        set("whirlpool_beside_tx0", Want::Is(Kind::Whirlpool), mixes),
        set("whirlpool_tx0", Want::Is(Kind::WhirlpoolTx0), tx0),
        set("wasabi1", Want::Is(Kind::Wasabi1), read(&wasabi, "Scanner/WasabiCoinJoins.txt")),
        set("joinmarket", Want::Is(Kind::JoinMarket), parties),
        set("equal_pairs", either, pairs),
        set("several_forms", Want::Unsaid, forms),
        set("token_marks", Want::NoMix, marked),
        set("one_paid_twice", Want::NoMix, reusing),
        set("after_whirlpool", Want::Unsaid, read(&samourai, "Scanner/SamouraiPostMixTxs.txt")),
        set("after_wasabi1", Want::Unsaid, read(&wasabi, "Scanner/WasabiPostMixTxs.txt")),
        set("after_joinmarket", Want::Unsaid, read(&others, "Scanner/OtherCoinJoinPostMixTxs.txt")),
        set("single_whirlpool", Want::Is(Kind::Whirlpool), single(data, "whirlpool-coinjoin")),
        set("single_joinmarket", Want::Is(Kind::JoinMarket), single(data, "joinmarket-coinjoin")),
        set("single_wasabi2", Want::Is(Kind::Wasabi2), single(data, "wabisabi-coinjoin")),
        set("single_others", Want::NoMix, ordinary(data)),
        set("block_300025", Want::NoMix, block(data, "bcoin_block300025", Network::BtcMain)),
        set("testnet_928816", Want::NoMix, block(data, "bcoin_TESTNET_block928816", Network::BtcTest)),
        set("testnet_928831", Want::NoMix, block(data, "bcoin_TESTNET_block928831", Network::BtcTest)),
        set("testnet_1087400", Want::NoMix, block(data, "bcoin_TESTNET_block1087400", Network::BtcTest)),
    ]
}

/// Documents of an explorer in a file: one transaction, a list, or a list of objects that hold one.
fn single(data: &Path, name: &str) -> Vec<View> {
    let text = fs::read(data.join("esplora").join(name).with_extension("json")).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let list = value.as_array().cloned().unwrap_or_else(|| vec![value]);
    let inner = |item: &serde_json::Value| item.get("tx").unwrap_or(item).clone();
    list.iter().map(|item| Transaction::of_json(&inner(item)).unwrap().view).collect()
}

fn has_one_form(view: &View) -> bool {
    let mut coins = view.inputs().iter().chain(view.outputs());
    let first = coins.next().map(|coin| coin.form);
    coins.all(|coin| Some(coin.form) == first)
}

fn ordinary(data: &Path) -> Vec<View> {
    let names = [
        "bare-multisig",
        "batch-withdrawal-143",
        "dust-attack-555",
        "hodlhodl-fp",
        "hodlhodl-tp",
        "op-return-charley",
        "satoshi-genesis-txs",
        "simple-legacy-p2pkh",
        "taproot-op-return",
        "taproot-script-path",
    ];
    names.iter().flat_map(|name| single(data, name)).collect()
}

/// A block's transactions but for the first; the file beside it has the outputs that they spend, one after the other.
fn block(data: &Path, name: &str, network: Network) -> Vec<View> {
    let folder = data.join("btc_blocks");
    let block = Block::decode(network, &fs::read(folder.join(format!("{name}.raw"))).unwrap()).unwrap();
    let undo = fs::read(folder.join(format!("{name}-undo.raw"))).unwrap();
    let mut rest = undo.as_slice();
    let mut views = Vec::new();
    for tx in block.txs.iter().skip(1) {
        let spent: Vec<_> = tx.inputs.iter().map(|_| spent(&mut rest)).collect();
        let inputs = spent.iter().map(|(value, script)| (*value, script.as_slice()));
        let outputs = tx.outputs.iter().map(|output| (output.value_sat, output.script.as_bytes()));
        views.push(View::of_scripts(inputs, outputs).unwrap());
    }
    assert!(rest.is_empty(), "{} bytes of spent outputs are left over", rest.len());
    views
}

fn spent(rest: &mut &[u8]) -> (u64, Vec<u8>) {
    let value = u64::from_le_bytes(take(rest, 8).try_into().unwrap());
    let length = match take(rest, 1)[0] {
        0xfd => usize::from(u16::from_le_bytes(take(rest, 2).try_into().unwrap())),
        short => usize::from(short),
    };
    (value, take(rest, length).to_vec())
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (head, tail) = rest.split_at(length);
    *rest = tail;
    head
}

/// One transaction a line: `txid:::block:::index:::time:::inputs:::outputs`, coins apart by `}{`, each input
/// `txid-vout-value+script+kind`, each output `value+script+kind`.
fn views(lines: &str) -> Vec<View> {
    lines.trim_start_matches('\u{feff}').lines().filter(|line| !line.is_empty()).map(view).collect()
}

fn view(line: &str) -> View {
    let fields: Vec<&str> = line.split(":::").collect();
    let coin = |text: &str| {
        let mut parts = text.split('+');
        let value = parts.next().unwrap().rsplit('-').next().unwrap().parse().unwrap();
        (value, hex::decode(parts.next().unwrap()).unwrap())
    };
    let coins = |text: &str| text.split("}{").map(coin).collect::<Vec<(u64, Vec<u8>)>>();
    let (inputs, outputs) = (coins(fields[4]), coins(fields[5]));
    View::of_scripts(
        inputs.iter().map(|(value, script)| (*value, script.as_slice())),
        outputs.iter().map(|(value, script)| (*value, script.as_slice())),
    )
    .unwrap()
}

/// A member of a ZIP archive, found by the archive's directory (APPNOTE 4.3.12).
fn member(zip: &[u8], name: &str) -> String {
    let number = |at: usize, length: usize| {
        zip[at..at + length].iter().rev().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let end = zip.windows(4).rposition(|bytes| bytes == b"PK\x05\x06").unwrap();
    let mut at = number(end + 16, 4);
    loop {
        assert_eq!(&zip[at..at + 4], b"PK\x01\x02", "{name} is not in the archive");
        let lengths = [number(at + 28, 2), number(at + 30, 2), number(at + 32, 2)];
        if &zip[at + 46..at + 46 + lengths[0]] == name.as_bytes() {
            let local = number(at + 42, 4);
            let from = local + 30 + number(local + 26, 2) + number(local + 28, 2);
            let packed = &zip[from..from + number(at + 20, 4)];
            let bytes = match number(at + 10, 2) {
                0 => packed.to_vec(),
                _ => miniz_oxide::inflate::decompress_to_vec(packed).unwrap(),
            };
            assert_eq!(bytes.len(), number(at + 24, 4));
            return String::from_utf8(bytes).unwrap();
        }
        at += 46 + lengths.iter().sum::<usize>();
    }
}
