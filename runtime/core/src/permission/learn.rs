//! Learning from a run what an agent needs, and writing the least permissions that give it just that.
//!
//! In scope: remembering what was used, and the TOML. Out of scope: the sandbox, which is an ordinary run under a grant that
//! operators have signed and that is lent to that run alone ([`super::VerifiedPermissions::lent`]). Keeps I2: what is written
//! is a proposal, which grants nothing before an operator signs it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::access::MemoryAccess;
use super::effective::Effective;
use super::evaluate::{Decision, Facts, Usage, evaluate};
use super::gate::Observer;
use super::limit_name::LimitName;
use super::request::{PermissionRequest, When};
use super::request_error::RequestError;
use crate::capability::Capability;
use crate::clock::Timestamp;
use crate::id::Name;
use crate::ledger::{Count, KINDS_MAX, Ledger};
use crate::manifest::VerifiedComponent;
use crate::resource::StorageAccess;
use crate::scope::ScopePattern;

/// Memory is proposed in steps of this size, so that the next run, which is a little larger, fits too.
const MEMORY_STEP: u64 = 1 << 20;

/// What stands in for a name where a capability is needed to start and none of its names was used.
const UNUSED: &str = "unused";

/// A capability for a scope, and for which reason what is installed would refuse it.
pub type Use = Count<(Capability, String), Option<&'static str>>;

/// What one run has used so far.
#[derive(Debug)]
pub struct Learner {
    /// Each with the reason for which what is installed would refuse it.
    uses: Ledger<(Capability, String), Option<&'static str>>,
    installed: Effective,
    now: Timestamp,
    environment: Option<Name>,
    has_grown: AtomicBool,
    has_stored: AtomicBool,
}

/// What is known of the run beside its calls.
#[derive(Debug)]
pub struct Lesson<'a> {
    /// What ran.
    pub component: &'a VerifiedComponent,
    /// The interfaces of the contract that it imports.
    pub interfaces: &'a [String],
    /// The most memory that it held, in bytes.
    pub memory: u64,
    /// The directory that it had.
    pub storage: StorageAccess,
    /// For how long the proposal is to hold.
    pub expires: When,
    /// How the run ended, in one line of our own words.
    pub ended: &'a str,
}

impl Learner {
    /// One that has heard of nothing. Each use is held against what is installed, as it is `now`.
    #[must_use]
    pub fn new(installed: Effective, now: Timestamp, environment: Option<Name>) -> Self {
        Self {
            uses: Ledger::default(),
            installed,
            now,
            environment,
            has_grown: AtomicBool::new(false),
            has_stored: AtomicBool::new(false),
        }
    }

    fn would_be_refused(&self, capability: Capability, scope: &str) -> Option<&'static str> {
        let environment = self.environment.as_ref();
        let facts = Facts { now: self.now, environment, usage: Usage::NONE, is_locked: false };
        match evaluate(&self.installed, capability, scope, &facts) {
            Decision::Allowed { .. } => None,
            Decision::Denied(reason) => Some(reason.name()),
        }
    }

    /// Tells this one of each allowed call.
    #[must_use]
    pub fn observer(self: &Arc<Self>) -> Observer {
        let learner = Arc::clone(self);
        Arc::new(move |capability, scope| {
            let refused = || learner.would_be_refused(capability, scope);
            learner.uses.note((capability, scope.to_owned()), refused);
        })
    }

    /// The agent's memory grew after its start.
    pub fn note_growth(&self) {
        self.has_grown.store(true, Ordering::Relaxed);
    }

    /// The agent keeps something in its directory.
    pub fn note_storage(&self) {
        self.has_stored.store(true, Ordering::Relaxed);
    }

    /// What was used, how often, and for which reason what is installed would refuse it, in the order of capabilities and
    /// scopes; and how many uses had no room.
    #[must_use]
    pub fn uses(&self) -> (Vec<Use>, u64) {
        self.uses.counts_so_far()
    }

    /// The least permissions with which the same run is denied nothing, as an operator would write them.
    ///
    /// # Errors
    /// [`RequestError`] when they are none that could be granted.
    pub fn to_toml(&self, lesson: &Lesson<'_>) -> Result<String, RequestError> {
        let (uses, others) = self.uses();
        let mut text = format!(
            "# Learned from a run of {} {} ({}), which ended: {}.\n\
             # It has what that run used, and nothing else. Read it before you grant it.\n",
            lesson.component.agent().name,
            lesson.component.manifest().version,
            lesson.component.digest(),
            lesson.ended
        );
        if others > 0 {
            line(&mut text, &format!("# {others} uses of more than {KINDS_MAX} names are not in it."));
        }
        line(&mut text, &format!("expires = \"{}\"\n\n[capabilities]", lesson.expires));
        let mut scopes: BTreeMap<Capability, Vec<(String, u64)>> = BTreeMap::new();
        for Count { kind: (capability, scope), count, .. } in uses {
            scopes.entry(capability).or_default().push((scope, count));
        }
        for (capability, scopes) in &scopes {
            text.push_str(&rule(*capability, scopes));
        }
        for interface in lesson.interfaces {
            if let Some((capability, scope)) = needed_to_start(lesson.component, &scopes, interface) {
                line(
                    &mut text,
                    &format!(
                        "# Not used. {interface} is imported, and is only there if something of it is granted."
                    ),
                );
                let scope = scope.map(|scope| format!("scope = [{}]", quoted(&scope))).unwrap_or_default();
                line(&mut text, &format!("\"{capability}\" = {{ {scope} }}"));
            }
        }
        text.push_str(&self.resources(lesson));
        PermissionRequest::from_toml(&text)?;
        Ok(text)
    }

    fn resources(&self, lesson: &Lesson<'_>) -> String {
        let memory =
            if self.has_grown.load(Ordering::Relaxed) { MemoryAccess::Write } else { MemoryAccess::Read };
        let storage =
            if self.has_stored.load(Ordering::Relaxed) { lesson.storage } else { StorageAccess::None };
        let most = lesson.memory.max(1).next_multiple_of(MEMORY_STEP).min(LimitName::Memory.maximum());
        let growth = if memory == MemoryAccess::Write { "it grew" } else { "it did not grow" };
        format!(
            "\n[resources]\nmemory = \"{memory}\" # {growth}\nstorage = \"{storage}\"\n\
             # Sockets are not lent to a run that learns; what it needs of them is yours to add.\nnetwork = \"none\"\n\
             \n[limits]\nmemory = \"{}\" # it held {} bytes at most\n",
            LimitName::Memory.display(most),
            lesson.memory
        )
    }
}

/// One rule, a line for each name. A name that no scope can spell is told and left out.
fn rule(capability: Capability, scopes: &[(String, u64)]) -> String {
    if !capability.has_scope() {
        let count = scopes.iter().map(|(_, count)| count).sum::<u64>();
        return format!("\"{capability}\" = {{}} # {}\n", times(count));
    }
    let mut text = format!("\"{capability}\" = {{ scope = [\n");
    for (scope, count) in scopes {
        if scope.parse::<ScopePattern>().is_ok() {
            line(&mut text, &format!("    {}, # {}", quoted(scope), times(*count)));
        } else {
            line(
                &mut text,
                &format!("    # {}: used {}, and no scope can name it", quoted(scope), times(*count)),
            );
        }
    }
    text.push_str("] }\n");
    text
}

/// For an interface of which nothing was used, the least of its capabilities that its author declares, for a name that
/// nobody uses where the declaration leaves one.
fn needed_to_start(
    component: &VerifiedComponent,
    used: &BTreeMap<Capability, Vec<(String, u64)>>,
    interface: &str,
) -> Option<(Capability, Option<String>)> {
    let name = interface.strip_prefix("kos:agent/").unwrap_or(interface);
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    if used.keys().any(|capability| capability.interface() == name) {
        return None;
    }
    let mut declared = component.manifest().capabilities.iter();
    let declared = declared.find(|declared| declared.capability.interface() == name)?;
    let exact = |pattern: &ScopePattern| {
        let text = pattern.to_string();
        text.strip_suffix('*').map_or(text.clone(), |stem| format!("{stem}{UNUSED}"))
    };
    Some((declared.capability, declared.scope.first().map(exact)))
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn line(text: &mut String, line: &str) {
    // Writing to a text does not fail.
    let _ = writeln!(text, "{line}");
}
