//! A file of what a node answered about one block and some accounts:
//!
//! `{"block": …, "accounts": […]}` with the node's own answers, as they are: a block by its hash and proofs of accounts for
//! ether; for a token `{"address", "result"}` with the answer to `balanceOf`, and in `"decimals"` that to `decimals`; the results of `ledger` and `account_info` for
//! XRP; for XEM blocks at the height and after it (`"next"`), the entries of `account/historical/get`, and in `"keys"` what
//! `account/get` answered.
//!
//! Decides whether it can be read. What it says is the word of whoever printed it, but for proofs.

use std::collections::BTreeMap;

use kuraban_chain::{
    accounts::{Account, Asset, BlockId, Form, Network},
    evm, nem as chain_nem,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{AnswerError, Block, Found, evm as node_evm, nem, xrp};

/// Longest file of answers.
pub const PRINTED_BYTES_MAX: usize = 64 << 20;
/// Most accounts in one.
pub const ACCOUNTS_MAX: usize = 10_000;

/// What a node answered about one block.
#[derive(Debug)]
pub struct Printed {
    block: Block,
    /// Whether the accounts are about the network's own asset, and not about a token.
    native: bool,
    accounts: BTreeMap<Account, Found>,
    /// Of the token that they are about.
    decimals: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Printout {
    block: Value,
    #[serde(default)]
    next: Option<Value>,
    accounts: Vec<Value>,
    #[serde(default)]
    keys: Vec<Value>,
    #[serde(default)]
    decimals: Option<String>,
}

/// What a contract answered about an account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallForm {
    address: String,
    result: String,
}

impl Printed {
    /// The answers in a file.
    ///
    /// # Errors
    /// What cannot be read, with its place.
    pub fn read(network: Network, bytes: &[u8]) -> Result<Self, AnswerError> {
        let wrong = |problem: String| AnswerError::Printed { network, problem };
        if bytes.len() > PRINTED_BYTES_MAX {
            return Err(wrong(format!("it has {} bytes, want at most {PRINTED_BYTES_MAX}", bytes.len())));
        }
        let form: Printout = serde_json::from_slice(bytes).map_err(|problem| wrong(problem.to_string()))?;
        if form.accounts.len() > ACCOUNTS_MAX || form.keys.len() > ACCOUNTS_MAX {
            return Err(wrong(format!("it has more than {ACCOUNTS_MAX} accounts")));
        }
        if form.decimals.is_some() && network.form() != Form::Eip191 {
            return Err(wrong("decimals: only a token has them".to_owned()));
        }
        match network.form() {
            Form::Eip191 => of_evm(&form),
            Form::Xrpl => of_xrp(&form),
            Form::Nem => of_nem(network, &form),
        }
        .map_err(wrong)
    }

    pub(super) fn block(&self, id: BlockId) -> Option<Block> {
        (self.block.id == id).then_some(self.block)
    }

    pub(super) const fn decimals(&self) -> Option<u8> {
        self.decimals
    }

    pub(super) fn standing(&self, asset: Asset, account: &Account) -> Found {
        if matches!(asset, Asset::Token(_)) == self.native {
            return Err("the file has no balance of this asset".to_owned());
        }
        let absent = || Err("the file says nothing of it".to_owned());
        self.accounts.get(account).cloned().unwrap_or_else(absent)
    }
}

/// A part of the file.
fn part<T: DeserializeOwned>(place: &str, value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|problem| format!("{place}: {problem}"))
}

fn no_block(want: &'static str) -> String {
    format!("block: it is not {want}")
}

/// Takes an account up, once.
fn take(
    accounts: &mut BTreeMap<Account, Found>,
    place: &str,
    account: Option<Account>,
    found: impl FnOnce(&Account) -> Found,
) -> Result<(), String> {
    let account = account.ok_or_else(|| format!("{place}: address is none of the network"))?;
    let found = found(&account);
    match accounts.insert(account, found) {
        None => Ok(()),
        Some(_) => Err(format!("{place}: the account stands in the list twice")),
    }
}

fn of_evm(form: &Printout) -> Result<Printed, String> {
    let read: node_evm::BlockForm = part("block", &form.block)?;
    let read = read.read().map_err(no_block)?;
    let root = read.state_root.unwrap_or_default();
    let native = form.accounts.iter().all(|account| account.get("accountProof").is_some());
    let mut accounts = BTreeMap::new();
    for (at, value) in form.accounts.iter().enumerate() {
        let place = format!("accounts[{at}]");
        let address = |text: &str| evm::Address::parse(text).ok();
        if native {
            let proof: node_evm::ProofForm = part(&place, value)?;
            let address = address(&proof.address.to_ascii_lowercase());
            let found = |_: &Account| match &address {
                Some(address) => proof.read(&root, address),
                None => Err("the proof is of no account".to_owned()),
            };
            take(&mut accounts, &place, address.map(Account::Evm), found)?;
        } else {
            let call: CallForm = part(&place, value)?;
            let address = address(&call.address).map(Account::Evm);
            take(&mut accounts, &place, address, |_| node_evm::word(&call.result))?;
        }
    }
    let decimals = match &form.decimals {
        Some(text) => {
            let found = node_evm::scale(text).filter(|_| !native);
            Some(found.ok_or_else(|| format!("decimals: {text:?} is not what a token's contract answers"))?)
        }
        None => None,
    };
    Ok(Printed { block: read, native, accounts, decimals })
}

fn of_xrp(form: &Printout) -> Result<Printed, String> {
    let read: xrp::LedgerForm = part("block", &form.block)?;
    let read = read.read().map_err(no_block)?;
    let mut accounts = BTreeMap::new();
    for (at, value) in form.accounts.iter().enumerate() {
        let place = format!("accounts[{at}]");
        let account: xrp::AccountForm = part(&place, value)?;
        let address = account.account();
        let found = |_: &Account| match &address {
            Some(address) => account.read(read.id, address),
            None => Err("the answer is of no account".to_owned()),
        };
        take(&mut accounts, &place, address.map(Account::Xrp), found)?;
    }
    Ok(Printed { block: read, native: true, accounts, decimals: None })
}

fn of_nem(network: Network, form: &Printout) -> Result<Printed, String> {
    let first: nem::BlockForm = part("block", &form.block)?;
    let next = form.next.as_ref().ok_or("next: the block after it is missing, which names its hash")?;
    let read = nem::read(network, &first, &part("next", next)?).map_err(no_block)?;
    let address = |text: &str| text.parse::<chain_nem::Address>().ok();
    let mut keys = BTreeMap::new();
    for (at, value) in form.keys.iter().enumerate() {
        let one: nem::KeysForm = part(&format!("keys[{at}]"), value)?;
        let whose = address(&one.account.address);
        keys.insert(whose.ok_or_else(|| format!("keys[{at}]: address is none of the network"))?, one);
    }
    let mut accounts = BTreeMap::new();
    for (at, value) in form.accounts.iter().enumerate() {
        let place = format!("accounts[{at}]");
        let past: nem::PastForm = part(&place, value)?;
        let address = address(&past.address);
        let found = |_: &Account| match address.and_then(|address| Some((address, keys.get(&address)?))) {
            Some((address, keys)) => nem::standing(&past, keys, read.height, &address),
            None => Err("the file does not say who signs for it (keys)".to_owned()),
        };
        take(&mut accounts, &place, address.map(Account::Nem), found)?;
    }
    Ok(Printed { block: read, native: true, accounts, decimals: None })
}
