//! The tree keeps its own conventions: no left-overs, no endless file, nothing unclassified at the top.

use std::path::PathBuf;
use std::process::Command;

use crate::support::project;

/// A file longer than this holds more than one thing.
const FILE_LINES_MAX: usize = 800;

fn tracked_files() -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(project()).output().expect("git");
    assert!(listed.status.success(), "the tests run in a checkout");
    let names = String::from_utf8(listed.stdout).expect("names in UTF-8");
    names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect()
}

fn sources() -> Vec<(PathBuf, String)> {
    tracked_files()
        .into_iter()
        .filter(|path| {
            path.extension()
                .is_some_and(|ending| ["rs", "wit", "toml", "md"].iter().any(|known| ending == *known))
        })
        .filter_map(|path| std::fs::read_to_string(project().join(&path)).ok().map(|text| (path, text)))
        .collect()
}

#[test]
fn the_top_level_is_what_the_readme_maps() {
    let allowed = [
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "benches",
        "clippy.toml",
        "deny.toml",
        "guest-sdk",
        "runtime",
        "rust-toolchain.toml",
        "rustfmt.toml",
        "sample-agents",
        "tests",
        "wit",
    ];
    for path in tracked_files() {
        let first = path.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
        assert!(
            first.starts_with('.') || allowed.contains(&first.as_str()),
            "{first} stands at the top level"
        );
    }
}

#[test]
fn no_file_grows_without_end() {
    for (path, text) in sources() {
        if path.extension().is_some_and(|ending| ending == "rs") {
            let lines = text.lines().count();
            assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines", path.display());
        }
    }
}

#[test]
fn nothing_is_left_over() {
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("unimple", "mented!(")];
    for (path, text) in sources() {
        for mark in marks {
            assert!(!text.contains(mark), "{} holds {mark}", path.display());
        }
    }
}

#[test]
fn every_test_that_the_architecture_page_names_exists() {
    let page = std::fs::read_to_string(project().join("runtime/ARCHITECTURE.md")).expect("the page");
    let table = page.split("## Threats").nth(1).expect("the table of threats");
    let names: Vec<&str> = table.split('`').skip(1).step_by(2).collect();
    assert!(names.len() >= 25, "{} names", names.len());
    let code: String = sources().into_iter().map(|(_, text)| text).collect();
    for name in names {
        assert!(code.contains(&format!("fn {name}(")), "there is no test {name}");
    }
}
