//! The streaming check of UTF-8 agrees with the standard library, however the text is cut. It fails
//! at the first byte that makes the text invalid, not later.
//!
//! Input: the cutting plan with its length before it, the text.

use landline::error::Violation;
use landline::proto::utf8::Utf8;

pub fn check(data: &[u8]) {
    let (plan, text) = super::split(data);
    // The length of the shortest start of the text that no continuation can make valid.
    let fails_at = match std::str::from_utf8(text) {
        Err(error) => match error.error_len() {
            Some(_) => (error.valid_up_to()..=text.len()).find(|&end| {
                std::str::from_utf8(&text[..end]).is_err_and(|e| e.error_len().is_some())
            }),
            None => None,
        },
        Ok(_) => None,
    };
    for plan in [&[][..], &[0], plan] {
        let mut utf8 = Utf8::default();
        let mut out = String::new();
        let mut fed = 0;
        let mut failed = false;
        for part in super::cut(text, plan) {
            match utf8.push(part, &mut out) {
                Ok(()) => fed += part.len(),
                Err(violation) => {
                    assert_eq!(violation, Violation::InvalidUtf8);
                    let at = fails_at.expect("it failed though the text may still become valid");
                    assert!(fed < at && at <= fed + part.len(), "it failed in the wrong part");
                    failed = true;
                    break;
                }
            }
        }
        super::note(&(&out, failed));
        assert_eq!(failed, fails_at.is_some());
        if !failed {
            let whole = std::str::from_utf8(text);
            assert_eq!(utf8.finish().is_ok(), whole.is_ok(), "the end is judged alike");
            let valid = whole.map_or_else(|error| error.valid_up_to(), str::len);
            assert_eq!(out.as_bytes(), &text[..valid]);
        }
    }
}
