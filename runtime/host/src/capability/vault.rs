//! `kos:agent/vault`: secrets that the agent uses and, by their own grant alone, reads.
//!
//! Wired by hand for the same reason as `crypto`, and so that what comes out of custody is erased as soon as it is in the
//! guest's memory.
//!
//! Keeps I3 (each operation takes its grant), I5 (each access is in the log before it is answered) and I6 (using and revealing
//! are different capabilities).

mod access;

use std::sync::Arc;

use bytes::Bytes;
use kos_core::clock::Timestamp;
use kos_core::custody::Secret;
use kos_core::permission::marker::{VaultDelete, VaultList, VaultPut, VaultReveal, VaultUse};
use kos_core::vault::{self as core, DERIVED_MAX, Operation, SECRET_MAX};
use wasmtime::AsContext;
use wasmtime::component::{Linker, LinkerInstance, WasmList};

use super::call::{Answer, Call, enter_with_key, is_context};
use crate::agent::Agent;
use crate::approval::authorize;
use crate::bindings::Error;
use crate::bindings::vault::{Cipher, MacAlgorithm, Metadata};

/// The interface's full name.
const INTERFACE: &str = "kos:agent/vault@0.1.0";

pub(super) fn add_to_linker(linker: &mut Linker<Agent>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    add_keeping(&mut interface)?;
    add_using(&mut interface)?;
    interface.func_wrap_async("reveal", |call, (name,): (String,)| Box::new(reveal(call, name)))
}

fn add_keeping(interface: &mut LinkerInstance<'_, Agent>) -> wasmtime::Result<()> {
    interface.func_wrap_async("list", |call, (pattern,): (String,)| Box::new(list(call, pattern)))?;
    interface.func_wrap_async("put", |call, arguments| Box::new(put(call, arguments)))?;
    interface.func_wrap_async("delete", |call, (name,): (String,)| Box::new(delete(call, name)))
}

fn add_using(interface: &mut LinkerInstance<'_, Agent>) -> wasmtime::Result<()> {
    interface.func_wrap_async("sign", |call, (name, message): (String, WasmList<u8>)| {
        Box::new(sign(call, name, message))
    })?;
    interface.func_wrap_async("mac", |call, arguments| Box::new(mac(call, arguments)))?;
    interface.func_wrap_async("encrypt", |call, arguments| Box::new(encrypt(call, arguments)))?;
    interface.func_wrap_async("decrypt", |call, arguments| Box::new(decrypt(call, arguments)))?;
    interface.func_wrap_async("derive", |call, arguments| Box::new(derive(call, arguments)))
}

async fn list(mut call: Call<'_>, pattern: String) -> Answer<Vec<Metadata>> {
    enter_with_key(&mut call, &[pattern.len()])?;
    let powers = Arc::clone(&call.data().powers);
    Ok((match authorize::<VaultList>(&powers, &pattern).await {
        Ok(grant) => access::list(grant, &powers).await,
        Err(denied) => Err(denied.into()),
    },))
}

type PutArguments = (String, WasmList<u8>, Option<u64>);

async fn put(mut call: Call<'_>, (name, value, expires): PutArguments) -> Answer<()> {
    enter_with_key(&mut call, &[name.len(), value.len()])?;
    let powers = Arc::clone(&call.data().powers);
    let grant = match authorize::<VaultPut>(&powers, &name).await {
        Ok(grant) => grant,
        Err(denied) => return Ok((Err(denied.into()),)),
    };
    if value.len() > SECRET_MAX {
        return Ok((Err(Error::Invalid("value".into())),));
    }
    let value = Secret::new(bytes(&call, &value));
    Ok((access::put(grant, &powers, value, expires.map(Timestamp::from_millis)).await,))
}

async fn delete(mut call: Call<'_>, name: String) -> Answer<()> {
    enter_with_key(&mut call, &[name.len()])?;
    let powers = Arc::clone(&call.data().powers);
    Ok((match authorize::<VaultDelete>(&powers, &name).await {
        Ok(grant) => access::delete(grant, &powers).await,
        Err(denied) => Err(denied.into()),
    },))
}

/// Uses a secret that stays in custody.
async fn use_secret(
    mut call: Call<'_>,
    name: String,
    lengths: &[usize],
    operation: impl FnOnce(&Call<'_>) -> Result<Operation, Error>,
) -> Answer<Bytes> {
    enter_with_key(&mut call, lengths)?;
    let powers = Arc::clone(&call.data().powers);
    let grant = match authorize::<VaultUse>(&powers, &name).await {
        Ok(grant) => grant,
        Err(denied) => return Ok((Err(denied.into()),)),
    };
    Ok((match operation(&call) {
        Ok(operation) => access::use_secret(grant, &powers, operation).await.map(handed),
        Err(error) => Err(error),
    },))
}

async fn sign(call: Call<'_>, name: String, message: WasmList<u8>) -> Answer<Bytes> {
    let lengths = [name.len(), message.len()];
    use_secret(call, name, &lengths, |call| Ok(Operation::Sign { message: bytes(call, &message) })).await
}

type MacArguments = (String, MacAlgorithm, WasmList<u8>);

async fn mac(call: Call<'_>, (name, algorithm, message): MacArguments) -> Answer<Bytes> {
    let lengths = [name.len(), message.len()];
    let operation =
        |call: &Call<'_>| Ok(Operation::Mac { algorithm: algorithm.into(), message: bytes(call, &message) });
    use_secret(call, name, &lengths, operation).await
}

type CipherArguments = (String, Cipher, WasmList<u8>, WasmList<u8>);

async fn encrypt(call: Call<'_>, (name, cipher, associated, plaintext): CipherArguments) -> Answer<Bytes> {
    let lengths = [name.len(), associated.len(), plaintext.len()];
    let operation = |call: &Call<'_>| {
        let (associated, plaintext) = (bytes(call, &associated), Secret::new(bytes(call, &plaintext)));
        Ok(Operation::Encrypt { cipher: cipher.into(), associated, plaintext })
    };
    use_secret(call, name, &lengths, operation).await
}

async fn decrypt(call: Call<'_>, (name, cipher, associated, ciphertext): CipherArguments) -> Answer<Bytes> {
    let lengths = [name.len(), associated.len(), ciphertext.len()];
    let operation = |call: &Call<'_>| {
        let (associated, ciphertext) = (bytes(call, &associated), bytes(call, &ciphertext));
        Ok(Operation::Decrypt { cipher: cipher.into(), associated, ciphertext })
    };
    use_secret(call, name, &lengths, operation).await
}

async fn derive(call: Call<'_>, (name, context, length): (String, String, u32)) -> Answer<Bytes> {
    let lengths = [name.len(), context.len()];
    let operation = |_: &Call<'_>| {
        let length = usize::try_from(length).ok().filter(|length| (1..=DERIVED_MAX).contains(length));
        let length = length.ok_or_else(|| Error::Invalid("length".into()))?;
        if is_context(&context) {
            Ok(Operation::Derive { context, length })
        } else {
            Err(Error::Invalid("context".into()))
        }
    };
    use_secret(call, name, &lengths, operation).await
}

async fn reveal(mut call: Call<'_>, name: String) -> Answer<Bytes> {
    enter_with_key(&mut call, &[name.len()])?;
    let powers = Arc::clone(&call.data().powers);
    Ok((match authorize::<VaultReveal>(&powers, &name).await {
        Ok(grant) => access::reveal(grant, &powers).await.map(handed),
        Err(denied) => Err(denied.into()),
    },))
}

/// What the guest sent, once it may.
fn bytes(call: &Call<'_>, list: &WasmList<u8>) -> Vec<u8> {
    list.as_le_slice(call.as_context()).to_vec()
}

/// What goes into the guest's memory, and is erased here when it is there.
fn handed(secret: Secret) -> Bytes {
    Bytes::from_owner(secret.into_inner())
}

impl From<MacAlgorithm> for core::MacAlgorithm {
    fn from(algorithm: MacAlgorithm) -> Self {
        match algorithm {
            MacAlgorithm::HmacSha256 => Self::HmacSha256,
            MacAlgorithm::HmacSha512 => Self::HmacSha512,
        }
    }
}

impl From<Cipher> for core::Cipher {
    fn from(cipher: Cipher) -> Self {
        match cipher {
            Cipher::Aes256Gcm => Self::Aes256Gcm,
            Cipher::Chacha20Poly1305 => Self::ChaCha20Poly1305,
        }
    }
}

impl From<core::Metadata> for Metadata {
    fn from(known: core::Metadata) -> Self {
        Self {
            name: known.id.to_string(),
            version: known.version,
            created: known.created.as_millis(),
            last_accessed: known.last_accessed.map(Timestamp::as_millis),
            expires: known.expires_at.map(Timestamp::as_millis),
        }
    }
}
