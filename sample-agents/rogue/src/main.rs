//! One component with many attacks, chosen by name: `rogue NAME`; `rogue list` prints each name, a tab, and what must come
//! of it.
//!
//! What must come of an attack is one of
//! - the outcome with which the host ends the agent (`fuel`, `deadline`, `memory`, `handles`, `payload`, `stack`, `output`,
//!   `notes`, `trap`), or two of them with a `|` between where either is right;
//! - `error` where the agent ends itself with a status other than zero;
//! - the answer that the agent must get, as the last line of its standard output: `NAME: denied`, `NAME: invalid`,
//!   `NAME: limited`, or `NAME: ok` for what harms nobody. The outcome is then `ok`.
//!
//! An attack that succeeds, or gets another answer, says so on its last line, and the outcome is `error`.
//!
//! Components that no compiler makes are in `wat/`, each with what must come of it in its first line.
#![expect(clippy::print_stdout, reason = "its answers are what the tests read")]

#[cfg(target_arch = "wasm32")]
mod allocator;
mod escape;
mod flood;
#[cfg(target_arch = "wasm32")]
mod forge;
#[cfg(target_arch = "wasm32")]
mod growth;
mod loops;
mod scope;
mod vault;
mod verdict;

use std::env;
use std::process::ExitCode;

use verdict::Verdict;

/// What can be tried, and what must come of it.
struct Attack {
    name: &'static str,
    expected: &'static str,
    run: fn() -> Verdict,
}

impl Attack {
    const fn new(name: &'static str, expected: &'static str, run: fn() -> Verdict) -> Self {
        Self { name, expected, run }
    }
}

/// Every attack. Those that need what only WebAssembly has are left out of other builds.
const ATTACKS: &[&[Attack]] = &[
    scope::ATTACKS,
    vault::ATTACKS,
    escape::ATTACKS,
    flood::ATTACKS,
    loops::ATTACKS,
    #[cfg(target_arch = "wasm32")]
    growth::ATTACKS,
    #[cfg(target_arch = "wasm32")]
    forge::ATTACKS,
    #[cfg(target_arch = "wasm32")]
    allocator::ATTACKS,
];

fn main() -> ExitCode {
    let name = env::args().nth(1).unwrap_or_else(|| "list".to_owned());
    let mut attacks = ATTACKS.iter().copied().flatten();
    if name == "list" {
        attacks.for_each(|attack| println!("{}\t{}", attack.name, attack.expected));
        return ExitCode::SUCCESS;
    }
    let Some(attack) = attacks.find(|attack| attack.name == name) else {
        println!("{name}: there is no such attack");
        return ExitCode::FAILURE;
    };
    let verdict = (attack.run)();
    println!("{name}: {verdict}");
    if verdict.name() == attack.expected { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
