//! Compiled code from outside this process: on disk, and from a compile worker.
//!
//! Compiled code is executable input: wasmtime trusts it wholly. So a file is named
//! by content hash and engine configuration, lies in a directory that only this user
//! can write, and is loaded only if its MAC proves that this host wrote it. Whatever
//! is wrong with a file, the component is compiled anew.

use super::{ContentHash, Origin, bound};
use crate::error::{Error, Result, SqlState};
use crate::guard::{Guard, Guards};
use crate::limits::UPLOAD_CODE_BYTES_MAX;
use rustix::fs::{Mode, OFlags};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use wasmtime::component::Component;

/// The directory and the key that authenticates its files.
pub(crate) struct CodeCache {
    directory: PathBuf,
    compatibility: [u8; 32],
    key: [u8; 32],
    guards: Guards,
    bytes_max: u64,
    /// Files of the host's own components, which stay: they take seconds to compile.
    own: Mutex<Vec<PathBuf>>,
}

/// A MAC stands before the code.
const MAC_BYTES: usize = 32;

/// No compiled component that we accept is larger.
const FILE_BYTES_MAX: u64 = UPLOAD_CODE_BYTES_MAX + MAC_BYTES as u64;

impl CodeCache {
    /// Opens the directory, which it makes if need be, and refuses one that others
    /// can write.
    pub(crate) fn open(
        directory: PathBuf,
        compatibility: [u8; 32],
        guards: Guards,
        bytes_max: u64,
    ) -> Result<CodeCache> {
        let key = make_private(&directory, guards)
            .and_then(|()| read_or_make_key(&directory))
            .map_err(|error| {
                Error::new(
                    SqlState::IO,
                    "the directory for compiled code cannot be used",
                )
                .with_cause(format!("{}: {error}", directory.display()))
            })?;
        Ok(CodeCache {
            directory,
            compatibility,
            key,
            guards,
            bytes_max,
            own: Mutex::default(),
        })
    }

    /// The same directory, for an engine of another configuration: its files have other
    /// names and other MACs.
    pub(crate) fn with_compatibility(&self, compatibility: [u8; 32]) -> CodeCache {
        CodeCache {
            directory: self.directory.clone(),
            compatibility,
            key: self.key,
            guards: self.guards,
            bytes_max: self.bytes_max,
            own: Mutex::default(),
        }
    }

    /// The component, if its file is there and authentic.
    pub(crate) fn load(
        &self,
        engine: &wasmtime::Engine,
        hash: &ContentHash,
        origin: Origin,
    ) -> Option<Component> {
        let bytes = self.read(&self.path(hash), origin)?;
        let (mac, code) = bytes.split_at_checked(MAC_BYTES)?;
        let mac = blake3::Hash::from_bytes(mac.try_into().ok()?);
        if self.mac(hash, code) != mac && self.guards.holds(Guard::CompiledCode) {
            tracing::warn!(file = %self.path(hash).display(), "compiled code is not authentic");
            return None;
        }
        #[expect(unsafe_code, reason = "loading compiled code")]
        // SAFETY: the MAC, under a key that only this user can read, proves that this
        // host serialized `code` from a component with this hash, under this engine
        // configuration; the bytes checked are the bytes loaded.
        let component = unsafe { Component::deserialize(engine, code) };
        component
            .inspect_err(|error| tracing::warn!(%error, "compiled code does not load"))
            .ok()
    }

    /// Keeps a component. A failure costs a compilation later and nothing else.
    pub(crate) fn store(&self, component: &Component, hash: &ContentHash, origin: Origin) {
        let written = component
            .serialize()
            .map_err(std::io::Error::other)
            .and_then(|code| self.write(hash, &code));
        self.note(&self.path(hash), origin);
        let kept = written.and_then(|()| {
            bound::bound(&self.directory, self.bytes_max, |path| {
                path == self.path(hash) || self.is_own(path)
            })
        });
        if let Err(error) = kept {
            tracing::warn!(%error, "compiled code could not be kept");
        }
    }

    /// Reads a file, which is used last from now on.
    fn read(&self, path: &Path, origin: Origin) -> Option<Vec<u8>> {
        let bytes = read_file(path)?;
        self.note(path, origin);
        bound::touch(path);
        Some(bytes)
    }

    fn note(&self, path: &Path, origin: Origin) {
        if origin == Origin::Own {
            let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            own.push(path.to_path_buf());
        }
    }

    fn is_own(&self, path: &Path) -> bool {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.iter().any(|own| own == path)
    }

    /// Writes under another name first, so that no reader ever sees half a file.
    #[expect(clippy::disallowed_methods, reason = "the cache's own files")]
    fn write(&self, hash: &ContentHash, code: &[u8]) -> std::io::Result<()> {
        let path = self.path(hash);
        let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
        let mut file = create_private(&unfinished, OFlags::TRUNC)?;
        file.write_all(self.mac(hash, code).as_bytes())?;
        file.write_all(code)?;
        rustix::fs::rename(&unfinished, &path)?;
        Ok(())
    }

    fn path(&self, hash: &ContentHash) -> PathBuf {
        let mut name = blake3::Hasher::new();
        name.update(hash).update(&self.compatibility);
        self.directory
            .join(format!("{}.cwasm", name.finalize().to_hex()))
    }

    /// Covers what the code is for as well, so that files cannot be swapped.
    fn mac(&self, hash: &ContentHash, code: &[u8]) -> blake3::Hash {
        let mut mac = blake3::Hasher::new_keyed(&self.key);
        mac.update(hash).update(&self.compatibility).update(code);
        mac.finalize()
    }
}

/// The component that a compile worker answered with.
pub(crate) fn load_from_worker(engine: &wasmtime::Engine, code: &[u8]) -> Result<Component> {
    #[expect(unsafe_code, reason = "loading compiled code")]
    // SAFETY: `code` came through a pipe that only this process and its child have, and
    // the child is the program that the embedder named to compile for it: it is trusted
    // as a library of the embedder's is, and had it been taken over by what it compiled,
    // so would have been this process, had it compiled that itself. It is of this
    // version and configuration: the caller has compared that, and wasmtime compares
    // again what the code needs to run at all.
    let component = unsafe { Component::deserialize(engine, code) };
    component.map_err(|error| {
        Error::new(
            SqlState::INVALID_VALUE,
            "the component does not fit this host",
        )
        .with_detail(format!("{error:#}"))
    })
}

/// The same component in an engine that differs in what its code does not depend on.
pub(crate) fn move_to(engine: &wasmtime::Engine, component: &Component) -> Result<Component> {
    let code = component.serialize().map_err(Error::internal)?;
    #[expect(unsafe_code, reason = "loading compiled code")]
    // SAFETY: wasmtime wrote these bytes, in this process and just now, from a component
    // that it runs. It compares what the code depends on.
    let moved = unsafe { Component::deserialize(engine, code) };
    moved.map_err(Error::internal)
}

/// Makes the directory with mode 0700; an existing one must be ours alone.
fn make_private(directory: &Path, guards: Guards) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    #[expect(clippy::disallowed_methods, reason = "the cache's own directory")]
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    #[expect(clippy::disallowed_methods, reason = "the cache's own directory")]
    let metadata = std::fs::symlink_metadata(directory)?;
    let owner = rustix::process::geteuid().as_raw();
    let is_private = metadata.uid() == owner && metadata.mode() & 0o022 == 0;
    if !metadata.is_dir() || !is_private && guards.holds(Guard::CodeDirectory) {
        return Err(std::io::Error::other(
            "it must be a directory that only its owner can write",
        ));
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the cache's own files")]
fn create_private(path: &Path, flags: OFlags) -> std::io::Result<std::fs::File> {
    let flags = flags | OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?.into())
}

#[expect(clippy::disallowed_methods, reason = "the cache's own files")]
fn read_file(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = std::fs::File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The key is made once a directory. Two hosts that make it at the same moment both
/// end up with the one that was linked first.
#[expect(
    clippy::disallowed_methods,
    reason = "the cache's own key, from the system's randomness"
)]
fn read_or_make_key(directory: &Path) -> std::io::Result<[u8; 32]> {
    let path = directory.join("key");
    for _ in 0..2 {
        if let Some(key) = read_file(&path) {
            return key
                .try_into()
                .map_err(|_| std::io::Error::other("its key is damaged"));
        }
        let mut key = [0; 32];
        rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())?;
        let unfinished = directory.join(format!("key.{}.tmp", std::process::id()));
        create_private(&unfinished, OFlags::TRUNC)?.write_all(&key)?;
        let linked = rustix::fs::link(&unfinished, &path);
        rustix::fs::unlink(&unfinished)?;
        match linked {
            Ok(()) => return Ok(key),
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(std::io::Error::other("its key cannot be read"))
}
