//! `kos kill-switch --destroy`: the keys and secrets of a home go, and its log stays.

use clap::Args;
use kos_core::custody::{self, AgentStorage, Destroyed};
use kos_core::home::Home;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{BAD, CARE, paint};
use crate::prompt;

/// Whether, and how far.
#[derive(Debug, Args)]
#[command(next_help_heading = "Destroying")]
pub(super) struct Destroy {
    /// Then destroy the slots, keys, vaults and compiled agents of this home, for good. No secret is needed.
    #[arg(long)]
    destroy: bool,
    /// Destroy what agents have stored, too.
    #[arg(long, requires = "destroy")]
    with_storage: bool,
    /// Do not ask before destroying, either.
    #[arg(long, requires = "destroy")]
    yes_destroy: bool,
}

impl Destroy {
    pub(super) fn is_asked(&self) -> bool {
        self.destroy
    }

    pub(super) fn confirm(&self, home: &Home) -> Result<(), Failure> {
        if !self.destroy || self.yes_destroy {
            return Ok(());
        }
        if !prompt::is_possible() {
            return Err(Failure::new("nobody can be asked whether to destroy every key and secret")
                .remedy("--yes-destroy"));
        }
        let name = home.root().file_name().unwrap_or(home.root().as_os_str()).to_string_lossy();
        prompt::confirm(&format!("destroy {name}"))
    }

    pub(super) fn carry_out(&self, home: &Home) -> Option<Destroyed> {
        let storage = if self.with_storage { AgentStorage::Destroyed } else { AgentStorage::Kept };
        self.destroy.then(|| custody::destroy(home, storage))
    }
}

pub(super) fn to_json(destroyed: &Destroyed) -> Value {
    json!({ "files": destroyed.files, "left": destroyed.left })
}

pub(super) fn for_person(destroyed: &Destroyed) -> String {
    format!(
        "{}\n{}",
        paint(
            BAD,
            format!(
                "destroyed: {}; no key of this home can be used again",
                super::counted(destroyed.files, "file")
            )
        ),
        paint(
            CARE,
            "files were overwritten, which on flash and in backups proves nothing: the promise is that without a slot the\n\
             root key is gone. Key files and exports outside of the home are not touched. The log stays, and verifies."
        )
    )
}

/// Whether everything is gone.
pub(super) fn check(destroyed: &Destroyed) -> Result<(), Failure> {
    if destroyed.left.is_empty() {
        return Ok(());
    }
    let failure = Failure::new("not everything could be removed");
    Err(destroyed.left.iter().fold(failure, |failure, path| failure.why(path.display())))
}
