//! The second scene: an agent that does useful work, and everything that keeps it from running before it may.

use anyhow::{Result, ensure};

use super::host::AUTHOR;
use super::receipt;
use super::stage::{REFUSED, Stage, alter, text};
use crate::shell::{heading, say};

/// The file that gets a receipt.
const INPUT: &str = "README.md";

/// Plays it; returns how many outcomes were not as they must be.
pub(crate) fn play(stage: &Stage, author: &str) -> Result<usize> {
    let signed = stage.file("notary.signed.wasm");
    let mut refusals = Refusals { stage, unexpected: 0 };

    heading("Nothing runs that is not signed by somebody trusted and granted by the operator");
    refusals.expect("unsigned", "unsigned", &stage.component("notary"))?;
    sign(stage, "notary")?;
    refusals.expect("signed by a stranger", "untrusted", &signed)?;
    stage.show(&["trust", "add", author, "--level", "trusted", "--label", "the author of the demo"])?;
    refusals.expect("trusted, nothing granted", "no-grant", &signed)?;
    let grant = stage.ask(&["grant", &signed, "sample-agents/notary/permissions.toml"])?;
    let grant = text(&grant, "/grant")?;
    say(format!("$ kos grant {signed} sample-agents/notary/permissions.toml"));
    say(format!("  grant {grant}"));
    let altered = stage.file("notary.altered.wasm");
    alter(&stage.whole(&signed), &stage.whole(&altered))?;
    refusals.expect("one bit altered", "altered", &altered)?;

    heading("A receipt for a real file");
    say(format!("$ kos-run {signed} < {INPUT}"));
    let launch = stage.launch(&signed, &[], Some(INPUT))?;
    ensure!(launch.status == 0, "the notary ended with {}: {}", launch.status, launch.stderr.trim());
    say(format!("  {} characters, in {} ms", launch.last_line().len(), launch.elapsed.as_millis()));
    receipt::check(stage, launch.last_line(), INPUT)?;

    heading("Taken back");
    stage.show(&["grants", "revoke", &grant, "--reason", "the demo shows it"])?;
    refusals.expect("revoked", "no-grant", &signed)?;
    Ok(refusals.unexpected)
}

/// Signs an agent with its manifest.
pub(crate) fn sign(stage: &Stage, agent: &str) -> Result<()> {
    let manifest = format!("sample-agents/{agent}/agent.toml");
    let output = stage.file(&format!("{agent}.signed.wasm"));
    let component = stage.component(agent);
    stage.show(&["sign", &component, "--manifest", &manifest, "--key", AUTHOR, "-o", &output])
}

/// Launches that must be refused.
struct Refusals<'a> {
    stage: &'a Stage,
    unexpected: usize,
}

impl Refusals<'_> {
    /// Launches a component that must be refused, for a reason that the log must name.
    fn expect(&mut self, what: &str, reason: &str, component: &str) -> Result<()> {
        let launch = self.stage.launch(component, &[], None)?;
        let entry = self.stage.ask(&["log", "show", "--type", "permission_denied", "-n", "1"])?;
        let logged = text(&entry, "/details/reason")?;
        let is_right = launch.status == REFUSED && launch.stdout.is_empty() && logged == reason;
        self.unexpected += usize::from(!is_right);
        let verdict = if is_right { "ok " } else { "NOT" };
        say(format!(
            "{verdict} {what}: refused as \"{logged}\" (exit {}), {}",
            launch.status,
            launch.reason()
        ));
        Ok(())
    }
}
