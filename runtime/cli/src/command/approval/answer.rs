//! `kos approve` and `kos deny`.

use std::process::ExitCode;

use clap::Args;
use kos_core::clock::Clock as _;
use kos_core::crypto::Signer as _;
use kos_core::permission::{self, Asking, GrantId, Pending, QuestionId, Verdict, When, granting};
use kos_host::control;
use serde_json::json;

use super::shown;
use crate::command::Ended;
use crate::command::grant::put_in_force;
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{GOOD, paint};
use crate::session::{Session, as_signers, in_force};
use crate::unlock::UnlockArguments;

/// `kos approve QUESTION`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kos approvals                        what waits, and by which identifier it is answered
  kos approve 5f0c9a31d2e4             let this one call be made
  kos approve 5f0c9a31d2e4 --for 1h    and every call for exactly the shown scope within an hour
  kos approve 5f0c9a31d2e4 --always    and every later one, until the grant is revoked

An approval for a time, or always, is an operator's signed grant: it needs the operators' keys
and is shown by `kos grants list`. Whatever is approved is judged again by what is in force then.")]
pub struct Approve {
    /// The question, by its 12 digits in `kos approvals`.
    question: String,
    /// This one call [default].
    #[arg(long, conflicts_with_all = ["span", "always"])]
    once: bool,
    /// Every call for exactly this scope, for so long: a span (1h) or a date.
    #[arg(long = "for", value_name = "SPAN", id = "span", conflicts_with = "always")]
    span: Option<String>,
    /// Every call for exactly this scope, without end.
    #[arg(long)]
    always: bool,
    #[command(flatten)]
    unlock: UnlockArguments,
}

/// `kos deny QUESTION`.
#[derive(Debug, Args)]
pub struct Deny {
    /// The question, by its 12 digits in `kos approvals`. It is not asked again in the same run.
    question: String,
}

impl Approve {
    /// Carries the approval out.
    ///
    /// # Errors
    /// When no call waits for it any more, a host does not answer, or the grant cannot be signed.
    pub fn run(&self, context: &Context) -> Ended {
        let question = identifier(&self.question)?;
        let until = match (&self.span, self.always) {
            (Some(span), _) => Some(When::parse(span)?),
            (None, true) => Some(When::Never),
            (None, false) => None,
        };
        let pending = find(context, question)?;
        match until {
            Some(until) => self.grant(context, &pending, until),
            None => {
                answer(context, question, Verdict::Once)?;
                report(context, &pending.asking, "once", None)
            }
        }
    }

    /// Makes the approval last: the waiting calls are judged by the new grant, as all later ones are.
    fn grant(&self, context: &Context, pending: &Pending, until: When) -> Ended {
        let asking = &pending.asking;
        let session = Session::open(context, &self.unlock)?;
        let _lock = session.lock_changes()?;
        let now = session.clock.now();
        let installed = permission::list(&session.home, &session.config, now)?;
        let asks = installed.iter().find(|listed| listed.grant.id() == asking.grant);
        let asks = asks.ok_or_else(|| Failure::new("the grant that asks for this approval is gone"))?;
        let operators = session.operators()?;
        let expires = until.expiry(now);
        let signed_by = operators.first().map_or(session.config.host, |operator| operator.did());
        let permissions = granting(
            asks.grant.permissions(),
            asking.component.parse()?,
            (asking.capability, &asking.scope),
            expires,
            (signed_by, now),
        )
        .or_try(format!("kos approve {}", pending.question))?;
        let envelope = permissions.sign(&as_signers(&operators))?;
        let hosts = put_in_force(&session, &envelope, &permissions)?;
        let id = GrantId::of(envelope.unverified_payload());
        let lasting = format!("until {expires}, by the grant {id}; {}", in_force(hosts));
        report(context, asking, &lasting, Some((id, hosts)))
    }
}

impl Deny {
    /// Refuses the calls that wait.
    ///
    /// # Errors
    /// When no call waits any more, or a host does not answer.
    pub fn run(&self, context: &Context) -> Ended {
        let question = identifier(&self.question)?;
        let Pending { asking, .. } = find(context, question)?;
        answer(context, question, Verdict::Deny)?;
        let value = json!({ "denied": question, "capability": asking.capability, "scope": asking.scope });
        context.output.answer(&value, || {
            format!("denied {} for {} to {}", asking.capability, shown(&asking.scope), asking.agent)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Only a whole identifier names a question: another one may begin alike when the answer comes.
fn identifier(text: &str) -> Result<QuestionId, Failure> {
    text.parse().or_try("kos approvals")
}

fn find(context: &Context, question: QuestionId) -> Result<Pending, Failure> {
    let (home, _) = context.open_home()?;
    let mut asked = control::questions(&home)?.into_iter().flat_map(|host| host.questions);
    asked.find(|pending| pending.question == question).ok_or_else(|| ended(question))
}

fn answer(context: &Context, question: QuestionId, verdict: Verdict) -> Result<(), Failure> {
    let (home, _) = context.open_home()?;
    let is_answered = control::answer(&home, question, verdict)?;
    if is_answered { Ok(()) } else { Err(ended(question)) }
}

fn ended(question: QuestionId) -> Failure {
    Failure::new(format!("no call waits for an answer to {question}"))
        .why("its time is over, its run has ended, or it was answered")
        .remedy("kos approvals")
}

fn report(context: &Context, asking: &Asking, lasting: &str, granted: Option<(GrantId, usize)>) -> Ended {
    let mut value = json!({
        "approved": asking.agent, "capability": asking.capability, "scope": asking.scope, "run": asking.run,
    });
    if let (Some((id, hosts)), Some(object)) = (granted, value.as_object_mut()) {
        object.insert("grant".to_owned(), json!(id));
        object.insert("hosts".to_owned(), json!(hosts));
    }
    context.output.answer(&value, || {
        let what = format!("approved {} for {}", asking.capability, shown(&asking.scope));
        format!("{}\nof {}, {lasting}", paint(GOOD, what), asking.agent)
    })?;
    Ok(ExitCode::SUCCESS)
}
