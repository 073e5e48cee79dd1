//! A call from a guest to a function that is wired by hand: what it costs, and what it may carry.
//!
//! In scope: counting it, its fuel, its payload, the form of what several interfaces take. Out of scope: what it does. Keeps I7.

use wasmtime::{StoreContextMut, Trap};

use crate::agent::Agent;
use crate::bindings::Error;
use crate::outcome::Ended;

/// What every such function returns: a trap, or an answer that may be an error of the contract.
pub(super) type Answer<T> = wasmtime::Result<(Result<T, Error>,)>;

/// A call from a guest.
pub(super) type Call<'a> = StoreContextMut<'a, Agent>;

/// Longest name of a use of a key. The contract says so.
const CONTEXT_BYTES: usize = 64;

/// Fuel of a call with keys, on top of what its bytes cost: the least that one of them takes.
const KEY_FUEL: u64 = 10_000;

/// Counts the call, charges its bytes to the agent's CPU budget at one unit each, and ends the agent that sends more than one call
/// may carry or that has no fuel left for it.
pub(super) fn enter(call: &mut Call<'_>, lengths: &[usize]) -> wasmtime::Result<()> {
    let agent = call.data_mut();
    agent.calls = agent.calls.saturating_add(1);
    let carried = lengths.iter().fold(0_usize, |sum, length| sum.saturating_add(*length));
    if carried > agent.powers.payload {
        return Err(Ended::Payload.into());
    }
    burn(call, carried as u64)
}

/// As [`enter`], for work with keys.
pub(super) fn enter_with_key(call: &mut Call<'_>, lengths: &[usize]) -> wasmtime::Result<()> {
    enter(call, lengths)?;
    burn(call, KEY_FUEL)
}

/// What the host computes for the agent is the agent's computing (I7).
fn burn(call: &mut Call<'_>, fuel: u64) -> wasmtime::Result<()> {
    let left = call.get_fuel()?;
    call.set_fuel(left.saturating_sub(fuel))?;
    if left < fuel { Err(Trap::OutOfFuel.into()) } else { Ok(()) }
}

/// Whether `text` names a use of a key as the contract has it.
pub(super) fn is_context(text: &str) -> bool {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=CONTEXT_BYTES).contains(&text.len()) && text.bytes().all(is_allowed)
}
