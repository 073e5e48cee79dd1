//! The command line of kOS: words and wiring around the core and the host.
//!
//! In scope: arguments, prompts, tables, exit statuses, and the order of calls. Out of scope: every rule; a check that
//! protects anything is made in `kos-core` or `kos-host`, and a program that uses those gets it too.

pub mod command;
pub mod component;
pub mod context;
pub mod failed_unlocks;
pub mod failure;
pub mod hardening;
pub mod output;
pub mod prompt;
pub mod session;
pub mod unlock;

use std::process::ExitCode;

use clap::Parser as _;

/// The program `kos`: keys, trust, grants and the log.
#[must_use]
pub fn kos() -> ExitCode {
    let arguments = command::Kos::parse();
    start_tracing();
    let context = arguments.context();
    let result = context.and_then(|context| arguments.command.run(&context));
    finish("kos", arguments.globals.json, result)
}

/// The program `kos-run`: launches agents.
#[must_use]
pub fn kos_run() -> ExitCode {
    let arguments = command::run::KosRun::from_command_line();
    start_tracing();
    let json = arguments.json;
    finish("kos-run", json, arguments.run())
}

fn finish(program: &str, json: bool, result: Result<ExitCode, failure::Failure>) -> ExitCode {
    result.unwrap_or_else(|failure| {
        failure.report(program, json);
        failure.exit_code()
    })
}

/// Diagnostics for developers, where `KOS_LOG` asks for them (`KOS_LOG=debug`).
fn start_tracing() {
    if let Ok(filter) = std::env::var("KOS_LOG") {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
            .with_writer(std::io::stderr)
            .init();
    }
}
