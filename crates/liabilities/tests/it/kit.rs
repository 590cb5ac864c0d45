//! Small trees.

use kuraban_inclusion::{Asset, Block, Scope};
use kuraban_liabilities::{Book, Bough, BoughError, Crown, Layout, LayoutError, Seed, Subtree};

pub(crate) fn scope(depth: u8, codes: &[&str]) -> Scope {
    let asset = |code: &&str| Asset { code: (*code).to_owned(), decimals: 8 };
    let block = Block { chain: "btc".to_owned(), height: 900_000, hash: [7; 32] };
    let assets = codes.iter().map(asset).collect();
    Scope::new("log.example".to_owned(), 1_700_000_000_000, depth, assets, vec![block]).unwrap()
}

pub(crate) fn book(rows: &[(&str, &[u128])]) -> Book {
    let mut book = Book::new(rows[0].1.len());
    rows.iter().for_each(|(name, amounts)| book.push(name, amounts).unwrap());
    book
}

pub(crate) fn layout(scope: &Scope, book: &Book) -> Result<Layout, LayoutError> {
    let round = Seed::new([3; 32]).round(scope);
    let padding = Layout::padding(scope, book.customers())?;
    let customers = (0..book.customers()).map(|place| round.customer(book.name(place)));
    let salts = customers.chain((0..padding).map(|number| round.padding(number))).collect();
    Layout::new(scope.clone(), book.clone(), salts)
}

pub(crate) struct Tree {
    pub(crate) boughs: Vec<Bough>,
    pub(crate) crown: Crown,
}

pub(crate) fn tree(scope: &Scope, book: &Book) -> Result<Tree, BoughError> {
    let layout = layout(scope, book).unwrap();
    let boughs: Vec<_> = (0..layout.boughs()).map(|bough| layout.bough(bough)).collect::<Result<_, _>>()?;
    let crown = Crown::new(scope.clone(), boughs.iter().map(|bough| bough.top.clone()).collect())?;
    Ok(Tree { boughs, crown })
}

impl Tree {
    /// The file of a customer, cut out of what the operator keeps.
    pub(crate) fn file(&self, name: &str) -> Option<Vec<u8>> {
        self.boughs.iter().enumerate().find_map(|(number, bough)| {
            let subtree = Subtree::read(self.crown.scope(), bough.openings()).unwrap();
            let place = subtree.find(name)?;
            Some(self.crown.inclusion(number, &subtree, place)?.encode())
        })
    }
}
