//! The compiler in use: its version, its folder, and whether it has the target.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::scratch::Scratch;
use crate::shell;
use crate::workspace::{AGENT_TARGET, rustc};

/// A program that needs the whole standard library and the linker.
const PROBE: &str = "fn main() { println!(\"{}\", std::env::args().count()); }\n";

/// The toolchain that compiles the workspace.
pub(crate) struct Toolchain {
    /// The compiler's version, as in `1.95.0`.
    pub(crate) release: String,
    sysroot: PathBuf,
}

impl Toolchain {
    pub(crate) fn active() -> Result<Self> {
        let version = shell::output(rustc().arg("-vV"))?;
        let release = version
            .lines()
            .find_map(|line| line.strip_prefix("release: "))
            .context("`rustc -vV` names no release")?
            .to_owned();
        let sysroot = PathBuf::from(shell::output(rustc().args(["--print", "sysroot"]))?.trim_end());
        Ok(Self { release, sysroot })
    }

    /// The folder of the libraries, one folder for each target.
    pub(crate) fn libraries(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib")
    }

    /// Whether a program compiles and links for the target.
    pub(crate) fn has_target(&self) -> Result<bool> {
        if !self.libraries().join(AGENT_TARGET).is_dir() {
            return Ok(false);
        }
        Ok(self.probe(&self.sysroot).is_ok())
    }

    /// Compiles a program with the libraries below `sysroot`, which may be one that is still being prepared.
    pub(crate) fn probe(&self, sysroot: &Path) -> Result<()> {
        let scratch = Scratch::inside(&std::env::temp_dir(), "probe")?;
        let source = scratch.path().join("probe.rs");
        fs::write(&source, PROBE).with_context(|| format!("cannot write {}", source.display()))?;
        shell::output(
            rustc()
                .current_dir(scratch.path())
                .args(["--edition", "2024", "--target", AGENT_TARGET, "-Clto=fat", "--sysroot"])
                .arg(sysroot)
                .arg(&source),
        )?;
        Ok(())
    }

    /// Says early that the libraries cannot be written, not after the build.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if let Err(error) = Scratch::inside(&self.libraries(), "write-test") {
            bail!("the toolchain's folder cannot be written: {error:#}");
        }
        Ok(())
    }
}
