//! The tree over made-up holdings and all customers' files, beside the bare cost of their hashes in the same run, and beside
//! the crate `dapol` at a size that it can do; and batches of the same holdings proved in zero knowledge. Prints one JSON object of
//! whole numbers.
//!
//! `KURABAN_BENCH_DAPOL` names the peer's program; without it there is no such row. Rounds of the bare hashes and of the
//! tree alternate, and the median of each counts, so that whatever else the machine does hits both. The hashes counted are
//! those that the format asks for: one HMAC for each salt, one SHA-256 for each leaf and for each node above.

mod veil;

use std::env;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, available_parallelism};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hmac::{Hmac, Mac as _};
use kuraban_inclusion::{Asset, Root, Scope, verify};
use kuraban_liabilities::{Book, Bough, Crown, Layout, Seed};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// Customers, where nobody says how many.
const CUSTOMERS: u64 = 1_000_000;
/// Assets of each.
const ASSETS: usize = 20;
/// Rounds; the median counts.
const ROUNDS: usize = 3;
/// Customers beside the peer.
const WITH_PEER: u64 = 10_000;
/// Levels beside the peer, whose proofs verify only where its height, one more than the levels, is a power of two.
const LEVELS_WITH_PEER: u8 = 15;
/// Rows of the batches that are proved, as powers of two.
const VEILED: [u8; 3] = [10, 12, 14];
/// Files that are verified.
const VERIFIED: usize = 2_000;

fn main() -> Result<()> {
    let wanted = env::args().skip_while(|arg| arg != "--count").nth(1);
    let customers =
        wanted.map_or(Ok(CUSTOMERS), |text| text.parse()).context("want a number of customers")?;
    let parent = env::var_os("KURABAN_BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(parent)?;
    let mut figures = Map::new();
    figures
        .insert("kuraban".to_owned(), measure(folder.path(), customers, scope(depth(customers)?, ASSETS)?)?);
    if let Some(peer) = env::var_os("KURABAN_BENCH_DAPOL") {
        let few = customers.min(WITH_PEER);
        figures.insert(
            "kuraban, one asset".to_owned(),
            measure(folder.path(), few, scope(LEVELS_WITH_PEER, 1)?)?,
        );
        let said = Command::new(&peer).args([few.to_string(), LEVELS_WITH_PEER.to_string()]).output()?;
        ensure!(said.status.success(), "{peer:?}: {}", String::from_utf8_lossy(&said.stderr));
        figures.insert("dapol, one asset".to_owned(), serde_json::from_slice(&said.stdout)?);
    }
    for log_rows in VEILED {
        figures.insert(format!("veil, 2^{log_rows} rows"), veil::measure(log_rows)?);
    }
    writeln!(stdout(), "{}", Value::Object(figures)).context("could not print")
}

fn measure(folder: &Path, customers: u64, scope: Scope) -> Result<Value> {
    let book = book(customers, scope.assets().len())?;
    let (mut bares, mut trees, mut cuts) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = None;
    for _ in 0..ROUNDS {
        drop(last.take());
        bares.push(bare(&scope)?);
        let path = folder.join("tree");
        let own = book.clone();
        let begun = Instant::now();
        let (tree, written) = tree(&path, &scope, own)?;
        trees.push(us(begun)?);
        let begun = Instant::now();
        let (files, bytes) = files(&tree)?;
        cuts.push(us(begun)?);
        ensure!(files == customers, "{files} files, want {customers}");
        last = Some((tree, written, bytes));
    }
    let (tree, tree_bytes, files_bytes) = last.context("no rounds")?;
    let (bare_us, tree_us, files_us) = (median(bares)?, median(trees)?, median(cuts)?);
    let verify_us = verified(&tree)?;
    Ok(json!({
        "customers": customers,
        "leaves": scope.leaves(),
        "bare_us": bare_us,
        "tree_us": tree_us,
        "files_us": files_us,
        "tree_percent_of_bare": percent(tree_us, bare_us),
        "all_percent_of_bare": percent(tree_us.saturating_add(files_us), bare_us),
        "tree_bytes": tree_bytes,
        "file_bytes": files_bytes / customers.max(1),
        "verify_us": verify_us,
    }))
}

fn depth(customers: u64) -> Result<u8> {
    Ok(u8::try_from(customers.next_power_of_two().trailing_zeros())?.max(1))
}

fn scope(depth: u8, assets: usize) -> Result<Scope> {
    let asset = |number| Asset { code: format!("A{number:02}"), decimals: 8 };
    Ok(Scope::new("log.example".to_owned(), 0, depth, (0..assets).map(asset).collect(), Vec::new())?)
}

/// Up to 2^40 base units of each asset.
fn book(customers: u64, assets: usize) -> Result<Book> {
    let mut book = Book::new(assets);
    let mut state = 0_u64;
    let mut row = vec![0; assets];
    for number in 0..customers {
        for amount in &mut row {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            *amount = u128::from((state ^ (state >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 24);
        }
        book.push(&format!("customer-{number:08}"), &row)?;
    }
    Ok(book)
}

fn threads() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// Does all parts on all processors and keeps what came of them in order.
fn all<T: Send>(count: usize, make: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let threads = threads();
    let stripe = |thread: usize| (thread..count).step_by(threads).map(&make).collect::<Result<Vec<_>>>();
    let stripe = &stripe;
    let stripes = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || stripe(thread))).collect();
        let joined =
            running.into_iter().map(|one| one.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?);
        joined.collect::<Result<Vec<_>>>()
    })?;
    let mut stripes: Vec<_> = stripes.into_iter().map(Vec::into_iter).collect();
    let in_order = (0..count).map(|part| stripes.get_mut(part % threads).and_then(Iterator::next));
    in_order.collect::<Option<Vec<_>>>().context("a part is missing")
}

/// The hashes of a tree and nothing else: of messages of the same lengths, on all processors.
fn bare(scope: &Scope) -> Result<u64> {
    let amounts = scope.assets().len().saturating_mul(16);
    let leaf = vec![1_u8; amounts.saturating_add(64 + 32 + 8 + 17)];
    let node = vec![2_u8; amounts.saturating_mul(2).saturating_add(64 + 64)];
    let key = Hmac::<Sha256>::new_from_slice(&[3; 32])?;
    // The first block is the domain's and is hashed once for all.
    let domain = Sha256::new().chain_update([0; 64]);
    let leaves = usize::try_from(scope.leaves())?;
    let each = leaves.div_ceil(threads());
    let begun = Instant::now();
    all(threads(), |_| {
        for _ in 0..each {
            black_box(key.clone().chain_update(black_box([0_u8; 18])).finalize());
            black_box(domain.clone().chain_update(black_box(leaf.get(64..).unwrap_or_default())).finalize());
            black_box(domain.clone().chain_update(black_box(node.get(64..).unwrap_or_default())).finalize());
        }
        Ok(())
    })?;
    us(begun)
}

struct Tree {
    boughs: Vec<Bough>,
    crown: Crown,
}

/// Salts, order, nodes, and the tree file on disk.
fn tree(path: &Path, scope: &Scope, book: Book) -> Result<(Tree, u64)> {
    let round = Seed::new([5; 32]).round(scope);
    let customers = book.customers();
    let leaves = usize::try_from(scope.leaves())?;
    const PART: usize = 16_384;
    let salts = all(leaves.div_ceil(PART), |part| {
        let places = (part * PART)..((part + 1) * PART).min(leaves);
        let salt = |place: usize| match place.checked_sub(customers) {
            None => Ok(round.customer(book.name(place))),
            Some(number) => Ok(round.padding(u64::try_from(number)?)),
        };
        places.map(salt).collect::<Result<Vec<_>>>()
    })?;
    let layout = Layout::new(scope.clone(), book, salts.concat())?;
    let boughs = all(layout.boughs(), |number| Ok(layout.bough(number)?))?;
    let crown = Crown::new(scope.clone(), boughs.iter().map(|bough| bough.top.clone()).collect())?;
    let mut file = BufWriter::new(File::create(path)?);
    for bough in &boughs {
        file.write_all(bough.openings())?;
    }
    file.flush()?;
    drop(file);
    Ok((Tree { boughs, crown }, path.metadata()?.len()))
}

/// Cuts out every customer's file; how many there are, and their bytes.
fn files(tree: &Tree) -> Result<(u64, u64)> {
    let counts = all(tree.boughs.len(), |number| {
        let (mut files, mut bytes) = (0_u64, 0_u64);
        let bough = tree.boughs.get(number).context("a bough is missing")?;
        tree.crown.files(number, bough, |file| {
            files += 1;
            bytes += u64::try_from(black_box(file).len()).unwrap_or(0);
        });
        Ok((files, bytes))
    })?;
    Ok(counts.into_iter().fold((0, 0), |(files, bytes), (more, longer)| (files + more, bytes + longer)))
}

/// How long one customer's verification takes, on one processor.
fn verified(tree: &Tree) -> Result<u64> {
    let mut files = Vec::new();
    for (number, bough) in tree.boughs.iter().enumerate() {
        if files.len() < VERIFIED {
            tree.crown.files(number, bough, |file| files.push(file.to_vec()));
        }
    }
    let root: Root = tree.crown.root();
    let begun = Instant::now();
    for file in &files {
        black_box(verify(black_box(file), root)?);
    }
    Ok(us(begun)? / u64::try_from(files.len())?.max(1))
}

fn us(begun: Instant) -> Result<u64> {
    Ok(u64::try_from(begun.elapsed().as_micros())?)
}

fn median(mut rounds: Vec<u64>) -> Result<u64> {
    rounds.sort_unstable();
    rounds.get(rounds.len() / 2).copied().context("no rounds")
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100) / whole.max(1)
}
