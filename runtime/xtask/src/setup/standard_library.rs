//! Builds the standard library for the target and moves it into the toolchain.
//!
//! The compiler calls building its own library unstable, hence `RUSTC_BOOTSTRAP`; what comes out is used by the stable
//! compiler it was built with, and by no other.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::debian::Packages;
use super::toolchain::Toolchain;
use crate::scratch::Scratch;
use crate::shell::{self, say};
use crate::workspace::{AGENT_TARGET, cargo};

/// The start files and the C library, which the linker looks for in `self-contained`.
const SELF_CONTAINED: [&str; 3] = ["crt1-command.o", "crt1-reactor.o", "libc.a"];
/// An empty library: building it builds everything below it.
const MANIFEST: &str = "\
[package]
name = \"kos-setup\"
version = \"0.0.0\"
edition = \"2024\"

[lib]
path = \"lib.rs\"

[workspace]
";

/// Builds, checks, and only then installs.
pub(crate) fn install(toolchain: &Toolchain, packages: &Packages) -> Result<()> {
    let libraries = toolchain.libraries();
    let stage = Scratch::inside(&libraries, "stage")?;
    place_sources(&libraries, stage.path(), packages)?;
    let built = build(packages)?;

    let sysroot = stage.path().join("sysroot/lib/rustlib");
    let target = sysroot.join(AGENT_TARGET);
    collect(&built, packages, &target.join("lib"))?;
    link_neighbours(&libraries, &sysroot)?;
    say("checking that a program compiles with it");
    toolchain.probe(&stage.path().join("sysroot"))?;
    swap_in(&target, &libraries.join(AGENT_TARGET), stage.path())
}

/// cargo looks for the sources at a fixed place in the toolchain; they are of use for other targets too.
fn place_sources(libraries: &Path, stage: &Path, packages: &Packages) -> Result<()> {
    let place = libraries.join("src/rust/library");
    if place.join("std/Cargo.toml").is_file() {
        say("the library's sources are in the toolchain already");
        return Ok(());
    }
    let copy = stage.join("library");
    shell::output(std::process::Command::new("cp").arg("-a").arg(packages.library()).arg(&copy))?;
    let parent = libraries.join("src/rust");
    fs::create_dir_all(&parent).with_context(|| format!("cannot create {}", parent.display()))?;
    swap_in(&copy, &place, stage)
}

/// Builds the library; returns the folder with the results.
fn build(packages: &Packages) -> Result<std::path::PathBuf> {
    let crate_folder = packages.work().join("crate");
    fs::create_dir_all(&crate_folder).with_context(|| format!("cannot create {}", crate_folder.display()))?;
    for (name, text) in [("Cargo.toml", MANIFEST), ("lib.rs", "")] {
        let path = crate_folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let target = packages.work().join("target");
    say("compiling it (with bitcode, so that agents may use link-time optimisation)");
    shell::run(
        cargo()
            .current_dir(&crate_folder)
            .args(["build", "-Zbuild-std=std,panic_abort", "--release", "--target", AGENT_TARGET])
            .env("CARGO_TARGET_DIR", &target)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Cembed-bitcode=yes")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("CARGO_BUILD_TARGET"),
    )?;
    Ok(target.join(AGENT_TARGET).join("release/deps"))
}

/// Copies the libraries of the target, and nothing else, into `place`.
fn collect(built: &Path, packages: &Packages, place: &Path) -> Result<()> {
    let contained = place.join("self-contained");
    fs::create_dir_all(&contained).with_context(|| format!("cannot create {}", contained.display()))?;
    for name in SELF_CONTAINED {
        copy(&packages.c_library().join(name), &contained.join(name))?;
    }
    let mut count = 0_u32;
    for entry in fs::read_dir(built).with_context(|| format!("cannot list {}", built.display()))? {
        let path = entry.with_context(|| format!("cannot list {}", built.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".rlib") && !name.starts_with("libkos_setup") {
            copy(&path, &place.join(&*name))?;
            count += 1;
        }
    }
    ensure!(count > 0, "the build left no libraries in {}", built.display());
    Ok(())
}

/// Lets a compiler that is pointed at the prepared folder find the host's linker.
fn link_neighbours(libraries: &Path, sysroot: &Path) -> Result<()> {
    for entry in fs::read_dir(libraries).with_context(|| format!("cannot list {}", libraries.display()))? {
        let entry = entry.with_context(|| format!("cannot list {}", libraries.display()))?;
        let name = entry.file_name();
        if name.to_string_lossy().contains("-linux-") && entry.path().join("bin").is_dir() {
            let link = sysroot.join(&name);
            std::os::unix::fs::symlink(entry.path(), &link)
                .with_context(|| format!("cannot link {}", link.display()))?;
        }
    }
    Ok(())
}

/// Moves a finished folder to its place in one step; what lay there goes away with the stage.
fn swap_in(finished: &Path, place: &Path, stage: &Path) -> Result<()> {
    if place.exists() {
        say(format!("replacing {}, which does not work", place.display()));
        let old = stage.join("old");
        fs::rename(place, &old).with_context(|| format!("cannot move {} away", place.display()))?;
    }
    fs::rename(finished, place).with_context(|| format!("cannot move the result to {}", place.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
