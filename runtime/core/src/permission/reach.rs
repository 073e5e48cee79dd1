//! Whether anything at all lies within what is granted, for scopes of which the beginning alone is known.
//!
//! In scope: looking, before a call is judged, whether any scope that begins in a given way could pass at this moment. Out
//! of scope: the judgement itself ([`super::evaluate`]), which alone allows.

use super::approval::Approved;
use super::effective::{Budget, CapabilityRules, Effective};
use super::evaluate::Moment;
use crate::capability::Capability;
use crate::clock::Timestamp;
use crate::id::Name;
use crate::scope::ScopePattern;

impl Effective {
    /// Whether a rule in force at `now` allows something that begins with one of `stems`, the same call by other names, and
    /// no denial covers all that begins with one of them. `has_left` is asked for a rule that counts.
    pub(super) fn reaches(
        &self,
        capability: Capability,
        stems: &[&str],
        now: Timestamp,
        environment: Option<&Name>,
        has_left: impl Fn(&Budget) -> bool,
    ) -> bool {
        let parsed: Result<Vec<ScopePattern>, _> =
            stems.iter().map(|stem| format!("{stem}*").parse()).collect();
        let (Ok(stems), Some(rules)) = (parsed, self.rules(capability)) else { return false };
        let is_ended = self.ends.is_some_and(|end| now >= end);
        if is_ended || !rules.is_under_ceiling || stems.iter().any(|stem| rules.denies_all_of(stem)) {
            return false;
        }
        let moment = Moment { now, environment, approved: Approved::Whoever };
        rules.allowances.iter().any(|allowance| {
            self.shortfall(allowance, &moment).is_none()
                && rules.shared(allowance).any(|shared| {
                    let mut met = stems.iter().filter_map(|stem| shared.intersection(stem));
                    met.any(|met| !rules.denies_all_of(met))
                })
                // Last, as counts may lie in a file.
                && allowance.budget.as_ref().is_none_or(&has_left)
        })
    }
}

impl CapabilityRules {
    fn denies_all_of(&self, pattern: &ScopePattern) -> bool {
        self.denials.iter().any(|denial| denial.covers_pattern(pattern))
    }
}
