//! What `kos grant` says: what is granted, what of it has no effect, and what is still missing.

use std::path::Path;
use std::process::ExitCode;

use kos_core::capability::Capability;
use kos_core::envelope::Envelope;
use kos_core::manifest::VerifiedComponent;
use kos_core::permission::{AgentPermissions, CapabilityRule, GrantId, Missing, ScopeItem};
use serde_json::json;

use crate::command::Ended;
use crate::command::grants::until;
use crate::component;
use crate::context::Context;
use crate::output::{CARE, Columns, FAINT, GOOD, cell, clean, paint, verdict};
use crate::session::in_force;

/// Writes the signed grant to a file, for installing elsewhere.
pub(super) fn write_to(
    context: &Context,
    path: &Path,
    envelope: &Envelope,
    permissions: &AgentPermissions,
    table: &str,
) -> Ended {
    component::write_public(path, &envelope.to_bytes()?)?;
    let id = GrantId::of(envelope.unverified_payload()).to_string();
    let value = json!({ "grant": id, "file": path, "permissions": permissions });
    context.output.answer(&value, || {
        format!(
            "{table}\n\n{}\ninstall it on the host: kos grant --install {}",
            paint(GOOD, format!("signed grant {id} in {}", path.display())),
            path.display()
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Says that the grant is in force.
pub(super) fn report(
    context: &Context,
    envelope: &Envelope,
    permissions: &AgentPermissions,
    hosts: usize,
    table: &str,
    missing: &[Missing],
) -> Ended {
    let id = GrantId::of(envelope.unverified_payload()).to_string();
    let value = json!({ "grant": id, "hosts": hosts, "permissions": permissions, "missing": missing });
    context.output.answer(&value, || {
        let done = paint(
            GOOD,
            format!("granted to {} until {}", permissions.agent_id.name, until(permissions.expires)),
        );
        let table = if table.is_empty() { String::new() } else { format!("{table}\n\n") };
        format!("{table}{done}\ngrant {id}, {}{}", in_force(hosts), still_missing(missing))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What is granted, and what of it the author does not ask for.
pub(super) fn table(permissions: &AgentPermissions, component: &VerifiedComponent) -> String {
    let mut table = Columns::new(&["CAPABILITY", "SCOPE", "IF", "REMARK"]);
    for (capability, rule) in &permissions.capabilities {
        let scope: Vec<String> = rule.scope.iter().map(ToString::to_string).collect();
        let conditions: Vec<String> = rule.conditions.iter().map(ToString::to_string).collect();
        table.row([
            verdict(rule.granted, capability),
            cell(if rule.granted { scope.join(" ") } else { "denied".to_owned() }),
            cell(conditions.join(" ")),
            cell(remark(*capability, rule, component)),
        ]);
    }
    let limits: Vec<String> =
        permissions.limits.iter().map(|(name, amount)| format!("{name} {}", name.display(amount))).collect();
    let mut text = table.or_else("no capability, only to run");
    if !limits.is_empty() {
        text.push_str(&format!("\n{}", paint(FAINT, format!("limits: {}", limits.join(", ")))));
    }
    text
}

fn remark(capability: Capability, rule: &CapabilityRule, component: &VerifiedComponent) -> String {
    let Some(declared) = component.manifest().declared(capability) else {
        return "the author does not declare it: no effect".to_owned();
    };
    let is_outside = |item: &ScopeItem| match item {
        ScopeItem::Allow(pattern) => !declared.scope.iter().any(|one| pattern.intersection(one).is_some()),
        ScopeItem::Deny(_) => false,
    };
    let outside: Vec<String> =
        rule.scope.iter().filter(|item| is_outside(item)).map(ToString::to_string).collect();
    if outside.is_empty() { String::new() } else { format!("not declared, no effect: {}", outside.join(" ")) }
}

/// What keeps the agent from starting all the same.
fn still_missing(missing: &[Missing]) -> String {
    if missing.is_empty() {
        return String::new();
    }
    let mut text = paint(CARE, "\n\nit does not start yet, as it imports what it may not use:");
    for lack in missing {
        let (reason, change) = (clean(&lack.reason.to_string()), clean(&lack.change));
        text.push_str(&format!("\n  {}: {reason}\n  to change it: {change}", lack.capability));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_cannot_steer_the_terminal() {
        let lack = Missing {
            capability: Capability::CryptoSign,
            reason: kos_core::permission::Reason::NotGranted,
            change: "kos grant \u{1b}]0;owned\u{7}\nagent.wasm".to_owned(),
        };
        let text = still_missing(&[lack]);
        assert!(!text.contains("\u{1b}]0;") && !text.contains('\u{7}'), "{text:?}");
        assert_eq!(text.lines().count(), 5);
    }
}
