//! `cargo xtask fuzz`: the parsers of `runtime/fuzz`, searched by libFuzzer for as long as it is told to.
//!
//! libFuzzer is built with the pinned compiler: what it needs is the compiler's own coverage pass. The inputs that it
//! collects lie under the build directory, and a finding beside them; `runtime/fuzz/seeds` is only read.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::shell::{self, heading, say};
use crate::workspace::{Workspace, host_target};

/// What libFuzzer has to see: each edge of the program, and what is compared.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
/// More memory than any parser needs for the longest input; libFuzzer reports one that takes more.
const MEMORY_MIB: u32 = 1024;

/// Searches `target`, or each in turn, for so many seconds.
pub(crate) fn execute(target: Option<&str>, seconds: u32) -> Result<()> {
    let workspace = Workspace::find()?;
    let all = targets(&workspace)?;
    let chosen = match target {
        None => all,
        Some(name) if all.iter().any(|known| known == name) => vec![name.to_owned()],
        Some(name) => bail!("there is no target `{name}`; there are: {}", all.join(", ")),
    };
    heading("Building the parsers with coverage");
    let folder = workspace.target().join("fuzz");
    let triple = host_target()?;
    let mut build = workspace.cargo();
    build.args([
        "build",
        "--locked",
        "--package",
        "kos-fuzz",
        "--features",
        "libfuzzer",
        "--target",
        &triple,
    ]);
    shell::run(build.arg("--target-dir").arg(&folder).env("RUSTFLAGS", COVERAGE))?;
    let program = folder.join(&triple).join("debug").join("kos-fuzz");
    let mut failed = Vec::new();
    for name in chosen {
        heading(format!("{name}, for {seconds} s"));
        let corpus = folder.join("corpus").join(&name);
        fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
        let mut search = Command::new(&program);
        search.env("KOS_FUZZ_TARGET", &name).arg(format!("-max_total_time={seconds}"));
        search.args([
            &format!("-rss_limit_mb={MEMORY_MIB}"),
            "-timeout=5",
            "-print_final_stats=1",
            "-verbosity=0",
        ]);
        search.arg(format!("-artifact_prefix={}/finding-{name}-", folder.display()));
        search.arg(&corpus).arg(workspace.root().join("runtime/fuzz/seeds").join(&name));
        if let Err(error) = shell::run(&mut search) {
            say(format!("{error:#}"));
            failed.push(name);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!(
        "findings in {} are in {}: each belongs into runtime/fuzz/seeds once it is mended",
        failed.join(", "),
        folder.display()
    )
}

/// The names of all targets, which are those of the folders of their seeds.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.root().join("runtime/fuzz/seeds");
    let found = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut names = found
        .map(|found| Ok(found?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<Vec<_>>>()
        .with_context(|| format!("cannot list {}", folder.display()))?;
    names.sort();
    Ok(names)
}
