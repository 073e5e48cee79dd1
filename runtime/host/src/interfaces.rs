//! What a component imports, compared with what it may have, before anything of it is compiled.
//!
//! In scope: telling known imports from unknown ones, and which interfaces to link. Out of scope: which capabilities are
//! missing and how to give them (`kos_core::permission`).
//!
//! Keeps I2: an interface with no effective capability is not linked, and an unknown import refuses the launch by its name.

use std::collections::BTreeSet;

use crate::capability::Interface;

/// The package and version of the contract.
const PACKAGE: &str = "kos:agent/";
const VERSION: &str = "0.1.0";

/// The interface that only has types, and gives no power.
const TYPES: &str = "types";

/// The packages of WASI 0.2 that are linked.
const WASI_PACKAGES: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];

/// The WASI 0.2 releases up to the one of the linked wasmtime. Newer patch releases may have more functions.
const WASI_NEWEST_PATCH: u32 = 12;

/// What a component wants from its host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Imports {
    /// Interfaces of the contract.
    pub(crate) interfaces: BTreeSet<Interface>,
    /// Whether it imports `wasi:http`. Some language runtimes do without using it, so that each request is judged instead.
    pub(crate) http: bool,
    /// Everything that no host of this version has.
    pub(crate) unknown: Vec<String>,
}

impl Imports {
    /// Sorts the imported names of a component.
    pub(crate) fn of(names: impl IntoIterator<Item = String>) -> Self {
        let mut imports = Self::default();
        for name in names {
            match Import::of(&name) {
                Import::Interface(interface) => {
                    imports.interfaces.insert(interface);
                }
                Import::Http => imports.http = true,
                Import::Powerless => {}
                Import::Unknown => imports.unknown.push(name),
            }
        }
        imports
    }

    /// The names of the interfaces, as the core compares them with grants.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.interfaces.iter().map(|interface| interface.name()).collect()
    }
}

enum Import {
    Interface(Interface),
    Http,
    Powerless,
    Unknown,
}

impl Import {
    fn of(name: &str) -> Self {
        if let Some((interface, VERSION)) = name.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@')) {
            return match Interface::named(interface) {
                Some(interface) => Self::Interface(interface),
                None if interface == TYPES => Self::Powerless,
                None => Self::Unknown,
            };
        }
        match wasi(name) {
            Some(("http", "outgoing-handler" | "types")) => Self::Http,
            Some((package, _)) if WASI_PACKAGES.contains(&package) => Self::Powerless,
            Some(_) | None => Self::Unknown,
        }
    }
}

/// Package and interface of `wasi:<package>/<interface>@0.2.<patch>`.
fn wasi(name: &str) -> Option<(&str, &str)> {
    let (package, rest) = name.strip_prefix("wasi:")?.split_once('/')?;
    let (interface, version) = rest.split_once('@')?;
    let is_known_version = version
        .strip_prefix("0.2.")
        .and_then(|patch| patch.parse().ok())
        .is_some_and(|patch: u32| patch <= WASI_NEWEST_PATCH);
    is_known_version.then_some((package, interface))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(name: &str) -> bool {
        !Imports::of([name.to_owned()]).unknown.is_empty()
    }

    #[test]
    fn the_contract_and_wasi_are_known() {
        let imports = Imports::of(
            [
                "kos:agent/types@0.1.0",
                "kos:agent/crypto@0.1.0",
                "kos:agent/audit@0.1.0",
                "wasi:cli/stdout@0.2.6",
                "wasi:sockets/tcp@0.2.0",
            ]
            .map(String::from),
        );
        assert!(imports.unknown.is_empty());
        assert_eq!(imports.names(), ["crypto", "audit"]);
    }

    #[test]
    fn requests_are_linked_for_components_that_import_them_alone() {
        let imports = |name: &str| Imports::of([name.to_owned()]);
        assert!(imports("wasi:http/outgoing-handler@0.2.6").http);
        assert!(imports("wasi:http/types@0.2.0").http);
        assert!(!imports("wasi:io/streams@0.2.6").http);
        assert!(imports("wasi:http/types@0.2.0").names().is_empty());
    }

    #[test]
    fn everything_else_is_unknown() {
        for name in [
            "kos:agent/crypto@0.2.0",
            "kos:agent/crypto",
            "kos:agent/vault-of-others@0.1.0",
            "kos:host/everything@0.1.0",
            "wasi:http/incoming-handler@0.2.6",
            "wasi:http/outgoing-handler@0.3.0",
            "wasi:cli/stdout@0.3.0",
            "wasi:cli/stdout@0.2.99",
            "wasi:cli/stdout",
            "env",
            "",
        ] {
            assert!(unknown(name), "{name:?}");
        }
    }
}
