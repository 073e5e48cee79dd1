//! `kos explain`: why an agent may or may not use a capability, and why it was refused one.

mod entry;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use kos_core::capability::Capability;
use kos_core::clock::{Clock as _, SystemClock};
use kos_core::id::Name;
use kos_core::permission::{Explanation, Facts, RefusedBy, UseLedger, explain};

use super::Ended;
use crate::component;
use crate::context::Context;
use crate::failure::{Explain as _, FAILED, Failure};
use crate::output::{BAD, Columns, FAINT, GOOD, cell, clean, paint};

/// `kos explain AGENT.wasm CAPABILITY[:SCOPE]`, `kos explain --entry ID`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kos explain hello.signed.wasm crypto.sign:receipt
  kos explain --entry 41                    why the log has a permission_denied at this index
The rule is named with the file and line where its operator wrote it, which are signed with the grant.
Of an entry, what is in force now is told beside what was; what the author declares is taken from it.
Uses and rates are those of this home; what a running host has taken and not used counts as used.
Exit status: 0 it is allowed, 1 it is denied.")]
pub struct Explain {
    /// The agent's component.
    #[arg(value_name = "AGENT.wasm", required_unless_present = "entry")]
    component: Option<PathBuf>,
    /// What it would use, and for what: CAPABILITY or CAPABILITY:SCOPE.
    #[arg(value_name = "CAPABILITY[:SCOPE]", required_unless_present = "entry")]
    wanted: Option<String>,
    /// Explain the refusal that the log tells of in this entry: its index or its id.
    #[arg(long, value_name = "ID", conflicts_with_all = ["component", "wanted"])]
    entry: Option<String>,
    /// The environment in which the host would run it.
    #[arg(long, value_name = "NAME")]
    environment: Option<Name>,
}

impl Explain {
    /// Explains.
    ///
    /// # Errors
    /// When the component itself is refused.
    pub fn run(&self, context: &Context) -> Ended {
        match (&self.entry, &self.component, &self.wanted) {
            (Some(id), ..) => entry::explain(context, id, self.environment.as_ref()),
            (None, Some(component), Some(wanted)) => self.explain(context, component, wanted),
            (None, ..) => Err(Failure::new("nothing is named").remedy("kos explain AGENT.wasm CAPABILITY")),
        }
    }

    fn explain(&self, context: &Context, path: &Path, wanted: &str) -> Ended {
        let (capability, scope) = parse(path, wanted)?;
        let (home, config) = context.open_home()?;
        let now = SystemClock.now();
        let judged = component::judge(&home, &config, component::read(path, None)?, now)
            .doing("the component may not run, whatever it would use")?;
        let environment = self.environment.as_ref();
        let usage = UseLedger::kept_in(home.uses()).usage(&judged.effective, now);
        let facts = Facts { now, environment, usage: &usage, is_locked: false };
        let mut explanation = explain(&judged.effective, capability, scope, &facts);
        explanation.change = explanation.change.replace("AGENT.wasm", &path.display().to_string());
        context.output.answer(&explanation, || for_person(&explanation))?;
        let is_allowed = explanation.decision.is_allowed();
        Ok(if is_allowed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }
}

fn parse<'a>(path: &Path, wanted: &'a str) -> Result<(Capability, &'a str), Failure> {
    let (name, scope) = wanted.split_once(':').unwrap_or((wanted, ""));
    let capability: Capability = name.parse()?;
    match capability.describes_scope() {
        Some(what) if scope.is_empty() => Err(Failure::new(format!(
            "`{capability}` is held for scopes, and none is named"
        ))
        .remedy(format!("kos explain {} {capability}:SCOPE, where SCOPE is the {what}", path.display()))),
        _ => Ok((capability, scope)),
    }
}

fn for_person(explanation: &Explanation) -> String {
    let what = match explanation.scope.as_str() {
        "" => explanation.capability.to_string(),
        scope => format!("{}:{}", explanation.capability, clean(scope)),
    };
    let verdict = if explanation.decision.is_allowed() {
        paint(GOOD, format!("{what} is allowed"))
    } else {
        paint(BAD, format!("{what} is denied"))
    };
    let (because, change) = (clean(&explanation.because), clean(&explanation.change));
    let mut text = format!("{verdict}\n  because:      {because}");
    if let Some(place) = explanation.rule.as_ref().and_then(|rule| rule.place.as_ref()) {
        text.push_str(&format!("\n  written at:   {}", clean(&place.to_string())));
    }
    if let Some(refused_by) = explanation.refused_by {
        text.push_str(&format!("\n  asked:        {}", asked(refused_by)));
    }
    text.push_str(&format!("\n  to change it: {change}"));
    if !explanation.considered.is_empty() {
        let mut table = Columns::new(&["GRANT", "WRITTEN AT", "SAYS"]);
        for rule in &explanation.considered {
            let place = rule.place.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            table.row([cell(rule.grant), cell(place), cell(&rule.says)]);
        }
        text.push_str(&format!("\n\n{}", table.or_else("")));
    } else {
        text.push_str(&format!("\n{}", paint(FAINT, "no grant says anything about it")));
    }
    text
}

/// What was asked up to the refusal, in the order in which it is asked.
fn asked(refused_by: RefusedBy) -> String {
    const ORDER: [RefusedBy; 4] =
        [RefusedBy::Declared, RefusedBy::Ceiling, RefusedBy::Granted, RefusedBy::Condition];
    let mut words = Vec::new();
    if let Some(place) = ORDER.iter().position(|asked| *asked == refused_by) {
        words.extend(ORDER.iter().take(place).map(|passed| format!("{} yes", passed.as_str())));
    }
    words.push(paint(BAD, format!("{} no", refused_by.as_str())));
    words.join(", ")
}
