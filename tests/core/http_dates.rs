//! Dates of HTTP (RFC 9110 section 5.6.7, RFC 6265 section 5.1.1), and `Retry-After`.

#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Duration;

use landline::proto::date::{format, parse};
use landline::proto::http::{self, HeadReader};

use crate::ONE_IN;

#[test]
fn the_three_forms_of_http_are_the_same_moment() {
    for text in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "1994 november 6 8:49:37",
        "08:49:37abc 6th Nov 1994",
    ] {
        assert_eq!(parse(text.as_bytes()), Some(784_111_777), "{text}");
    }
}

#[test]
fn a_leap_second_counts_as_the_second_before() {
    for (leap, before) in [
        ("Sat, 31 Dec 2016 23:59:60 GMT", "Sat, 31 Dec 2016 23:59:59 GMT"),
        ("Fri, 31 Dec 9999 23:59:60 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] {
        assert_eq!(format(parse(leap.as_bytes()).unwrap()), before);
    }
}

#[test]
fn other_texts_are_no_date() {
    for text in [
        "",
        "Sun, 06 Nov 1994",
        "08:49:37 Nov 1994",
        "06 1994 08:49:37",
        "06 Nov 08:49:37",
        "32 Jan 2020 00:00:00",
        "00 Jan 2020 00:00:00",
        "30 Feb 2020 00:00:00",
        "29 Feb 2021 00:00:00",
        "29 Feb 1900 00:00:00",
        "31 Apr 2020 00:00:00",
        "06 Nov 1600 00:00:00",
        "06 Nov 19941 00:00:00",
        "06 Nov 9999999 00:00:00",
        "06 Nov 1994 24:00:00",
        "06 Nov 1994 00:60:00",
        "06 Nov 1994 00:00:61",
        "06 Nov 1994 00:00",
        "06 Nov 1994 0x:00:00",
        "06 Nov 1994 :::",
        "06 Nov 1994 000:00:00",
        "06 Növ 1994 00:00:00",
        "06 No 1994 00:00:00",
        "1 1 1 1 1 1",
    ] {
        assert_eq!(parse(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn years_of_two_digits_are_from_1970_to_2069() {
    let year = |text: &str| format(parse(text.as_bytes()).unwrap())[12..16].to_owned();
    for (given, meant) in [("69", "2069"), ("70", "1970"), ("99", "1999"), ("00", "2000")] {
        assert_eq!(year(&format!("1 Jan {given} 0:0:0")), meant);
    }
}

#[test]
fn every_day_of_a_cycle_and_one_in_97_of_the_others_is_written_and_read_back() {
    const DAY: i64 = 24 * 60 * 60;
    assert_eq!(parse(b"1 Jan 1970 0:0:0"), Some(0));
    let (first, last) = (parse(b"1 Jan 1601 0:0:0").unwrap(), parse(b"31 Dec 9999 0:0:0").unwrap());
    assert_eq!((last - first) / DAY + 1, 8399 * 365 + 8399 / 4 - 8399 / 100 + 8399 / 400);
    let cycle = (0..146_097).step_by(usize::from(ONE_IN)).map(|day| day * DAY);
    for day in cycle.chain((first..=last).step_by(97 * 86_400)) {
        let seconds = day + (day / DAY).rem_euclid(DAY);
        assert_eq!(parse(format(seconds).as_bytes()), Some(seconds), "{day}");
    }
    assert_eq!(format(i64::MIN), "Mon, 01 Jan 1601 00:00:00 GMT");
    assert_eq!(format(i64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_eq!(format(1_709_210_096), "Thu, 29 Feb 2024 12:34:56 GMT");
}

/// Returns the wait that a 503 with these header lines asks for, at 1994-11-06 08:49:37.
fn retry_after(lines: &str) -> Option<u64> {
    retry_after_of(503, lines)
}

fn retry_after_of(status: u16, lines: &str) -> Option<u64> {
    let head = format!("HTTP/1.1 {status} x\r\n{lines}\r\n");
    let (response, _) = HeadReader::default().advance(head.as_bytes()).unwrap().unwrap();
    http::retry_after(&response, Duration::from_secs(784_111_777)).map(|wait| wait.as_secs())
}

#[test]
fn only_a_429_and_a_503_say_when_to_come_again() {
    for status in 100..=999 {
        let seconds = matches!(status, 429 | 503).then_some(7);
        assert_eq!(retry_after_of(status, "Retry-After: 7\r\n"), seconds, "{status}");
    }
}

#[test]
fn a_server_says_when_to_come_again_in_seconds_or_as_a_date() {
    for (value, seconds) in [
        ("0", 0),
        ("7", 7),
        ("  120\t", 120),
        ("0000000000000000000000007", 7),
        ("Sun, 06 Nov 1994 08:50:07 GMT", 30),
        ("Sunday, 06-Nov-94 08:50:07 GMT", 30),
        ("Sun Nov  6 08:50:07 1994", 30),
        ("3599", 3599),
        ("Sun, 06 Nov 1994 09:49:36 GMT", 3599),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Sun, 06 Nov 1994 08:49:36 GMT", 0),
        ("Mon, 01 Jan 1601 00:00:00 GMT", 0),
    ] {
        assert_eq!(retry_after(&format!("Retry-After: {value}\r\n")), Some(seconds), "{value}");
    }
}

#[test]
fn a_server_that_says_to_come_again_in_a_million_years_is_given_an_hour() {
    for value in [
        "3600",
        "3601",
        "1000000000000000000",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999999999999999999999",
        "Sun, 06 Nov 1994 09:49:38 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    ] {
        let seconds = retry_after(&format!("Retry-After: {value}\r\n"));
        assert_eq!(seconds, Some(60 * 60), "{value}");
    }
}

#[test]
fn a_server_that_says_nothing_understandable_asks_for_nothing() {
    for lines in [
        "",
        "Retry-After:\r\n",
        "Retry-After: soon\r\n",
        "Retry-After: -1\r\n",
        "Retry-After: +1\r\n",
        "Retry-After: 1.5\r\n",
        "Retry-After: 1 s\r\n",
        "Retry-After: 0x10\r\n",
        "Retry-After: \u{ff11}\r\n",
        "Retry-After: 10000-01-01\r\n",
        "Retry-After: soon\r\nRetry-After: 5\r\n",
    ] {
        assert_eq!(retry_after(lines), None, "{lines:?}");
    }
}
