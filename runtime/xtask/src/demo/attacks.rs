//! The third scene: an agent that attacks, once for each way it knows.
//!
//! The agent tells its attacks and what must come of each. What did come of it is read from the log, not from the agent.

use anyhow::{Context as _, Result, ensure};

use super::notary::sign;
use super::stage::{Launch, Stage};
use crate::shell::{heading, say};

/// The agents that attack.
const ROGUE: &str = "rogue";
const ROGUE_START: &str = "rogue-start";
/// The outcome of an agent that ended itself, in order.
const OK: &str = "ok";
/// The outcomes of an agent that computed for too long: by its budget, and by the clock.
const FUEL: &str = "fuel";
const DEADLINE: &str = "deadline";
/// What an attack that lives on must have been told; any other expectation is an outcome.
const ANSWERS: [&str; 4] = ["denied", "invalid", "limited", OK];

/// Plays every attack; returns how many did not end as they must.
pub(crate) fn play(stage: &Stage) -> Result<usize> {
    heading("An agent that attacks, signed, trusted, and granted a little");
    for agent in [ROGUE, ROGUE_START] {
        sign(stage, agent)?;
        let permissions = format!("sample-agents/{agent}/permissions.toml");
        stage.show(&["grant", &stage.file(&format!("{agent}.signed.wasm")), &permissions])?;
    }
    let attacks = attacks(stage)?;
    say(format!("{:<33} {:<14} {:<26} ms", "attack", "must end with", "what happened"));
    let mut unexpected = 0;
    let mut last_entry = 0;
    for attack in &attacks {
        unexpected += usize::from(!attack.play(stage, &mut last_entry)?);
    }
    say(format!("{} attacks, {} as they must end", attacks.len(), attacks.len() - unexpected));
    Ok(unexpected)
}

/// One attack.
struct Attack {
    agent: &'static str,
    name: String,
    expected: String,
}

/// What the agent says that it can do.
fn attacks(stage: &Stage) -> Result<Vec<Attack>> {
    let launch = stage.launch(&stage.file(&format!("{ROGUE}.signed.wasm")), &["list"], None)?;
    ensure!(launch.status == 0, "rogue ended with {}: {}", launch.status, launch.stderr.trim());
    let mut attacks =
        vec![Attack { agent: ROGUE_START, name: "before-main".to_owned(), expected: FUEL.to_owned() }];
    for line in launch.stdout.lines() {
        let (name, expected) =
            line.split_once('\t').with_context(|| format!("`{line}` is not a name, a tab and an outcome"))?;
        let name = name.rsplit(' ').next().unwrap_or(name).to_owned();
        attacks.push(Attack { agent: ROGUE, name, expected: expected.to_owned() });
    }
    ensure!(attacks.len() > 1, "rogue lists no attacks");
    Ok(attacks)
}

/// On a busy machine the time is over before the budget is used up; the agent is stopped either way.
fn is_slow(expected: &str, happened: &str) -> bool {
    expected == FUEL && happened == DEADLINE
}

impl Attack {
    /// Runs it and shows how it ended; whether that is right. Its exit must be a new entry of the log.
    fn play(&self, stage: &Stage, last_entry: &mut u64) -> Result<bool> {
        let arguments: &[&str] = if self.agent == ROGUE { &[&self.name] } else { &[] };
        let launch = stage.launch(&stage.file(&format!("{}.signed.wasm", self.agent)), arguments, None)?;
        let happened = match stage.last_exit(self.agent) {
            Ok((index, outcome)) if index > *last_entry => {
                *last_entry = index;
                self.happened(&launch, &outcome)
            }
            Ok(_) => "no exit in the log".to_owned(),
            Err(error) => format!("no exit in the log: {error:#}"),
        };
        let is_right = self.expected.split('|').any(|one| one == happened || is_slow(one, &happened));
        let verdict = if is_right { "ok " } else { "NOT" };
        say(format!(
            "{verdict} {:<29} {:<14} {:<26} {}",
            self.name,
            self.expected,
            format!("{happened} (exit {})", launch.status),
            launch.elapsed.as_millis()
        ));
        if !is_right {
            say(format!("    it printed: {} {}", launch.last_line(), launch.reason()));
        }
        Ok(is_right)
    }

    /// The answer that the agent got, where it lived to tell; else how the log says that it was ended.
    fn happened(&self, launch: &Launch, outcome: &str) -> String {
        if outcome != OK {
            return outcome.to_owned();
        }
        let told =
            ANSWERS.iter().find(|answer| launch.last_line().ends_with(&format!("{}: {answer}", self.name)));
        told.map_or_else(
            || format!("ended in order, saying \"{}\"", launch.last_line()),
            |answer| (*answer).to_owned(),
        )
    }
}
