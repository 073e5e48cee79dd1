//! `kos trust policy`: a level's ceiling, and how many authors must sign.

use std::process::ExitCode;

use clap::Args;
use kos_core::clock::{Clock as _, parse_span};
use kos_core::id::TrustLevel;
use kos_core::quantity::{display_bytes, display_count, parse_bytes, parse_count};
use kos_core::resource::{NetworkAccess, StorageAccess};
use kos_core::trust::{CeilingPattern, TrustPolicy};

use super::change::Destination;
use super::show::{heading, load};
use crate::command::Ended;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Columns;

/// `kos trust policy LEVEL`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without options the policy is shown. A lower level never holds more than a higher one.
  kos trust policy partner --signatures 2          components of partners need two authors
  kos trust policy external --allow 'crypto.*'     replace the ceiling's capabilities")]
pub struct Policy {
    /// external, partner or trusted; without it all three are shown.
    level: Option<TrustLevel>,
    /// How many different authors of at least this level must have signed a component.
    #[arg(long, value_name = "N", requires = "level")]
    signatures: Option<usize>,
    /// The capabilities of the ceiling, in place of those so far: names, `interface.*` or `*`.
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',', requires = "level")]
    allow: Vec<CeilingPattern>,
    /// The most memory of one run.
    #[arg(long, value_name = "SIZE", requires = "level")]
    memory: Option<String>,
    /// The most CPU of one run, in units of fuel.
    #[arg(long, value_name = "COUNT", requires = "level")]
    cpu: Option<String>,
    /// The longest run.
    #[arg(long, value_name = "SPAN", requires = "level")]
    duration: Option<String>,
    /// The most network access: none, restricted or full.
    #[arg(long, value_name = "ACCESS", requires = "level")]
    network: Option<NetworkAccess>,
    /// The most storage: none, temporary or persistent.
    #[arg(long, value_name = "ACCESS", requires = "level")]
    storage: Option<StorageAccess>,
    #[command(flatten)]
    destination: Destination,
}

impl Policy {
    pub(super) fn run(&self, context: &Context) -> Ended {
        match self.level {
            Some(level) if self.is_change() => self.change(context, level),
            level => self.show(context, level),
        }
    }

    fn is_change(&self) -> bool {
        self.signatures.is_some()
            || !self.allow.is_empty()
            || [&self.memory, &self.cpu, &self.duration].into_iter().any(Option::is_some)
            || self.network.is_some()
            || self.storage.is_some()
    }

    fn show(&self, context: &Context, level: Option<TrustLevel>) -> Ended {
        let trust = load(context)?;
        let policies: Vec<&TrustPolicy> = TrustLevel::ALL
            .into_iter()
            .filter(|one| level.is_none_or(|level| level == *one))
            .map(|level| trust.policy(level))
            .collect();
        context.output.answer(&policies, || {
            policies.iter().map(|policy| for_person(policy)).collect::<Vec<_>>().join("\n\n")
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn change(&self, context: &Context, level: TrustLevel) -> Ended {
        let edit = self.edited(load(context)?.policy(level).clone())?;
        self.destination.change(context, |store, session| store.set_policy(edit, session.clock.now()))
    }

    fn edited(&self, mut policy: TrustPolicy) -> Result<TrustPolicy, Failure> {
        if let Some(signatures) = self.signatures {
            policy.signatures = signatures;
        }
        if !self.allow.is_empty() {
            policy.capabilities.clone_from(&self.allow);
            policy.capabilities.sort_by_key(ToString::to_string);
            policy.capabilities.dedup();
        }
        let limits = &mut policy.restrictions.resource_limits;
        if let Some(memory) = &self.memory {
            limits.memory = parse_bytes(memory)?;
        }
        if let Some(cpu) = &self.cpu {
            limits.cpu = parse_count(cpu)?;
        }
        if let Some(duration) = &self.duration {
            limits.duration = u64::try_from(parse_span(duration)?.as_millis()).unwrap_or(u64::MAX);
        }
        if let Some(network) = self.network {
            policy.restrictions.network_access = network;
        }
        if let Some(storage) = self.storage {
            policy.restrictions.storage_access = storage;
        }
        Ok(policy)
    }
}

fn for_person(policy: &TrustPolicy) -> String {
    let restrictions = &policy.restrictions;
    let limits = &restrictions.resource_limits;
    let capabilities: Vec<String> = policy.capabilities.iter().map(ToString::to_string).collect();
    let mut facts = Columns::facts();
    facts.fact("capabilities", if capabilities.is_empty() { "none".into() } else { capabilities.join(", ") });
    facts.fact("network", restrictions.network_access);
    facts.fact("storage", restrictions.storage_access);
    facts.fact("memory", display_bytes(limits.memory));
    facts.fact("cpu", display_count(limits.cpu));
    facts.fact("duration", kos_core::clock::display_span(std::time::Duration::from_millis(limits.duration)));
    facts.fact("signatures", policy.signatures);
    format!("{}\n{}", heading(policy.level.as_str()), facts.or_else(""))
}
