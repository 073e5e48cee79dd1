//! The sources of the standard library and the C library of the target, from Debian's signed packages.
//!
//! apt checks the signatures. It runs with a configuration of its own, so neither the machine's list of sources nor
//! its installed packages change. The address of the mirror is taken from the machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

use crate::scratch::Scratch;
use crate::shell::{self, say};

/// The suite that carries current compilers.
const SUITE: &str = "trixie-backports";
/// The keys that Debian signs with, from the package `debian-archive-keyring`.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The unpacked packages.
pub(crate) struct Packages {
    scratch: Scratch,
    release: String,
}

impl Packages {
    /// The standard library's sources.
    pub(crate) fn library(&self) -> PathBuf {
        self.scratch.path().join(format!("root/usr/src/rustc-{}/library", self.release))
    }

    /// The C library of the target and its start files.
    pub(crate) fn c_library(&self) -> PathBuf {
        self.scratch.path().join("root/usr/lib/wasm32-wasip2")
    }

    /// A folder for work on them, removed with them.
    pub(crate) fn work(&self) -> &Path {
        self.scratch.path()
    }
}

/// Downloads and unpacks the sources of exactly this release.
pub(crate) fn fetch(release: &str) -> Result<Packages> {
    for (tool, package) in [("apt-get", "apt"), ("dpkg-deb", "dpkg")] {
        if !shell::is_available(tool) {
            bail!("{tool} is missing (Debian's package `{package}`); this way needs a Debian system");
        }
    }
    if !Path::new(KEYRING).is_file() {
        bail!("{KEYRING} is missing; `apt-get install debian-archive-keyring` brings it");
    }
    let mirror = mirror()?;
    let scratch = Scratch::inside(&env::temp_dir(), "setup")?;
    let apt = Apt::new(scratch.path(), &mirror)?;
    say(format!("reading the package list of {SUITE}, signed by Debian's archive key"));
    shell::output(apt.command().arg("update"))?;
    say(format!("downloading the sources of rustc {release} and wasi-libc (46 MB)"));
    let sources = format!("rust-src={release}*");
    shell::output(apt.command().args(["download", &sources, "wasi-libc"]))
        .with_context(|| format!("{SUITE} has no sources of rustc {release}"))?;
    apt.unpack()?;
    Ok(Packages { scratch, release: release.to_owned() })
}

/// The address that this machine gets its own packages from.
fn mirror() -> Result<String> {
    let codename = codename()?;
    if let Some(site) = first_site(&codename)? {
        return Ok(site);
    }
    say("apt has no package lists yet: updating them");
    shell::output(Command::new("apt-get").arg("update"))?;
    first_site(&codename)?
        .with_context(|| format!("apt knows no source of packages for {codename}; is this a Debian system?"))
}

fn first_site(codename: &str) -> Result<Option<String>> {
    let filter = format!("Codename: {codename}");
    let sites = shell::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(SITE)",
        "Created-By: Packages",
        &filter,
    ]))?;
    Ok(sites.lines().map(str::trim).find(|site| !site.is_empty()).map(str::to_owned))
}

fn codename() -> Result<String> {
    let file = "/etc/os-release";
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .with_context(|| format!("{file} names no VERSION_CODENAME"))
}

/// apt with one source and no memory of the machine's.
struct Apt<'a> {
    folder: &'a Path,
}

impl<'a> Apt<'a> {
    fn new(folder: &'a Path, mirror: &str) -> Result<Self> {
        for name in ["sources", "lists/partial", "cache/archives/partial", "packages"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        }
        let source = format!("deb [signed-by={KEYRING}] {mirror} {SUITE} main\n");
        let list = folder.join("sources/kos.list");
        fs::write(&list, source).with_context(|| format!("cannot write {}", list.display()))?;
        Ok(Self { folder })
    }

    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.current_dir(self.folder.join("packages"));
        command.args(["-q", "-o", "Dir::Etc::sourcelist=/dev/null", "-o", "APT::Sandbox::User="]);
        for (setting, folder) in
            [("Dir::Etc::sourceparts", "sources"), ("Dir::State::lists", "lists"), ("Dir::Cache", "cache")]
        {
            command.arg("-o").arg(format!("{setting}={}", self.folder.join(folder).display()));
        }
        command
    }

    fn unpack(&self) -> Result<()> {
        let folder = self.folder.join("packages");
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let package = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
            shell::output(Command::new("dpkg-deb").arg("-x").arg(package).arg(self.folder.join("root")))?;
        }
        Ok(())
    }
}
