//! `kos message`: messages from the operator to running agents, and from them to the operator.
//!
//! The operator's key signs, and the message is sealed to its agent. Whether the agent hears it is a matter of the agent's grants, like
//! any message's: `messaging.receive` for the operator's identifier and the topic.

mod listen;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use kos_core::canonical::base64_encode;
use kos_core::clock::{Clock as _, parse_span};
use kos_core::crypto::{self, Signer as _};
use kos_core::custody::KeyHandle;
use kos_core::custody::agents::AgentRecord;
use kos_core::message::{BODY_MAX, Content, Draft, Inbox, Kind, MessageId, Rejection, SignedMessage, Topic};
use kos_host::control::{self, Undeliverable};
use serde_json::json;

use super::{Ended, agents};
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{GOOD, paint};
use crate::session::Session;
use crate::unlock::UnlockArguments;

/// `kos message …`.
#[derive(Debug, Subcommand)]
pub enum Message {
    /// Send a message to a running agent, or a request, and print its reply.
    Send(SendMessage),
    /// Show what running agents send to the operator, and answer their requests.
    Listen(listen::ListenMessage),
}

impl Message {
    /// Does what was asked.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn run(&self, context: &Context) -> Ended {
        match self {
            Self::Send(command) => command.run(context),
            Self::Listen(command) => command.run(context),
        }
    }
}

/// `kos message send AGENT --topic TOPIC`.
#[derive(Debug, Args)]
pub struct SendMessage {
    /// The agent's name, its identifier, or `did:key:…#name`.
    agent: String,
    /// What it is about.
    #[arg(long)]
    topic: Topic,
    /// Send what is in this file; `-` is standard input. Without it the message is empty.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Wait for a reply and print it.
    #[arg(long)]
    request: bool,
    /// How long to wait for the reply.
    #[arg(long, value_name = "TIME", value_parser = parse_span, default_value = "5s", requires = "request")]
    timeout: Duration,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl SendMessage {
    fn run(&self, context: &Context) -> Ended {
        let body = self.from.as_deref().map_or_else(|| Ok(Vec::new()), read)?;
        let session = Session::open(context, &self.unlock)?;
        let record = agents::find(&session.home, &session.config, &self.agent)?;
        let operator = operator(&session)?;
        let message = self.sealed(&session, &record, &operator, body)?;
        let id = message.header().id();
        let answer =
            control::deliver(&session.home, &message, self.timeout).map_err(|error| self.failure(&error))?;
        let to = record.identity.did;
        let Some(answer) = answer else {
            context.output.answer(&json!({ "message": id, "to": to }), || paint(GOOD, "delivered"))?;
            return Ok(ExitCode::SUCCESS);
        };
        let body = reply(&session, &record, &operator, id, answer)?;
        if context.output.is_json() {
            let text = std::str::from_utf8(&body).ok();
            let value = json!({ "message": id, "to": to, "body": base64_encode(&body), "text": text });
            context.output.answer(&value, String::new)?;
        } else {
            context.output.raw(&body)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn sealed(
        &self,
        session: &Session,
        record: &AgentRecord,
        operator: &KeyHandle,
        body: Vec<u8>,
    ) -> Result<SignedMessage, Failure> {
        if !record.is_attested() {
            return Err(Failure::new(format!(
                "the record of `{}` has a key that is not its own",
                self.agent
            )));
        }
        let now = session.clock.now();
        let topic = self.topic.clone();
        let content = if self.request {
            Content::request(topic, body, Some(now.saturating_add(self.timeout)))
        } else {
            Content::message(topic, body)
        }?;
        let draft = Draft::new(operator, record.identity.did, content, now, &crypto::random()?);
        Ok(draft.sealed(&record.agreement_key)?)
    }

    fn failure(&self, error: &Undeliverable) -> Failure {
        let failure = Failure::new(error);
        match error {
            Undeliverable::Unreachable => {
                failure.remedy(format!("kos ps; then grant `{}` messaging.receive from you", self.agent))
            }
            _ => failure,
        }
    }
}

/// The body of the reply, once it is known to be the agent's own, to this request.
fn reply(
    session: &Session,
    record: &AgentRecord,
    operator: &KeyHandle,
    request: MessageId,
    answer: SignedMessage,
) -> Result<Vec<u8>, Failure> {
    // The identifier is random and used once, so that no earlier answer is one to it: the floor need not be kept.
    let floor = session.home.messages().join(format!("{request}.json"));
    kos_core::durable::create_private_dir(&session.home.messages())?;
    let accepted = Inbox::open(&floor, operator.did()).map_err(Failure::from).and_then(|mut inbox| {
        let is_the_agent = |sender: &_| {
            if *sender == record.identity.did { Ok(()) } else { Err(Rejection::Untrusted) }
        };
        Ok(inbox.accept(answer.judged(&operator.did(), session.clock.now(), is_the_agent)?)?)
    });
    for left in [floor.with_extension("lock"), floor] {
        drop(fs::remove_file(left));
    }
    let content = accepted?.open(operator)?;
    if content.in_reply_to() != Some(request) {
        return Err(Failure::new("the agent answered another request"));
    }
    if content.kind() == Kind::Reply {
        return Ok(content.into_body());
    }
    let failure = Failure::new("the agent did not handle the request");
    let word = String::from_utf8_lossy(content.body()).into_owned();
    Err(if word.is_empty() { failure } else { failure.why(format!("it says `{word}`")) })
}

/// The operator whose key lies in this home.
fn operator(session: &Session) -> Result<KeyHandle, Failure> {
    let operators = session.local_operators()?;
    operators.into_iter().next().ok_or_else(|| {
        Failure::new("no operator's key lies in this home, so nobody can sign or receive a message")
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let refused = || format!("cannot read {}", path.display());
    let mut body = Vec::new();
    // One byte more, so that what is too large is refused and not cut.
    let most = BODY_MAX as u64 + 1;
    if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut body).doing(refused())?;
    } else {
        File::open(path).doing(refused())?.take(most).read_to_end(&mut body).doing(refused())?;
    }
    Ok(body)
}
