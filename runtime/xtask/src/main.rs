//! `cargo xtask`: sets the machine up, builds the agents, demonstrates and tests kOS.
//!
//! In scope: starting other programs in the right order, and saying what happens. Out of scope: anything kOS
//! itself does; the demo drives the real binaries and reads what they print.

use std::process::ExitCode;

use anyhow::Context as _;

mod agents;
mod demo;
mod fuzz;
mod scratch;
mod setup;
mod shell;
mod supply;
mod test;
mod workspace;

const HELP: &str = "\
cargo xtask COMMAND

  setup           get the wasm32-wasip2 target that agents are compiled for
  agents          set up, then build every agent of sample-agents/ as a component
  test [--quick]  set up, then formatting, clippy, documentation (not with --quick), agents and all tests
  demo [--dev]    set up, build, and show the whole of kOS once, in target/demo; --dev with the builds of the tests
  fuzz [TARGET] [--seconds N]
                  search the parsers with libFuzzer, each for N seconds (60)
  supply          check that no dependency is older than a version known to be flawed
";

/// How long a parser is searched for where nothing else is said.
const FUZZ_SECONDS: u32 = 60;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["setup"] => setup::execute(),
        ["agents"] => agents::execute(),
        ["demo"] => demo::execute(demo::Build::Release),
        ["demo", "--dev"] => demo::execute(demo::Build::Development),
        ["test"] => test::execute(test::Extent::Full),
        ["test", "--quick"] => test::execute(test::Extent::Quick),
        ["supply"] => supply::execute(),
        ["fuzz"] => fuzz::execute(None, FUZZ_SECONDS),
        ["fuzz", target] if !target.starts_with('-') => fuzz::execute(Some(target), FUZZ_SECONDS),
        ["fuzz", "--seconds", seconds] => number(seconds).and_then(|seconds| fuzz::execute(None, seconds)),
        ["fuzz", target, "--seconds", seconds] => {
            number(seconds).and_then(|seconds| fuzz::execute(Some(target), seconds))
        }
        [] | ["help" | "--help" | "-h"] => {
            eprint!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("unknown command: {}\n\n{HELP}", words.join(" "));
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn number(text: &str) -> anyhow::Result<u32> {
    text.parse().with_context(|| format!("`{text}` is not a whole number"))
}
