//! `kos explain`: why an agent may or may not use a capability.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use kos_core::capability::Capability;
use kos_core::clock::{Clock as _, SystemClock};
use kos_core::id::Name;
use kos_core::permission::{Explanation, Facts, Usage, explain};

use super::Ended;
use crate::component;
use crate::context::Context;
use crate::failure::{Explain as _, FAILED, Failure};
use crate::output::{BAD, Columns, FAINT, GOOD, cell, clean, paint};

/// `kos explain AGENT.wasm CAPABILITY[:SCOPE]`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  kos explain hello.signed.wasm crypto.sign:receipt
Uses and rates count in the running host and are taken as unused here.
Exit status: 0 it is allowed, 1 it is denied.")]
pub struct Explain {
    /// The agent's component.
    #[arg(value_name = "AGENT.wasm")]
    component: PathBuf,
    /// What it would use, and for what: CAPABILITY or CAPABILITY:SCOPE.
    #[arg(value_name = "CAPABILITY[:SCOPE]")]
    wanted: String,
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
        let (capability, scope) = self.wanted()?;
        let (home, config) = context.open_home()?;
        let now = SystemClock.now();
        let judged = component::judge(&home, &config, component::read(&self.component, None)?, now)
            .doing("the component may not run, whatever it would use")?;
        let environment = self.environment.as_ref();
        let facts = Facts { now, environment, usage: Usage::NONE, is_locked: false };
        let mut explanation = explain(&judged.effective, capability, scope, &facts);
        explanation.change = explanation.change.replace("AGENT.wasm", &self.component.display().to_string());
        context.output.answer(&explanation, || for_person(&explanation))?;
        let is_allowed = explanation.decision.is_allowed();
        Ok(if is_allowed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }

    fn wanted(&self) -> Result<(Capability, &str), Failure> {
        let (name, scope) = self.wanted.split_once(':').unwrap_or((&self.wanted, ""));
        let capability: Capability = name.parse()?;
        match capability.describes_scope() {
            Some(what) if scope.is_empty() => Err(Failure::new(format!(
                "`{capability}` is held for scopes, and none is named"
            ))
            .remedy(format!(
                "kos explain {} {capability}:SCOPE, where SCOPE is the {what}",
                self.component.display()
            ))),
            _ => Ok((capability, scope)),
        }
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
    let mut text = format!("{verdict}\n  because:      {because}\n  to change it: {change}");
    if !explanation.considered.is_empty() {
        let mut table = Columns::new(&["GRANT", "SAYS"]);
        for rule in &explanation.considered {
            table.row([cell(rule.grant), cell(&rule.says)]);
        }
        text.push_str(&format!("\n\n{}", table.or_else("")));
    } else {
        text.push_str(&format!("\n{}", paint(FAINT, "no grant says anything about it")));
    }
    text
}
