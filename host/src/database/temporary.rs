//! SQLite's temporary files: what sorting, DISTINCT and the undoing of a statement do
//! not keep in memory. They have no name, and grow without a bound of SQLite's own; here
//! they count into the account of the guest that SQLite works for (`memory.rs`).
//!
//! It is SQLite's own file system, as a second one beside it, in which the functions
//! that change a temporary file's size are ours.
#![expect(unsafe_code, reason = "SQLite's C interface; every use is argued")]

use super::memory::{count, is_charged_for_files, may_take};
use rusqlite::ffi;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

/// The file system's name, for connections to data.
pub(crate) const FILE_SYSTEM: &CStr = c"perihelion";

type Open = unsafe extern "C" fn(
    *mut ffi::sqlite3_vfs,
    *const c_char,
    *mut ffi::sqlite3_file,
    c_int,
    *mut c_int,
) -> c_int;

/// The functions of a temporary file.
struct Files {
    write: unsafe extern "C" fn(*mut ffi::sqlite3_file, *const c_void, c_int, i64) -> c_int,
    truncate: unsafe extern "C" fn(*mut ffi::sqlite3_file, i64) -> c_int,
    size: unsafe extern "C" fn(*mut ffi::sqlite3_file, *mut i64) -> c_int,
    close: unsafe extern "C" fn(*mut ffi::sqlite3_file) -> c_int,
    /// SQLite's own, with ours in the place of some.
    counted: ffi::sqlite3_io_methods,
}

static OPEN: OnceLock<Open> = OnceLock::new();
static FILES: OnceLock<Files> = OnceLock::new();

/// Adds the file system to SQLite's.
pub(super) fn register() -> bool {
    // SAFETY: SQLite's file systems are never removed, and ours is leaked. Its functions
    // take the file system that they are called with, but look only at what is copied.
    unsafe {
        let Some(default) = NonNull::new(ffi::sqlite3_vfs_find(ptr::null())) else {
            return false;
        };
        let mut own = *default.as_ptr();
        let Some(original) = own.xOpen else {
            return false;
        };
        own.pNext = ptr::null_mut();
        own.zName = FILE_SYSTEM.as_ptr();
        own.xOpen = Some(open);
        OPEN.set(original).is_ok()
            && ffi::sqlite3_vfs_register(Box::leak(Box::new(own)), 0) == ffi::SQLITE_OK
    }
}

/// # Safety
/// As SQLite's own.
unsafe extern "C" fn open(
    system: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    let Some(original) = OPEN.get() else {
        return ffi::SQLITE_CANTOPEN;
    };
    // SAFETY: the caller's promise; an open file has its functions.
    unsafe {
        let code = original(system, name, file, flags, flags_out);
        if code == ffi::SQLITE_OK && name.is_null() {
            match Files::of(&*(*file).pMethods) {
                Some(files) => (*file).pMethods = &files.counted,
                None => {
                    if let Some(close) = (*(*file).pMethods).xClose {
                        close(file);
                    }
                    (*file).pMethods = ptr::null();
                    return ffi::SQLITE_CANTOPEN;
                }
            }
        }
        code
    }
}

impl Files {
    /// SQLite's functions are the same for every temporary file.
    fn of(original: &'static ffi::sqlite3_io_methods) -> Option<&'static Files> {
        let (write, truncate) = (original.xWrite?, original.xTruncate?);
        let (size, close) = (original.xFileSize?, original.xClose?);
        let files = FILES.get_or_init(|| {
            let mut counted = *original;
            // Without the functions that share or map a file: mapping can extend it.
            counted.iVersion = 1;
            counted.xWrite = Some(write_counted);
            counted.xTruncate = Some(truncate_counted);
            counted.xClose = Some(close_counted);
            Files {
                write,
                truncate,
                size,
                close,
                counted,
            }
        });
        let is_same = ptr::fn_addr_eq(files.write, write) && ptr::fn_addr_eq(files.close, close);
        is_same.then_some(files)
    }

    /// # Safety
    /// The file is open.
    unsafe fn size(&self, file: *mut ffi::sqlite3_file) -> i64 {
        let mut size = 0;
        // SAFETY: the caller's promise.
        match unsafe { (self.size)(file, &mut size) } {
            ffi::SQLITE_OK => size,
            _ => 0,
        }
    }
}

/// # Safety
/// As SQLite's own.
unsafe extern "C" fn write_counted(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    let Some(files) = FILES.get() else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    // SAFETY: the caller's promise.
    unsafe {
        if !is_charged_for_files() {
            return (files.write)(file, bytes, length, offset);
        }
        let before = files.size(file);
        if !may_take((offset + i64::from(length) - before).max(0)) {
            return ffi::SQLITE_FULL;
        }
        let code = (files.write)(file, bytes, length, offset);
        // A write that failed may have written a part.
        count(files.size(file) - before);
        code
    }
}

/// # Safety
/// As SQLite's own.
unsafe extern "C" fn truncate_counted(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    let Some(files) = FILES.get() else {
        return ffi::SQLITE_IOERR_TRUNCATE;
    };
    // SAFETY: the caller's promise.
    unsafe {
        let before = files.size(file);
        if !may_take((size - before).max(0)) {
            return ffi::SQLITE_FULL;
        }
        let code = (files.truncate)(file, size);
        count(files.size(file) - before);
        code
    }
}

/// # Safety
/// As SQLite's own.
unsafe extern "C" fn close_counted(file: *mut ffi::sqlite3_file) -> c_int {
    let Some(files) = FILES.get() else {
        return ffi::SQLITE_IOERR_CLOSE;
    };
    // SAFETY: the caller's promise.
    unsafe {
        count(-files.size(file));
        (files.close)(file)
    }
}
