//! Memos by which THORChain is told to swap, in outputs of data: where stolen coins leave the chain.
//!
//! Decides what a memo asks for, by THORChain's documented form `SWAP:ASSET:DESTINATION:LIMIT/INTERVAL/QUANTITY:AFFILIATE:FEE`
//! (short: `=` or `s`). Does not say that the swap happened, nor that the coins went to one of its vaults.

/// A swap that a memo asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Memo {
    /// What is asked for, as `CHAIN.SYMBOL` with abbreviations written out.
    pub asset: String,
    /// The destination on that chain; nothing if it is left out, which means back to the sender.
    pub destination: Option<String>,
    /// Where coins go back to if the swap fails, if given.
    pub refund: Option<String>,
    /// The least to be received, if given, as it stands there.
    pub limit: Option<String>,
    /// Who takes a part of the fee, if given.
    pub affiliate: Option<String>,
}

/// Why a memo that begins like a swap is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MemoError {
    /// No asset.
    #[error("memo asks for no asset, want CHAIN.SYMBOL after the first colon")]
    Asset,
    /// Text that is not printable ASCII.
    #[error("memo has byte {found:#04x} at {at}, want printable ASCII")]
    Byte {
        /// The byte.
        found: u8,
        /// Its place, from 1.
        at: usize,
    },
}

/// One-letter names of assets in memos (THORChain, "asset notation: shorthand").
const SHORT: [(&str, &str); 10] = [
    ("b", "BTC.BTC"),
    ("e", "ETH.ETH"),
    ("l", "LTC.LTC"),
    ("c", "BCH.BCH"),
    ("d", "DOGE.DOGE"),
    ("r", "THOR.RUNE"),
    ("g", "GAIA.ATOM"),
    ("a", "AVAX.AVAX"),
    ("s", "BSC.BNB"),
    ("x", "XRP.XRP"),
];

/// The swap that a locking script asks for; nothing if it is no output of data or speaks of something else.
///
/// # Errors
/// A memo that begins as a swap and is none.
pub fn swap_memo(script: &[u8]) -> Result<Option<Memo>, MemoError> {
    let Some(data) = pushed(script) else { return Ok(None) };
    let Some(colon) = data.iter().position(|byte| *byte == b':') else { return Ok(None) };
    let (verb, rest) = data.split_at(colon);
    let swap = [&b"swap"[..], b"s", b"="].iter().any(|word| verb.eq_ignore_ascii_case(word));
    if !swap {
        return Ok(None);
    }
    let printable = |byte: &u8| matches!(byte, 0x20..=0x7e);
    if let Some((place, found)) = data.iter().enumerate().find(|(_, byte)| !printable(byte)) {
        return Err(MemoError::Byte { found: *found, at: place.saturating_add(1) });
    }
    let text = String::from_utf8_lossy(rest);
    let mut fields = text.split(':').skip(1);
    let mut field = || fields.next().map(str::trim).filter(|field| !field.is_empty());
    let asset = field().ok_or(MemoError::Asset)?;
    let short = SHORT.iter().find(|(short, _)| asset.eq_ignore_ascii_case(short));
    let asset = short.map_or_else(|| asset.to_ascii_uppercase(), |(_, long)| (*long).to_owned());
    if !asset.contains(['.', '/', '~', '-']) {
        return Err(MemoError::Asset);
    }
    let to = field();
    let (destination, refund) = match to.and_then(|to| to.split_once('/')) {
        Some((destination, refund)) => (Some(destination), Some(refund)),
        None => (to, None),
    };
    let limit = field().map(str::to_owned);
    let affiliate = field().map(str::to_owned);
    let owned = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(Some(Memo { asset, destination: owned(destination), refund: owned(refund), limit, affiliate }))
}

/// The bytes that an `OP_RETURN` script pushes, one after the other.
fn pushed(script: &[u8]) -> Option<Vec<u8>> {
    let (0x6a, mut rest) = script.split_first().map(|(code, rest)| (*code, rest))? else { return None };
    let mut data = Vec::new();
    while let Some((code, after)) = rest.split_first() {
        let (length, after) = match *code {
            length @ 0..=0x4b => (usize::from(length), after),
            0x4c => after.split_first().map(|(length, after)| (usize::from(*length), after))?,
            0x4d => {
                let (length, after) = after.split_first_chunk::<2>()?;
                (usize::from(u16::from_le_bytes(*length)), after)
            }
            _ => return None,
        };
        let (bytes, after) = after.split_at_checked(length)?;
        data.extend_from_slice(bytes);
        rest = after;
    }
    Some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(memo: &[u8]) -> Vec<u8> {
        let length = u8::try_from(memo.len()).unwrap();
        let push = if length <= 0x4b { vec![length] } else { vec![0x4c, length] };
        [&[0x6a][..], &push, memo].concat()
    }

    #[test]
    fn swaps_are_read_in_every_form() {
        let check = |memo: &str, asset: &str, destination: Option<&str>, limit: Option<&str>| {
            let found = swap_memo(&script(memo.as_bytes())).unwrap().unwrap();
            assert_eq!((found.asset.as_str(), found.destination.as_deref()), (asset, destination), "{memo}");
            assert_eq!(found.limit.as_deref(), limit, "{memo}");
        };
        let eth = "0xe6a30f4f3bad978910e2cbb4d97581f5b5a0ade0";
        check(&format!("SWAP:ETH.ETH:{eth}"), "ETH.ETH", Some(eth), None);
        check(&format!("=:ETH.ETH:{eth}:4078795/1/5"), "ETH.ETH", Some(eth), Some("4078795/1/5"));
        check(&format!("s:e:{eth}::t:30"), "ETH.ETH", Some(eth), None);
        check(&format!("=:r:thor1abc/{eth}:0:wr:100"), "THOR.RUNE", Some("thor1abc"), Some("0"));
        check("=:b", "BTC.BTC", None, None);
        check("swap:eth.usdt-ec7:x", "ETH.USDT-EC7", Some("x"), None);
        let found = swap_memo(&script(format!("=:r:thor1abc/{eth}:0:wr:100").as_bytes())).unwrap().unwrap();
        assert_eq!((found.refund.as_deref(), found.affiliate.as_deref()), (Some(eth), Some("wr")));
    }

    #[test]
    fn what_is_no_swap_is_none() {
        let check = |script: &[u8]| assert_eq!(swap_memo(script), Ok(None));
        check(&[]);
        check(&[0x6a]);
        check(&script(b"ADD:BTC.BTC:x"));
        check(&script(b"swap"));
        check(&script(b"hello: world"));
        // Not an output of data, and a push that runs past the end.
        check(b"=:b");
        check(&[0x6a, 0x05, b'=', b':', b'b']);
        assert_eq!(swap_memo(&script(b"=:")), Err(MemoError::Asset));
        assert_eq!(swap_memo(&script(b"=:nothing:x")), Err(MemoError::Asset));
        assert_eq!(swap_memo(&script(b"=:b:\x01")), Err(MemoError::Byte { found: 1, at: 5 }));
    }
}
