//! `cargo xtask supply`: no dependency that decides about security is older than a version known to be flawed.
//!
//! Source: the RustSec advisories named in [`FLOORS`]. In scope: every version of a crate in `Cargo.lock`, since a flawed one
//! that only a dependency uses is flawed all the same. Out of scope: what is not known yet, and licences. The check runs
//! with the ordinary tests, without a network.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use semver::Version;

use crate::shell::{heading, say};
use crate::workspace::Workspace;

/// A crate, its least version, and what is wrong with those before it.
const FLOORS: &[(&str, Version, &str)] = &[
    ("aes-gcm", Version::new(0, 10, 3), "plaintext is left behind when the tag is wrong (RUSTSEC-2023-0096)"),
    ("curve25519-dalek", Version::new(4, 1, 3), "subtraction in variable time (RUSTSEC-2024-0344)"),
    (
        "ed25519-dalek",
        Version::new(2, 0, 0),
        "signing with a public key of another's choice (RUSTSEC-2022-0093)",
    ),
    ("h2", Version::new(0, 4, 4), "a flood of continuation frames (RUSTSEC-2024-0332)"),
    ("idna", Version::new(1, 0, 0), "names that mask other names (RUSTSEC-2024-0421)"),
    ("ring", Version::new(0, 17, 12), "some functions may panic (RUSTSEC-2025-0009)"),
    ("rustls", Version::new(0, 23, 18), "a fragmented greeting panics (RUSTSEC-2024-0399)"),
    (
        "tokio",
        Version::new(1, 44, 2),
        "values are cloned unsoundly in broadcast channels (RUSTSEC-2025-0023)",
    ),
    ("wasmtime", Version::new(48, 0, 8), "the long-term release that this host is built and tested with"),
];

/// Checks the lock file of the workspace.
pub(crate) fn execute() -> Result<()> {
    let path = Workspace::find()?.root().join("Cargo.lock");
    let lock = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    heading("Dependencies that decide about security");
    let packages = packages(&lock)?;
    for (name, floor, _) in FLOORS {
        let found = versions(&packages, name).map(Version::to_string).collect::<Vec<_>>().join(", ");
        say(format!("{name:<18} at least {:<8} found {found}", floor.to_string()));
    }
    let flaws = flaws(&packages);
    ensure!(flaws.is_empty(), "{}", flaws.join("\n       "));
    Ok(())
}

/// What is too old, or named here and not there at all, so that no floor is kept for nothing.
fn flaws(packages: &[(String, Version)]) -> Vec<String> {
    let mut flaws = Vec::new();
    for (name, floor, reason) in FLOORS {
        if versions(packages, name).next().is_none() {
            flaws.push(format!("{name} is no dependency: remove its floor from runtime/xtask/src/supply.rs"));
        }
        flaws.extend(versions(packages, name).filter(|version| *version < floor).map(|version| {
            format!("{name} {version} is older than {floor}: {reason}; cargo update -p {name}@{version}")
        }));
    }
    flaws
}

fn versions<'a>(packages: &'a [(String, Version)], name: &str) -> impl Iterator<Item = &'a Version> {
    packages.iter().filter(move |(found, _)| found == name).map(|(_, version)| version)
}

/// The packages of a lock file, as cargo writes it: `version` is the line behind `name`.
fn packages(lock: &str) -> Result<Vec<(String, Version)>> {
    let value = |line: &str, key: &str| {
        line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"').map(str::to_owned)
    };
    let lines = lock.lines();
    lines
        .clone()
        .zip(lines.skip(1))
        .filter_map(|(first, second)| Some((value(first, "name")?, value(second, "version")?)))
        .map(|(name, version)| {
            let version = version.parse().with_context(|| format!("{name} has the version `{version}`"))?;
            Ok((name, version))
        })
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn lock() -> String {
        fs::read_to_string(Workspace::find().unwrap().root().join("Cargo.lock")).unwrap()
    }

    #[test]
    fn no_dependency_that_decides_about_security_is_known_to_be_flawed() {
        assert_eq!(flaws(&packages(&lock()).unwrap()), [""; 0]);
    }

    #[test]
    fn a_planted_old_version_is_found_beside_the_new_one() {
        for (name, _, reason) in FLOORS {
            let planted = format!("{}\n[[package]]\nname = \"{name}\"\nversion = \"0.0.1\"\n", lock());
            let found = flaws(&packages(&planted).unwrap());
            assert!(
                matches!(&found[..], [only] if only.contains(name) && only.contains(reason)),
                "{found:?}"
            );
        }
    }
}
