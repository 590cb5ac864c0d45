//! The balances of one asset. Decides where they stand, never whether they may.

/// Accounts whose balances of one asset stand together.
const PAGE: usize = 64;

/// Balances of one asset: 16 bytes each, in pages that are there once an account of them was moved.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    pages: Vec<Option<Box<[i128; PAGE]>>>,
    pub(super) turnover: u128,
}

impl Column {
    pub(super) fn balance(&self, account: u32) -> i128 {
        let (page, place) = split(account);
        let page = self.pages.get(page).and_then(Option::as_deref);
        page.and_then(|page| page.get(place)).copied().unwrap_or_default()
    }

    /// Adds without a check: no balance can be beyond the turnover, which is checked.
    pub(super) fn add(&mut self, account: u32, change: i128) {
        let (page, place) = split(account);
        if self.pages.len() <= page {
            self.pages.resize(page.saturating_add(1), None);
        }
        let page = self.pages.get_mut(page).map(|page| page.get_or_insert_with(|| Box::new([0; PAGE])));
        if let Some(balance) = page.and_then(|page| page.get_mut(place)) {
            *balance = balance.saturating_add(change);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, i128)> {
        let balances = self.pages.iter().flat_map(|page| page.as_deref().unwrap_or(&[0; PAGE]));
        (0..)
            .zip(balances)
            .filter(|(_, balance)| **balance != 0)
            .map(|(account, balance)| (account, *balance))
    }
}

fn split(account: u32) -> (usize, usize) {
    let account = usize::try_from(account).unwrap_or(usize::MAX);
    (account.div_euclid(PAGE), account.rem_euclid(PAGE))
}
