//! Placeholder.
use clap::Args;

/// Placeholder.
#[derive(Debug, Args)]
pub struct Ps {}

impl Ps {
    /// Placeholder.
    ///
    /// # Errors
    /// Never.
    pub fn run(&self, _context: &crate::context::Context) -> super::Ended {
        Ok(std::process::ExitCode::SUCCESS)
    }
}
