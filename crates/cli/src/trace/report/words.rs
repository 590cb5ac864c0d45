//! How amounts, ids and times are written, and words in both languages.
//!
//! Decides spelling alone. Text from outside is escaped here, and nowhere else.

pub(super) use crate::say::thousands;
use kuraban_base::Amount;

/// How an asset's amounts are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coin<'a> {
    /// Its ticker, or a token's id.
    pub(super) ticker: &'a str,
    /// How many of its digits stand behind the point.
    pub(super) decimals: u8,
}

pub(super) use crate::say::escaped;

/// JSON that can stand inside a script element: what HTML or older JavaScript would take for markup or for the end of a
/// line is written as an escape, which JSON allows inside of strings, and these stand nowhere else.
pub(super) fn embedded(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Both languages; the page shows one. Neither is escaped.
pub(super) fn both(en: &str, ja: &str) -> String {
    format!("<span data-l=\"en\" lang=\"en\">{en}</span><span data-l=\"ja\" lang=\"ja\">{ja}</span>")
}

/// A count in groups of three.
pub(super) fn count(number: impl TryInto<u64>) -> String {
    thousands(&number.try_into().unwrap_or(u64::MAX).to_string())
}

/// Whole coins, exactly.
pub(super) fn coins(coin: Coin<'_>, sat: u128) -> String {
    let exact = Amount::new(sat).to_coins(coin.decimals);
    let (whole, rest) = exact.split_once('.').unwrap_or((&exact, ""));
    let rest = rest.trim_end_matches('0');
    let point = if rest.is_empty() { "" } else { "." };
    format!("{}{point}{rest}", thousands(whole))
}

/// Whole coins with the ticker.
pub(super) fn whole(coin: Coin<'_>, sat: u128) -> String {
    format!("{} {}", coins(coin, sat), coin.ticker)
}

/// Four decimals, cut, and marked where there are more: for small boxes.
pub(super) fn brief(coin: Coin<'_>, sat: u128) -> String {
    let decimals = u32::from(coin.decimals);
    let unit = 10_u128.checked_pow(decimals.saturating_sub(4)).unwrap_or(1).max(1);
    let rest = sat.checked_rem(unit).unwrap_or(0);
    match (sat > 0 && sat < unit, rest) {
        (true, _) => format!("<{}", coins(coin, unit)),
        (false, 0) => coins(coin, sat),
        (false, rest) => format!("~{}", coins(coin, sat.saturating_sub(rest))),
    }
}

/// The head and the tail of an id.
pub(super) fn short(text: &str, head: usize, tail: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    if all.len() <= head.saturating_add(tail).saturating_add(1) {
        return text.to_owned();
    }
    let start: String = all.iter().take(head).collect();
    let end: String = all.iter().skip(all.len().saturating_sub(tail)).collect();
    format!("{start}…{end}")
}

/// A block's time to the minute, in UTC.
pub(super) fn minute(time_s: Option<u32>) -> String {
    let time = time_s.and_then(|time| jiff::Timestamp::from_second(time.into()).ok());
    time.map_or_else(String::new, |time| time.strftime("%Y-%m-%d %H:%MZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_and_short_ones_say_so() {
        let check = |sat, want: (&str, &str)| {
            let coin = Coin { ticker: "BTC", decimals: 8 };
            let found = (coins(coin, sat), brief(coin, sat));
            assert_eq!((found.0.as_str(), found.1.as_str()), want, "{sat}");
        };
        check(0, ("0", "0"));
        check(1, ("0.00000001", "<0.0001"));
        check(9_999, ("0.00009999", "<0.0001"));
        check(10_000, ("0.0001", "0.0001"));
        check(10_001, ("0.00010001", "~0.0001"));
        check(100_000_000, ("1", "1"));
        check(450_290_000_000, ("4,502.9", "4,502.9"));
        check(123_456_789_012_345_678, ("1,234,567,890.12345678", "~1,234,567,890.1234"));
    }

    #[test]
    fn nothing_from_outside_can_leave_its_place() {
        let hostile = "</script><script>alert(1)</script>\" onload='x' & \u{2028}\u{2029}";
        let html = escaped(hostile);
        assert!(!html.contains(['<', '>', '"', '\'']), "{html}");
        assert!(html.starts_with("&lt;/script&gt;&lt;script&gt;"), "{html}");
        let json = serde_json::to_string(hostile).unwrap();
        let safe = embedded(&json);
        assert!(!safe.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), hostile);
    }

    #[test]
    fn ids_are_cut_in_the_middle_and_digits_grouped() {
        assert_eq!(short("0123456789", 3, 2), "012…89");
        assert_eq!(short("012345", 3, 2), "012345");
        for (digits, want) in
            [("", ""), ("1", "1"), ("123", "123"), ("1234", "1,234"), ("1234567", "1,234,567")]
        {
            assert_eq!(thousands(digits), want);
        }
        assert_eq!(minute(Some(1_717_128_900)), "2024-05-31 04:15Z");
        assert_eq!(minute(None), "");
    }
}
