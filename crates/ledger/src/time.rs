//! Points in time as people write and read them. Decides which text is one; never what happened then.

use jiff::Timestamp;
use kuraban_base::Instant;

/// An instant with its offset (RFC 3339), to the millisecond.
///
/// # Errors
/// Text that is none, or before 1970, with what was found.
pub fn instant(text: &str) -> Result<Instant, String> {
    let at = text.parse::<Timestamp>().ok().and_then(|at| u64::try_from(at.as_millisecond()).ok());
    at.map(Instant::from_ms).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        format!("{shown:?} is no instant, want one with its offset such as 2018-01-26T12:09:00+09:00")
    })
}

/// An instant as people read it, in UTC; in milliseconds where no calendar reaches.
#[must_use]
pub fn shown_utc(at: Instant) -> String {
    let calendar = i64::try_from(at.ms()).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    calendar.map_or_else(|| at.to_string(), |calendar| calendar.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_have_their_offset_and_are_shown_in_utc() {
        let check = |text: &str, want: Option<(u64, &str)>| {
            let found = instant(text).ok().map(|at| (at.ms(), shown_utc(at)));
            assert_eq!(found, want.map(|(ms, shown)| (ms, shown.to_owned())), "{text}");
        };
        check("2018-01-26T12:09:00+09:00", Some((1_516_936_140_000, "2018-01-26T03:09:00Z")));
        check("2024-05-31T04:12:00.5Z", Some((1_717_128_720_500, "2024-05-31T04:12:00.5Z")));
        check("1970-01-01T00:00:00Z", Some((0, "1970-01-01T00:00:00Z")));
        check("1969-12-31T23:59:59.999Z", None);
        check("2018-01-26T12:09:00", None);
        check("1516936140000", None);
        check("", None);
        assert_eq!(shown_utc(Instant::from_ms(u64::MAX)), "18446744073709551615 ms");
    }
}
