//! JSON-RPC of rippled. A ledger is taken only if its fields have its hash; what an account held is the node's word, and so is
//! which keys it has.

use kuraban_base::hex;
use kuraban_chain::{
    accounts::BlockId,
    xrp::{Address, LedgerHeader},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{AnswerError, Block, Found, Http, Signs, Standing, http::said};

/// Seconds from 1970 to 2000, where the ledger's times begin.
const EPOCH_S: u64 = 946_684_800;
/// The flag of accounts that have turned their own key off (`lsfDisableMaster`).
const DISABLE_MASTER: u32 = 0x0010_0000;

/// The result of `ledger`.
#[derive(Deserialize)]
pub(super) struct LedgerForm {
    #[serde(default)]
    validated: bool,
    ledger: HeaderForm,
}

#[derive(Deserialize)]
struct HeaderForm {
    ledger_hash: String,
    ledger_index: Index,
    total_coins: String,
    parent_hash: String,
    transaction_hash: String,
    account_hash: String,
    parent_close_time: u32,
    close_time: u32,
    close_time_resolution: u8,
    close_flags: u8,
}

/// A ledger's number, which is text in some versions.
#[derive(Deserialize)]
#[serde(untagged)]
enum Index {
    Number(u32),
    Text(String),
}

/// The result of `account_info`.
#[derive(Deserialize)]
pub(super) struct AccountForm {
    account_data: DataForm,
    #[serde(default)]
    ledger_hash: Option<String>,
    #[serde(default)]
    validated: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DataForm {
    account: String,
    balance: String,
    flags: u32,
    #[serde(default)]
    regular_key: Option<String>,
}

impl LedgerForm {
    /// The ledger, if it is validated and its fields have its hash; else what is wrong with it.
    pub(super) fn read(&self) -> Result<Block, &'static str> {
        if !self.validated {
            return Err("a validated ledger");
        }
        let header = self.ledger.header().ok_or("a ledger with all fields")?;
        let id = BlockId::from_bytes(header.hash());
        if self.ledger.ledger_hash.parse() != Ok(id) {
            return Err("a ledger whose fields have its hash");
        }
        let time_s = EPOCH_S.saturating_add(header.close_time.into());
        Ok(Block { id, height: header.index.into(), time_s, state_root: None })
    }
}

impl HeaderForm {
    fn header(&self) -> Option<LedgerHeader> {
        let hash = |text: &str| hex::decode_array(text).ok();
        Some(LedgerHeader {
            index: match &self.ledger_index {
                Index::Number(index) => *index,
                Index::Text(text) => whole(text)?,
            },
            drops: whole(&self.total_coins)?,
            parent: hash(&self.parent_hash)?,
            transactions: hash(&self.transaction_hash)?,
            accounts: hash(&self.account_hash)?,
            parent_close_time: self.parent_close_time,
            close_time: self.close_time,
            close_resolution: self.close_time_resolution,
            close_flags: self.close_flags,
        })
    }
}

impl AccountForm {
    /// Whose it is.
    pub(super) fn account(&self) -> Option<Address> {
        self.account_data.account.parse().ok()
    }

    /// How the account stood after this ledger.
    pub(super) fn read(&self, id: BlockId, account: &Address) -> Found {
        if self.account() != Some(*account) {
            return Err("the answer is about another account".to_owned());
        }
        let of = self.ledger_hash.as_deref().and_then(|hash| hash.parse().ok());
        if of != Some(id) || !self.validated {
            return Err("the answer is not about the stated ledger, validated".to_owned());
        }
        let data = &self.account_data;
        let regular = data.regular_key.as_deref().map(str::parse).transpose();
        Ok(Standing {
            units: whole(&data.balance).ok_or("its balance is not a number of drops")?,
            proven: false,
            signs: Signs::Keys {
                master: data.flags & DISABLE_MASTER == 0,
                regular: regular.map_err(|_| "its regular key is no address")?,
            },
        })
    }
}

/// The number of the node's network; nothing where it does not say.
pub(super) fn network_id(http: &Http) -> Result<Option<u64>, AnswerError> {
    #[derive(Deserialize)]
    struct Server {
        info: About,
    }
    #[derive(Deserialize)]
    struct About {
        #[serde(default)]
        network_id: Option<u64>,
    }
    let found = call::<Server>(http, "server_info", json!({}), "what a server says of itself", "")?;
    Ok(found.and_then(|server| server.info.network_id))
}

/// The ledger of a hash, if it is validated.
pub(super) fn block(http: &Http, id: BlockId) -> Result<Option<Block>, AnswerError> {
    let what = "ledger";
    let ask = json!({"ledger_hash": id.to_string().to_ascii_uppercase()});
    let Some(form) = call::<LedgerForm>(http, what, ask, "a ledger with all fields", "lgrNotFound")? else {
        return Ok(None);
    };
    let block = form.read().map_err(|want| AnswerError::Form { what, want })?;
    if block.id == id {
        Ok(Some(block))
    } else {
        Err(AnswerError::Form { what, want: "the ledger asked for" })
    }
}

/// How an account stood after a ledger.
pub(super) fn account(http: &Http, block: &Block, account: &Address) -> Result<Found, AnswerError> {
    let what = "account_info";
    let ask = json!({
        "account": account.to_string(),
        "ledger_hash": block.id.to_string().to_ascii_uppercase(),
    });
    let found = call::<AccountForm>(http, what, ask, "an account", "actNotFound")?;
    Ok(match found {
        Some(form) => form.read(block.id, account),
        None => Err("there is no such account after that ledger".to_owned()),
    })
}

/// The result of a method; nothing where the node answers that there is none, by its word for it.
fn call<T: DeserializeOwned>(
    http: &Http,
    what: &'static str,
    param: Value,
    want: &'static str,
    absent: &str,
) -> Result<Option<T>, AnswerError> {
    #[derive(Deserialize)]
    struct Envelope {
        result: Value,
    }
    let answer = http.post(what, "", &json!({"method": what, "params": [param]}))?;
    let Envelope { result } = answer.parse(want)?;
    match result.get("error").map(|error| error.as_str().unwrap_or("an error")) {
        Some(error) if error == absent => Ok(None),
        Some(error) => Err(said(what, error)),
        None => serde_json::from_value(result).map(Some).map_err(|_| AnswerError::Form { what, want }),
    }
}

/// A whole number in decimal.
fn whole<T: core::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}
