//! The file that commits are spilled to. It knows nothing about its content.
//!
//! It has no name (it is unlinked as soon as it is open): nobody else can read it, and the system removes
//! it however this process ends.

use std::fs::File;
use std::io;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::observe::Recorder;

/// Bytes that have to stay free on the disk.
const FREE_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// Bytes that are written between two checks of the free space.
const BYTES_BETWEEN_CHECKS: u64 = 32 * 1024 * 1024;

/// A file of frames, without a name.
pub(crate) struct SpillFile {
    folder: PathBuf,
    state: Mutex<FileState>,
}

struct FileState {
    file: File,
    end: u64,
    checked_at: u64,
}

/// The place of a frame.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    at: u64,
    bytes: usize,
}

impl SpillFile {
    /// Makes the file in a folder; it is expected to grow to this many bytes.
    ///
    /// # Errors
    /// [`Error::SpillFolder`] if the folder can't be written or hasn't the space.
    pub(crate) fn create(folder: &Path, expected: u64) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(|source| Error::SpillFolder {
            doing: "making the spill file in",
            folder: folder.display().to_string(),
            source,
        })?;
        if is_in_memory(&file) {
            tracing::warn!(
                folder = %folder.display(),
                "the folder for spilled commits is kept in memory, beside the memory budget; \
                 choose one on a disk"
            );
        }
        let spill =
            Self { folder: folder.to_owned(), state: Mutex::new(FileState { file, end: 0, checked_at: 0 }) };
        spill.check_space(&lock(&spill.state).file, expected)?;
        Ok(spill)
    }

    fn check_space(&self, file: &File, more: u64) -> Result<()> {
        let free = free_bytes(file);
        if free.is_some_and(|free| free < more.saturating_add(FREE_BYTES_MIN)) {
            return Err(self.full(io::Error::from(io::ErrorKind::StorageFull)));
        }
        Ok(())
    }

    fn full(&self, source: io::Error) -> Error {
        Error::SpillFolder { doing: "spilling to", folder: self.folder.display().to_string(), source }
    }

    pub(super) fn append(&self, frame: &[u8]) -> Result<Frame> {
        let mut state = lock(&self.state);
        if state.end >= state.checked_at + BYTES_BETWEEN_CHECKS {
            self.check_space(&state.file, frame.len() as u64)?;
            state.checked_at = state.end;
        }
        let at = state.end;
        let write = state.file.seek(SeekFrom::Start(at)).and_then(|_| state.file.write_all(frame));
        write.map_err(|source| self.full(source))?;
        state.end += frame.len() as u64;
        Recorder::spilled(frame.len() as u64);
        Ok(Frame { at, bytes: frame.len() })
    }

    pub(super) fn read(&self, frame: Frame, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.clear();
        bytes.resize(frame.bytes, 0);
        let mut state = lock(&self.state);
        let read = state.file.seek(SeekFrom::Start(frame.at)).and_then(|_| state.file.read_exact(bytes));
        let doing = || format!("reading the spill file in {}", self.folder.display());
        read.map_err(|source| Error::Io { doing: doing(), source })
    }

    pub(super) fn clear(&self) -> Result<()> {
        let mut state = lock(&self.state);
        Recorder::unspilled(state.end);
        state.end = 0;
        state.checked_at = 0;
        state.file.set_len(0).map_err(|source| self.full(source))
    }

    pub(super) fn len(&self) -> u64 {
        lock(&self.state).end
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        Recorder::unspilled(self.len());
    }
}

/// Space left for this user on the disk of a file; `None` if the system doesn't tell.
fn free_bytes(file: &File) -> Option<u64> {
    let space = rustix::fs::fstatvfs(file).ok()?;
    Some(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Whether a file is kept in memory, as files of temporary folders are on some systems.
///
/// Numbers: `linux/magic.h`.
#[cfg(target_os = "linux")]
fn is_in_memory(file: &File) -> bool {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    const RAMFS_MAGIC: u64 = 0x8584_58f6;
    let kind = rustix::fs::fstatfs(file).ok().and_then(|system| u64::try_from(system.f_type).ok());
    kind.is_some_and(|kind| kind == TMPFS_MAGIC || kind == RAMFS_MAGIC)
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_: &File) -> bool {
    false
}

/// Locks a mutex, also after a panic of another holder.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
