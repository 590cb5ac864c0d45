//! Transfer files in the form of the Japanese Bankers Association (総合振込, type code 21): records of 120 bytes in JIS X 0201, each
//! ended by CR LF. Decides which characters and numbers may stand in them; a name is never cut and never changed beyond the writing
//! that banks want: half-width, without small kana, a hyphen for the long vowel.

/// Bytes of a record without its end.
const RECORD: usize = 120;
/// Most transfers of a file: the trailer counts them in six digits.
pub(super) const TRANSFERS_MAX: u64 = 999_999;
/// Most yen of one transfer: ten digits.
pub(super) const TRANSFER_YEN_MAX: u64 = 9_999_999_999;
/// Most yen of a file: the trailer sums them in twelve digits.
pub(super) const FILE_YEN_MAX: u64 = 999_999_999_999;
/// The katakana whose half-width forms are 0xB1 to 0xDD, in their order.
const KANA: &str =
    "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン";
const VOICED: u8 = 0xde;
const SEMI_VOICED: u8 = 0xdf;

/// Why something may not stand in a transfer file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum ZenginError {
    #[error(
        "{field}: {found:?} may not stand in a transfer file; want katakana but ヲ, A to Z, digits, blanks and ( ) - ."
    )]
    Character { field: &'static str, found: char },
    #[error("{field}: is empty")]
    Empty { field: &'static str },
    #[error("{field}: takes {found} characters in half-width, want at most {max}")]
    Long { field: &'static str, found: usize, max: usize },
    #[error("{field}: {found:?}, want {want} digits")]
    Digits { field: &'static str, found: String, want: &'static str },
    #[error("{field}: {found:?}, want {want}")]
    Kind { field: &'static str, found: String, want: &'static str },
}

/// Text as banks write it, in at most `max` bytes.
pub(super) fn kana(field: &'static str, text: &str, max: usize) -> Result<Vec<u8>, ZenginError> {
    let mut bytes = Vec::new();
    for found in text.chars() {
        if !half(found, &mut bytes) {
            return Err(ZenginError::Character { field, found });
        }
    }
    if bytes.len() > max {
        return Err(ZenginError::Long { field, found: bytes.len(), max });
    }
    Ok(bytes)
}

/// Appends a character; false where it may not stand.
fn half(c: char, to: &mut Vec<u8>) -> bool {
    let (base, mark) = match c {
        'ァ' | 'ィ' | 'ゥ' | 'ェ' | 'ォ' | 'ッ' | 'ャ' | 'ュ' | 'ョ' | 'ヮ' => (after(c, 1), None),
        'ヵ' => (Some('カ'), None),
        'ヶ' => (Some('ケ'), None),
        'ヴ' => (Some('ウ'), Some(VOICED)),
        'ガ' | 'ギ' | 'グ' | 'ゲ' | 'ゴ' | 'ザ' | 'ジ' | 'ズ' | 'ゼ' | 'ゾ' | 'ダ' | 'ヂ' | 'ヅ' | 'デ'
        | 'ド' | 'バ' | 'ビ' | 'ブ' | 'ベ' | 'ボ' => (before(c, 1), Some(VOICED)),
        'パ' | 'ピ' | 'プ' | 'ペ' | 'ポ' => (before(c, 2), Some(SEMI_VOICED)),
        'ｧ'..='ｫ' | 'ｬ'..='ｮ' | 'ｯ' => (Some(large(c)), None),
        'ｱ'..='ﾝ' => (
            u32::from(c).checked_sub(0xff71).and_then(|at| KANA.chars().nth(usize::try_from(at).ok()?)),
            None,
        ),
        other => (Some(other), None),
    };
    let Some(base) = base else { return false };
    let byte = match base {
        'ー' | 'ｰ' | '－' | '‐' | '−' => Some(b'-'),
        '\u{3000}' => Some(b' '),
        'ﾞ' | '゛' | '\u{3099}' => Some(VOICED),
        'ﾟ' | '゜' | '\u{309a}' => Some(SEMI_VOICED),
        '！'..='～' => before(base, 0xfee0).and_then(plain),
        other => plain(other).or_else(|| katakana(other)),
    };
    to.extend(byte);
    if byte.is_some() {
        to.extend(mark);
    }
    byte.is_some()
}

fn plain(c: char) -> Option<u8> {
    match c {
        'A'..='Z' | '0'..='9' | ' ' | '(' | ')' | '-' | '.' => u8::try_from(c).ok(),
        'a'..='z' => u8::try_from(c.to_ascii_uppercase()).ok(),
        _ => None,
    }
}

fn katakana(c: char) -> Option<u8> {
    let place = KANA.chars().position(|kana| kana == c)?;
    u8::try_from(place).ok()?.checked_add(0xb1)
}

/// The large form of a small half-width kana.
const fn large(c: char) -> char {
    match c {
        'ｧ' => 'ア',
        'ｨ' => 'イ',
        'ｩ' => 'ウ',
        'ｪ' => 'エ',
        'ｫ' => 'オ',
        'ｬ' => 'ヤ',
        'ｭ' => 'ユ',
        'ｮ' => 'ヨ',
        'ｯ' => 'ツ',
        other => other,
    }
}

fn after(c: char, places: u32) -> Option<char> {
    u32::from(c).checked_add(places).and_then(char::from_u32)
}

fn before(c: char, places: u32) -> Option<char> {
    u32::from(c).checked_sub(places).and_then(char::from_u32)
}

/// An account at a bank in Japan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Account {
    bank: String,
    bank_name: Vec<u8>,
    branch: String,
    branch_name: Vec<u8>,
    kind: char,
    number: String,
}

/// An account as it is written.
pub(super) struct RawAccount<'a> {
    pub(super) bank: &'a str,
    pub(super) bank_name: &'a str,
    pub(super) branch: &'a str,
    pub(super) branch_name: &'a str,
    pub(super) kind: &'a str,
    pub(super) number: &'a str,
}

impl Account {
    /// Checks what is written.
    pub(super) fn new(raw: &RawAccount<'_>) -> Result<Self, ZenginError> {
        let kind = match raw.kind {
            "1" | "普通" => '1',
            "2" | "当座" => '2',
            "4" | "貯蓄" => '4',
            "9" | "その他" => '9',
            other => {
                let want = "1 (普通), 2 (当座), 4 (貯蓄) or 9 (その他)";
                return Err(ZenginError::Kind { field: "type", found: other.to_owned(), want });
            }
        };
        Ok(Self {
            bank: digits("bank", raw.bank, 4, 4)?,
            bank_name: kana("bank_name", raw.bank_name, 15)?,
            branch: digits("branch", raw.branch, 3, 3)?,
            branch_name: kana("branch_name", raw.branch_name, 15)?,
            kind,
            number: digits("number", raw.number, 1, 7)?,
        })
    }
}

/// Digits, filled up with zeros at the left.
pub(super) fn digits(field: &'static str, text: &str, min: usize, max: usize) -> Result<String, ZenginError> {
    let fits = (min..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits {
        return Ok(format!("{text:0>max$}"));
    }
    let want = match (min, max) {
        (4, 4) => "4",
        (3, 3) => "3",
        (1, 7) => "1 to 7",
        _ => "1 to 10",
    };
    Err(ZenginError::Digits { field, found: text.chars().take(64).collect(), want })
}

/// Who pays, from which account, and when.
pub(super) struct Payer {
    /// What the bank knows the payer by: ten digits.
    pub(super) code: String,
    /// In at most 40 bytes.
    pub(super) name: Vec<u8>,
    pub(super) account: Account,
    /// Month and day.
    pub(super) day: String,
}

/// A record in the making.
struct Record(Vec<u8>);

impl Record {
    fn new(start: &str) -> Self {
        Self(start.as_bytes().to_vec())
    }

    fn put(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// At the left of a field.
    fn left(mut self, bytes: &[u8], width: usize) -> Self {
        self.0.extend(bytes);
        self.0.extend(core::iter::repeat_n(b' ', width.saturating_sub(bytes.len())));
        self
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(RECORD, b' ');
        self.0.extend(b"\r\n");
        self.0
    }
}

/// The header.
pub(super) fn header(payer: &Payer) -> Vec<u8> {
    let account = &payer.account;
    Record::new("1210")
        .put(payer.code.as_bytes())
        .left(&payer.name, 40)
        .put(payer.day.as_bytes())
        .put(account.bank.as_bytes())
        .left(&account.bank_name, 15)
        .put(account.branch.as_bytes())
        .left(&account.branch_name, 15)
        .put(account.kind.to_string().as_bytes())
        .put(account.number.as_bytes())
        .end()
}

/// A transfer of `yen`, at most ten digits, by wire; `holder` in at most 30 bytes.
pub(super) fn transfer(account: &Account, holder: &[u8], yen: u64) -> Vec<u8> {
    Record::new("2")
        .put(account.bank.as_bytes())
        .left(&account.bank_name, 15)
        .put(account.branch.as_bytes())
        .left(&account.branch_name, 15)
        .put(b"0000")
        .put(account.kind.to_string().as_bytes())
        .put(account.number.as_bytes())
        .left(holder, 30)
        .put(format!("{yen:010}").as_bytes())
        // Not a first payment to be announced, no customer codes, by wire (電信).
        .put(b"0")
        .put(&[b'0'; 20])
        .put(b"7")
        .end()
}

/// The trailer and the end.
pub(super) fn trailer(transfers: u64, yen: u64) -> Vec<u8> {
    let mut bytes = Record::new(&format!("8{transfers:06}{yen:012}")).end();
    bytes.extend(Record::new("9").end());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half-width text by the code page that Windows writes, for bytes that stand for one character each.
    fn shown(bytes: &[u8]) -> String {
        encoding_rs::SHIFT_JIS.decode(bytes).0.into_owned()
    }

    #[test]
    fn names_are_written_as_banks_want_them() {
        let check =
            |text: &str, want: &str| assert_eq!(shown(&kana("holder", text, 40).unwrap()), want, "{text}");
        check("ヤマダ　タロウ", "ﾔﾏﾀﾞ ﾀﾛｳ");
        check("キュウヨイチロー", "ｷﾕｳﾖｲﾁﾛ-");
        check("ｷｭｳﾖ ｲﾁﾛｰ", "ｷﾕｳﾖ ｲﾁﾛ-");
        check("カ）ａｂｃ．１２", "ｶ)ABC.12");
        check("ヴァパピヂヅヮヵヶッ", "ｳﾞｱﾊﾟﾋﾟﾁﾞﾂﾞﾜｶｹﾂ");
        check("か".replace('か', "カ\u{3099}").as_str(), "ｶﾞ");
        check("アンワ", "ｱﾝﾜ");
        for (text, found) in [
            ("山田", '山'),
            ("ヲ", 'ヲ'),
            ("ｦ", 'ｦ'),
            ("やまだ", 'や'),
            ("A,B", ','),
            ("・", '・'),
            ("\n", '\n'),
        ] {
            let error = ZenginError::Character { field: "holder", found };
            assert_eq!(kana("holder", text, 40), Err(error), "{text}");
        }
        assert!(kana("holder", &"ガ".repeat(15), 30).is_ok());
        let long = ZenginError::Long { field: "holder", found: 31, max: 30 };
        assert_eq!(kana("holder", &format!("{}ア", "ガ".repeat(15)), 30), Err(long));
    }

    #[test]
    fn every_kana_of_the_code_page_is_its_own() {
        for byte in 0xb1..=0xdd_u8 {
            let half = shown(&[byte]);
            assert_eq!(kana("holder", &half, 1).unwrap(), [byte], "{half}");
        }
        assert_eq!(KANA.chars().count(), 0xdd - 0xb1 + 1);
    }

    #[test]
    fn accounts_have_the_digits_of_their_fields() {
        let raw = RawAccount {
            bank: "0001",
            bank_name: "",
            branch: "123",
            branch_name: "",
            kind: "普通",
            number: "12345",
        };
        assert_eq!(Account::new(&raw).unwrap().number, "0012345");
        let check =
            |raw: RawAccount<'_>, want: &str| assert_eq!(Account::new(&raw).unwrap_err().to_string(), want);
        check(RawAccount { bank: "001", ..raw }, "bank: \"001\", want 4 digits");
        check(RawAccount { bank: "00011", ..raw }, "bank: \"00011\", want 4 digits");
        check(RawAccount { branch: "12", ..raw }, "branch: \"12\", want 3 digits");
        check(RawAccount { branch: "１２３", ..raw }, "branch: \"１２３\", want 3 digits");
        check(RawAccount { number: "", ..raw }, "number: \"\", want 1 to 7 digits");
        check(RawAccount { number: "12345678", ..raw }, "number: \"12345678\", want 1 to 7 digits");
        check(
            RawAccount { kind: "3", ..raw },
            "type: \"3\", want 1 (普通), 2 (当座), 4 (貯蓄) or 9 (その他)",
        );
    }

    fn account() -> Account {
        let raw = RawAccount {
            bank: "0001",
            bank_name: "ミズホ",
            branch: "123",
            branch_name: "シブヤ",
            kind: "2",
            number: "7654321",
        };
        Account::new(&raw).unwrap()
    }

    #[track_caller]
    fn check(record: &[u8], fields: &[(usize, usize, &str)]) {
        assert_eq!((record.len(), &record[120..]), (122, &b"\r\n"[..]));
        let mut next = 1;
        for (first, last, want) in fields {
            assert_eq!(*first, next);
            let field = &record[first - 1..*last];
            assert_eq!(shown(field).trim_end(), *want, "columns {first} to {last}");
            next = last + 1;
        }
        assert_eq!(next, 121);
    }

    /// Column by column, from the layout that banks publish; columns count from 1.
    #[test]
    fn records_have_their_fields_where_banks_look_for_them() {
        let account = account();
        let data = transfer(&account, &kana("holder", "ヤマダ タロウ", 30).unwrap(), 17_754);
        check(
            &data,
            &[
                (1, 1, "2"),
                (2, 5, "0001"),
                (6, 20, "ﾐｽﾞﾎ"),
                (21, 23, "123"),
                (24, 38, "ｼﾌﾞﾔ"),
                (39, 42, "0000"),
                (43, 43, "2"),
                (44, 50, "7654321"),
                (51, 80, "ﾔﾏﾀﾞ ﾀﾛｳ"),
                (81, 90, "0000017754"),
                (91, 91, "0"),
                (92, 101, "0000000000"),
                (102, 111, "0000000000"),
                (112, 112, "7"),
                (113, 113, ""),
                (114, 120, ""),
            ],
        );
        let name = kana("name", "カ)クラバン", 40).unwrap();
        let payer = Payer { code: "0000000042".to_owned(), name, account, day: "0312".to_owned() };
        check(
            &header(&payer),
            &[
                (1, 1, "1"),
                (2, 3, "21"),
                (4, 4, "0"),
                (5, 14, "0000000042"),
                (15, 54, "ｶ)ｸﾗﾊﾞﾝ"),
                (55, 58, "0312"),
                (59, 62, "0001"),
                (63, 77, "ﾐｽﾞﾎ"),
                (78, 80, "123"),
                (81, 95, "ｼﾌﾞﾔ"),
                (96, 96, "2"),
                (97, 103, "7654321"),
                (104, 120, ""),
            ],
        );
        let last = trailer(TRANSFERS_MAX, FILE_YEN_MAX);
        check(&last[..122], &[(1, 1, "8"), (2, 7, "999999"), (8, 19, "999999999999"), (20, 120, "")]);
        check(&last[122..], &[(1, 1, "9"), (2, 120, "")]);
        assert_eq!(transfer(&payer.account, b"", TRANSFER_YEN_MAX).len(), 122);
    }
}
