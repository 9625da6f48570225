//! What SQLite holds for a guest, counted where SQLite asks for it: its allocator is
//! wrapped, once in a process and before SQLite is used at all. While a guest's
//! statement runs on a thread, the guest's account pays; everybody else's allocations
//! pass through. `temporary.rs` counts temporary files into the same account.
//!
//! The account is the execution's and not a statement's: prepared statements and cached
//! pages stay when a statement ends. It is a balance, so what is freed may be taken
//! anew, whoever had taken it.
#![expect(unsafe_code, reason = "SQLite's C interface; every use is argued")]

use super::temporary;
use crate::error::{Error, Result, SqlState};
use crate::execution::meter::Meter;
use crate::guard::Guard;
use crate::limits::{DATABASE_BYTES_MAX, Exceeded, Limit};
use rusqlite::ffi;
use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

/// What SQLite holds for one execution, in memory and in temporary files. Used by one
/// thread at a time.
#[derive(Default)]
pub(crate) struct Account {
    held_bytes: AtomicI64,
    /// Taken since the clocks were last looked at.
    unlooked_bytes: AtomicI64,
}

/// Between two looks at the clocks: what is allocated costs time to fill, and within a
/// row SQLite looks at nothing.
const LOOK_BYTES: i64 = 64 << 10;

/// SQLite's own allocator.
struct Original {
    malloc: unsafe extern "C" fn(c_int) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
    realloc: unsafe extern "C" fn(*mut c_void, c_int) -> *mut c_void,
    size: unsafe extern "C" fn(*mut c_void) -> c_int,
}

static ORIGINAL: OnceLock<Original> = OnceLock::new();

thread_local! {
    /// The meter of the guest that SQLite works for on this thread.
    static PAYER: RefCell<Option<Arc<Meter>>> = const { RefCell::new(None) };
}

/// Wraps SQLite's allocator, unless that is done. If SQLite is in use already it cannot
/// be, and without it guests must not run.
pub(crate) fn install() -> Result<()> {
    static IS_INSTALLED: OnceLock<bool> = OnceLock::new();
    match IS_INSTALLED.get_or_init(|| wrap_allocator().is_some() && temporary::register()) {
        true => Ok(()),
        false => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "what guests make SQLite hold cannot be bounded: this process has used SQLite before",
        )
        .with_hint("build the first Runtime before anything else uses SQLite")),
    }
}

/// Works at a guest's expense.
pub(super) fn charge<R>(meter: &Arc<Meter>, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<Arc<Meter>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            PAYER.replace(self.0.take());
        }
    }
    let _restore = Restore(PAYER.replace(Some(Arc::clone(meter))));
    work()
}

/// Whether a guest pays for the temporary files of this thread.
pub(super) fn is_charged_for_files() -> bool {
    with_payer(|meter| meter.guards.holds(Guard::TemporaryFiles)).unwrap_or(false)
}

/// Whether so much may be taken. If not, the payer's call ends by its limit, whatever
/// SQLite makes of the refusal.
pub(super) fn may_take(bytes: i64) -> bool {
    with_payer(|meter| meter.database.may_take(bytes, meter)).unwrap_or(true)
}

/// Counts what was taken, or what was given back if it is negative.
pub(super) fn count(bytes: i64) {
    with_payer(|meter| meter.database.count(bytes));
}

/// Runs inside SQLite's callbacks, where nothing may panic: a thread that ends, or a
/// payer that is just being replaced, has none.
fn with_payer<R>(work: impl FnOnce(&Meter) -> R) -> Option<R> {
    PAYER
        .try_with(|payer| match payer.try_borrow() {
            Ok(payer) => payer.as_deref().map(work),
            Err(_) => None,
        })
        .ok()
        .flatten()
}

impl Account {
    fn may_take(&self, bytes: i64, meter: &Meter) -> bool {
        let needed = self.held_bytes.load(Ordering::Relaxed) + bytes;
        if needed > DATABASE_BYTES_MAX && meter.guards.holds(Guard::DatabaseMemory) {
            meter.note(Exceeded {
                limit: Limit::DatabaseMemory,
                allowed: DATABASE_BYTES_MAX as u64,
                observed: Some(needed as u64),
            });
            return false;
        }
        let unlooked = self.unlooked_bytes.load(Ordering::Relaxed) + bytes;
        let looks = unlooked >= LOOK_BYTES;
        let kept = if looks { 0 } else { unlooked };
        self.unlooked_bytes.store(kept, Ordering::Relaxed);
        !looks || !meter.guards.holds(Guard::StatementClock) || meter.check().is_ok()
    }

    /// One thread at a time counts, so that a load and a store are enough.
    fn count(&self, bytes: i64) {
        let held = self.held_bytes.load(Ordering::Relaxed) + bytes;
        self.held_bytes.store(held, Ordering::Relaxed);
    }
}

fn wrap_allocator() -> Option<()> {
    let mut methods = MaybeUninit::<ffi::sqlite3_mem_methods>::zeroed();
    // SAFETY: SQLite fills the structure, and zeros are a valid one. It wants no other
    // thread to use it meanwhile, which cannot be excluded; but it replaces one function
    // after the other, and ours and theirs may be mixed: they share the blocks' layout.
    let mut methods = unsafe {
        let code = ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETMALLOC, methods.as_mut_ptr());
        if code != ffi::SQLITE_OK {
            return None;
        }
        methods.assume_init()
    };
    let original = Original {
        malloc: methods.xMalloc?,
        free: methods.xFree?,
        realloc: methods.xRealloc?,
        size: methods.xSize?,
    };
    // Before any of ours can be called.
    ORIGINAL.set(original).ok()?;
    methods.xMalloc = Some(malloc);
    methods.xFree = Some(free);
    methods.xRealloc = Some(realloc);
    // SAFETY: as above; SQLite copies the structure.
    let code = unsafe {
        ffi::sqlite3_config(
            ffi::SQLITE_CONFIG_MALLOC,
            ptr::from_ref::<ffi::sqlite3_mem_methods>(&methods),
        )
    };
    (code == ffi::SQLITE_OK).then_some(())
}

/// # Safety
/// As SQLite's own.
unsafe extern "C" fn malloc(bytes: c_int) -> *mut c_void {
    let Some(original) = ORIGINAL.get() else {
        return ptr::null_mut();
    };
    if !may_take(bytes.into()) {
        return ptr::null_mut();
    }
    // SAFETY: the caller's promise; the size is asked of a block that there is.
    unsafe {
        let block = (original.malloc)(bytes);
        if !block.is_null() {
            count((original.size)(block).into());
        }
        block
    }
}

/// # Safety
/// As SQLite's own: the block is one of its allocator's.
unsafe extern "C" fn free(block: *mut c_void) {
    if let Some(original) = ORIGINAL.get() {
        // SAFETY: the caller's promise.
        unsafe {
            count(-i64::from((original.size)(block)));
            (original.free)(block);
        }
    }
}

/// # Safety
/// As SQLite's own: the block is one of its allocator's.
unsafe extern "C" fn realloc(block: *mut c_void, bytes: c_int) -> *mut c_void {
    let Some(original) = ORIGINAL.get() else {
        return ptr::null_mut();
    };
    // SAFETY: the caller's promise; the old block is not touched once it is replaced.
    unsafe {
        let before = i64::from((original.size)(block));
        let growth = i64::from(bytes) - before;
        if growth > 0 && !may_take(growth) {
            return ptr::null_mut();
        }
        let replaced = (original.realloc)(block, bytes);
        if !replaced.is_null() {
            count(i64::from((original.size)(replaced)) - before);
        }
        replaced
    }
}
