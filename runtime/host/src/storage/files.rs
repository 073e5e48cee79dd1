//! `wasi:filesystem/types` with a quota: wasmtime-wasi does the work, and each call that could make the directory grow asks for
//! room first.
//!
//! Links are refused: a second name for a file would make its size count twice or not at all. Removing a file that is
//! still open is refused too, as it would go on using the disk uncounted.

use std::sync::Arc;

use kos_core::resource::StorageAccess;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::WasiCtxView;
use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
    DirectoryEntryStream, ErrorCode, Filesize, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue,
    NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use super::stream::{Place, QuotaStream};
use super::{FileIdentity, Full, Quota};
use crate::agent::{Agent, Powers};
use crate::stream::{Gated, StillGranted};

/// Replaces wasmtime-wasi's `wasi:filesystem/types` by ours.
pub(crate) fn add_to_linker(linker: &mut Linker<Agent>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    types::add_to_linker::<Agent, Files<'static>>(linker, |agent| {
        let (quota, powers) = (agent.quota.as_mut(), &agent.powers);
        let WasiCtxView { ctx, table } = WasiCtxView { ctx: &mut agent.wasi, table: &mut agent.table };
        Files { inner: WasiFilesystemCtxView { ctx: ctx.filesystem(), table }, quota, powers }
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The file system of one agent. Without a quota it has no directory, and nothing to open.
pub(crate) struct Files<'a> {
    inner: WasiFilesystemCtxView<'a>,
    quota: Option<&'a mut Quota>,
    powers: &'a Arc<Powers>,
}

impl HasData for Files<'static> {
    type Data<'a> = Files<'a>;
}

type Fd = Resource<Descriptor>;

impl From<Full> for FsError {
    fn from(Full: Full) -> Self {
        ErrorCode::InsufficientSpace.into()
    }
}

fn is_granted(powers: &Powers) -> bool {
    powers.gate.resources().storage > StorageAccess::None
}

fn same(fd: &Fd) -> Fd {
    Resource::new_borrow(fd.rep())
}

fn identity(hash: MetadataHashValue) -> FileIdentity {
    (hash.upper, hash.lower)
}

impl Files<'_> {
    /// What every call that reaches the disk asks first: whether storage is still granted (I4).
    fn granted(&self) -> FsResult<()> {
        if is_granted(self.powers) { Ok(()) } else { Err(ErrorCode::NotPermitted.into()) }
    }

    fn still_granted(&self) -> StillGranted {
        let powers = Arc::clone(self.powers);
        Arc::new(move || is_granted(&powers))
    }

    /// What every opening and every change asks first: whether storage is still granted, and how much of it.
    fn quota(&mut self) -> FsResult<&mut Quota> {
        self.granted()?;
        self.quota.as_deref_mut().ok_or_else(|| ErrorCode::NotPermitted.into())
    }

    /// What has this name, if anything has.
    async fn named(&mut self, fd: &Fd, path: &str) -> Option<Named> {
        let hash = self.inner.metadata_hash_at(same(fd), PathFlags::empty(), path.into()).await.ok()?;
        let stat = self.inner.stat_at(same(fd), PathFlags::empty(), path.into()).await.ok()?;
        let size = if matches!(stat.type_, DescriptorType::Directory) { 0 } else { stat.size };
        Some(Named { identity: identity(hash), size })
    }

    /// What has this name and will have it no longer.
    async fn leaving(&mut self, fd: &Fd, path: &str) -> FsResult<Option<Named>> {
        let named = self.named(fd, path).await;
        match &named {
            Some(named) if self.quota()?.is_open(named.identity) => Err(ErrorCode::Busy.into()),
            _ => Ok(named),
        }
    }

    fn left(&mut self, named: Option<Named>) -> FsResult<()> {
        if let Some(named) = named {
            let usage = &self.quota()?.usage;
            usage.give_back_bytes(named.size);
            usage.give_back_file();
        }
        Ok(())
    }

    /// Counts the file that was just opened, and empties it if that was asked for.
    async fn opened(&mut self, fd: &Fd, is_truncated: bool) -> FsResult<()> {
        let stat = self.inner.stat(same(fd)).await?;
        if matches!(stat.type_, DescriptorType::Directory) {
            return Ok(());
        }
        let identity = identity(self.inner.metadata_hash(same(fd)).await?);
        self.quota()?.opened(fd.rep(), identity, stat.size);
        if is_truncated { self.set_size(same(fd), 0).await } else { Ok(()) }
    }

    fn wrapped(
        &mut self,
        fd: &Fd,
        stream: Resource<DynOutputStream>,
        place: Place,
    ) -> FsResult<Resource<DynOutputStream>> {
        let file = self.quota()?.descriptors.get(&fd.rep()).cloned().ok_or(ErrorCode::BadDescriptor)?;
        let inner = self.inner.table.delete(stream)?;
        let counted: DynOutputStream = Box::new(QuotaStream::new(inner, file, place));
        let wrapped: DynOutputStream = Box::new(Gated::new(counted, self.still_granted()));
        Ok(self.inner.table.push(wrapped)?)
    }
}

/// A name's file.
#[derive(Debug)]
struct Named {
    identity: FileIdentity,
    size: u64,
}

impl types::Host for Files<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        self.inner.convert_error_code(error)
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.inner.filesystem_error_code(error)
    }
}

impl HostDescriptor for Files<'_> {
    async fn open_at(
        &mut self,
        fd: Fd,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Fd> {
        self.quota()?;
        let is_truncated = open_flags.contains(OpenFlags::TRUNCATE);
        if is_truncated && !flags.contains(DescriptorFlags::WRITE) {
            return Err(ErrorCode::Invalid.into());
        }
        let is_new = open_flags.contains(OpenFlags::CREATE)
            && self.inner.stat_at(same(&fd), path_flags, path.clone()).await.is_err();
        if is_new {
            self.quota()?.usage.take_file()?;
        }
        // Emptying goes through `set_size`, where it is counted.
        let kept = open_flags & (OpenFlags::CREATE | OpenFlags::DIRECTORY | OpenFlags::EXCLUSIVE);
        match self.inner.open_at(fd, path_flags, path, kept, flags).await {
            Ok(opened) => {
                self.opened(&opened, is_truncated).await?;
                Ok(opened)
            }
            Err(error) => {
                if is_new {
                    self.quota()?.usage.give_back_file();
                }
                Err(error)
            }
        }
    }

    async fn set_size(&mut self, fd: Fd, size: Filesize) -> FsResult<()> {
        let file = self.quota()?.descriptors.get(&fd.rep()).cloned().ok_or(ErrorCode::BadDescriptor)?;
        file.grow_to(size)?;
        self.inner.set_size(fd, size).await?;
        file.shrink_to(size);
        Ok(())
    }

    async fn write(&mut self, fd: Fd, bytes: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        let file = self.quota()?.descriptors.get(&fd.rep()).cloned().ok_or(ErrorCode::BadDescriptor)?;
        file.grow_to(offset.saturating_add(bytes.len() as u64))?;
        self.inner.write(fd, bytes, offset).await
    }

    fn write_via_stream(&mut self, fd: Fd, offset: Filesize) -> FsResult<Resource<DynOutputStream>> {
        let stream = self.inner.write_via_stream(same(&fd), offset)?;
        self.wrapped(&fd, stream, Place::At(offset))
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        let stream = self.inner.append_via_stream(same(&fd))?;
        self.wrapped(&fd, stream, Place::End)
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.quota()?.usage.take_file()?;
        let created = self.inner.create_directory_at(fd, path).await;
        if created.is_err() {
            self.quota()?.usage.give_back_file();
        }
        created
    }

    async fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.granted()?;
        self.inner.remove_directory_at(fd, path).await?;
        self.quota()?.usage.give_back_file();
        Ok(())
    }

    async fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.granted()?;
        let leaving = self.leaving(&fd, &path).await?;
        self.inner.unlink_file_at(fd, path).await?;
        self.left(leaving)
    }

    async fn rename_at(&mut self, fd: Fd, old_path: String, new_fd: Fd, new_path: String) -> FsResult<()> {
        self.granted()?;
        let moved = self.named(&fd, &old_path).await;
        let target = self.named(&new_fd, &new_path).await;
        let is_itself = moved.as_ref().map(|named| named.identity) == target.map(|named| named.identity);
        let leaving = if is_itself { None } else { self.leaving(&new_fd, &new_path).await? };
        self.inner.rename_at(fd, old_path, new_fd, new_path).await?;
        self.left(leaving)
    }

    async fn link_at(&mut self, _: Fd, _: PathFlags, _: String, _: Fd, _: String) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
    }

    async fn symlink_at(&mut self, _: Fd, _: String, _: String) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        if let Some(quota) = self.quota.as_deref_mut() {
            quota.descriptors.remove(&fd.rep());
        }
        HostDescriptor::drop(&mut self.inner, fd)
    }

    async fn advise(&mut self, fd: Fd, offset: Filesize, length: Filesize, advice: Advice) -> FsResult<()> {
        self.inner.advise(fd, offset, length, advice).await
    }

    async fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        self.granted()?;
        self.inner.sync_data(fd).await
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<DescriptorFlags> {
        self.inner.get_flags(fd).await
    }

    async fn get_type(&mut self, fd: Fd) -> FsResult<DescriptorType> {
        self.inner.get_type(fd).await
    }

    async fn set_times(&mut self, fd: Fd, access: NewTimestamp, modification: NewTimestamp) -> FsResult<()> {
        self.granted()?;
        self.inner.set_times(fd, access, modification).await
    }

    async fn read(&mut self, fd: Fd, length: Filesize, offset: Filesize) -> FsResult<(Vec<u8>, bool)> {
        self.granted()?;
        self.inner.read(fd, length, offset).await
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<DirectoryEntryStream>> {
        self.granted()?;
        self.inner.read_directory(fd).await
    }

    async fn sync(&mut self, fd: Fd) -> FsResult<()> {
        self.granted()?;
        self.inner.sync(fd).await
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<DescriptorStat> {
        self.granted()?;
        self.inner.stat(fd).await
    }

    async fn stat_at(&mut self, fd: Fd, flags: PathFlags, path: String) -> FsResult<DescriptorStat> {
        self.granted()?;
        self.inner.stat_at(fd, flags, path).await
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
        access: NewTimestamp,
        modification: NewTimestamp,
    ) -> FsResult<()> {
        self.granted()?;
        self.inner.set_times_at(fd, flags, path, access, modification).await
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        self.granted()?;
        self.inner.readlink_at(fd, path).await
    }

    fn read_via_stream(&mut self, fd: Fd, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        self.granted()?;
        let stream = self.inner.read_via_stream(fd, offset)?;
        let inner = self.inner.table.delete(stream)?;
        let wrapped: DynInputStream = Box::new(Gated::new(inner, self.still_granted()));
        Ok(self.inner.table.push(wrapped)?)
    }

    async fn is_same_object(&mut self, one: Fd, other: Fd) -> wasmtime::Result<bool> {
        self.inner.is_same_object(one, other).await
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<MetadataHashValue> {
        self.granted()?;
        self.inner.metadata_hash(fd).await
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        self.granted()?;
        self.inner.metadata_hash_at(fd, flags, path).await
    }
}

impl HostDirectoryEntryStream for Files<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        self.granted()?;
        self.inner.read_directory_entry(stream).await
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        HostDirectoryEntryStream::drop(&mut self.inner, stream)
    }
}
