//! The table of bounds in SECURITY.md: each row names tests, these tests exist, and each public
//! call that could wait has a row.

use std::fs;
use std::path::Path;

#[test]
fn each_bound_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let policy = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let (_, bounds) = policy.split_once("\n## Bounds\n").unwrap();
    let rows = bounds.lines().filter(|line| line.starts_with("| ")).filter(|line| !is_head(line));
    let mut count = 0;
    for row in rows {
        let held_by = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let tests: Vec<_> = held_by.split(", ").map(|test| test.trim_matches('`')).collect();
        for test in &tests {
            assert!(exists(root, test), "no such test: {test}\nin: {row}");
        }
        count += tests.len();
    }
    assert!(count > 50, "only {count} tests were found");
}

/// Types and modules whose calls cannot wait for a peer or a thread: values, options, and what the
/// program itself implements or gives.
const CANNOT_WAIT: [&str; 24] = [
    "Callbacks",
    "CloseFrame",
    "Closed",
    "Error",
    "Event",
    "Handler",
    "Keepalive",
    "Message",
    "MessageRef",
    "app::CallbackResult",
    "app::Fate",
    "app::Outbox",
    "app::SendError",
    "backoff",
    "cookie",
    "counters",
    "deflate",
    "error",
    "http",
    "message::AsMessage",
    "proto",
    "proxy",
    "stream",
    "tls",
];

/// Methods of the traits of std that only look at a value, or that `Drop` and `From` have in the
/// words of the table.
const OF_STD: [&str; 11] = [
    "clone",
    "cmp",
    "default",
    "deref",
    "deref_mut",
    "drop",
    "eq",
    "fmt",
    "from",
    "hash",
    "partial_cmp",
];

#[test]
fn each_public_call_that_could_wait_has_a_bound_of_time() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let policy = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let api = fs::read_to_string(root.join(".ci/public-api.txt")).unwrap();
    let calls: Vec<_> = api.lines().filter_map(call).collect();
    assert!(calls.len() > 100, "only {} calls were found", calls.len());
    let named = bounded_calls(&policy);
    let without: Vec<_> = calls.iter().filter(|call| !has_row(&named, call)).collect();
    assert!(without.is_empty(), "no row of the table *Time* in SECURITY.md names {without:?}");
}

/// Returns `module::Type::method` for a line of the public API, if that call could wait.
fn call(line: &str) -> Option<String> {
    let path = line.strip_prefix("pub fn landline::")?;
    let (path, rest) = path.split_once('(')?;
    let mut call = String::new();
    let mut depth = 0;
    for char in path.chars() {
        depth += i32::from(char == '<');
        if depth == 0 {
            call.push(char);
        }
        depth -= i32::from(char == '>');
    }
    let cannot = CANNOT_WAIT
        .iter()
        .any(|name| call.strip_prefix(name).is_some_and(|rest| rest.starts_with("::")));
    let (_, method) = call.rsplit_once("::").unwrap_or(("", &call));
    let is_of_std = OF_STD.contains(&method);
    let is_setter = rest.ends_with("-> Self") || rest.contains("-> Self where ");
    (!cannot && !is_setter && !is_of_std).then_some(call)
}

/// Returns what stands as code in the first column of the table of bounds of time.
fn bounded_calls(policy: &str) -> Vec<&str> {
    let (_, time) = policy.split_once("\n### Time\n").unwrap();
    let (time, _) = time.split_once("\n### ").unwrap();
    let rows = time.lines().filter(|line| line.starts_with("| ") && !is_head(line));
    rows.flat_map(|row| row.split(" | ").next().unwrap().split('`').skip(1).step_by(2)).collect()
}

/// Tells whether a row names the call. The calls of a connection and of its halves have one row for
/// all, which names the method alone.
fn has_row(named: &[&str], call: &str) -> bool {
    let call = call.rsplit_once("app::").map_or(call, |(_, call)| call);
    let shared = ["WebSocket::", "Receiver::", "Sender::"];
    let alone = shared.iter().find_map(|name| call.strip_prefix(name));
    named.iter().any(|name| *name == call || Some(*name) == alone)
}

#[test]
fn a_call_without_a_row_is_found_out() {
    let line = "pub fn landline::Receiver::wait<'a>(&mut self) -> core::result::Result<(), ()>";
    assert_eq!(call(line).unwrap(), "Receiver::wait");
    assert_eq!(call("pub fn landline::app::Ticket<'a>::x(&self)").unwrap(), "app::Ticket::x");
    assert_eq!(call("pub fn landline::Builder::wait(self, bool) -> Self"), None);
    assert_eq!(call("pub fn landline::tls::TlsInfo::version(&self) -> u16"), None);
    assert!(has_row(&["wait"], "Receiver::wait"));
    assert!(has_row(&["Ticket::wait"], "app::Ticket::wait"));
    for named in ["wait", "Handle::wait", "Ticket::waits"] {
        assert!(!has_row(&[named], "app::Ticket::wait"), "{named}");
    }
    let policy = "\n### Time\n| call | held by |\n| `a`, `b` | `c` |\n\n### Memory\n| `d` | |\n";
    assert_eq!(bounded_calls(policy), ["a", "b"]);
}

fn is_head(row: &str) -> bool {
    row.ends_with("| held by |")
}

/// Tells whether there is the test `program::file::test`; a program of one file has no `file`.
fn exists(root: &Path, test: &str) -> bool {
    let parts: Vec<_> = test.split("::").collect();
    let (file, name) = match parts[..] {
        ["memory", file, name] => (format!("tests/memory/tests/{file}.rs"), name),
        [program, file, name] => (format!("tests/{program}/{file}.rs"), name),
        [program, name] => (format!("tests/{program}/main.rs"), name),
        _ => return false,
    };
    let code = fs::read_to_string(root.join(file)).unwrap_or_default();
    let mut lines = code.lines().map(str::trim);
    let mut is_test = false;
    lines.any(|line| {
        if line.starts_with("#[test]") {
            is_test = true;
        } else if line.starts_with("fn ") {
            return std::mem::take(&mut is_test) && line.starts_with(&format!("fn {name}()"));
        }
        false
    })
}

#[test]
fn a_test_that_does_not_exist_is_found_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(exists(root, "core::policies::a_test_that_does_not_exist_is_found_out"));
    for no in ["core::policies::exists", "core::nowhere::x", "core::policies::x", "nowhere", ""] {
        assert!(!exists(root, no), "{no}");
    }
}
