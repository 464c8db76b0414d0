//! Rewrites the arguments of Python's wsdump that take as many values as follow, because a URL that
//! follows must not be swallowed.

use std::ffi::OsString;

/// Gives each value an option of its own:
///
/// * `-v 2` becomes `--verbose=2`.
/// * `-s a b` becomes `--subprotocols=a --subprotocols=b`.
/// * `--close 4000 bye` becomes `--close=4000 bye`, one argument.
///
/// A value ends the list if it begins with `-` or contains `://`, as every URL does.
pub(crate) fn rewrite(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args = args.into_iter().peekable();
    let mut out: Vec<OsString> = args.next().into_iter().collect();
    while let Some(arg) = args.next() {
        let mut value = |fits: fn(&str) -> bool| {
            args.next_if(|next| next.to_str().is_some_and(|next| is_value(next) && fits(next)))
        };
        match arg.to_str() {
            Some("--") => {
                out.push(arg);
                out.extend(args);
                break;
            }
            Some("-v" | "--verbose") => match value(is_digit) {
                Some(level) => out.push(joined("--verbose=", &level)),
                None => out.push(arg),
            },
            Some("-s" | "--subprotocols" | "--subprotocol" | "--protocol") => {
                let before = out.len();
                while let Some(name) = value(|_| true) {
                    out.push(joined("--subprotocols=", &name));
                }
                if out.len() == before {
                    out.push(arg); // The parser says that its value is missing.
                }
            }
            Some("--close") => match value(|_| true) {
                Some(code) => {
                    let mut close = joined("--close=", &code);
                    if let Some(reason) = value(|_| true) {
                        close.push(" ");
                        close.push(reason);
                    }
                    out.push(close);
                }
                None => out.push(arg),
            },
            _ => out.push(arg),
        }
    }
    out
}

fn is_value(text: &str) -> bool {
    !text.starts_with('-') && !text.contains("://")
}

fn is_digit(text: &str) -> bool {
    text.len() == 1 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn joined(option: &str, value: &OsString) -> OsString {
    let mut joined = OsString::from(option);
    joined.push(value);
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &str) -> String {
        let args = rewrite(line.split(' ').map(OsString::from));
        args.join(std::ffi::OsStr::new("|")).into_string().unwrap()
    }

    #[test]
    fn greedy_options_of_python_do_not_swallow_the_url() {
        assert_eq!(rewritten("w -v 2 ws://h"), "w|--verbose=2|ws://h");
        assert_eq!(rewritten("w -vv ws://h -v"), "w|-vv|ws://h|-v");
        assert_eq!(rewritten("w -s a b ws://h"), "w|--subprotocols=a|--subprotocols=b|ws://h");
        assert_eq!(rewritten("w ws://h -s a,b -r"), "w|ws://h|--subprotocols=a,b|-r");
        assert_eq!(rewritten("w --close 4000 bye ws://h"), "w|--close=4000 bye|ws://h");
        assert_eq!(rewritten("w --close 4000 ws://h"), "w|--close=4000|ws://h");
        assert_eq!(rewritten("w -s -r ws://h"), "w|-s|-r|ws://h");
        assert_eq!(rewritten("w -- -v 2"), "w|--|-v|2");
    }
}
