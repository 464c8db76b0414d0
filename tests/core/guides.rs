//! The pages of src/guide are in the documentation, each with the file that its last line promises.

use std::fs;
use std::path::Path;

#[test]
fn each_guide_is_in_the_documentation_with_the_file_that_it_ends_with() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide");
    let module = fs::read_to_string(folder.join("mod.rs")).unwrap();
    let (mut pages, mut files) = (0, 0);
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let file = file_at_the_end(&fs::read_to_string(&path).unwrap());
        pages += 1;
        files += usize::from(file.is_some());
        let wanted = documented(name, file.as_deref());
        assert!(module.contains(&wanted), "src/guide/mod.rs does not have:\n{wanted}");
    }
    assert!(pages > 20 && files > 1, "only {pages} pages and {files} files were found");
}

/// Returns the path in the last line of a page, if the line says that a file follows.
fn file_at_the_end(page: &str) -> Option<String> {
    let last = page.lines().last()?.strip_suffix(':')?;
    let (_, file) =
        last.split_once("This is all of it, `").expect("a file follows a line that ends with `:`");
    Some(file.trim_end_matches('`').to_owned())
}

/// Returns the lines of mod.rs for a page.
fn documented(name: &str, file: Option<&str>) -> String {
    let file = file.map_or_else(String::new, |file| {
        format!("#[doc = \"```\"]\n#[doc = include_str!(\"../../{file}\")]\n#[doc = \"```\"]\n")
    });
    format!("#[doc = include_str!(\"{name}.md\")]\n{file}pub mod {name} {{}}\n")
}

#[test]
fn the_file_at_the_end_of_a_page_is_found() {
    assert_eq!(file_at_the_end("text\nThis is all of it, `a/b.rs`:\n").unwrap(), "a/b.rs");
    assert_eq!(file_at_the_end("This is all of it, `a/b.rs`: text\ntext.\n"), None);
}
