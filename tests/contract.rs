//! Every function of the contract has a test in which it is granted, and one in which it is denied.
//!
//! The names are read from `wit/` itself, so that a new function without its tests fails here.

use std::collections::BTreeSet;

use crate::support::project;

/// The functions that need a capability, as `interface.function` or `interface.resource.function`.
fn functions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for interface in ["identity", "crypto", "audit", "vault", "messaging"] {
        let text = std::fs::read_to_string(project().join("wit").join(format!("{interface}.wit")))
            .expect("the contract");
        let mut resource = String::new();
        for line in text.lines() {
            let is_member = line.starts_with("        ");
            let line = line.trim();
            if let Some(name) = line.strip_prefix("resource ").and_then(|rest| rest.strip_suffix(" {")) {
                name.clone_into(&mut resource);
            }
            if let Some((name, rest)) = line.split_once(':')
                && (rest.trim_start().starts_with("func(") || rest.trim_start().starts_with("static func("))
            {
                let owner = if is_member { format!("{resource}.") } else { String::new() };
                // A name that is also a keyword of WIT is written with a percent sign.
                found.insert(format!("{interface}.{owner}{}", name.trim_start_matches('%')));
            }
        }
    }
    found
}

/// The functions that the tests mark as granted or denied: in a comment line of its own, `// `, then the mark in brackets.
fn marked(mark: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(project().join("tests")).expect("the tests") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|ending| ending != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(path).expect("a test file");
        let lists = text.lines().filter_map(|line| line.strip_prefix("// [")?.strip_suffix(']'));
        for list in lists.filter_map(|list| list.strip_prefix(mark)?.strip_prefix(": ")) {
            found.extend(list.split(", ").map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_function_of_the_contract_has_a_granted_and_a_denied_test() {
    let functions = functions();
    assert_eq!(functions.len(), 24, "{functions:?}");
    assert_eq!(marked("granted"), functions);
    assert_eq!(marked("denied"), functions);
}
