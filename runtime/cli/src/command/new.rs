//! `kos new`: begins an agent from a template.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use kos_core::id::Name;
use serde_json::json;

use super::Ended;
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{Columns, GOOD, paint};

/// The files of a new agent, with `{{name}}` and `{{sdk}}` to be filled in.
const TEMPLATE: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("../../template/Cargo.toml.in")),
    ("src/main.rs", include_str!("../../template/src/main.rs")),
    ("agent.toml", include_str!("../../template/agent.toml")),
    ("permissions.toml", include_str!("../../template/permissions.toml")),
    ("README.md", include_str!("../../template/README.md")),
    (".gitignore", include_str!("../../template/.gitignore")),
];
/// What marks a checkout of kOS: its SDK.
const SDK_MANIFEST: &str = "guest-sdk/Cargo.toml";
/// The SDK that belongs to this program.
const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// `kos new NAME`.
#[derive(Debug, Args)]
pub struct New {
    /// The agent's name, and its folder's: a-z, 0-9 and `-`.
    name: Name,
    /// The SDK: a folder, or a version [default: a checkout that the current directory is in, else this version].
    #[arg(long, value_name = "PATH|VERSION")]
    sdk: Option<String>,
}

impl New {
    /// Writes the folder.
    ///
    /// # Errors
    /// When it is there already, or cannot be written; then none is left.
    pub fn run(&self, context: &Context) -> Ended {
        let folder = PathBuf::from(self.name.as_str());
        let sdk = self.dependency()?;
        fs::create_dir(&folder).doing(format!("cannot create {}", folder.display()))?;
        if let Err(failure) = self.write(&folder, &sdk) {
            let _ = fs::remove_dir_all(&folder);
            return Err(failure);
        }
        context.output.answer(&json!({ "folder": folder, "sdk": sdk }), || for_person(&folder))?;
        Ok(ExitCode::SUCCESS)
    }

    fn write(&self, folder: &Path, sdk: &str) -> Result<(), Failure> {
        for (name, text) in TEMPLATE {
            let path = folder.join(name);
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)?;
            }
            let text = text.replace("{{name}}", self.name.as_str()).replace("{{sdk}}", sdk);
            fs::write(&path, text).doing(format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// The dependency on the SDK, as Cargo.toml writes it.
    fn dependency(&self) -> Result<String, Failure> {
        let here = std::env::current_dir()?;
        match &self.sdk {
            Some(text) if Path::new(text).join("Cargo.toml").is_file() => {
                Ok(by_path(&std::path::absolute(text)?))
            }
            Some(text) if text.starts_with(|first: char| first.is_ascii_digit()) => Ok(by_version(text)),
            Some(text) => {
                Err(Failure::new(format!("`{text}` is no folder with a Cargo.toml, and no version")))
            }
            None => Ok(here
                .ancestors()
                .find(|directory| directory.join(SDK_MANIFEST).is_file())
                .map_or_else(|| by_version(SDK_VERSION), |checkout| by_path(&checkout.join("guest-sdk")))),
        }
    }
}

fn by_path(path: &Path) -> String {
    let path = path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    format!("{{ path = \"{path}\" }}")
}

fn by_version(version: &str) -> String {
    format!("\"{}\"", version.replace(['"', '\\'], ""))
}

fn for_person(folder: &Path) -> String {
    let name = folder.display();
    let mut steps = Columns::facts();
    for (command, purpose) in [
        (format!("cd {name}"), "what it is and needs stands in agent.toml, the code in src/main.rs"),
        ("cargo build --release --target wasm32-wasip2".to_owned(), "build it"),
        (format!("kos sign target/wasm32-wasip2/release/{name}.wasm"), "sign it as its author"),
    ] {
        steps.fact(&format!("  {command}"), purpose);
    }
    format!("{}\nNext:\n{}", paint(GOOD, format!("made {name}/")), steps.or_else(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_no_place_left_open() {
        for (name, text) in TEMPLATE {
            let filled = text.replace("{{name}}", "hello").replace("{{sdk}}", &by_version("0.1.0"));
            assert!(!filled.contains("{{"), "{name}");
        }
    }

    #[test]
    fn a_path_with_quotes_stays_one_toml_string() {
        assert_eq!(by_path(Path::new("/a\"b")), "{ path = \"/a\\\"b\" }");
        assert_eq!(by_version("0.1\""), "\"0.1\"");
    }
}
