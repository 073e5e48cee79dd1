//! Calls that wait for a person, at the gate and before the questions.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::clock::ManualClock;
use crate::permission::marker::{CryptoOpen, CryptoSign, MessagingSend};

const SIGN: Capability = Capability::CryptoSign;
const PATIENCE: Duration = Duration::from_secs(60);

fn asking_gate(rule: CapabilityRule) -> Gate {
    let rules = [(SIGN, rule), (Capability::CryptoOpen, on_condition(&[], &["approval=1m"]))];
    Gate::new(effective(&[grant(&rules)]), Arc::new(ManualClock::at(at(2_000))), Arc::new(|_| {}))
}

fn asked(scope: &str, agent: &str) -> Asking {
    Asking {
        agent: agent.to_owned(),
        component: component().to_string(),
        run: "run".to_owned(),
        capability: SIGN,
        scope: scope.to_owned(),
        grant: GrantId::of(b"grant"),
    }
}

fn name(number: usize) -> QuestionId {
    let [.., a, b] = number.to_be_bytes();
    QuestionId::of([0, 0, 0, 0, a, b])
}

/// Enters a call, and shows its question.
fn enter(
    desk: &Arc<Approvals>,
    asking: Asking,
    number: usize,
) -> Result<(QuestionPlace, Receiver<Answered>), Unapproved> {
    let (hears, answers) = channel();
    let place = desk.enter(asking, name(number), (at(2_000), PATIENCE), move |answered| {
        let _ = hears.send(answered);
    })?;
    desk.show(place.question());
    Ok((place, answers))
}

/// The approval that an answered question for this call gives.
fn approval<C: marker::CapabilityMarker>(waiting: &Waiting<'_, C>) -> Approval {
    let desk = Arc::<Approvals>::default();
    let asking =
        Asking { capability: waiting.capability(), grant: waiting.id(), ..asked(waiting.scope(), "agent") };
    let (_place, answers) = enter(&desk, asking, 1).unwrap();
    assert!(desk.answer(name(1), Verdict::Once));
    let Ok(Answered::Approved(approval)) = answers.recv() else { panic!("it was approved") };
    approval
}

fn waiting<'a>(gate: &'a Gate, scope: &'a str) -> Waiting<'a, CryptoSign> {
    match gate.ask(scope).unwrap() {
        Asked::Waiting(waiting) => waiting,
        Asked::Allowed(_) => panic!("nobody was asked"),
    }
}

#[test]
fn what_needs_an_approval_waits_where_it_can_and_is_denied_where_it_cannot() {
    let gate = asking_gate(on_condition(&["receipt"], &["approval=1m"]));
    assert_eq!(waiting(&gate, "receipt").patience(), PATIENCE);
    assert_eq!(gate.authorize::<CryptoSign>("receipt").unwrap_err().reason.name(), "approval-needed");
    // Nobody is asked for what would be denied anyway.
    assert!(
        matches!(gate.ask::<CryptoSign>("payment"), Err(denied) if denied.reason == Reason::ScopeNotCovered)
    );
    assert!(gate.covers::<CryptoSign>("receipt"));
}

#[test]
fn an_approval_is_for_its_capability_its_scope_and_its_grant_alone() {
    let gate = asking_gate(on_condition(&["*"], &["approval=1m"]));
    let (receipt, payment) = (waiting(&gate, "receipt"), waiting(&gate, "payment"));
    let approved = approval(&receipt);
    assert!(gate.approved(&receipt, &approved).is_ok());
    assert!(gate.approved(&payment, &approved).is_err());
    let Ok(Asked::Waiting(open)) = gate.ask::<CryptoOpen>("") else { panic!("it waits") };
    assert!(gate.approved(&open, &approved).is_err());
    assert!(gate.approved(&open, &approval(&open)).is_ok());
    let other = grant(&[(SIGN, on_condition(&["*", "!x"], &["approval=1m"]))]);
    gate.replace(effective(&[other])).unwrap();
    assert!(gate.approved(&receipt, &approved).is_err(), "another grant asks now");
}

#[test]
fn what_was_revoked_ended_or_denied_while_it_waited_is_not_approved() {
    let clock = Arc::new(ManualClock::at(at(2_000)));
    let rules = [(SIGN, on_condition(&["*"], &["approval=1m"]))];
    let gate = Gate::new(effective(&[grant(&rules)]), Arc::clone(&clock) as _, Arc::new(|_| {}));
    let call = waiting(&gate, "receipt");
    let approved = approval(&call);
    let denial = grant(&[(SIGN, allow(&["!receipt"]))]);
    gate.replace(effective(&[grant(&rules), denial])).unwrap();
    assert_eq!(gate.approved(&call, &approved).unwrap_err().reason.name(), "denied-by-rule");
    gate.replace(effective(&[grant(&rules)])).unwrap();
    clock.set(at(1_000_000));
    assert_eq!(gate.approved(&call, &approved).unwrap_err().reason.name(), "expired");
    gate.revoke_all();
    assert_eq!(gate.approved(&call, &approved).unwrap_err().reason, Reason::Revoked);
}

#[test]
fn a_question_spends_no_use_and_an_approved_call_spends_one() {
    let gate = asking_gate(on_condition(&["*"], &["approval=1m", "uses<=1"]));
    let (one, two) = (waiting(&gate, "a"), waiting(&gate, "b"));
    assert!(gate.approved(&one, &approval(&one)).is_ok());
    assert_eq!(gate.approved(&two, &approval(&two)).unwrap_err().reason.name(), "exhausted");
    assert!(gate.ask::<CryptoSign>("c").is_err(), "nobody is asked for what is used up");
}

#[test]
fn a_rule_without_a_question_is_preferred_and_a_form_that_is_denied_is_not_asked_for() {
    let rules = |scope: &[&str]| grant(&[(Capability::MessagingSend, allow(scope))]);
    let asking = grant(&[(Capability::MessagingSend, on_condition(&["name:*"], &["approval=1m"]))]);
    let gate = |grants: &[AgentPermissions]| {
        Gate::new(effective(grants), Arc::new(ManualClock::at(at(2_000))), Arc::new(|_| {}))
    };
    let forms = ["did:x", "name:x/topic"];
    let alone = gate(std::slice::from_ref(&asking));
    let Ok(Asked::Waiting(call)) = alone.ask_any::<MessagingSend>(&forms) else { panic!("it waits") };
    assert_eq!(call.scope(), "name:x/topic");
    assert!(alone.approved(&call, &approval(&call)).is_ok());
    let free = gate(&[asking.clone(), rules(&["did:*"])]);
    assert!(matches!(free.ask_any::<MessagingSend>(&forms), Ok(Asked::Allowed(_))));
    let denied = gate(&[asking, rules(&["!did:x"])]);
    assert!(denied.ask_any::<MessagingSend>(&forms).is_err());
}

#[test]
fn equal_calls_share_a_question_and_once_is_for_one_of_them() {
    let desk = Arc::<Approvals>::default();
    let (first, first_answer) = enter(&desk, asked("receipt", "a"), 1).unwrap();
    let (second, second_answer) = enter(&desk, asked("receipt", "a"), 2).unwrap();
    assert!(first.is_new() && !second.is_new());
    assert_eq!(desk.pending().len(), 1);
    assert_eq!(desk.pending()[0].calls, 2);
    assert!(desk.answer(name(1), Verdict::Once) && !desk.answer(name(1), Verdict::Once));
    assert!(matches!(first_answer.recv(), Ok(Answered::Approved(_))));
    assert_eq!(second_answer.recv(), Ok(Answered::Again));
    drop((first, second));
    assert!(desk.pending().is_empty());
}

#[test]
fn a_question_is_gone_with_the_last_call_that_waits_and_unseen_until_it_is_logged() {
    let desk = Arc::<Approvals>::default();
    let (place, _answers) = enter(&desk, asked("receipt", "a"), 1).unwrap();
    drop(place);
    assert!(desk.find(name(1)).is_none() && !desk.answer(name(1), Verdict::Once));
    let heard = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&heard);
    let place = desk.enter(asked("x", "a"), name(2), (at(2_000), PATIENCE), move |answered| {
        assert_eq!(answered, Answered::Unlogged);
        counted.fetch_add(1, Ordering::Relaxed);
    });
    assert!(place.is_ok() && desk.pending().is_empty() && desk.find(name(2)).is_none());
    desk.give_up(name(2));
    assert_eq!(heard.load(Ordering::Relaxed), 1);
}

#[test]
fn an_agent_that_asks_without_end_is_denied_and_keeps_no_other_from_asking() {
    let desk = Arc::<Approvals>::default();
    let places = Mutex::new(Vec::new());
    let ask = |agent: &str, number: usize| {
        let entered = enter(&desk, asked(&format!("scope-{number}"), agent), number)?;
        places.lock().unwrap().push(entered);
        Ok::<_, Unapproved>(())
    };
    for number in 0..PENDING_MAX {
        ask("flood", number).unwrap();
    }
    assert_eq!(ask("flood", PENDING_MAX), Err(Unapproved::Crowded));
    ask("other", 100).unwrap();
    // One that asks and goes away fills the log no faster.
    places.lock().unwrap().clear();
    let asked_in_all = (200..400).filter(|number| {
        places.lock().unwrap().clear();
        ask("flood", *number).is_ok()
    });
    assert_eq!(asked_in_all.count() + PENDING_MAX, 30);
}

#[test]
fn what_was_refused_is_not_asked_again_in_the_same_run() {
    let desk = Arc::<Approvals>::default();
    let (_place, answers) = enter(&desk, asked("receipt", "a"), 1).unwrap();
    assert!(desk.answer(name(1), Verdict::Deny));
    assert_eq!(answers.recv(), Ok(Answered::Refused));
    assert_eq!(enter(&desk, asked("receipt", "a"), 2).unwrap_err(), Unapproved::Refused);
    assert!(enter(&desk, asked("receipt2", "a"), 3).is_ok());
}

#[test]
fn a_lasting_approval_is_for_one_scope_under_the_other_conditions_and_opens_nothing_else() {
    let asking = grant(&[(SIGN, on_condition(&["*"], &["approval=1m", "uses<=5"]))]);
    let granting = |scope: &str| {
        super::granting(&asking, component(), (SIGN, scope), Expiry::At(at(9_000)), (key(9).did(), at(2_000)))
    };
    let made = granting("receipt").unwrap();
    assert_eq!(made.capabilities[&SIGN], on_condition(&["receipt"], &["uses<=5"]));
    assert_eq!((made.resource_access, made.expires), (ResourceAccess::NONE, Expiry::At(at(9_000))));
    for scope in ["receipt*", "*", "!receipt", "a b", ""] {
        assert!(matches!(granting(scope), Err(ApprovalError::Scope { .. })), "{scope}");
    }
    let other = grant(&[(SIGN, allow(&["*"]))]);
    let made = super::granting(&other, component(), (SIGN, "x"), Expiry::Never, (key(9).did(), at(2_000)));
    assert_eq!(made, Err(ApprovalError::NoRule { capability: SIGN }));
}
