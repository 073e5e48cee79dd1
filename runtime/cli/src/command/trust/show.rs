//! `kos trust list` and `kos trust explain`.

use std::process::ExitCode;

use clap::Args;
use kos_core::clock::{Clock as _, SystemClock};
use kos_core::id::Did;
use kos_core::trust::{TrustStore, VerifiedTrust};

use super::change::refused;
use crate::command::Ended;
use crate::context::Context;
use crate::failure::{FAILED, Failure};
use crate::output::{Columns, FAINT, STRONG, cell, paint, to_second, verdict};

/// `kos trust list`.
#[derive(Debug, Args)]
pub struct List {}

impl List {
    #[expect(clippy::unused_self, reason = "as every command")]
    pub(super) fn run(&self, context: &Context) -> Ended {
        let trust = load(context)?;
        context.output.answer(trust.store(), || for_person(&trust))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `kos trust explain DID`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 the key counts, 1 it does not.")]
pub struct Explain {
    /// An author's key.
    key: Did,
}

impl Explain {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let trust = load(context)?;
        let explanation = trust.explain(&self.key);
        context.output.answer(&explanation, || match explanation.remedy() {
            Some(remedy) => format!("{explanation}\nto change it: {}", context.command(&remedy)),
            None => explanation.to_string(),
        })?;
        Ok(if explanation.level.is_some() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }
}

/// The trust store in force; needs no unlocking.
pub(super) fn load(context: &Context) -> Result<VerifiedTrust, Failure> {
    let (home, config) = context.open_home()?;
    VerifiedTrust::load(&home, &config, SystemClock.now()).map_err(refused)
}

fn for_person(trust: &VerifiedTrust) -> String {
    let store = trust.store();
    let mut authors = Columns::new(&["AUTHOR", "LEVEL", "SINCE", "LABEL"]);
    for (did, author) in &store.authors {
        authors.row([
            cell(did),
            verdict(true, author.level),
            cell(to_second(author.since)),
            cell(author.label.as_deref().unwrap_or_default()),
        ]);
    }
    let nobody = "nobody is trusted, so no agent runs; trust an author: kos trust add DID --level partner";
    let mut text = authors.or_else(nobody);
    if let Some(revoked) = revoked(store) {
        text.push_str(&format!("\n\n{revoked}"));
    }
    let issued = format!("version {}, issued {}", store.version, to_second(store.issued));
    format!("{text}\n\n{}", paint(FAINT, issued))
}

fn revoked(store: &TrustStore) -> Option<String> {
    let mut table = Columns::new(&["REVOKED", "SINCE", "REASON"]);
    for (key, revocation) in &store.revoked_keys {
        table.row([verdict(false, key), cell(to_second(revocation.at)), cell(&revocation.reason)]);
    }
    for (component, revocation) in &store.revoked_components {
        table.row([verdict(false, component), cell(to_second(revocation.at)), cell(&revocation.reason)]);
    }
    let is_empty = store.revoked_keys.is_empty() && store.revoked_components.is_empty();
    (!is_empty).then(|| table.or_else(""))
}

/// A heading.
pub(super) fn heading(text: &str) -> String {
    paint(STRONG, text)
}
