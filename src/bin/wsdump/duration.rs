//! Reads times and sizes from the command line.

use std::time::Duration;

/// The longest time, of about 100 years. A longer one is as good as it, and could not be added to a
/// time of the clock.
const MOST: f64 = 100.0 * 365.0 * 24.0 * 3600.0;

/// Reads seconds, such as `2` and `0.5`, or a number with a unit: `500ms`, `10s`, `5m`, `1h`. More
/// than 100 years become 100 years.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let unit = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("give seconds, as 2 or 0.5, or a unit: 500ms, 10s, 5m, 1h".to_owned()),
    };
    let number = number.parse::<f64>().ok().filter(|number| *number >= 0.0);
    number
        .map(|number| Duration::from_secs_f64((number * unit).min(MOST)))
        .ok_or_else(|| "give seconds, as 2 or 0.5, or a unit: 500ms, 10s, 5m, 1h".to_owned())
}

/// Reads a time as [`parse`] does, which must not be zero.
pub(crate) fn parse_positive(text: &str) -> Result<Duration, String> {
    let time = parse(text)?;
    if time.is_zero() { Err("give more than 0".to_owned()) } else { Ok(time) }
}

/// Reads bytes, or a number with a unit: `64k`, `16M`, `1G`, in powers of 1024.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[number.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => return Err("give bytes, or a unit: 64k, 16M, 1G".to_owned()),
    };
    let number = number.parse::<u64>().ok();
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "give bytes, or a unit: 64k, 16M, 1G".to_owned())
}

/// Writes bytes with a unit, for people.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    #[allow(clippy::cast_precision_loss)] // One digit after the point is shown.
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Writes a time with a unit, for people.
pub(crate) fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        ..0.01 => format!("{:.2} ms", time.as_secs_f64() * 1e3),
        0.01..1.0 => format!("{:.0} ms", time.as_secs_f64() * 1e3),
        seconds => format!("{seconds:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse("2"), Ok(Duration::from_secs(2)));
        assert_eq!(parse("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse("1h"), Ok(Duration::from_secs(3600)));
        for wrong in ["", "x", "-1", "1d", "1e99h", "NaN", "inf"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        for long in ["10000000000000000000", &"9".repeat(999)] {
            assert_eq!(parse(long), Ok(Duration::from_secs(100 * 365 * 24 * 3600)), "{long}");
        }
        assert!(parse_positive("0").is_err());
        assert_eq!(time(Duration::from_micros(1234)), "1.23 ms");
        assert_eq!(time(Duration::from_millis(123)), "123 ms");
        assert_eq!(time(Duration::from_millis(2500)), "2.50 s");
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("7"), Ok(7));
        assert_eq!(parse_size("64k"), Ok(65536));
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
        for wrong in ["", "k", "-1", "1.5", "1T", "99999999999999G"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(size(1000), "1000 bytes");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(1 << 40), "1.0 TiB");
    }
}
