//! Payloads of Close frames: an accepted one obeys RFC 6455 section 7.4, and is written back byte
//! for byte.

use landline::proto::frame::{decode_close, encode_close};

pub fn check(data: &[u8]) {
    let accepted = decode_close(data);
    super::note(&accepted);
    let valid = match data {
        [] => true,
        [_] => false,
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let allowed = (1000..5000).contains(&code)
                && !(1004..=1006).contains(&code)
                && !(1015..3000).contains(&code);
            allowed && std::str::from_utf8(reason).is_ok()
        }
    };
    assert_eq!(accepted.is_ok(), valid);
    if let Ok(close) = accepted {
        assert_eq!(encode_close(&close), data);
        assert_eq!(close.is_sendable(), data.len() <= 125);
        let shown = close.to_string();
        assert!(!shown.contains(char::is_control), "it is shown escaped: {shown:?}");
    }
}
