//! The one gate: every capability call passes [`Gate::authorize`], or does not happen (I3, I4).
//!
//! In scope: judging a call by the permissions, the clock and the counts of this moment, and the proof that it was
//! allowed. Out of scope: the operations, which take that proof ([`Grant`]) as an argument.

mod waiting;

use std::marker::PhantomData;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::Serialize;

pub use self::waiting::{Asked, Waiting};
use super::access::{NetworkHost, ResourceAccess};
use super::approval::Approved;
use super::condition::Condition;
use super::effective::{Effective, Held};
use super::evaluate::{Facts, Moment, Reason, Use};
use super::explain::{Explanation, explain};
use super::grant_id::GrantId;
use super::marker::CapabilityMarker;
use super::usage::{Counter, UseLedger};
use crate::capability::Capability;
use crate::clock::{Clock, MonotoneClock, Timestamp};
use crate::custody::LockState;
use crate::id::Name;
use crate::line;

/// Hears of each refusal, for the log.
pub type Recorder = Arc<dyn Fn(&Denied) + Send + Sync>;

/// Hears of each call that is allowed, for learning what an agent needs.
pub type Observer = Arc<dyn Fn(Capability, &str) + Send + Sync>;

/// The proof that a call was allowed for one scope. Only [`Gate::authorize`] and [`Gate::authorize_any`] make one, and
/// it is used at once.
///
/// It cannot be made elsewhere:
/// ```compile_fail,E0451
/// use kos_core::permission::{Grant, marker::CryptoSign};
/// let forged = Grant::<CryptoSign> { scope: "receipt", grant: loop {}, capability: std::marker::PhantomData };
/// ```
/// The proof of one capability is none of another:
/// ```compile_fail,E0308
/// use kos_core::permission::{Grant, marker::{CryptoHash, CryptoSign}};
/// fn sign(grant: Grant<'_, CryptoSign>) {}
/// fn attack(grant: Grant<'_, CryptoHash>) { sign(grant) }
/// ```
/// It is not copied, so that it is not used twice:
/// ```compile_fail,E0382
/// use kos_core::permission::{Grant, marker::CryptoSign};
/// fn sign(grant: Grant<'_, CryptoSign>) {}
/// fn twice(grant: Grant<'_, CryptoSign>) { sign(grant); sign(grant) }
/// ```
/// What does compile:
/// ```
/// use kos_core::permission::{Denied, Gate, Grant, marker::CryptoSign};
/// fn sign(grant: Grant<'_, CryptoSign>) -> bool { grant.covers("receipt") }
/// fn call(gate: &Gate) -> Result<bool, Denied> { Ok(sign(gate.authorize("receipt")?)) }
/// ```
#[must_use = "a call that was authorised and not made has spent a use"]
pub struct Grant<'a, C> {
    scope: &'a str,
    grant: GrantId,
    capability: PhantomData<fn() -> C>,
}

impl<C: CapabilityMarker> Grant<'_, C> {
    /// Whether the proof is for exactly this scope. An operation checks its argument with it.
    #[must_use]
    pub fn covers(&self, scope: &str) -> bool {
        self.scope == scope
    }

    /// The scope that was authorised.
    #[must_use]
    pub fn scope(&self) -> &str {
        self.scope
    }

    /// The capability that was authorised.
    #[must_use]
    pub fn capability(&self) -> Capability {
        C::CAPABILITY
    }

    /// The manifest whose rule allowed it.
    #[must_use]
    pub fn id(&self) -> GrantId {
        self.grant
    }
}

impl<C: CapabilityMarker> std::fmt::Debug for Grant<'_, C> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Grant of {}:{} by {}", C::CAPABILITY, self.scope, self.grant)
    }
}

/// A refused call, with the whole cause. The agent is told no more than that it was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("`{capability}` for `{scope}` is denied: {reason}")]
pub struct Denied {
    /// Which capability.
    pub capability: Capability,
    /// For what, cut to a displayable length.
    pub scope: String,
    /// Why.
    pub reason: Reason,
}

/// The permissions cannot take the place of others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("these permissions are another component's")]
pub struct OtherComponent;

/// The gate of one run.
pub struct Gate {
    state: RwLock<State>,
    clock: MonotoneClock<Arc<dyn Clock>>,
    environment: Option<Name>,
    lock: LockState,
    ledger: Arc<UseLedger>,
    recorder: Recorder,
    observer: Option<Observer>,
}

struct State {
    effective: Effective,
    /// By [`super::effective::Budget::index`].
    counters: Vec<Arc<Counter>>,
    is_revoked: bool,
}

impl State {
    fn new(effective: Effective, ledger: &UseLedger) -> Self {
        let counters = effective
            .counted()
            .iter()
            .map(|(_, capability, budget)| ledger.counter(budget.origin, *capability))
            .collect();
        Self { effective, counters, is_revoked: false }
    }
}

impl Gate {
    /// The gate of a run with these permissions. A clock that is set back stands still here.
    #[must_use]
    pub fn new(effective: Effective, clock: Arc<dyn Clock>, recorder: Recorder) -> Self {
        let ledger = Arc::new(UseLedger::new());
        Self {
            state: RwLock::new(State::new(effective, &ledger)),
            clock: MonotoneClock::starting_at(clock, Timestamp::from_millis(0)),
            environment: None,
            lock: LockState::default(),
            ledger,
            recorder,
            observer: None,
        }
    }

    /// The same gate, for a run in the environment of this name.
    #[must_use]
    pub fn in_environment(mut self, environment: Name) -> Self {
        self.environment = Some(environment);
        self
    }

    /// The same gate, which refuses what needs keys while they are locked.
    #[must_use]
    pub fn locked_by(mut self, lock: LockState) -> Self {
        self.lock = lock;
        self
    }

    /// The same gate, sharing its counts with the other runs of the process.
    #[must_use]
    pub fn sharing(mut self, ledger: Arc<UseLedger>) -> Self {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        *state = State::new(state.effective.clone(), &ledger);
        self.ledger = ledger;
        self
    }

    /// The same gate, of whose allowed calls somebody hears.
    #[must_use]
    pub fn observed_by(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Judges a call for `scope`, the empty text where the capability has none, and spends a use of a counted rule.
    ///
    /// # Errors
    /// [`Denied`], which the recorder has heard of by then.
    #[inline]
    pub fn authorize<'a, C: CapabilityMarker>(&'a self, scope: &'a str) -> Result<Grant<'a, C>, Denied> {
        match self.judge(C::CAPABILITY, scope, Approved::Unasked) {
            Ok(grant) => Ok(self.allow(scope, grant)),
            Err(reason) => Err(self.refuse(C::CAPABILITY, scope, reason)),
        }
    }

    /// Refuses after all what was authorised, because what it was for cannot be had. The agent hears what it hears of
    /// any refusal; the recorder hears why.
    #[must_use]
    pub fn withdraw<C: CapabilityMarker>(&self, grant: Grant<'_, C>, reason: Reason) -> Denied {
        self.refuse(C::CAPABILITY, grant.scope, reason)
    }

    /// Whether `scope` lies within what is granted at this moment, whatever has been used up: for showing what there
    /// is, after the showing itself was authorised. It allows no call.
    #[must_use]
    pub fn covers<C: CapabilityMarker>(&self, scope: &str) -> bool {
        self.covers_in(&self.read(), C::CAPABILITY, scope)
    }

    fn covers_in(&self, state: &State, capability: Capability, scope: &str) -> bool {
        let moment = self.moment(Approved::Whoever);
        let judged = state.effective.judge(capability, scope, &moment, |_, _, _| Ok(()));
        !state.is_revoked && judged.is_ok()
    }

    /// Judges a call that can be named in several forms, such as a peer by its identifier, its name or its level, the
    /// most exact form first. One form that a rule denies refuses the call. Else the first form that is allowed allows
    /// it, which is what both the declaration and a grant must name it by, and its rule is the one whose use is spent.
    ///
    /// # Errors
    /// [`Denied`] with the form that came nearest, which the recorder has heard of by then. None at all is denied.
    pub fn authorize_any<'a, C: CapabilityMarker>(
        &'a self,
        scopes: &[&'a str],
    ) -> Result<Grant<'a, C>, Denied> {
        match self.judge_any(C::CAPABILITY, scopes, Approved::Unasked) {
            Ok((scope, grant)) => Ok(self.allow(scope, grant)),
            Err((scope, reason)) => Err(self.refuse(C::CAPABILITY, scope, reason)),
        }
    }

    /// Whether what [`Gate::authorize_any`] has allowed may still be carried out: none of the forms is denied by a rule, one
    /// is granted, and the keys that it needs are there. It spends nothing.
    #[must_use]
    pub fn covers_any<C: CapabilityMarker>(&self, scopes: &[&str]) -> bool {
        let state = self.read();
        let is_locked = C::CAPABILITY.needs_keys() && self.lock.is_locked();
        let is_forbidden = state.effective.forbidden(C::CAPABILITY, scopes).is_some();
        !is_locked && !is_forbidden && scopes.iter().any(|scope| self.covers_in(&state, C::CAPABILITY, scope))
    }

    /// Whether [`Gate::authorize_any`] could allow anything at this moment whose forms begin with these `stems`, and go on in
    /// the same way. It allows no call, spends nothing and is not recorded.
    ///
    /// # Errors
    /// [`Reason::Locked`] where only the keys are missing, [`Reason::Revoked`], or [`Reason::ScopeNotCovered`].
    pub fn could_allow<C: CapabilityMarker>(&self, stems: &[&str]) -> Result<(), Reason> {
        let (state, now) = (self.read(), self.clock.now());
        let has_left = |budget: &super::effective::Budget| {
            state.counters.get(budget.index).is_some_and(|counter| counter.check(budget, now).is_ok())
        };
        let environment = self.environment.as_ref();
        if state.is_revoked {
            Err(Reason::Revoked)
        } else if !state.effective.reaches(C::CAPABILITY, stems, now, environment, has_left) {
            Err(Reason::ScopeNotCovered)
        } else if C::CAPABILITY.needs_keys() && self.lock.is_locked() {
            Err(Reason::Locked)
        } else {
            Ok(())
        }
    }

    /// Puts other permissions of the same component in force, from the next call on. After [`Gate::revoke_all`] it
    /// changes nothing.
    ///
    /// # Errors
    /// [`OtherComponent`]; the permissions in force stay.
    pub fn replace(&self, effective: Effective) -> Result<(), OtherComponent> {
        let mut state = self.write();
        if effective.agent() != state.effective.agent()
            || effective.component() != state.effective.component()
        {
            return Err(OtherComponent);
        }
        if !state.is_revoked {
            *state = State::new(effective, &self.ledger);
        }
        Ok(())
    }

    /// Refuses every call from the next one on, for good.
    pub fn revoke_all(&self) {
        self.write().is_revoked = true;
    }

    /// The grants in force at this moment, as the agent may be told them.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        let state = self.read();
        if state.is_revoked { Vec::new() } else { state.effective.held(self.clock.now()) }
    }

    /// How much of the machine is reached at this moment.
    #[must_use]
    pub fn resources(&self) -> ResourceAccess {
        let state = self.read();
        if state.is_revoked { ResourceAccess::NONE } else { state.effective.resources(self.clock.now()) }
    }

    /// Whether restricted network access reaches this address at this moment.
    #[must_use]
    pub fn reaches(&self, host: &NetworkHost) -> bool {
        let state = self.read();
        !state.is_revoked && state.effective.network_hosts(self.clock.now()).any(|reached| reached == host)
    }

    /// Explains what a call would meet at this moment, without making it.
    #[must_use]
    pub fn explain(&self, capability: Capability, scope: &str) -> Explanation {
        let state = self.read();
        let now = self.clock.now();
        let usage = self.ledger.usage(&state.effective, now);
        let environment = self.environment.as_ref();
        let facts = Facts { now, environment, usage: &usage, is_locked: self.lock.is_locked() };
        explain(&state.effective, capability, scope, &facts)
    }

    fn judge(&self, capability: Capability, scope: &str, approved: Approved<'_>) -> Result<GrantId, Reason> {
        self.judge_in(&self.read(), capability, scope, approved)
    }

    /// All forms are judged by the same permissions, whatever replaces them meanwhile.
    fn judge_any<'a>(
        &self,
        capability: Capability,
        scopes: &[&'a str],
        approved: Approved<'_>,
    ) -> Result<(&'a str, GrantId), (&'a str, Reason)> {
        let state = self.read();
        if state.is_revoked {
            return Err((scopes.first().copied().unwrap_or_default(), Reason::Revoked));
        }
        if let Some(forbidden) = state.effective.forbidden(capability, scopes) {
            return Err(forbidden);
        }
        let mut nearest = ("", Reason::MalformedScope);
        for scope in scopes {
            match self.judge_in(&state, capability, scope, approved) {
                Ok(grant) => return Ok((scope, grant)),
                // The order of the reasons is the order in which they are looked at.
                Err(reason) if reason > nearest.1 => nearest = (scope, reason),
                Err(_) => {}
            }
        }
        Err(nearest)
    }

    #[inline]
    fn judge_in(
        &self,
        state: &State,
        capability: Capability,
        scope: &str,
        approved: Approved<'_>,
    ) -> Result<GrantId, Reason> {
        if state.is_revoked {
            return Err(Reason::Revoked);
        }
        let moment = self.moment(approved);
        let is_locked = capability.needs_keys() && self.lock.is_locked();
        let spend = |_: &_, budget: &super::effective::Budget, purpose| -> Result<(), Condition> {
            match state.counters.get(budget.index) {
                Some(counter) if !is_locked && purpose == Use::Call => counter.spend(budget, moment.now),
                // What will not be done, or not yet, is not counted.
                Some(counter) => counter.check(budget, moment.now),
                // A rule without its counter allows nothing.
                None => Err(Condition::Uses(0)),
            }
        };
        let judged = state.effective.judge(capability, scope, &moment, spend);
        match judged {
            // Nobody is asked to approve what cannot be done.
            Ok(_) | Err(Reason::Approval { .. }) if is_locked => Err(Reason::Locked),
            judged => judged.map(|allowance| allowance.grant),
        }
    }

    #[inline]
    fn allow<'a, C: CapabilityMarker>(&self, scope: &'a str, grant: GrantId) -> Grant<'a, C> {
        if let Some(observer) = &self.observer {
            observer(C::CAPABILITY, scope);
        }
        Grant { scope, grant, capability: PhantomData }
    }

    fn moment<'a>(&'a self, approved: Approved<'a>) -> Moment<'a> {
        Moment { now: self.clock.now(), environment: self.environment.as_ref(), approved }
    }

    #[cold]
    fn refuse(&self, capability: Capability, scope: &str, reason: Reason) -> Denied {
        let denied = Denied { capability, scope: line::shown(scope), reason };
        (self.recorder)(&denied);
        denied
    }

    // A panic under the lock is none of ours: what is under it is only ever replaced as a whole.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Gate of {}", self.read().effective.agent())
    }
}
