//! `kos:agent/crypto`: cryptography with keys that the agent never sees.
//!
//! Wired by hand rather than by the generated trait, so that a list that is only read stays in the guest's memory
//! (`WasmList`): a copy of 4 KiB costs more than the call.
//!
//! Keeps I3 (each operation takes its grant) and I6 (keys stay in custody).

mod hash;
mod keys;

use kos_core::permission::marker::{CryptoHash, CryptoOpen, CryptoSeal, CryptoSign, CryptoVerify};
use wasmtime::AsContext;
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType, WasmList};

use super::call::{Answer, Call, enter, enter_with_key};
use crate::agent::Agent;
use crate::approval::authorize;
use crate::bindings::crypto::Algorithm;

#[expect(unreachable_pub, reason = "the generated bindings name it in public items of their own")]
pub use hash::Hasher;

/// The interface's full name.
const INTERFACE: &str = "kos:agent/crypto@0.1.0";

pub(super) fn add_to_linker(linker: &mut Linker<Agent>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    interface.func_wrap("hash", hash_once)?;
    add_hasher(&mut interface)?;
    interface.func_wrap_async("sign", |call, (context, message): (String, WasmList<u8>)| {
        Box::new(sign(call, context, message))
    })?;
    interface.func_wrap_async("verify", |call, arguments| Box::new(verify(call, arguments)))?;
    interface.func_wrap_async("seal", |call, arguments| Box::new(seal(call, arguments)))?;
    interface.func_wrap_async("open", |call, (associated, sealed): (WasmList<u8>, WasmList<u8>)| {
        Box::new(open(call, associated, sealed))
    })
}

fn add_hasher(interface: &mut LinkerInstance<'_, Agent>) -> wasmtime::Result<()> {
    interface.resource("hasher", ResourceType::host::<Hasher>(), |mut call: Call<'_>, handle| {
        call.data_mut().table.delete(Resource::<Hasher>::new_own(handle))?;
        Ok(())
    })?;
    interface.func_wrap("[static]hasher.open", hasher_open)?;
    interface.func_wrap("[method]hasher.update", hasher_update)?;
    interface.func_wrap("[method]hasher.finish", hasher_finish)
}

fn hash_once(mut call: Call<'_>, (algorithm, data): (Algorithm, WasmList<u8>)) -> Answer<Vec<u8>> {
    enter(&mut call, &[data.len()])?;
    let gate = &call.data().powers.gate;
    let grant = match gate.authorize::<CryptoHash>(hash::scope(algorithm)) {
        Ok(grant) => grant,
        Err(denied) => return Ok((Err(denied.into()),)),
    };
    Ok((Ok(hash::once(&grant, algorithm, data.as_le_slice(call.as_context()))),))
}

fn hasher_open(mut call: Call<'_>, (algorithm,): (Algorithm,)) -> Answer<Resource<Hasher>> {
    enter(&mut call, &[])?;
    let agent = call.data_mut();
    let hasher = match agent.powers.gate.authorize::<CryptoHash>(hash::scope(algorithm)) {
        Ok(grant) => Hasher::open(&grant, algorithm),
        Err(denied) => return Ok((Err(denied.into()),)),
    };
    Ok((Ok(agent.table.push(hasher)?),))
}

fn hasher_update(mut call: Call<'_>, (hasher, data): (Resource<Hasher>, WasmList<u8>)) -> Answer<()> {
    enter(&mut call, &[data.len()])?;
    let agent = call.data();
    let hasher = agent.table.get(&hasher)?;
    let grant = match agent.powers.gate.authorize::<CryptoHash>(hasher.scope()) {
        Ok(grant) => grant,
        Err(denied) => return Ok((Err(denied.into()),)),
    };
    Ok((hasher.update(&grant, data.as_le_slice(call.as_context())),))
}

fn hasher_finish(mut call: Call<'_>, (hasher,): (Resource<Hasher>,)) -> Answer<Vec<u8>> {
    enter(&mut call, &[])?;
    let agent = call.data();
    let hasher = agent.table.get(&hasher)?;
    Ok((match agent.powers.gate.authorize::<CryptoHash>(hasher.scope()) {
        Ok(grant) => hasher.finish(&grant),
        Err(denied) => Err(denied.into()),
    },))
}

async fn sign(mut call: Call<'_>, context: String, message: WasmList<u8>) -> Answer<Vec<u8>> {
    enter_with_key(&mut call, &[context.len(), message.len()])?;
    let powers = std::sync::Arc::clone(&call.data().powers);
    let grant = match authorize::<CryptoSign>(&powers, &context).await {
        Ok(grant) => grant,
        Err(denied) => return Ok((Err(denied.into()),)),
    };
    let signing = keys::sign(&grant, &powers.key, message.as_le_slice(call.as_context()));
    Ok((match signing {
        Ok(signing) => signing.await,
        Err(error) => Err(error),
    },))
}

type VerifyArguments = (String, String, WasmList<u8>, WasmList<u8>);

async fn verify(mut call: Call<'_>, (signer, context, message, signature): VerifyArguments) -> Answer<bool> {
    enter_with_key(&mut call, &[signer.len(), context.len(), message.len(), signature.len()])?;
    let powers = std::sync::Arc::clone(&call.data().powers);
    let grant = match authorize::<CryptoVerify>(&powers, &signer).await {
        Ok(grant) => grant,
        Err(denied) => return Ok((Err(denied.into()),)),
    };
    let (message, signature) =
        (message.as_le_slice(call.as_context()), signature.as_le_slice(call.as_context()));
    Ok((keys::verify(&grant, &context, message, signature),))
}

type SealArguments = (String, WasmList<u8>, WasmList<u8>);

async fn seal(mut call: Call<'_>, (recipient, associated, plaintext): SealArguments) -> Answer<Vec<u8>> {
    enter_with_key(&mut call, &[recipient.len(), associated.len(), plaintext.len()])?;
    let powers = std::sync::Arc::clone(&call.data().powers);
    let grant = match authorize::<CryptoSeal>(&powers, &recipient).await {
        Ok(grant) => grant,
        Err(denied) => return Ok((Err(denied.into()),)),
    };
    let (associated, plaintext) =
        (associated.as_le_slice(call.as_context()), plaintext.as_le_slice(call.as_context()));
    Ok((keys::seal(&grant, associated, plaintext),))
}

async fn open(mut call: Call<'_>, associated: WasmList<u8>, sealed: WasmList<u8>) -> Answer<Vec<u8>> {
    enter_with_key(&mut call, &[associated.len(), sealed.len()])?;
    let powers = std::sync::Arc::clone(&call.data().powers);
    let grant = match authorize::<CryptoOpen>(&powers, "").await {
        Ok(grant) => grant,
        Err(denied) => return Ok((Err(denied.into()),)),
    };
    let (associated, sealed) =
        (associated.as_le_slice(call.as_context()), sealed.as_le_slice(call.as_context()));
    Ok((keys::open(&grant, &powers.key, associated.to_vec(), sealed.to_vec()).await,))
}
