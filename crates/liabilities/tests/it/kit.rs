//! Small trees.

use kuraban_inclusion::{Asset, Block, Scope};
use kuraban_liabilities::{Book, Crown, Layout, LayoutError, Pack, PackError, Seed, Subtree};

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
    pub(crate) packs: Vec<Pack>,
    pub(crate) crown: Crown,
}

pub(crate) fn tree(scope: &Scope, book: &Book) -> Result<Tree, PackError> {
    let layout = layout(scope, book).unwrap();
    let packs: Vec<_> = (0..layout.packs()).map(|pack| layout.pack(pack)).collect::<Result<_, _>>()?;
    let crown = Crown::new(scope.clone(), packs.iter().map(|pack| pack.top.clone()).collect())?;
    Ok(Tree { packs, crown })
}

impl Tree {
    /// The file of a customer, cut out of what the operator keeps.
    pub(crate) fn file(&self, name: &str) -> Option<Vec<u8>> {
        self.packs.iter().enumerate().find_map(|(number, pack)| {
            let subtree = Subtree::read(self.crown.scope(), &pack.openings).unwrap();
            let place = subtree.find(name)?;
            Some(self.crown.inclusion(number, &subtree, place)?.encode())
        })
    }
}
