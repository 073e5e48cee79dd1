//! The evaluator against another one, written from the design alone, on random cases (R9).
//!
//! The reference reads the JSON of the documents with its own eyes: it shares no type with the production code but the
//! names of reasons, and looks at every rule where production stops at the first.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::id::Name;

/// In the ordinary test run; the environment variable `KOS_EVALUATOR_CASES` asks for more.
const CASES: u64 = 100_000;
/// Calls judged against one random set of documents.
const CALLS: u64 = 25;

/// Everything that a judgement depends on, as plain values.
struct World<'a> {
    declared: &'a BTreeMap<String, Vec<String>>,
    ceiling: &'a [String],
    level: &'a str,
    ends: Option<u64>,
    grants: &'a [(String, Value)],
    now: u64,
    environment: Option<&'a str>,
    /// Uses and recent uses of the rule of a grant.
    used: &'a BTreeMap<(String, String), (u64, u64)>,
}

fn covers(pattern: &str, scope: &str) -> bool {
    let bytes = pattern.as_bytes();
    match bytes.split_last() {
        Some((b'*', stem)) => scope.len() >= stem.len() && &scope.as_bytes()[..stem.len()] == stem,
        _ => bytes == scope.as_bytes(),
    }
}

fn clock(text: &str) -> u64 {
    text[0..2].parse::<u64>().unwrap() * 60 + text[3..5].parse::<u64>().unwrap()
}

fn condition_fails(condition: &str, world: &World<'_>, used: (u64, u64)) -> Option<&'static str> {
    let level =
        |name: &str| ["external", "partner", "trusted"].iter().position(|known| *known == name).unwrap();
    if let Some(window) = condition.strip_prefix("time:") {
        let (from, until, minute) = (clock(&window[0..5]), clock(&window[6..11]), world.now / 60_000 % 1_440);
        let length = (until + 1_440 - from) % 1_440;
        return ((minute + 1_440 - from) % 1_440 >= length).then_some("condition");
    }
    if let Some(days) = condition.strip_prefix("days:") {
        // From Thursday, the first of January 1970.
        let today = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"]
            [usize::try_from(world.now / 86_400_000 % 7).unwrap()];
        return (!days.split(',').any(|day| day == today)).then_some("condition");
    }
    if let Some(least) = condition.strip_prefix("trust>=") {
        return (level(world.level) < level(least)).then_some("condition");
    }
    if let Some(name) = condition.strip_prefix("environment=") {
        return (world.environment != Some(name)).then_some("condition");
    }
    if condition.starts_with("approval=") {
        return Some("approval-needed");
    }
    if let Some(most) = condition.strip_prefix("uses<=") {
        return (used.0 >= most.parse().unwrap()).then_some("exhausted");
    }
    let (count, _) = condition.strip_prefix("rate<=").unwrap().split_once('/').unwrap();
    (used.1 >= count.parse().unwrap()).then_some("exhausted")
}

/// The grants that allow the call, or the reason why none does.
fn reference(
    world: &World<'_>,
    capability: &str,
    has_scope: bool,
    scope: &str,
) -> Result<Vec<String>, &'static str> {
    let is_plain = scope.len() <= 256 && scope.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    if !is_plain || has_scope == scope.is_empty() {
        return Err("malformed-scope");
    }
    if world.ends.is_some_and(|end| end <= world.now) {
        return Err("component-expired");
    }
    let declared = world.declared.get(capability).ok_or("not-declared")?;
    if has_scope && !declared.iter().any(|pattern| covers(pattern, scope)) {
        return Err("outside-declaration");
    }
    if !world.ceiling.iter().any(|allowed| allowed == capability) {
        return Err("above-ceiling");
    }
    let rules: Vec<(&String, &Value, &Value)> = world
        .grants
        .iter()
        .filter_map(|(id, grant)| Some((id, grant, grant["capabilities"].get(capability)?)))
        .collect();
    for (_, _, rule) in &rules {
        let items = rule["scope"].as_array().unwrap().iter().map(|item| item.as_str().unwrap());
        let is_denied = items.filter_map(|item| item.strip_prefix('!')).any(|pattern| covers(pattern, scope));
        if !rule["granted"].as_bool().unwrap() || is_denied {
            return Err("denied-by-rule");
        }
    }
    let mut allowing = Vec::new();
    let mut reasons = vec![if rules.is_empty() { "not-granted" } else { "scope-not-covered" }];
    for (id, grant, rule) in rules {
        let mut items = rule["scope"].as_array().unwrap().iter().map(|item| item.as_str().unwrap());
        if has_scope && !items.any(|item| !item.starts_with('!') && covers(item, scope)) {
            continue;
        }
        let ends = [grant["expires"].as_u64(), rule.get("expiry").and_then(Value::as_u64)];
        let used = world.used.get(&(id.clone(), capability.to_owned())).copied().unwrap_or_default();
        let conditions = rule.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut failures: Vec<_> = conditions
            .iter()
            .filter_map(|text| condition_fails(text.as_str().unwrap(), world, used))
            .collect();
        failures.sort_unstable_by_key(|failure| (*failure == "approval-needed", *failure));
        if ends.into_iter().flatten().any(|end| world.now >= end) {
            reasons.push("expired");
        } else if world.now < grant["notBefore"].as_u64().unwrap() {
            reasons.push("not-yet-valid");
        } else if let Some(failure) = failures.first() {
            reasons.push(failure);
        } else {
            allowing.push(id.clone());
        }
    }
    const NEARER: [&str; 7] = [
        "not-granted",
        "scope-not-covered",
        "expired",
        "not-yet-valid",
        "condition",
        "exhausted",
        "approval-needed",
    ];
    let nearest = reasons.into_iter().max_by_key(|reason| NEARER.iter().position(|known| known == reason));
    if allowing.is_empty() { Err(nearest.unwrap()) } else { Ok(allowing) }
}

/// Splitmix64: the same cases on every machine.
struct Luck(u64);

impl Luck {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, parts: u64) -> bool {
        self.below(parts) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[usize::try_from(self.below(items.len() as u64)).unwrap()]
    }

    fn some<'a>(&mut self, items: &[&'a str], parts: u64) -> Vec<&'a str> {
        items.iter().copied().filter(|_| self.one_in(parts)).collect()
    }
}

const SCOPES: [&str; 9] = ["a", "ab", "abc", "a*", "ab*", "*", "b", "api", "api*"];
const CALLED: [&str; 12] = ["a", "ab", "abc", "b", "c", "api", "apix", "ap", "", "a\0", "é", "a*"];
const CONDITIONS: [&str; 11] = [
    "approval=1m",
    "time:08:00-18:00",
    "time:22:00-06:00",
    "days:mon,fri",
    "days:thu",
    "trust>=partner",
    "trust>=trusted",
    "uses<=3",
    "rate<=2/1m",
    "environment=production",
    "environment=test",
];
/// Few, so that rules meet.
const CAPABILITIES: [Capability; 3] = [Capability::CryptoSign, Capability::CryptoOpen, Capability::AuditNote];
const WEEK: u64 = 7 * 86_400_000;

fn random_rule(luck: &mut Luck, capability: Capability) -> CapabilityRule {
    if luck.one_in(8) {
        return CapabilityRule::denial();
    }
    let mut rule = allow(&[]);
    if capability.has_scope() {
        let denied: Vec<String> =
            luck.some(&SCOPES, 20).into_iter().map(|scope| format!("!{scope}")).collect();
        rule = allow(&luck.some(&SCOPES, 3));
        rule.scope.extend(denied.iter().map(|item| item.parse::<ScopeItem>().unwrap()));
    }
    rule.expiry = luck.one_in(4).then(|| at(luck.below(WEEK)));
    for text in luck.some(&CONDITIONS, 8) {
        let condition: Condition = text.parse().unwrap();
        if !rule.conditions.iter().any(|other| other.is_same_kind(&condition)) {
            rule.conditions.push(condition);
        }
    }
    rule
}

fn random_grant(luck: &mut Luck, number: u64) -> AgentPermissions {
    let mut rules = Vec::new();
    for capability in CAPABILITIES {
        if !luck.one_in(4) {
            rules.push((capability, random_rule(luck, capability)));
        }
    }
    let mut random = grant(&rules);
    random.timestamp = at(number);
    random.not_before = at(luck.below(WEEK / 4));
    let end = random.not_before.as_millis() + 1 + luck.below(WEEK);
    random.expires = if luck.one_in(3) { Expiry::Never } else { Expiry::At(at(end)) };
    random
}

fn compare(luck: &mut Luck, calls: u64) -> (u64, u64) {
    let mut declaration = declaration();
    declaration.expires = luck.one_in(4).then(|| at(WEEK / 2 + luck.below(WEEK)));
    let mut ceiling = ceiling();
    ceiling.level = *luck.pick(&[&TrustLevel::External, &TrustLevel::Partner, &TrustLevel::Trusted]);
    for capability in CAPABILITIES {
        if luck.one_in(10) {
            declaration.capabilities.remove(&capability);
        } else if capability.has_scope() && luck.one_in(3) {
            let patterns = luck.some(&SCOPES, 2).into_iter().map(|scope| scope.parse().unwrap()).collect();
            declaration.capabilities.insert(capability, patterns);
        }
        if luck.one_in(10) {
            ceiling.capabilities.remove(&capability);
        }
    }
    let grants: Vec<_> = (0..luck.below(5)).map(|number| random_grant(luck, number)).collect();
    let effective = effective_of(&declaration, &ceiling, &grants);
    let declared = declaration
        .capabilities
        .iter()
        .map(|(capability, scope)| (capability.to_string(), scope.iter().map(ToString::to_string).collect()))
        .collect();
    let identified = identified(&grants);
    let documents: Vec<_> =
        identified.iter().map(|(id, grant)| (id.to_string(), serde_json::to_value(grant).unwrap())).collect();
    let names: Vec<_> = ceiling.capabilities.iter().map(ToString::to_string).collect();
    let mut allowed = 0;
    for _ in 0..calls {
        let (mut usage, mut used) = (Usage::default(), BTreeMap::new());
        for (id, _) in &identified {
            for capability in CAPABILITIES {
                let (uses, recent) = (luck.below(5), luck.below(4));
                usage.set(*id, capability, Used { uses, recent: u32::try_from(recent).unwrap() });
                used.insert((id.to_string(), capability.to_string()), (uses, recent));
            }
        }
        let environment: Option<Name> =
            (!luck.one_in(3)).then(|| luck.pick(&["production", "test"]).parse().unwrap());
        let now = luck.below(WEEK + WEEK / 2);
        let capability = *luck.pick(&[&CAPABILITIES[0], &CAPABILITIES[1], &CAPABILITIES[2]]);
        let scope = if capability.has_scope() != luck.one_in(20) { luck.pick(&CALLED) } else { "" };
        let world = World {
            declared: &declared,
            ceiling: &names,
            level: ceiling.level.as_str(),
            ends: declaration.expires.map(Timestamp::as_millis),
            grants: &documents,
            now,
            environment: environment.as_ref().map(Name::as_str),
            used: &used,
        };
        let facts =
            Facts { now: at(now), environment: environment.as_ref(), usage: &usage, is_locked: false };
        let expected = reference(&world, capability.as_str(), capability.has_scope(), scope);
        match (super::evaluate(&effective, capability, scope, &facts), expected) {
            (Decision::Allowed { grant }, Ok(allowing)) if allowing.contains(&grant.to_string()) => {
                allowed += 1
            }
            (Decision::Denied(reason), Err(name)) if reason.name() == name => {}
            (found, expected) => {
                panic!("{capability}:{scope:?} at {now}: {found:?} is not {expected:?}\n{documents:#?}")
            }
        }
    }
    (calls, allowed)
}

#[test]
fn the_evaluator_agrees_with_the_reference_on_every_random_case() {
    let asked =
        std::env::var("KOS_EVALUATOR_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let mut luck = Luck(9);
    let (mut judged, mut allowed) = (0, 0);
    while judged < asked {
        let (calls, of_them_allowed) = compare(&mut luck, CALLS.min(asked - judged));
        judged += calls;
        allowed += of_them_allowed;
    }
    assert_eq!(judged, asked);
    assert!(allowed * 20 > judged, "only {allowed} of {judged} cases were allowed, too few to tell anything");
    println!("{judged} cases, {allowed} allowed, no difference");
}

/// Whether each of the called scopes is allowed, for some moments.
fn powers(grants: &[AgentPermissions]) -> Vec<bool> {
    let effective = effective(grants);
    let mut powers = Vec::new();
    for now in [0, WEEK / 8, WEEK / 2, WEEK, 2 * WEEK] {
        for capability in CAPABILITIES {
            for scope in CALLED {
                powers.push(super::evaluate(&effective, capability, scope, &facts(now)).is_allowed());
            }
        }
    }
    powers
}

fn is_no_more(less: &[bool], more: &[bool]) -> bool {
    less.iter().zip(more).all(|(less, more)| !less || *more)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn narrowing_never_allows_more(seed in any::<u64>()) {
        let mut luck = Luck(seed);
        let grants: Vec<_> = (0..1 + luck.below(4)).map(|number| random_grant(&mut luck, number)).collect();
        let before = powers(&grants);
        let mut narrowed = grants.clone();
        let index = usize::try_from(luck.below(narrowed.len() as u64)).unwrap();
        let rules: Vec<_> = narrowed[index].capabilities.keys().copied().collect();
        if let Some(capability) = rules.first().copied() {
            let rule = narrowed[index].capabilities.get_mut(&capability).unwrap();
            match luck.below(5) {
                0 => *rule = CapabilityRule::denial(),
                1 if capability.has_scope() && rule.granted => {
                    rule.scope.retain(|item| matches!(item, ScopeItem::Allow(_)));
                    rule.scope.push("!ab*".parse().unwrap());
                    let mut undone = grants.clone();
                    undone[index].capabilities.get_mut(&capability).unwrap().scope.retain(|item| matches!(item, ScopeItem::Allow(_)));
                    prop_assert!(is_no_more(&powers(&narrowed), &powers(&undone)));
                    return Ok(());
                }
                2 if rule.granted => { rule.scope.retain(|item| matches!(item, ScopeItem::Deny(_))); }
                3 if rule.granted => rule.expiry = Some(at(1 + rule.expiry.map_or(WEEK, |end| end.as_millis()) / 2)),
                _ if rule.granted => {
                    let condition: Condition = "environment=nowhere".parse().unwrap();
                    if !rule.conditions.iter().any(|other| other.is_same_kind(&condition)) {
                        rule.conditions.push(condition);
                    }
                }
                _ => {}
            }
        }
        if luck.one_in(2) {
            narrowed[index].expires = Expiry::At(at(narrowed[index].not_before.as_millis() + 1));
        }
        prop_assert!(is_no_more(&powers(&narrowed), &before));
    }

    #[test]
    fn a_grant_that_only_denies_never_allows_more(seed in any::<u64>()) {
        let mut luck = Luck(seed);
        let mut grants: Vec<_> = (0..luck.below(4)).map(|number| random_grant(&mut luck, number)).collect();
        let before = powers(&grants);
        let denials = [
            (Capability::CryptoSign, allow(&["!a*"])),
            (Capability::CryptoOpen, CapabilityRule::denial()),
        ];
        grants.push(grant(&denials));
        prop_assert!(is_no_more(&powers(&grants), &before));
    }

    #[test]
    fn time_alone_takes_power_once_every_grant_has_begun(seed in any::<u64>(), earlier in 0..WEEK, later in 0..WEEK) {
        let mut luck = Luck(seed);
        let mut grants: Vec<_> = (0..luck.below(4)).map(|number| random_grant(&mut luck, number)).collect();
        for grant in &mut grants {
            for rule in grant.capabilities.values_mut() {
                rule.conditions.clear();
            }
        }
        let effective = effective(&grants);
        let begun = WEEK / 4;
        let judge = |now, scope| super::evaluate(&effective, Capability::CryptoSign, scope, &facts(begun + now));
        for scope in CALLED {
            prop_assert!(
                judge(earlier, scope).is_allowed() || !judge(earlier.max(later), scope).is_allowed()
            );
        }
    }
}
