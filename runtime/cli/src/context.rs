//! Where a command works: the home, and how it answers.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use kos_core::home::{Home, HomeError, HostConfig};

use crate::failure::{Explain as _, Failure};
use crate::output::Output;

/// Names the home where no argument does.
const HOME_VARIABLE: &str = "KOS_HOME";
/// The directory of a home inside the platform's data directory.
const HOME_NAME: &str = "kos";

/// What every command works with.
#[derive(Debug)]
pub struct Context {
    home: PathBuf,
    /// How to answer.
    pub output: Output,
}

impl Context {
    /// A context with the home at `home`, else at `$KOS_HOME`, else in the platform's data directory.
    ///
    /// # Errors
    /// When no home is named and the user has no home directory either.
    pub fn new(home: Option<&Path>, json: bool, quiet: bool) -> Result<Self, Failure> {
        let named = home.map(Path::to_owned).or_else(|| std::env::var_os(HOME_VARIABLE).map(PathBuf::from));
        let home = match named {
            Some(path) if path.as_os_str().is_empty() => {
                return Err(Failure::new("the home is named, but empty").remedy("--home DIR"));
            }
            Some(path) => path,
            None => etcetera::base_strategy::choose_base_strategy()
                .doing("there is no place for a home")
                .or_try("--home DIR")?
                .data_dir()
                .join(HOME_NAME),
        };
        Ok(Self { home, output: Output::new(json, quiet) })
    }

    /// Where the home is or would be.
    #[must_use]
    pub fn home_path(&self) -> &Path {
        &self.home
    }

    /// Opens the home.
    ///
    /// # Errors
    /// When there is none or it cannot be used.
    pub fn open_home(&self) -> Result<(Home, HostConfig), Failure> {
        Home::open(&self.home).map_err(|error| match error {
            HomeError::Missing { .. } => Failure::from(error).remedy(self.command("kos init")),
            HomeError::Open { ref path, .. } => {
                let remedy = format!("chmod 700 {}", path.display());
                Failure::from(error).remedy(remedy)
            }
            error => error.into(),
        })
    }

    /// Opens the home if there is one.
    ///
    /// # Errors
    /// When there is one that cannot be used.
    pub fn find_home(&self) -> Result<Option<(Home, HostConfig)>, Failure> {
        match self.open_home() {
            Err(_) if !Home::at(&self.home).host_file().exists() => Ok(None),
            result => result.map(Some),
        }
    }

    /// A command as it has to be typed to reach this home.
    #[must_use]
    pub fn command(&self, command: &str) -> String {
        let is_default = std::env::var_os(HOME_VARIABLE).is_some_and(|path| path == self.home)
            || etcetera::base_strategy::choose_base_strategy()
                .is_ok_and(|base| base.data_dir().join(HOME_NAME) == self.home);
        if is_default { command.to_owned() } else { format!("{command} --home {}", self.home.display()) }
    }
}
