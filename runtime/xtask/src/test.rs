//! `cargo xtask test`: every check that a change must pass, from the formatting to the last test.
//!
//! clippy and the documentation read the dependencies in one form, the tests in another; each form is compiled once,
//! because the selection of packages is the same everywhere.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::shell::{self, heading, say};
use crate::workspace::{AGENT_TARGET, Workspace};
use crate::{agents, setup};

/// How much is checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Everything.
    Full,
    /// Everything but the documentation.
    Quick,
}

/// Runs the checks one after the other and stops at the first that fails.
pub(crate) fn execute(extent: Extent) -> Result<()> {
    let workspace = Workspace::find()?;
    let mut steps = Steps::begin();
    steps.run("set-up", || setup::execute().and_then(|()| setup::message_server::execute()))?;
    steps.run("formatting", || shell::run(workspace.cargo().args(["fmt", "--all", "--check"])))?;
    steps.run("clippy", || lint_host(&workspace))?;
    steps.run("clippy for agents", || lint_agents(&workspace))?;
    if extent == Extent::Full {
        steps.run("documentation", || document(&workspace))?;
    }
    steps.run("agents", || agents::build(&workspace))?;
    let results = steps.run("tests", || test(&workspace))?;
    steps.print();
    eprintln!();
    let mut own = std::io::stdout();
    for line in results {
        writeln!(own, "{line}").context("cannot print")?;
    }
    Ok(())
}

/// The steps done so far, each with its time.
struct Steps {
    begun: Instant,
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    fn begin() -> Self {
        Self { begun: Instant::now(), done: Vec::new() }
    }

    fn run<T>(&mut self, name: &'static str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        heading(format!("[{:>5.0} s] {name}", self.begun.elapsed().as_secs_f64()));
        let start = Instant::now();
        let value = step().with_context(|| format!("the step \"{name}\" failed"))?;
        self.done.push((name, start.elapsed()));
        Ok(value)
    }

    fn print(&self) {
        heading("What was checked");
        for (name, time) in &self.done {
            say(format!("{name:<20} {:>7.1} s", time.as_secs_f64()));
        }
        say(format!("{:<20} {:>7.1} s", "all", self.begun.elapsed().as_secs_f64()));
    }
}

/// Selects the packages that run on the host; the agents only make sense as components.
fn select_host(workspace: &Workspace, command: &mut Command) -> Result<()> {
    command.args(["--locked", "--workspace"]);
    for name in workspace.agents()? {
        command.args(["--exclude", &name]);
    }
    Ok(())
}

fn lint_host(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo();
    command.arg("clippy");
    select_host(workspace, &mut command)?;
    shell::run(command.args(["--all-targets", "--", "-D", "warnings"]))
}

fn lint_agents(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo();
    command.args(["clippy", "--release", "--locked", "--target", AGENT_TARGET, "--package", "kos-sdk"]);
    for name in workspace.agents()? {
        command.args(["--package", &name]);
    }
    shell::run(command.args(["--", "-D", "warnings"]))
}

fn document(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo();
    command.args(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    select_host(workspace, &mut command)?;
    shell::run(&mut command)
}

/// Runs all tests; returns the closing line of each program that held any.
fn test(workspace: &Workspace) -> Result<Vec<String>> {
    let mut command = workspace.cargo();
    command.arg("test");
    select_host(workspace, &mut command)?;
    echo(&mut command, |line| {
        line.starts_with("test result:") && !line.contains(" 0 passed; 0 failed; 0 ignored")
    })
}

/// Runs a program, passes its stdout on, and keeps the lines that `is_wanted`.
fn echo(command: &mut Command, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let line = shell::line(command);
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start `{line}`"))?;
    let stdout = child.stdout.take().context("the program has no stdout")?;
    let mut kept = Vec::new();
    let mut own = std::io::stdout();
    for text in BufReader::new(stdout).split(b'\n') {
        let text = text.with_context(|| format!("cannot read what `{line}` prints"))?;
        let text = String::from_utf8_lossy(&text);
        writeln!(own, "{text}").context("cannot print")?;
        if is_wanted(&text) {
            kept.push(text.into_owned());
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(kept)
}
