//! `kos-run`: launches signed agents with exactly their grants.

use std::process::ExitCode;

fn main() -> ExitCode {
    kos_cli::hardening::harden();
    kos_host::compile::child().unwrap_or_else(kos_cli::kos_run)
}
