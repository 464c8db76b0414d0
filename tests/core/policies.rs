//! The table of bounds in SECURITY.md: each row names tests, and these tests exist.

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
