//! A call that everything allows but a person, and its way through the gate (I3, I4).
//!
//! In scope: what the gate says of such a call, and judging all of it again once somebody has answered. Out of scope: the
//! questions ([`crate::permission::Approvals`]), and the waiting itself, which the host does.

use std::marker::PhantomData;
use std::time::Duration;

use super::{Denied, Gate, Grant};
use crate::capability::Capability;
use crate::permission::approval::{Approval, Approved, Unapproved};
use crate::permission::evaluate::Reason;
use crate::permission::grant_id::GrantId;
use crate::permission::marker::CapabilityMarker;

/// What the gate says of a call that can wait.
#[derive(Debug)]
pub enum Asked<'a, C: CapabilityMarker> {
    /// It may be made.
    Allowed(Grant<'a, C>),
    /// It may be made if a person approves it in time.
    Waiting(Waiting<'a, C>),
}

/// A call that waits for a person. It allows nothing.
///
/// ```compile_fail,E0308
/// use kos_core::permission::{Grant, Waiting, marker::CryptoSign};
/// fn sign(grant: Grant<'_, CryptoSign>) {}
/// fn attack(waiting: Waiting<'_, CryptoSign>) { sign(waiting) }
/// ```
pub struct Waiting<'a, C> {
    /// Every form in which the call can be named; none where it has just one.
    forms: Vec<&'a str>,
    scope: &'a str,
    grant: GrantId,
    patience: Duration,
    capability: PhantomData<fn() -> C>,
}

impl<'a, C: CapabilityMarker> Waiting<'a, C> {
    /// The capability that is asked for.
    #[must_use]
    pub fn capability(&self) -> Capability {
        C::CAPABILITY
    }

    /// The scope that is asked for: the form that a rule names, where there are several.
    #[must_use]
    pub fn scope(&self) -> &'a str {
        self.scope
    }

    /// The manifest that asks for the approval.
    #[must_use]
    pub fn id(&self) -> GrantId {
        self.grant
    }

    /// How long the call waits.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience
    }
}

impl<C: CapabilityMarker> std::fmt::Debug for Waiting<'_, C> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Waiting for {}:{} by {}", C::CAPABILITY, self.scope, self.grant)
    }
}

impl Gate {
    /// As [`Gate::authorize`], for a caller that can wait for a person.
    ///
    /// # Errors
    /// [`Denied`], which the recorder has heard of by then.
    #[inline]
    pub fn ask<'a, C: CapabilityMarker>(&'a self, scope: &'a str) -> Result<Asked<'a, C>, Denied> {
        match self.judge(C::CAPABILITY, scope, Approved::Unasked) {
            Ok(grant) => Ok(Asked::Allowed(self.allow(scope, grant))),
            Err(reason) => self.unless_waiting(Vec::new(), scope, reason),
        }
    }

    /// As [`Gate::authorize_any`], for a caller that can wait for a person.
    ///
    /// # Errors
    /// [`Denied`], which the recorder has heard of by then.
    pub fn ask_any<'a, C: CapabilityMarker>(&'a self, forms: &[&'a str]) -> Result<Asked<'a, C>, Denied> {
        match self.judge_any(C::CAPABILITY, forms, Approved::Unasked) {
            Ok((scope, grant)) => Ok(Asked::Allowed(self.allow(scope, grant))),
            Err((scope, reason)) => self.unless_waiting(forms.to_vec(), scope, reason),
        }
    }

    /// Judges a waiting call by what is in force now, as if it were made now.
    ///
    /// # Errors
    /// [`Denied`], which the recorder has heard of by then.
    pub fn ask_again<'a, C: CapabilityMarker>(
        &'a self,
        waiting: &Waiting<'a, C>,
    ) -> Result<Asked<'a, C>, Denied> {
        if waiting.forms.is_empty() { self.ask(waiting.scope) } else { self.ask_any(&waiting.forms) }
    }

    /// Judges a call that a person has approved by what is in force now, the approval besides. What was revoked, has ended
    /// or was locked while it waited is denied.
    ///
    /// # Errors
    /// [`Denied`], which the recorder has heard of by then; also where the approval is for another call.
    pub fn approved<'a, C: CapabilityMarker>(
        &'a self,
        waiting: &Waiting<'a, C>,
        approval: &Approval,
    ) -> Result<Grant<'a, C>, Denied> {
        let approved = approval.of(C::CAPABILITY);
        let judged = if waiting.forms.is_empty() {
            let judged = self.judge(C::CAPABILITY, waiting.scope, approved);
            judged.map(|grant| (waiting.scope, grant)).map_err(|reason| (waiting.scope, reason))
        } else {
            self.judge_any(C::CAPABILITY, &waiting.forms, approved)
        };
        match judged {
            Ok((scope, grant)) => Ok(self.allow(scope, grant)),
            Err((scope, reason)) => Err(self.refuse(C::CAPABILITY, scope, reason)),
        }
    }

    /// Refuses a call that nobody approved.
    #[must_use]
    pub fn unapproved<C: CapabilityMarker>(&self, waiting: &Waiting<'_, C>, lack: Unapproved) -> Denied {
        self.refuse(C::CAPABILITY, waiting.scope, Reason::Approval { grant: waiting.grant, lack })
    }

    #[cold]
    fn unless_waiting<'a, C: CapabilityMarker>(
        &self,
        forms: Vec<&'a str>,
        scope: &'a str,
        reason: Reason,
    ) -> Result<Asked<'a, C>, Denied> {
        if let Reason::Approval { grant, lack: Unapproved::Needed } = reason
            && let Some(patience) = self.read().effective.patience(C::CAPABILITY, grant)
        {
            return Ok(Asked::Waiting(Waiting { forms, scope, grant, patience, capability: PhantomData }));
        }
        Err(self.refuse(C::CAPABILITY, scope, reason))
    }
}
