//! `kos`: keys, trust, grants and the log.

use std::process::ExitCode;

fn main() -> ExitCode {
    kos_cli::hardening::harden();
    kos_host::compile::child().unwrap_or_else(kos_cli::kos)
}
