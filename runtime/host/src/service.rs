//! One run of a service: its messages one after another, until it is stopped or breaks.
//!
//! A resident service has one instance for all its messages; a per-message one has a fresh instance for each, so that nothing of
//! one sender reaches another. Fuel and time hold for each message; memory, tables and handles for an instance; output for the
//! run; remarks and secrets for it and all that follow when it breaks.
//!
//! In scope: instances, limits and answers. Out of scope: what waits (`mailbox`), and launching again (`supervisor`).
//!
//! Keeps I7: a message costs no more than its limits, and waiting for one costs nothing.

mod backoff;
mod charges;
pub(crate) mod supervisor;
mod tally;

use std::sync::Arc;
use std::time::Instant;

use kos_core::id::Did;
use kos_core::manifest::Instances;
use wasmtime::Store;

use crate::agent::Agent;
use crate::bindings::{self, Error, ServicePre};
use crate::epoch::Ticks;
use crate::equipment::{Equipment, Spent};
use crate::mailbox::{Delivery, Failed, Letters, Message};
use crate::outcome::Outcome;
use crate::record;
use crate::run::{ExitReport, Stopper, Usage, elapsed, exit, prepare, refill, within};

pub use backoff::Backoff;
pub use tally::Messages;
use tally::Tally;
pub(crate) use tally::{Handled, kind};

/// Everything that one run of a service needs, and gives back when dropped.
pub(crate) struct Service {
    pub(crate) program: ServicePre<Agent>,
    pub(crate) instances: Instances,
    pub(crate) spent: Spent,
    pub(crate) equipment: Equipment,
    pub(crate) stopper: Stopper,
    pub(crate) ticks: Ticks,
    pub(crate) handled: Handled,
}

impl Service {
    /// Handles messages until it is stopped or breaks, and returns when its exit entry is durable. If a message broke it, with who
    /// sent that.
    pub(crate) async fn run(self, letters: &mut Letters) -> (ExitReport, Option<Did>) {
        let Self { program, instances, spent, equipment, stopper, ticks, handled } = self;
        let powers = Arc::clone(&equipment.powers);
        let started = Instant::now();
        let (tally, usage) = (Tally::new(handled), Usage::default());
        let mut work = Work { program, equipment, stopper, ticks, tally, usage, broken_by: None };
        let outcome = match instances {
            Instances::Resident => work.resident(spent, letters).await,
            Instances::PerMessage => work.per_message(spent, letters).await,
        };
        let duration = elapsed(started);
        let Work { equipment, tally, usage, broken_by, .. } = work;
        equipment.output.finish().await;
        let output = equipment.output.written();
        let (sent, received) = powers.traffic.counts();
        let usage = Usage { duration, output, sent, received, messages: Some(tally.messages), ..usage };
        drop(equipment);
        let unlogged = exit(&powers, &outcome, &usage).await.err();
        (ExitReport { outcome, usage, unlogged }, broken_by)
    }
}

/// What the handler said: its reply, or its own error.
type Said = Result<Option<Vec<u8>>, Error>;

/// A run while it goes on.
struct Work {
    program: ServicePre<Agent>,
    equipment: Equipment,
    stopper: Stopper,
    ticks: Ticks,
    tally: Tally,
    usage: Usage,
    /// Who sent the message that ended the run.
    broken_by: Option<Did>,
}

impl Work {
    /// One instance for all messages. It ends with the first at which it breaks.
    async fn resident(&mut self, spent: Spent, letters: &mut Letters) -> Outcome {
        let mut store = match self.equipment.agent(spent) {
            Ok(agent) => self.store(agent),
            Err(error) => return Outcome::from(&error),
        };
        let instance = match self.instance(&mut store).await {
            Ok(instance) => instance,
            Err(outcome) => return outcome,
        };
        while let Some(Delivery { message, answer }) = self.next(letters).await {
            let sender = message.sender;
            match self.handle(&mut store, &instance, message).await {
                Ok(said) => answer(self.said(said)),
                Err(outcome) => {
                    self.tally.broken(&outcome);
                    self.broken_by = Some(sender).filter(|_| outcome != Outcome::Killed);
                    answer(Err(why(&outcome)));
                    return outcome;
                }
            }
        }
        Outcome::Killed
    }

    /// A fresh instance for each message. It breaks for that message alone, unless what it spent is the run's.
    async fn per_message(&mut self, mut spent: Spent, letters: &mut Letters) -> Outcome {
        while let Some(Delivery { message, answer }) = self.next(letters).await {
            let mut store = match self.equipment.next_agent(spent) {
                Ok(agent) => self.store(agent),
                // The directory cannot be emptied or counted: no further message would get its own.
                Err(error) => {
                    answer(Err(Failed::Broken));
                    return Outcome::from(&error);
                }
            };
            let sender = message.sender;
            let handled = self.handle_alone(&mut store, message).await;
            spent = Spent::from(store.into_data());
            match handled {
                Ok(said) => answer(self.said(said)),
                Err(outcome) => {
                    self.broke(&outcome);
                    answer(Err(why(&outcome)));
                    if ends_the_run(&outcome) {
                        self.broken_by = Some(sender).filter(|_| outcome != Outcome::Killed);
                        return outcome;
                    }
                }
            }
        }
        Outcome::Killed
    }

    fn store(&self, agent: Agent) -> Store<Agent> {
        let mut store = Store::new(self.program.engine(), agent);
        prepare(&mut store, &self.equipment.limits);
        store
    }

    /// Waits for a message that may still be received. None when the run is to end.
    async fn next(&self, letters: &mut Letters) -> Option<Delivery> {
        let Equipment { router, powers, .. } = &self.equipment;
        loop {
            let delivery = tokio::select! {
                biased;
                () = self.stopper.stopped() => None,
                delivery = letters.next() => Some(delivery),
            }?;
            if router.may_still_receive(powers, &delivery.message) {
                return Some(delivery);
            }
        }
    }

    /// The instance that stays. Its start stands under the limits of a message.
    async fn instance(&mut self, store: &mut Store<Agent>) -> Result<bindings::Service, Outcome> {
        let _ticking = self.ticks.run();
        let deadline = refill(store, &self.equipment.limits, &self.stopper)?;
        let instantiated = within(deadline, &self.stopper, async {
            let instance = self.program.instantiate_async(&mut *store).await?;
            store.data_mut().limiter.start();
            Ok(instance)
        });
        let instance = instantiated.await;
        self.account(store);
        instance
    }

    async fn handle(
        &mut self,
        store: &mut Store<Agent>,
        instance: &bindings::Service,
        message: Message,
    ) -> Result<Said, Outcome> {
        let _ticking = self.ticks.run();
        let deadline = refill(store, &self.equipment.limits, &self.stopper)?;
        let message = bindings::Message::from(message);
        let called = instance.kos_agent_handler().call_handle(&mut *store, &message);
        let said = within(deadline, &self.stopper, called).await;
        self.account(store);
        said
    }

    async fn handle_alone(&mut self, store: &mut Store<Agent>, message: Message) -> Result<Said, Outcome> {
        let _ticking = self.ticks.run();
        let deadline = refill(store, &self.equipment.limits, &self.stopper)?;
        let message = bindings::Message::from(message);
        let called = within(deadline, &self.stopper, async {
            let instance = self.program.instantiate_async(&mut *store).await?;
            store.data_mut().limiter.start();
            instance.kos_agent_handler().call_handle(&mut *store, &message).await
        });
        let said = called.await;
        self.account(store);
        said
    }

    /// Adds what was used since the last refill.
    fn account(&mut self, store: &mut Store<Agent>) {
        let left = store.get_fuel().unwrap_or(0);
        let agent = store.data();
        agent.tell_learner();
        let left = left.saturating_sub(agent.http.settle(left));
        self.usage.fuel = self.usage.fuel.saturating_add(self.equipment.limits.cpu.saturating_sub(left));
        self.usage.memory = self.usage.memory.max(agent.limiter.peak_memory() as u64);
        self.usage.calls = agent.calls;
    }

    fn said(&mut self, said: Said) -> crate::mailbox::Handled {
        match &said {
            Ok(_) => self.tally.handled(),
            Err(_) => self.tally.refused(),
        }
        said.map_err(Failed::Error)
    }

    /// The first time of a kind is an entry at once; the exit entry counts the rest.
    fn broke(&mut self, outcome: &Outcome) {
        let is_first = self.tally.broken(outcome);
        if is_first && *outcome != Outcome::Killed {
            let powers = &self.equipment.powers;
            record::submit(
                &powers.log,
                powers.subject.broke(outcome),
                "a failed message could not be logged",
            );
        }
    }
}

/// Why a message at which a run ended was not handled.
fn why(outcome: &Outcome) -> Failed {
    if *outcome == Outcome::Killed { Failed::Stopped } else { Failed::Broken }
}

/// Whether no later message would fare better: it was stopped, or a limit of the whole run is reached.
fn ends_the_run(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Killed | Outcome::Output | Outcome::Notes)
}

impl From<Message> for bindings::Message {
    fn from(message: Message) -> Self {
        Self {
            id: message.id,
            sender: message.sender.to_string(),
            timestamp: message.timestamp.as_millis(),
            topic: message.topic,
            payload: message.payload,
            is_request: message.is_request,
        }
    }
}
