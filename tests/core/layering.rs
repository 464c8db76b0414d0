//! The rules of ARCHITECTURE.md about which file may use which, and the width of lines. The tests
//! read the sources as text.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file: its path under `src`, and its lines without comments and unit tests.
struct Source {
    path: String,
    lines: Vec<(usize, String)>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    for path in files(&root, "rs") {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        // These have only unit tests, or are a program of its own, which sees only the public API.
        let is_other = ["websocket/model/", "bin/"].iter().any(|folder| name.starts_with(folder));
        if !is_other && name != "sync/model.rs" {
            let lines = code(&fs::read_to_string(&path).unwrap());
            sources.push(Source { path: name, lines });
        }
    }
    assert!(sources.len() > 20, "only {} files found", sources.len());
    sources
}

/// Returns the paths of the files below `folder` with this extension, without those that Cargo has
/// built.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if has_extension(&path, extension) {
                files.push(path);
            }
        }
    }
    files
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|own| own == extension)
}

/// Returns the lines of code with their numbers. A `use` of several lines becomes one line.
fn code(source: &str) -> Vec<(usize, String)> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (at, line) in source.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("//") {
            continue;
        }
        let line = line.split(" // ").next().unwrap();
        match lines.last_mut() {
            Some((_, last)) if open => last.push_str(line),
            _ => lines.push((at + 1, line.to_owned())),
        }
        let (_, last) = lines.last().unwrap();
        let begins = last.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        open = begins.starts_with("use ") && !last.contains(';');
    }
    lines
}

/// Returns the paths below `prefix` in a line: `a::b` and `c` for `use crate::{a::b, c}` and
/// `crate::`.
fn named(line: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in line.match_indices(prefix) {
        let inside = line[..at].ends_with(|byte: char| byte.is_alphanumeric() || byte == '_');
        if inside {
            continue;
        }
        let rest = &line[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => names.push(path(rest)),
            Some(group) => {
                let mut depth = 0;
                let items = group.split(|byte: char| {
                    depth += i32::from(byte == '{') - i32::from(byte == '}');
                    byte == ',' && depth == 0 || depth < 0
                });
                names.extend(items.map(|item| path(item.trim())).filter(|item| !item.is_empty()));
            }
        }
    }
    names
}

fn path(text: &str) -> String {
    let end = text.find(|byte: char| !(byte.is_alphanumeric() || byte == '_' || byte == ':'));
    text[..end.unwrap_or(text.len())].to_owned()
}

/// Fails with all lines that break the rule. Also fails if one of the files and folders under `src`
/// that the rule names does not exist: the rule would check nothing then.
fn keep(rule: &str, names: &[&str], breaks: impl Fn(&str, &str) -> bool) {
    let sources = sources();
    for name in names {
        let is_it = |path: &str| path == *name || name.ends_with('/') && path.starts_with(name);
        assert!(sources.iter().any(|source| is_it(&source.path)), "{rule}: no src/{name}");
    }
    let mut broken = Vec::new();
    for source in sources {
        for (at, line) in &source.lines {
            if breaks(&source.path, line) {
                broken.push(format!("src/{}:{at}: {line}", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "{rule}\n{}", broken.join("\n"));
}

/// Returns whether a path below `crate::` is `module` or in it.
fn is_in(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn uses_other_than(line: &str, modules: &[&str]) -> bool {
    named(line, "crate::").iter().any(|path| !modules.iter().any(|module| is_in(path, module)))
}

#[test]
fn proto_uses_nothing_outside_proto() {
    keep("src/proto may use only src/proto", &["proto/", "proto/mod.rs"], |file, line| {
        let climbs = line.contains("super::super") && file.matches('/').count() < 2
            || file == "proto/mod.rs" && line.contains("super::");
        file.starts_with("proto/") && (climbs || uses_other_than(line, &["proto"]))
    });
}

#[test]
fn proto_has_no_sockets_no_io_no_threads_and_no_clock() {
    const FORBIDDEN: [&str; 12] = [
        "std::net",
        "std::io",
        "std::thread",
        "std::fs",
        "std::sync",
        "SystemTime",
        "Instant::now",
        ".elapsed(",
        "getrandom",
        "rustls",
        "std::env",
        "println!",
    ];
    keep("src/proto does no I/O and reads no clock", &["proto/"], |file, line| {
        let grouped = named(line, "std::");
        let in_group = ["net", "io", "thread", "fs", "env", "sync"]
            .iter()
            .any(|module| grouped.iter().any(|path| is_in(path, module)));
        file.starts_with("proto/") && (in_group || FORBIDDEN.iter().any(|word| line.contains(word)))
    });
}

/// The folders and files of `src`, each with the modules that it may use. `lib.rs` may use all.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("app", &["client", "websocket", "net", "proto", "error", "log", "sync"]),
    ("client", &["cookie", "websocket", "net", "proto", "error", "log", "sync"]),
    ("websocket", &["net", "proto", "error", "log", "sync"]),
    ("net", &["proto", "error", "log", "sync"]),
    ("error", &["proto"]),
    ("cookie", &["proto", "sync"]),
    ("log", &["proto", "sync"]),
    ("sync", &[]),
    ("proto", &[]),
    ("guide", &[]),
];

#[test]
fn no_arrow_leads_back_up() {
    let names: Vec<_> = MAY_USE
        .iter()
        .map(|(name, _)| if *name == "log" { "log.rs".to_owned() } else { format!("{name}/") })
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    keep("a folder uses only what lies below it", &names, |file, line| {
        if file == "lib.rs" {
            return false;
        }
        let own = file.split(['/', '.']).next().unwrap_or_default();
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == own) else {
            return true; // A new folder or file needs a line above.
        };
        let allowed = [*allowed, &[own]].concat();
        let depth = file.trim_end_matches("/mod.rs").matches('/').count();
        let climbs = line.matches("super::").count() > depth && line.contains("use super::");
        climbs || uses_other_than(line, &allowed)
    });
}

#[test]
fn receiving_and_sending_share_only_types() {
    let names = ["proto/recv/", "proto/send.rs", "proto/mask.rs", "proto/utf8.rs"];
    keep("proto/recv and proto/send.rs do not use each other", &names, |file, line| {
        file.starts_with("proto/recv/") && (line.contains("send::") || line.contains("mask::"))
            || file == "proto/send.rs" && (line.contains("recv::") || line.contains("super::utf8"))
    });
    let receiving = ["websocket/receiver.rs", "websocket/receiver/", "websocket/reader.rs"];
    let sending =
        ["sender", "outgoing", "writer", "writer_state", "write_lock", "send_reader", "try_send"];
    let files = sending.map(|name| format!("websocket/{name}.rs"));
    let names: Vec<_> = receiving.into_iter().chain(files.iter().map(String::as_str)).collect();
    let uses = |line: &str, name: &str| {
        let found = |path: String| line.contains(&path);
        found(format!("super::{name}::")) || found(format!("websocket::{name}::"))
    };
    keep("receiving and sending do not use each other", &names, |file, line| {
        file.starts_with("websocket/re") && sending.iter().any(|name| uses(line, name))
            || files.iter().any(|sends| file == sends)
                && ["receiver", "reader"].iter().any(|name| uses(line, name))
    });
}

#[test]
fn net_uses_only_the_http_and_urls_of_proto() {
    const OF_PROTO: [&str; 5] = ["http", "handshake", "location", "socks", "url"];
    let names = OF_PROTO.map(|name| format!("proto/{name}.rs"));
    keep(
        "src/net uses proto::{http, handshake, location, socks, url} only",
        &names.each_ref().map(String::as_str),
        |file, line| {
            let used = named(line, "crate::proto::");
            let allowed = |path: &String| OF_PROTO.iter().any(|module| is_in(path, module));
            file.starts_with("net/") && !used.iter().all(allowed)
        },
    );
}

#[test]
fn cookies_are_given_the_time() {
    keep("src/cookie reads the clock in one place", &["cookie/"], |file, line| {
        let clock = line.contains("SystemTime::now") && !line.contains("self.set_at(");
        file.starts_with("cookie/") && clock
    });
}

#[test]
fn only_net_touches_sockets() {
    let names = ["client/builder.rs", "websocket/mod.rs", "error/connecting.rs", "net/"];
    keep("std::net outside src/net, more than a type in a signature", &names, |file, line| {
        let allowed: &[&str] = match file {
            "client/builder.rs" => &["TcpStream", "SocketAddr"],
            "error/connecting.rs" => &["SocketAddr"],
            "websocket/mod.rs" | "websocket/receiver.rs" | "websocket/sender.rs" => &["SocketAddr"],
            "websocket/outgoing/tests.rs" => &["Shutdown"], // A stream in memory.
            _ if file.starts_with("net/") => return false,
            _ => &[],
        };
        let names = named(line, "std::net::");
        let grouped = named(line, "std::").iter().any(|path| is_in(path, "net"));
        names.iter().any(|name| !allowed.contains(&name.as_str())) || grouped && names.is_empty()
    });
    keep("sockets are connected, read and written in src/net only", &["net/"], |file, line| {
        !file.starts_with("net/")
            && ["TcpStream::connect", "to_socket_addrs"].iter().any(|word| line.contains(word))
    });
}

/// The standard library writes one buffer with `MSG_NOSIGNAL`, but not several at once. Those raise
/// SIGPIPE, which kills a process that does not ignore it.
#[test]
fn nothing_is_written_from_several_buffers() {
    keep("no vectored writes", &[], |_, line| line.contains("write_vectored"));
}

#[test]
fn what_the_halves_share_can_be_given_to_a_model_checker() {
    const SHARED: [&str; 7] = [
        "websocket/",
        "log.rs",
        "net/duplex.rs",
        "net/duplex/",
        "net/tls/session.rs",
        "net/abort.rs",
        "net/deadline.rs",
    ];
    const ALLOWED: [&str; 4] = ["Arc", "PoisonError", "TryLockError", "atomic::Ordering"];
    keep("locks, atomics, threads and the clock come from src/sync", &SHARED, |file, line| {
        let own = named(line, "std::sync::").iter().any(|name| !ALLOWED.contains(&name.as_str()));
        let other = ["std::thread", "Instant::now", ".elapsed("];
        let other = other.iter().any(|word| line.contains(word));
        let shared = SHARED.iter().any(|shared| file.starts_with(shared));
        shared && !file.ends_with("/tests.rs") && (own || other)
    });
}

/// Removes the visibility and the like before the keyword of an item.
fn unmarked(line: &str) -> &str {
    let mut line = line;
    if let Some(rest) = line.strip_prefix("pub(") {
        line = rest.split_once(") ").map_or(line, |(_, rest)| rest);
    }
    for mark in ["pub ", "const ", "async ", "unsafe ", "extern "] {
        line = line.strip_prefix(mark).unwrap_or(line);
    }
    line
}

#[test]
fn the_public_face_has_no_logic() {
    const KEYWORDS: [&str; 8] =
        ["fn ", "struct ", "enum ", "union ", "trait ", "impl ", "impl<", "macro_rules!"];
    keep("src/lib.rs has no items of its own but connect", &["lib.rs"], |file, line| {
        let item = unmarked(line);
        let own = KEYWORDS.iter().any(|keyword| item.starts_with(keyword));
        file == "lib.rs" && own && !item.starts_with("fn connect(")
    });
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    const NOTHING: [&str; 7] =
        ["util", "utils", "common", "types", "helpers", "connection", "misc"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in files(&root, "rs") {
        let name = path.strip_prefix(&root).unwrap().with_extension("");
        for part in &name {
            assert!(!NOTHING.contains(&part.to_str().unwrap()), "src/{}", name.display());
        }
    }
}

/// rustfmt leaves comments and long strings as they are, and does not read Markdown.
#[test]
fn no_line_is_longer_than_100_characters() {
    const FOLDERS: [(&str, &str); 6] = [
        ("src", "rs"),
        ("tests", "rs"),
        ("examples", "rs"),
        ("fuzz/oracles", "rs"),
        ("src", "md"),
        (".github", "md"),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries.filter(|path| has_extension(path, "md")).collect();
    assert!(!paths.is_empty(), "no pages in the root");
    for (folder, extension) in FOLDERS {
        let files = files(&root.join(folder), extension);
        assert!(!files.is_empty(), "no {extension} files in {folder}");
        paths.extend(files);
    }
    let mut long = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().display();
        for (number, width) in long_lines(&text, has_extension(&path, "md")) {
            long.push(format!("{name}:{number}: {width} characters"));
        }
    }
    assert!(long.is_empty(), "longer than 100 characters:\n{}", long.join("\n"));
}

/// Returns the numbers and widths of the lines that are too long. In Markdown tables, code and
/// images may be wider.
fn long_lines(text: &str, is_markdown: bool) -> Vec<(usize, usize)> {
    let mut is_code = false;
    let mut long = Vec::new();
    for (at, line) in text.lines().enumerate() {
        is_code ^= is_markdown && line.trim_start().starts_with("```");
        let may_be_wide =
            is_markdown && (is_code || line.starts_with('|') || line.starts_with("!["));
        let width = line.chars().count();
        if width > 100 && !may_be_wide {
            long.push((at + 1, width));
        }
    }
    long
}

#[test]
fn only_tables_code_and_images_may_be_wide() {
    let wide = "x".repeat(101);
    let page = format!("{wide}\n```sh\n{wide}\n```\n{wide}\n| {wide} |\n![{wide}](x)\n");
    assert_eq!(long_lines(&page, true), [(1, 101), (5, 101)]);
    assert_eq!(long_lines(&page, false).len(), 5);
    assert!(long_lines(&"ä".repeat(100), true).is_empty());
}

#[test]
fn the_reader_of_lines_reads_groups_and_marks() {
    let lines =
        code("use crate::{\n    a::{b, c},\n    d,\n};\nlet x = 1; // crate::e\n// crate::f\n");
    let names: Vec<_> = lines.iter().flat_map(|(_, line)| named(line, "crate::")).collect();
    assert_eq!(names, ["a::", "d"]);
    assert_eq!(
        named("x: crate::net::tls::Y, z: crate::error", "crate::"),
        ["net::tls::Y", "error"]
    );
    assert_eq!(unmarked("pub(crate) unsafe impl X for Y {"), "impl X for Y {");
    assert!(is_in("net::tls", "net") && is_in("net", "net") && !is_in("network", "net"));
}
