//! `kos message listen`: what running agents send to the operator.
//!
//! An agent needs `messaging.send` for the operator's identifier and the topic, as for any peer. Whoever holds the
//! operator's key judges what arrives: signature, time, and that it was not received before.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use kos_core::canonical::base64_encode;
use kos_core::clock::Clock as _;
use kos_core::crypto::{self, Signer as _};
use kos_core::custody::KeyHandle;
use kos_core::custody::agents as records;
use kos_core::message::{Accepted, BODY_MAX, Content, Draft, Inbox, Kind, SignedMessage};
use kos_host::control;
use serde_json::json;

use super::{operator, read};
use crate::command::Ended;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{GOOD, clean, paint};
use crate::session::Session;
use crate::unlock::UnlockArguments;

/// How long an answer may be on its way.
const ANSWERING: Duration = Duration::from_secs(5);

/// `kos message listen`.
#[derive(Debug, Args)]
pub struct ListenMessage {
    /// Show messages on topics that begin so; others are passed over.
    #[arg(long, value_name = "PREFIX", default_value = "")]
    topic: String,
    /// End after so many messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Answer each request with this text.
    #[arg(long, value_name = "TEXT", conflicts_with = "reply_from")]
    reply: Option<String>,
    /// Answer each request with what is in this file; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    reply_from: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl ListenMessage {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let reply = match (&self.reply, &self.reply_from) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(file)) => Some(read(file)?),
            (None, None) => None,
        };
        if reply.as_ref().is_some_and(|reply| reply.len() > BODY_MAX) {
            return Err(Failure::new(format!("the reply is too large: at most {BODY_MAX} bytes are sent")));
        }
        let session = Session::open(context, &self.unlock)?;
        let operator = operator(&session)?;
        let mut inbox = Inbox::open_in(&session.home.messages(), operator.did())?;
        let messages = control::listen(&session.home, &operator.did())?;
        let mut left = self.count.unwrap_or(u64::MAX);
        context.output.remark(format!("listening for {}", operator.did()));
        while left > 0 {
            // None is left where no host is, or the last has ended.
            let Ok(message) = messages.recv() else {
                inbox.close()?;
                return Err(Failure::new("no host is running any more that could be heard")
                    .remedy("kos-run AGENT.wasm"));
            };
            let (accepted, content) = match received(&session, &mut inbox, &operator, message) {
                Ok(received) => received,
                Err(failure) => {
                    context.output.remark(format!("a message was refused: {failure}"));
                    continue;
                }
            };
            let is_wanted = matches!(content.kind(), Kind::Message | Kind::Request);
            if !is_wanted || !content.topic().as_str().starts_with(&self.topic) {
                continue;
            }
            show(context, &session, &accepted, &content)?;
            if let (Kind::Request, Some(reply)) = (content.kind(), &reply) {
                answer(&session, &operator, &accepted, &content, reply.clone())?;
            }
            left -= 1;
        }
        inbox.close()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn received(
    session: &Session,
    inbox: &mut Inbox,
    operator: &KeyHandle,
    message: SignedMessage,
) -> Result<(Accepted, Content), Failure> {
    // The host has judged its sender, by what it knows of the agents of the home.
    let judged = message.judged(&operator.did(), session.clock.now(), |_| Ok(()))?;
    let accepted = inbox.accept(judged)?;
    let content = accepted.open(operator)?;
    Ok((accepted, content))
}

fn show(context: &Context, session: &Session, accepted: &Accepted, content: &Content) -> Result<(), Failure> {
    let (from, text) = (accepted.header().from(), std::str::from_utf8(content.body()).ok());
    let agents = records::list(&session.home, &session.config.host)?;
    let name = agents.iter().find(|record| record.identity.did == *from).map(|record| &record.agent.name);
    if context.output.is_json() {
        return context.output.line(serde_json::to_string(&json!({
            "message": accepted.header().id(),
            "from": from,
            "name": name,
            "sent": accepted.header().timestamp(),
            "topic": content.topic(),
            "request": content.kind() == Kind::Request,
            "body": base64_encode(content.body()),
            "text": text,
        }))?);
    }
    let sender = name.map_or_else(|| from.to_string(), ToString::to_string);
    let body = text.map_or_else(|| format!("base64:{}", base64_encode(content.body())), clean);
    context.output.line(format!("{} {}: {body}", paint(GOOD, sender), content.topic()))
}

fn answer(
    session: &Session,
    operator: &KeyHandle,
    accepted: &Accepted,
    content: &Content,
    reply: Vec<u8>,
) -> Result<(), Failure> {
    let header = accepted.header();
    let reply = Content::reply(header.id(), content.topic().clone(), reply)?;
    let draft = Draft::new(operator, *header.from(), reply, session.clock.now(), &crypto::random()?);
    let message = SignedMessage::verify(draft.signed()?.into_bytes())?;
    control::deliver(&session.home, &message, ANSWERING)?;
    Ok(())
}
