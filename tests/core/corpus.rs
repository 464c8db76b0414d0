//! Gives every file of the fuzzing corpora to the oracle of its target, on stable. It prints a
//! digest of what each file led to, which `tests/targets/run` compares between processors.

#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../../fuzz/oracles/mod.rs"]
mod oracles;

use std::path::Path;

#[test]
fn every_file_of_the_corpora_satisfies_its_oracle() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, oracle) in oracles::ALL {
        let mut files = 0;
        for entry in std::fs::read_dir(corpora.join(name)).unwrap() {
            let entry = entry.unwrap();
            let input = format!("{name}/{}", entry.file_name().to_string_lossy());
            println!("{input}");
            let digest = oracles::digest(*oracle, &std::fs::read(entry.path()).unwrap());
            println!("{input} {digest:016x}");
            files += 1;
        }
        assert!(files > 0, "{name} has no corpus");
    }
}

#[test]
fn every_target_has_an_oracle_and_every_oracle_a_target() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut found: Vec<_> = std::fs::read_dir(targets)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    if !cfg!(feature = "deflate") {
        let compressed = ["deflate_roundtrip", "extension_header", "inflate_stream"];
        found.retain(|name| !compressed.contains(&name.as_str()));
    }
    if !cfg!(feature = "proxy") {
        found.retain(|name| !["no_proxy", "proxy_url"].contains(&name.as_str()));
    }
    let known: Vec<_> = oracles::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, known);
}
