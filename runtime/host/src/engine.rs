//! The one wasmtime engine of a host, and the settings that compiling and running share.
//!
//! In scope: which WebAssembly is accepted, how large the instance pool is, how time is metered.
//! Out of scope: the limits of one agent (`limits`), artifacts (`cache`).
//!
//! Keeps I7: everything that a guest could allocate has a ceiling that the pool knows before the guest runs.

use std::num::{NonZeroU32, NonZeroUsize};

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

/// Stack that wasm code of one agent may use. wasmtime's own default, written out because an agent's
/// recursion limit is part of what we promise.
const WASM_STACK: usize = 512 << 10;

/// Stack of a fiber: the wasm stack, and room for host functions that run on top of it.
const FIBER_STACK: usize = WASM_STACK + (512 << 10);

/// Largest linear memory that the pool can serve: all that a 32-bit guest can address.
const POOL_MEMORY: usize = 4 << 30;

/// Largest table that the pool can serve: the most that a grant may name. Only what is used is resident.
const POOL_TABLE_ELEMENTS: usize = 1_000_000;

/// Core instances that one component may have: the most that a grant may name. A linked Python guest has about 30.
const INSTANCES_PER_AGENT: u32 = 1_024;

/// Memories that one component may have. Real ones have one; that several count as one sum is `limits`' business.
const MEMORIES_PER_AGENT: u32 = 4;

/// Tables that one component may have.
const TABLES_PER_AGENT: u32 = 64;

/// Memories of one host: 20,000 reserve about 100 of the 128 TiB of a 47-bit address space. Up to 5,000 agents, each may
/// have all that one agent may have, whatever its neighbours take.
const MOST_MEMORIES: u32 = 20_000;

/// Tables of one host, likewise for up to 5,000 agents: 5 TiB of address space, and 5 MB of bookkeeping.
const MOST_TABLES: u32 = 320_000;

/// Bytes of metadata of one instance. The largest guest measured needs 600 KiB.
const INSTANCE_BYTES: usize = 4 << 20;

/// Memory that a pool slot keeps between two runs, so that a warm launch faults in no fresh pages.
const KEEP_RESIDENT: usize = 1 << 20;

/// Frames of a trap's backtrace: what a person reads of one.
const BACKTRACE_FRAMES: usize = 8;

/// How many agents an engine can hold at the same time.
///
/// The pool reserves address space by this number (about 5 GiB for each memory, none of it resident), so a process that
/// runs one agent asks for little and a large host for what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity(NonZeroU32);

/// The most agents of one host: twice as many memories fit the address space.
const MOST_AGENTS: u32 = 10_000;

impl Capacity {
    /// Room for one agent.
    pub const ONE: Self = Self(NonZeroU32::MIN);

    /// Room for `agents`, at least one and at most 10,000.
    #[must_use]
    pub fn of(agents: u32) -> Self {
        Self(NonZeroU32::new(agents.min(MOST_AGENTS)).unwrap_or(NonZeroU32::MIN))
    }

    /// How many agents fit.
    #[must_use]
    pub fn agents(self) -> u32 {
        self.0.get()
    }
}

/// The engine that runs agents. A pool pays from the second run on; a process of one agent starts sooner without it.
pub(crate) fn for_running(capacity: Capacity) -> wasmtime::Result<Engine> {
    let mut config = shared_config();
    if capacity != Capacity::ONE {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(capacity)));
    }
    Engine::new(&config)
}

/// The engine that only compiles. It makes the same code as [`for_running`] and reserves no pool.
pub(crate) fn for_compiling() -> wasmtime::Result<Engine> {
    Engine::new(&shared_config())
}

/// All that decides what code is made, so that both engines agree on it.
fn shared_config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .consume_fuel(true)
        .epoch_interruption(true)
        .memory_init_cow(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBER_STACK)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES))
        .wasm_relaxed_simd(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_tail_call(true);
    config
}

fn pool(capacity: Capacity) -> PoolingAllocationConfig {
    let agents = capacity.agents();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(agents)
        .total_core_instances(agents.saturating_mul(INSTANCES_PER_AGENT))
        .total_memories(agents.saturating_mul(MEMORIES_PER_AGENT).min(MOST_MEMORIES))
        .total_tables(agents.saturating_mul(TABLES_PER_AGENT).min(MOST_TABLES))
        .total_stacks(agents)
        .max_core_instances_per_component(INSTANCES_PER_AGENT)
        .max_memories_per_component(MEMORIES_PER_AGENT)
        .max_tables_per_component(TABLES_PER_AGENT)
        .max_tables_per_module(TABLES_PER_AGENT)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_component_instance_size(INSTANCE_BYTES)
        .table_elements(POOL_TABLE_ELEMENTS)
        .max_memory_size(POOL_MEMORY)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot set up its engine has failed")]

    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::*;

    #[test]
    fn what_the_compiling_engine_makes_fits_the_running_engine() {
        let hash = |engine: &Engine| {
            BuildHasherDefault::<DefaultHasher>::default().hash_one(engine.precompile_compatibility_hash())
        };
        let compiling = for_compiling().unwrap();
        let running = for_running(Capacity::ONE).unwrap();
        assert_eq!(hash(&compiling), hash(&running));
    }

    #[test]
    fn the_stack_is_as_large_as_the_limits_say() {
        assert_eq!(WASM_STACK as u64, kos_core::permission::standard::STACK);
    }

    #[test]
    fn a_large_host_can_be_opened() {
        for_running(Capacity::of(2_000)).unwrap();
    }

    #[test]
    fn a_capacity_is_at_least_one_and_at_most_what_the_address_space_holds() {
        assert_eq!(Capacity::of(0), Capacity::ONE);
        assert_eq!(Capacity::of(u32::MAX).agents(), MOST_AGENTS);
    }
}
