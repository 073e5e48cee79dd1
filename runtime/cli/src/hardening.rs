//! What a process that holds keys denies to others of the same user: its memory, alive or as a core dump.
//!
//! Source: `prctl(2)` (`PR_SET_DUMPABLE`), `setrlimit(2)`, Linux. Out of scope: whoever is root, and the memory that is
//! locked (`kos_core::custody`).

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Leaves no core dump, and lets nobody but root trace this process or read its memory. To be called before anything is
/// read. Where the system refuses, the keys are as safe as those of any other program.
pub fn harden() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "a core dump of this process could hold keys");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "other processes of this user can read the memory of this one");
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn a_hardened_process_leaves_no_dump_and_is_closed_to_its_user() {
        harden();
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
    }
}
