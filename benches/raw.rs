//! Wasmtime without any of ours: the limit that a launch and a call are measured against.
#![allow(dead_code, reason = "each bench uses its part of this module")]

use std::path::{Path, PathBuf};

use wasmtime::component::{Component, InstancePre, Linker, ResourceTable, WasmList};
use wasmtime::{
    AsContext as _, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    StoreContextMut,
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// A component linked to WASI and to a `hash` that asks nobody.
pub(crate) struct Raw {
    engine: Engine,
    instance: InstancePre<State>,
    runtime: tokio::runtime::Runtime,
}

pub(crate) struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl Raw {
    pub(crate) fn new(component: &[u8]) -> Self {
        let mut config = Config::new();
        let mut pool = PoolingAllocationConfig::new();
        pool.linear_memory_keep_resident(1 << 20).pagemap_scan(wasmtime::Enabled::Auto);
        config
            .concurrency_support(false)
            .consume_fuel(true)
            .epoch_interruption(true)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).unwrap();
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        let mut crypto = linker.instance("kos:agent/crypto@0.1.0").unwrap();
        crypto.func_wrap("hash", hash).unwrap();
        let mut identity = linker.instance("kos:agent/identity@0.1.0").unwrap();
        identity.func_new_async("self", |_, _, _, _| Box::new(async { wasmtime::bail!("nobody") })).unwrap();
        let component = Component::new(&engine, component).unwrap();
        let instance = linker.instantiate_pre(&component).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { engine, instance, runtime }
    }

    pub(crate) fn instantiated(&self) -> Store<State> {
        let mut store = self.store();
        self.runtime.block_on(self.instance.instantiate_async(&mut store)).unwrap();
        store
    }

    /// Instantiates and runs `main`, whatever it comes to.
    pub(crate) fn run(&self) {
        let mut store = self.store();
        self.runtime.block_on(async {
            let command = wasmtime_wasi::p2::bindings::CommandPre::new(self.instance.clone()).unwrap();
            let command = command.instantiate_async(&mut store).await.unwrap();
            drop(command.wasi_cli_run().call_run(&mut store).await);
        });
    }

    fn store(&self) -> Store<State> {
        let state = State { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
        let mut store = Store::new(&self.engine, state);
        store.set_fuel(u64::MAX).unwrap();
        store.set_epoch_deadline(1 << 40);
        store
    }
}

#[derive(
    wasmtime::component::ComponentType, wasmtime::component::Lower, wasmtime::component::Lift, Clone,
)]
#[component(variant)]
enum Error {
    #[component(name = "denied")]
    Denied,
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "limited")]
    Limited,
    #[component(name = "unavailable")]
    Unavailable,
}

#[derive(
    wasmtime::component::ComponentType, wasmtime::component::Lower, wasmtime::component::Lift, Clone, Copy,
)]
#[component(enum)]
#[repr(u8)]
enum Algorithm {
    #[component(name = "sha512")]
    Sha512,
    #[component(name = "blake3")]
    Blake3,
}

type Hashed = (Result<Vec<u8>, Error>,);

fn hash(
    call: StoreContextMut<'_, State>,
    (algorithm, data): (Algorithm, WasmList<u8>),
) -> wasmtime::Result<Hashed> {
    let bytes = data.as_le_slice(call.as_context());
    Ok((match algorithm {
        Algorithm::Blake3 => Ok(blake3::hash(bytes).as_bytes().to_vec()),
        Algorithm::Sha512 => Err(Error::Denied),
    },))
}

/// A sample agent's component.
pub(crate) fn agent(name: &str) -> PathBuf {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/wasm32-wasip2/release/{name}.wasm"));
    assert!(path.exists(), "{} is not built: run `cargo xtask agents` first", path.display());
    path
}
