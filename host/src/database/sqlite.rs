//! Statements on a SQLite connection that is already busy with another one.
//!
//! A SQL function runs while its own statement is being stepped, and its guest asks
//! for more statements on the same connection. SQLite allows that; rusqlite's borrows
//! cannot express it. So this module speaks to SQLite's C interface, and it is the
//! only one in this folder that does. It decides nothing.
#![expect(unsafe_code, reason = "SQLite's C interface; every use is argued")]

use rusqlite::ffi;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

/// A borrowed connection. Its owner closes it by [`Handle::close`] before the
/// connection itself goes away; after that every use is an error.
pub(crate) struct Handle(AtomicPtr<ffi::sqlite3>);

/// A prepared statement.
pub(crate) struct Statement {
    raw: NonNull<ffi::sqlite3_stmt>,
    columns: Vec<String>,
    /// For each column, the type that its table declares for it.
    declared: Vec<Option<String>>,
    /// For each parameter of SQLite's, the number of its value.
    parameters: Parameters,
    read_only: bool,
    explain: bool,
}

// SAFETY: a statement is used by one thread at a time (it needs `&mut` for
// everything that reaches SQLite) and its connection moves along with it: both belong
// to one session, which is used through `&mut` only.
unsafe impl Send for Statement {}

/// Which value each parameter of a statement takes.
enum Parameters {
    /// `?`: the parameter's own place.
    Positional(usize),
    /// `$1`, `?1`: the number in its name, less one. To SQLite `$1` is a name like any
    /// other, and its place is where it stands first.
    Numbered(Vec<usize>),
    Unusable(String),
}

/// What SQLite reported.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// The extended result code.
    pub(crate) code: c_int,
    pub(crate) message: String,
}

/// A value to bind.
#[derive(Clone, Copy)]
pub(crate) enum Bound<'v> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'v str),
    Blob(&'v [u8]),
}

/// A value of the current row.
pub(crate) enum Column<'s> {
    Null,
    Integer(i64),
    Real(f64),
    /// As stored: SQLite does not check that text is UTF-8.
    Text(&'s [u8]),
    Blob(&'s [u8]),
}

impl Handle {
    pub(crate) fn new(connection: &rusqlite::Connection) -> Handle {
        // SAFETY: the handle is only used by this module, which keeps to the rules of
        // the connection's owner (see `close`).
        Handle(AtomicPtr::new(unsafe { connection.handle() }))
    }

    /// Ends the borrow.
    pub(crate) fn close(&self) {
        self.0.store(ptr::null_mut(), Ordering::Release);
    }

    fn raw(&self) -> Result<NonNull<ffi::sqlite3>, Failure> {
        NonNull::new(self.0.load(Ordering::Acquire)).ok_or_else(|| Failure {
            code: ffi::SQLITE_MISUSE,
            message: "the session is closed".to_string(),
        })
    }

    /// Prepares the first statement of `sql`, and returns the text behind it.
    /// There is none if the text is blank.
    pub(crate) fn prepare<'s>(
        &self,
        sql: &'s str,
    ) -> Result<(Option<Statement>, &'s str), Failure> {
        let db = self.raw()?;
        let length = c_int::try_from(sql.len()).map_err(|_| Failure {
            code: ffi::SQLITE_TOOBIG,
            message: "the statement is too long".to_string(),
        })?;
        let mut statement = ptr::null_mut();
        let mut tail: *const c_char = ptr::null();
        // SAFETY: `db` is open; the text is `length` bytes long and outlives the call.
        let code = unsafe {
            ffi::sqlite3_prepare_v3(
                db.as_ptr(),
                sql.as_ptr().cast(),
                length,
                0,
                &mut statement,
                &mut tail,
            )
        };
        if code != ffi::SQLITE_OK {
            return Err(failure(db, code));
        }
        // SAFETY: SQLite sets the tail to a place inside the text or to its end.
        let consumed = unsafe { tail.offset_from(sql.as_ptr().cast()) };
        let rest = usize::try_from(consumed)
            .ok()
            .and_then(|at| sql.get(at..))
            .unwrap_or("");
        Ok((NonNull::new(statement).map(Statement::new), rest))
    }

    /// Runs a statement of the host's own.
    pub(crate) fn run(&self, sql: &str) -> Result<(), Failure> {
        if let (Some(mut statement), _) = self.prepare(sql)? {
            while statement.step()? {}
        }
        Ok(())
    }

    /// Whether no transaction is open.
    pub(crate) fn is_autocommit(&self) -> bool {
        // SAFETY: the connection is open.
        self.raw()
            .is_ok_and(|db| unsafe { ffi::sqlite3_get_autocommit(db.as_ptr()) } != 0)
    }

    /// The rows that the last statement inserted, changed or deleted itself.
    pub(crate) fn changes(&self) -> u64 {
        // SAFETY: the connection is open.
        self.raw()
            .map_or(0, |db| unsafe { ffi::sqlite3_changes64(db.as_ptr()) }
                as u64)
    }

    /// The rowid of the last row that was inserted.
    pub(crate) fn last_insert_rowid(&self) -> i64 {
        // SAFETY: the connection is open.
        self.raw().map_or(0, |db| unsafe {
            ffi::sqlite3_last_insert_rowid(db.as_ptr())
        })
    }

    /// Makes this the rowid of the last row that was inserted.
    pub(crate) fn set_last_insert_rowid(&self, rowid: i64) {
        if let Ok(db) = self.raw() {
            // SAFETY: the connection is open.
            unsafe { ffi::sqlite3_set_last_insert_rowid(db.as_ptr(), rowid) }
        }
    }

    /// Forgets a module of virtual tables, if there is one of this name.
    pub(crate) fn drop_module(&self, name: &str) {
        let (Ok(db), Ok(name)) = (self.raw(), CString::new(name)) else {
            return;
        };
        // SAFETY: the connection is open, the name NUL-terminated; without methods SQLite
        // makes no module, and destroys the one that there was.
        unsafe {
            ffi::sqlite3_create_module_v2(
                db.as_ptr(),
                name.as_ptr(),
                ptr::null(),
                ptr::null_mut(),
                None,
            );
        }
    }

    /// Sets a limit of the connection's, `SQLITE_LIMIT_…`, and returns the one before.
    pub(crate) fn set_limit(&self, limit: c_int, value: c_int) -> c_int {
        // SAFETY: the connection is open.
        self.raw().map_or(value, |db| unsafe {
            ffi::sqlite3_limit(db.as_ptr(), limit, value)
        })
    }
}

impl Statement {
    fn new(raw: NonNull<ffi::sqlite3_stmt>) -> Statement {
        // SAFETY: the statement was just prepared; names are NUL-terminated or null, and
        // copied before anything else happens to the statement.
        unsafe {
            let count = ffi::sqlite3_column_count(raw.as_ptr());
            let columns = (0..count)
                .map(|index| text(ffi::sqlite3_column_name(raw.as_ptr(), index)))
                .map(Option::unwrap_or_default)
                .collect();
            let declared = (0..count)
                .map(|index| text(ffi::sqlite3_column_decltype(raw.as_ptr(), index)))
                .collect();
            Statement {
                raw,
                columns,
                declared,
                parameters: Parameters::of(raw),
                read_only: ffi::sqlite3_stmt_readonly(raw.as_ptr()) != 0,
                explain: ffi::sqlite3_stmt_isexplain(raw.as_ptr()) != 0,
            }
        }
    }

    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// For each column, the type that its table declares for it. What is computed has
    /// none.
    pub(crate) fn declared_types(&self) -> &[Option<String>] {
        &self.declared
    }

    /// How many values it takes, or why it takes none.
    pub(crate) fn values_needed(&self) -> Result<usize, &str> {
        match &self.parameters {
            Parameters::Positional(count) => Ok(*count),
            Parameters::Numbered(numbers) => {
                Ok(numbers.iter().map(|number| number + 1).max().unwrap_or(0))
            }
            Parameters::Unusable(why) => Err(why),
        }
    }

    /// Whether it is an EXPLAIN, which the authorizer is not told.
    pub(crate) fn is_explain(&self) -> bool {
        self.explain
    }

    /// What its program and its registers take, in bytes.
    pub(crate) fn program_bytes(&self) -> usize {
        // SAFETY: the statement is not finalized; nothing is reset.
        let bytes = unsafe {
            ffi::sqlite3_stmt_status(self.raw.as_ptr(), ffi::SQLITE_STMTSTATUS_MEMUSED, 0)
        };
        usize::try_from(bytes).unwrap_or(0)
    }

    /// Whether it changes nothing itself. Functions that it calls may.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Binds the value with this number, counted from 0, to its parameters. It is
    /// copied.
    pub(crate) fn bind(&mut self, number: usize, value: Bound<'_>) -> Result<(), Failure> {
        match &self.parameters {
            Parameters::Positional(_) => self.bind_parameter(number, value),
            Parameters::Unusable(_) => Ok(()),
            Parameters::Numbered(numbers) => (0..numbers.len())
                .filter(|index| numbers[*index] == number)
                .try_for_each(|index| self.bind_parameter(index, value)),
        }
    }

    fn bind_parameter(&self, index: usize, value: Bound<'_>) -> Result<(), Failure> {
        let statement = self.raw.as_ptr();
        let index = index as c_int + 1;
        // SAFETY: SQLITE_TRANSIENT makes SQLite copy text and blobs before it returns;
        // a wrong index is an error of SQLite's.
        let code = unsafe {
            match value {
                Bound::Null => ffi::sqlite3_bind_null(statement, index),
                Bound::Integer(n) => ffi::sqlite3_bind_int64(statement, index, n),
                Bound::Real(x) => ffi::sqlite3_bind_double(statement, index, x),
                Bound::Text(text) => ffi::sqlite3_bind_text64(
                    statement,
                    index,
                    text.as_ptr().cast(),
                    text.len() as u64,
                    ffi::SQLITE_TRANSIENT(),
                    ffi::SQLITE_UTF8 as u8,
                ),
                // An empty slice's pointer must not read as NULL.
                Bound::Blob([]) => ffi::sqlite3_bind_zeroblob(statement, index, 0),
                Bound::Blob(bytes) => ffi::sqlite3_bind_blob64(
                    statement,
                    index,
                    bytes.as_ptr().cast(),
                    bytes.len() as u64,
                    ffi::SQLITE_TRANSIENT(),
                ),
            }
        };
        self.check(code)
    }

    /// Moves to the next row; false at the end.
    pub(crate) fn step(&mut self) -> Result<bool, Failure> {
        // SAFETY: the statement is not finalized; `&mut` keeps it from being stepped
        // twice at once.
        match unsafe { ffi::sqlite3_step(self.raw.as_ptr()) } {
            ffi::SQLITE_ROW => Ok(true),
            ffi::SQLITE_DONE => Ok(false),
            code => Err(self.failure(code)),
        }
    }

    /// A value of the row that `step` moved to.
    pub(crate) fn column(&self, index: usize) -> Column<'_> {
        let statement = self.raw.as_ptr();
        let index = index as c_int;
        // SAFETY: the pointers stay valid until the statement is stepped, reset or
        // finalized, all of which need `&mut`; each length is asked for after its
        // pointer, as SQLite demands.
        unsafe {
            match ffi::sqlite3_column_type(statement, index) {
                ffi::SQLITE_INTEGER => Column::Integer(ffi::sqlite3_column_int64(statement, index)),
                ffi::SQLITE_FLOAT => Column::Real(ffi::sqlite3_column_double(statement, index)),
                ffi::SQLITE_TEXT => {
                    let text = ffi::sqlite3_column_text(statement, index);
                    Column::Text(bytes(text, ffi::sqlite3_column_bytes(statement, index)))
                }
                ffi::SQLITE_BLOB => {
                    let blob = ffi::sqlite3_column_blob(statement, index).cast();
                    Column::Blob(bytes(blob, ffi::sqlite3_column_bytes(statement, index)))
                }
                _ => Column::Null,
            }
        }
    }

    /// Makes it ready to run again, without the values of this run.
    pub(crate) fn reset(&mut self) {
        // SAFETY: both accept a statement in any state. The result repeats the error
        // of the last step.
        unsafe {
            ffi::sqlite3_reset(self.raw.as_ptr());
            ffi::sqlite3_clear_bindings(self.raw.as_ptr());
        }
    }

    fn check(&self, code: c_int) -> Result<(), Failure> {
        if code == ffi::SQLITE_OK {
            Ok(())
        } else {
            Err(self.failure(code))
        }
    }

    fn failure(&self, code: c_int) -> Failure {
        // SAFETY: a statement knows its connection until it is finalized.
        match NonNull::new(unsafe { ffi::sqlite3_db_handle(self.raw.as_ptr()) }) {
            Some(db) => failure(db, code),
            None => Failure {
                code,
                message: "no connection".to_string(),
            },
        }
    }
}

impl Parameters {
    fn of(statement: NonNull<ffi::sqlite3_stmt>) -> Parameters {
        // SAFETY: the statement is open; a name is NUL-terminated and copied at once.
        let names: Vec<Option<String>> = unsafe {
            (1..=ffi::sqlite3_bind_parameter_count(statement.as_ptr()))
                .map(|index| {
                    let name = ffi::sqlite3_bind_parameter_name(statement.as_ptr(), index);
                    (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
                })
                .collect()
        };
        if names.iter().all(Option::is_none) {
            return Parameters::Positional(names.len());
        }
        let numbers = names.iter().map(|name| {
            let name = name.as_deref().ok_or("\"?\" beside numbered parameters")?;
            let digits = name.strip_prefix(['$', '?']).unwrap_or("");
            match digits.parse::<u16>() {
                Ok(number @ 1..) => Ok(usize::from(number) - 1),
                _ => Err(name),
            }
        });
        match numbers.collect::<Result<Vec<usize>, &str>>() {
            Ok(numbers) => Parameters::Numbered(numbers),
            Err(name) => Parameters::Unusable(format!(
                "a parameter is \"?\", or \"$1\" by its number, but not {name}"
            )),
        }
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        // SAFETY: finalized once, here. SQLite keeps a connection that is closed with
        // open statements alive until the last of them is gone.
        unsafe { ffi::sqlite3_finalize(self.raw.as_ptr()) };
    }
}

/// # Safety
/// `pointer` is null, or a NUL-terminated text that nobody changes meanwhile.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    match pointer.is_null() {
        true => None,
        // SAFETY: the caller's promise.
        false => Some(
            unsafe { CStr::from_ptr(pointer) }
                .to_string_lossy()
                .into_owned(),
        ),
    }
}

/// # Safety
/// `pointer` is null, or has `length` readable bytes for as long as `'s`.
unsafe fn bytes<'s>(pointer: *const u8, length: c_int) -> &'s [u8] {
    match usize::try_from(length) {
        // SAFETY: the caller's promise.
        Ok(length) if !pointer.is_null() => unsafe { std::slice::from_raw_parts(pointer, length) },
        _ => &[],
    }
}

fn failure(db: NonNull<ffi::sqlite3>, code: c_int) -> Failure {
    // SAFETY: the connection is open; the message is NUL-terminated and copied at once.
    unsafe {
        let extended = ffi::sqlite3_extended_errcode(db.as_ptr());
        let message = ffi::sqlite3_errmsg(db.as_ptr());
        Failure {
            code: if extended & 0xff == code & 0xff {
                extended
            } else {
                code
            },
            message: if message.is_null() {
                String::new()
            } else {
                CStr::from_ptr(message).to_string_lossy().into_owned()
            },
        }
    }
}
