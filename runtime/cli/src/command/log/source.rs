//! Which log is meant: the home's, or a copied folder.

use std::path::PathBuf;

use clap::Args;
use kos_core::durable;
use kos_core::log::Vkey;

use crate::context::Context;
use crate::failure::{Explain as _, Failure};

/// A verification key is a line.
const VKEY_MAX: u64 = 4096;

/// Which log is read.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which log")]
pub(in crate::command) struct Source {
    /// The log in this folder instead of the home's; no home is needed then.
    #[arg(long, value_name = "LOGDIR")]
    pub(in crate::command) dir: Option<PathBuf>,
}

/// Whose signatures count.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which log")]
pub(in crate::command) struct Key {
    /// The log's verification key, or a file that holds it [default: the home's].
    #[arg(long, value_name = "VKEY|FILE")]
    pub(in crate::command) vkey: Option<String>,
}

impl Source {
    /// The folder of the log.
    pub(in crate::command) fn directory(&self, context: &Context) -> Result<PathBuf, Failure> {
        match &self.dir {
            Some(directory) => Ok(directory.clone()),
            None => Ok(context.open_home()?.0.log()),
        }
    }
}

impl Key {
    /// The verification key: the one that is named, else that of the home, never one from the log itself.
    pub(in crate::command) fn resolve(
        &self,
        context: &Context,
        source: Option<&Source>,
    ) -> Result<Vkey, Failure> {
        if let Some(text) = &self.vkey {
            return parse(text);
        }
        if source.is_some_and(|source| source.dir.is_some()) {
            return Err(Failure::new("a log in a folder is verified with a key that you name")
                .why("whoever altered the folder could have put another key into it")
                .remedy(
                    "--vkey VKEY, as `kos init` printed it (`kos log checkpoint --vkey-only` on the host)",
                ));
        }
        let (_, config) = context.open_home()?;
        Ok(Vkey::new(&config.origin, config.host)?)
    }
}

fn parse(text: &str) -> Result<Vkey, Failure> {
    let refused = format!("`{text}` is no verification key and no file that holds one");
    if let Ok(vkey) = text.parse::<Vkey>() {
        return Ok(vkey);
    }
    let bytes = durable::read_capped(text.as_ref(), VKEY_MAX).doing(&refused)?;
    let content = String::from_utf8(bytes).doing(&refused)?;
    content.trim().parse::<Vkey>().doing(&refused)
}
