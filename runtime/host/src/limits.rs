//! What one agent's store may allocate.
//!
//! In scope: linear memory, tables, core instances, as wasmtime asks for them. Out of scope: fuel and time (`run`), host-call
//! payload and handles (settings of the store, made in `run`), output (`output`).
//!
//! Keeps I7. A growth beyond the limit ends the agent rather than failing the one instruction: the reason then stands in the
//! log, instead of whatever the guest makes of an allocation that failed.

use wasmtime::ResourceLimiter;

use crate::outcome::Ended;

/// Linear memories that one store may have. A component is compiled from several core modules; none measured has more than two.
const MEMORIES: usize = 4;

/// Tables that one store may have.
const TABLES: usize = 64;

/// Counts what a store holds, and ends the agent that wants more.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory: Counter,
    table: Counter,
    instances: usize,
    growth: Growth,
    at_start: Option<usize>,
}

/// Whether memory may grow. A grant of `memory = "read"` keeps it as large as it is when the agent starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    Allowed,
    AllowedUntilStart,
    Over,
}

impl Limiter {
    /// Limits of `memory` bytes, `table` elements and `instances` core instances, each over the whole store.
    pub(crate) fn new(memory: usize, table: usize, instances: usize) -> Self {
        Self {
            memory: Counter::up_to(memory),
            table: Counter::up_to(table),
            instances,
            growth: Growth::Allowed,
            at_start: None,
        }
    }

    /// Memory is not to grow any more once the agent has started.
    pub(crate) fn keep_size_after_start(&mut self) {
        self.growth = Growth::AllowedUntilStart;
    }

    /// The agent is instantiated and starts now.
    pub(crate) fn start(&mut self) {
        self.at_start = Some(self.memory.total);
        if self.growth == Growth::AllowedUntilStart {
            self.growth = Growth::Over;
        }
    }

    /// Whether memory has grown since the agent started.
    pub(crate) fn has_grown(&self) -> bool {
        self.at_start.is_some_and(|size| self.memory.peak > size)
    }

    /// The most linear memory that the store held at once, in bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        self.memory.peak
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if self.growth == Growth::Over {
            return Err(Ended::Memory.into());
        }
        self.memory.grow(current, desired, Ended::Memory)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory.undo();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.table.grow(current, desired, Ended::Table)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.table.undo();
        Ok(())
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

/// The sum of all memories, or all tables, of a store.
#[derive(Debug)]
struct Counter {
    limit: usize,
    total: usize,
    peak: usize,
    last: usize,
}

impl Counter {
    fn up_to(limit: usize) -> Self {
        Self { limit, total: 0, peak: 0, last: 0 }
    }

    fn grow(&mut self, current: usize, desired: usize, ended: Ended) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let total = self.total.saturating_add(growth);
        if total > self.limit {
            return Err(ended.into());
        }
        self.last = growth;
        self.total = total;
        self.peak = self.peak.max(total);
        Ok(true)
    }

    fn undo(&mut self) {
        self.total = self.total.saturating_sub(self.last);
        self.last = 0;
    }
}
