//! `kos:agent/messaging`: messages to and from other agents.
//!
//! Wired by hand for the same reason as `crypto`.
//!
//! Keeps I3 (sending takes its grant; what is received was judged by the run's own gate) and I7 (waiting ends with the run).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use kos_core::capability::Capability;
use kos_core::clock::Timestamp;
use kos_core::message::{BODY_MAX, Content, Topic};
use kos_core::permission::marker::{MessagingReceive, MessagingSend};
use kos_core::permission::{Denied, Gate, Grant, Reason};
use tokio::time::{Instant, timeout_at};
use wasmtime::AsContext;
use wasmtime::component::{Linker, WasmList};

use super::call::{Answer, Call, enter, enter_with_key};
use crate::agent::{Agent, Powers};
use crate::approval::authorize_any;
use crate::bindings::{DeliveryError, Error, Message};
use crate::mailbox::{self, Delivery, Letters};
use crate::router::{Peer, Router, Undelivered, borrowed};

/// The interface's full name.
const INTERFACE: &str = "kos:agent/messaging@0.1.0";

/// Most requests that an agent holds unanswered. Beyond it the oldest is answered as not handled.
const OPEN_MAX: usize = 256;

/// A longer wait is as good as one without end: no run lasts so long.
const WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What an agent sends and receives by.
pub(crate) struct Messages {
    router: Arc<Router>,
    /// None in a service, whose handler gets what arrives.
    letters: Option<Letters>,
    /// Requests that it took and has not answered.
    open: VecDeque<Open>,
}

struct Open {
    id: String,
    /// The scopes of its sender and its topic.
    forms: Vec<String>,
    answer: mailbox::Answer,
}

impl Messages {
    /// Of an agent that sends, and takes nothing.
    pub(crate) fn new(router: Arc<Router>) -> Self {
        Self { router, letters: None, open: VecDeque::new() }
    }

    /// Lets it take what arrives there.
    pub(crate) fn receive_from(&mut self, letters: Letters) {
        self.letters = Some(letters);
    }

    fn keep_open(&mut self, open: Open) {
        if self.open.len() >= OPEN_MAX {
            self.open.pop_front();
        }
        self.open.push_back(open);
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<Agent>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    interface.func_wrap_async("send", |call, arguments| Box::new(send(call, arguments)))?;
    interface.func_wrap_async("request", |call, arguments| Box::new(request(call, arguments)))?;
    interface.func_wrap_async("receive", |call, (deadline,): (u64,)| Box::new(receive(call, deadline)))?;
    interface.func_wrap_async("reply", |call, (id, payload): (String, WasmList<u8>)| {
        Box::new(reply(call, id, payload))
    })
}

/// What `send` and `request` return.
type Delivered<T> = wasmtime::Result<(Result<T, DeliveryError>,)>;

type SendArguments = (String, String, WasmList<u8>);

async fn send(mut call: Call<'_>, (to, topic, payload): SendArguments) -> Delivered<String> {
    enter_with_key(&mut call, &[to.len(), topic.len(), payload.len()])?;
    let (router, powers) = (Arc::clone(&call.data().messages.router), Arc::clone(&call.data().powers));
    let peer = router.peer(&to, &topic);
    let grant: Grant<'_, MessagingSend> = match authorize_any(&powers, &borrowed(&peer.forms)).await {
        Ok(grant) => grant,
        Err(denied) => return Ok((Err(denied.into()),)),
    };
    let (topic, payload) = match checked(&call, (&to, &topic, &payload)) {
        Ok(checked) => checked,
        Err(error) => return Ok((Err(error),)),
    };
    let sent = async {
        let content = Content::message(topic, payload).map_err(|_| DeliveryError::Unavailable)?;
        Ok(router.send(grant, &powers, &peer, content).await?.to_string())
    };
    Ok((sent.await,))
}

type RequestArguments = (String, String, WasmList<u8>, u64);

async fn request(mut call: Call<'_>, (to, topic, payload, deadline): RequestArguments) -> Delivered<Vec<u8>> {
    enter_with_key(&mut call, &[to.len(), topic.len(), payload.len()])?;
    let (router, powers) = (Arc::clone(&call.data().messages.router), Arc::clone(&call.data().powers));
    let peer = router.peer(&to, &topic);
    let grant: Grant<'_, MessagingSend> = match authorize_any(&powers, &borrowed(&peer.forms)).await {
        Ok(grant) => grant,
        Err(denied) => return Ok((Err(denied.into()),)),
    };
    let (topic, payload) = match checked(&call, (&to, &topic, &payload)) {
        Ok(checked) => checked,
        Err(error) => return Ok((Err(error),)),
    };
    let patience = waiting(deadline);
    let until = Instant::now() + patience;
    let answered = async {
        let deadline: Timestamp = router.present().saturating_add(patience);
        let content =
            Content::request(topic, payload, Some(deadline)).map_err(|_| DeliveryError::Unavailable)?;
        Ok(router.request(grant, &powers, &peer, content, until).await?)
    };
    Ok((answered.await,))
}

/// The arguments of a call that may be made.
fn checked(
    call: &Call<'_>,
    (to, topic, payload): (&str, &str, &WasmList<u8>),
) -> Result<(Topic, Vec<u8>), DeliveryError> {
    let invalid = |what: &str| DeliveryError::Invalid(what.into());
    if !Peer::is_named_by(to) {
        return Err(invalid("to"));
    }
    let topic = topic.parse().map_err(|_| invalid("topic"))?;
    if payload.len() > BODY_MAX {
        return Err(invalid("payload"));
    }
    Ok((topic, payload.as_le_slice(call.as_context()).to_vec()))
}

async fn receive(mut call: Call<'_>, deadline: u64) -> Answer<Option<Message>> {
    enter(&mut call, &[])?;
    if let Err(denied) = may_receive(&call.data().powers.gate) {
        return Ok((Err(denied.into()),));
    }
    let Some(mut letters) = call.data_mut().messages.letters.take() else {
        return Ok((Err(Error::Invalid("service".into())),));
    };
    let (router, powers) = (Arc::clone(&call.data().messages.router), Arc::clone(&call.data().powers));
    let delivery = next(&router, &powers, &mut letters, Instant::now() + waiting(deadline)).await;
    let messages = &mut call.data_mut().messages;
    messages.letters = Some(letters);
    Ok((Ok(delivery.map(|Delivery { message, answer }| {
        if message.is_request {
            let forms = router.forms(&message.sender, &message.topic);
            messages.keep_open(Open { id: message.id.clone(), forms, answer });
        } else {
            answer(Ok(None));
        }
        message.into()
    })),))
}

/// The next message that may still be received; what may not any more goes back unhandled.
async fn next(router: &Router, powers: &Powers, letters: &mut Letters, until: Instant) -> Option<Delivery> {
    loop {
        let delivery = timeout_at(until, letters.next()).await.ok()?;
        if router.may_still_receive(powers, &delivery.message) {
            return Some(delivery);
        }
    }
}

/// Whether anything at all could be received.
fn may_receive(gate: &Gate) -> Result<(), Denied> {
    if gate.held().iter().any(|held| held.capability == Capability::MessagingReceive) {
        return Ok(());
    }
    gate.authorize::<MessagingReceive>("").map(drop)
}

async fn reply(mut call: Call<'_>, id: String, payload: WasmList<u8>) -> Answer<()> {
    enter_with_key(&mut call, &[id.len(), payload.len()])?;
    let powers = Arc::clone(&call.data().powers);
    let messages = &call.data().messages;
    let found = messages.open.iter().position(|open| open.id == id);
    let forms = found.and_then(|at| messages.open.get(at)).map(|open| open.forms.clone());
    let Some((at, forms)) = found.zip(forms) else {
        return Ok((may_receive(&powers.gate).map_err(Error::from).and(Err(Error::Invalid("id".into()))),));
    };
    if let Err(denied) = powers.gate.authorize_any::<MessagingReceive>(&borrowed(&forms)) {
        return Ok((Err(denied.into()),));
    }
    if payload.len() > BODY_MAX {
        return Ok((Err(Error::Invalid("payload".into())),));
    }
    let payload = payload.as_le_slice(call.as_context()).to_vec();
    if let Some(open) = call.data_mut().messages.open.remove(at) {
        (open.answer)(Ok(Some(payload)));
    }
    Ok((Ok(()),))
}

fn waiting(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds).min(WAIT_MAX)
}

impl From<Denied> for DeliveryError {
    fn from(denied: Denied) -> Self {
        match denied.reason {
            Reason::Locked => Self::Unavailable,
            _ => Self::Denied,
        }
    }
}

impl From<Undelivered> for DeliveryError {
    fn from(undelivered: Undelivered) -> Self {
        match undelivered {
            Undelivered::Unreachable => Self::Unreachable,
            Undelivered::Limited => Self::Limited,
            Undelivered::Unavailable => Self::Unavailable,
            Undelivered::TimedOut => Self::TimedOut,
            Undelivered::Failed(word) => Self::Failed(word),
        }
    }
}
