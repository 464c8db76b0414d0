//! Reads and writes the dates of HTTP. They are read as leniently as cookies need (RFC 6265 section
//! 5.1.1), which covers all three forms of RFC 9110 section 5.6.7. They are written in the
//! preferred form.

/// The months, and how many days of the year come before each.
const MONTHS: [(&[u8; 3], i64); 12] = [
    (b"jan", 0),
    (b"feb", 31),
    (b"mar", 59),
    (b"apr", 90),
    (b"may", 120),
    (b"jun", 151),
    (b"jul", 181),
    (b"aug", 212),
    (b"sep", 243),
    (b"oct", 273),
    (b"nov", 304),
    (b"dec", 334),
];
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const DAY: i64 = 24 * 60 * 60;
/// The number of days from 1 January of the year 1 to 1 January 1970, in the calendar of today.
const EPOCH: i64 = 719_162;

/// Reads a date of the years 1601 to 9999, in UTC, and returns the seconds since the start of 1970.
///
/// The first token that looks like a time is the time, and so on for day, month and year. All other
/// tokens are skipped (RFC 6265 section 5.1.1).
#[must_use]
pub fn parse(text: &[u8]) -> Option<i64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(|&byte| is_delimiter(byte)) {
        if time.is_none() {
            time = time_of_day(token);
            if time.is_some() {
                continue;
            }
        }
        if day.is_none() {
            day = number(token, 1, 2);
            if day.is_some() {
                continue;
            }
        }
        if month.is_none() {
            month = month_of(token);
            if month.is_some() {
                continue;
            }
        }
        if year.is_none() {
            year = number(token, 2, 4);
        }
    }
    let (time, day, month) = (time?, day?, month?);
    let year = match year? {
        year @ 70..=99 => year + 1900,
        year @ 0..=69 => year + 2000,
        year => year,
    };
    if year < 1601 || !(1..=days_in(month, year)).contains(&day) {
        return None;
    }
    Some((days_before(month, year) + day - 1) * DAY + time)
}

/// Writes seconds since the start of 1970 as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section
/// 5.6.7). A time outside of the years 1601 to 9999 becomes the first or the last second of them.
#[must_use]
pub fn format(seconds: i64) -> String {
    let (first, last) = (days_before(0, 1601) * DAY, days_before(0, 10_000) * DAY - 1);
    let seconds = seconds.clamp(first, last);
    let (days, time) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let mut year = year_not_after(days);
    while days_before(0, year + 1) <= days {
        year += 1;
    }
    let month = (0..12).rev().find(|&month| days_before(month, year) <= days).unwrap_or(0);
    let day = days - days_before(month, year) + 1;
    // 1 January 1970 was a Thursday.
    let weekday = usize::try_from((days + 3).rem_euclid(7)).map_or("", |day| WEEKDAYS[day]);
    let [first, rest @ ..] = MONTHS[month].0.map(char::from);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!(
        "{weekday}, {day:02} {}{}{} {year} {hour:02}:{minute:02}:{second:02} GMT",
        first.to_ascii_uppercase(),
        rest[0],
        rest[1],
    )
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'/' | b';'..=b'@' | b'['..=b'`' | b'{'..=b'~')
}

/// Reads a time such as `8:49:37`, and returns the seconds since midnight. Anything may follow
/// after a byte that is no digit.
fn time_of_day(token: &[u8]) -> Option<i64> {
    let mut fields = token.splitn(3, |&byte| byte == b':');
    let mut field = |most, last: bool| {
        let field = fields.next()?;
        let digits = field.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let value = number(field, 1, 2).filter(|value| *value <= most);
        value.filter(|_| last || digits == field.len())
    };
    // RFC 9110 section 5.6.7 allows 60, for a leap second. Here it counts as the second before.
    Some(field(23, false)? * 3600 + field(59, false)? * 60 + field(60, true)?.min(59))
}

/// Reads the number at the start of a token. It must have `least` to `most` digits.
fn number(token: &[u8], least: usize, most: usize) -> Option<i64> {
    let digits = token.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let value =
        |digits: &[u8]| digits.iter().fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'));
    (least..=most).contains(&digits).then(|| value(&token[..digits]))
}

/// Returns the month, counted from 0, whose first three letters begin the token.
fn month_of(token: &[u8]) -> Option<usize> {
    let start = token.get(..3)?;
    MONTHS.iter().position(|(name, _)| start.eq_ignore_ascii_case(&name[..]))
}

/// Returns the year of the day, or one or two years before: 400 years have 146,097 days.
fn year_not_after(days: i64) -> i64 {
    (days + EPOCH) * 400 / 146_097
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(month: usize, year: i64) -> i64 {
    let december = month == 11;
    if december { 31 } else { days_before(month + 1, year) - days_before(month, year) }
}

/// Returns the number of days from 1 January 1970 to the first of the month.
fn days_before(month: usize, year: i64) -> i64 {
    let past = year - 1;
    let years = past * 365 + past / 4 - past / 100 + past / 400;
    let leap = i64::from(month > 1 && is_leap(year));
    years + MONTHS[month].1 + leap - EPOCH
}
