//! One connection to a server, driven on the thread that waits for it.
//!
//! It has an event loop of its own, which runs only while somebody waits: a statement
//! takes no hop to another thread, and a connection can go from one thread to another
//! between two statements. An embedder with a runtime of its own must call from where
//! that allows to block.

use super::address::Address;
use super::failure::Failure;
use super::stream::{Seen, State, Watched};
use super::value;
use crate::error::Error;
use crate::execution::meter::Meter;
use crate::types::Value;
use futures_util::future::join;
use futures_util::{TryStreamExt, pin_mut};
use std::cell::Cell;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_postgres::{AsyncMessage, Client, NoTls, Row, SimpleQueryMessage, Statement as Prepared};

/// A connection. One that was interrupted is of no use any more.
pub(crate) struct Connection {
    /// Taken out only to be ended without waiting.
    runtime: Option<Runtime>,
    client: Client,
    seen: Arc<Seen>,
    address: Address,
    /// By their text.
    statements: HashMap<String, Prepared>,
    notices: Arc<Mutex<Vec<String>>>,
    is_broken: Cell<bool>,
}

/// How long one waits for a server.
#[derive(Clone, Copy)]
pub(crate) enum Patience<'m> {
    /// As long as a call may run.
    Call(&'m Meter),
    Until(Instant),
    /// A client decides for itself.
    Unlimited,
}

/// A statement, with values for `$1`, `$2`, ….
pub(crate) struct Request<'r> {
    /// Statements of the host's that the server is to run just before, in the same trip.
    pub(crate) before: Option<&'r str>,
    pub(crate) sql: &'r str,
    pub(crate) values: &'r [Value],
}

/// A result's form, and how many rows it has or changed.
pub(crate) struct Ran {
    pub(crate) prepared: Prepared,
    pub(crate) rows: u64,
}

/// Between two looks at the clocks of whoever waits: as in `wasi/wait.rs`.
const SLICE: Duration = Duration::from_millis(3);

/// How long a canceled statement may take to end, so that nothing of it outlives the
/// call. Its connection is closed then in any case.
const CANCEL_PATIENCE: Duration = Duration::from_secs(1);

/// A server answers nothing to a request to cancel.
const CANCEL_BYTES_MAX: usize = 1 << 10;

/// Statements that a connection keeps prepared.
const STATEMENTS_MAX: usize = 256;

/// The server's messages of one statement that are kept.
const NOTICES_MAX: usize = 100;

impl Patience<'_> {
    fn is_over(self) -> bool {
        match self {
            Patience::Call(meter) => meter.check().is_err(),
            Patience::Until(end) => Instant::now() >= end,
            Patience::Unlimited => false,
        }
    }
}

impl Connection {
    /// Connects. A message of the server is not longer than `message_bytes_max`.
    pub(crate) fn open(
        address: &Address,
        settings: &str,
        message_bytes_max: usize,
        patience: Patience<'_>,
    ) -> Result<Connection, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| Failure::Lost(error.to_string()))?;
        let mut config = address.config().clone();
        config.options(settings);
        let seen = Arc::new(Seen::default());
        let notices: Arc<Mutex<Vec<String>>> = Arc::default();
        let watched = Arc::clone(&seen);
        let kept = Arc::clone(&notices);
        let connecting = async {
            let stream = address
                .open()
                .await
                .map_err(|error| Failure::Lost(error.to_string()))?;
            let stream = Watched::new(stream, message_bytes_max, watched);
            let (client, mut connection) = config.connect_raw(stream, NoTls).await?;
            tokio::spawn(async move {
                while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                    keep(&kept, message);
                }
            });
            Ok(client)
        };
        let client = runtime.block_on(within(patience, connecting))?;
        Ok(Connection {
            runtime: Some(runtime),
            client,
            seen,
            address: address.clone(),
            statements: HashMap::new(),
            notices,
            is_broken: Cell::new(false),
        })
    }

    /// Whether it can serve anybody else.
    pub(crate) fn is_usable(&self) -> bool {
        !self.is_closed() && self.state() == State::Idle
    }

    /// Whether the server is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_broken.get() || self.client.is_closed()
    }

    pub(crate) fn state(&self) -> State {
        self.seen.state()
    }

    /// What the server said besides.
    pub(crate) fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs a statement, which is kept prepared, and hands each row to `on_row`.
    pub(crate) fn run(
        &mut self,
        request: &Request<'_>,
        patience: Patience<'_>,
        mut on_row: impl FnMut(&Row) -> Result<(), Failure>,
    ) -> Result<Ran, Failure> {
        let prepared = self.statements.get(request.sql).cloned();
        let client = &self.client;
        let work = async {
            let before = async {
                match request.before {
                    Some(sql) => client.batch_execute(sql).await.map_err(Failure::from),
                    None => Ok(()),
                }
            };
            let statement = async {
                let prepared = match prepared {
                    Some(prepared) => prepared,
                    None => client.prepare(request.sql).await?,
                };
                let rows = stream(client, &prepared, request.values, &mut on_row).await?;
                Ok(Ran { prepared, rows })
            };
            // Both are sent before either is waited for.
            let (before, statement) = join(before, statement).await;
            before.and(statement)
        };
        let ran = self.wait(patience, work);
        match &ran {
            Ok(ran) => self.keep(request.sql, &ran.prepared),
            // It may have been planned for tables that have changed since.
            Err(_) => drop(self.statements.remove(request.sql)),
        }
        ran
    }

    /// What a statement is like, without running it.
    pub(crate) fn prepare(
        &mut self,
        sql: &str,
        patience: Patience<'_>,
    ) -> Result<Prepared, Failure> {
        let client = &self.client;
        let work = async { Ok(client.prepare(sql).await?) };
        let prepared = self.wait(patience, work)?;
        // One from before is for tables as they were then.
        self.statements.remove(sql);
        self.keep(sql, &prepared);
        Ok(prepared)
    }

    /// Runs statements of the host's own.
    pub(crate) fn batch(&mut self, sql: &str, patience: Patience<'_>) -> Result<(), Failure> {
        let client = &self.client;
        let work = async { Ok(client.batch_execute(sql).await?) };
        self.wait(patience, work)
    }

    /// Runs two batches in one trip. The second one runs whatever becomes of the first.
    pub(crate) fn batches(
        &mut self,
        first: &str,
        second: &str,
        patience: Patience<'_>,
    ) -> Result<[Result<(), Failure>; 2], Failure> {
        let client = &self.client;
        let work = async {
            let both = join(client.batch_execute(first), client.batch_execute(second)).await;
            Ok([both.0.map_err(Failure::from), both.1.map_err(Failure::from)])
        };
        self.wait(patience, work)
    }

    /// Runs statements without values, and returns the last result as text: its columns,
    /// its rows, and how many rows were changed.
    pub(crate) fn text_rows(
        &mut self,
        sql: &str,
        patience: Patience<'_>,
    ) -> Result<TextRows, Failure> {
        let client = &self.client;
        let work = async {
            let mut result = TextRows::default();
            for message in client.simple_query(sql).await? {
                match message {
                    SimpleQueryMessage::RowDescription(columns) => {
                        result.columns = columns.iter().map(|c| c.name().to_string()).collect();
                        result.rows.clear();
                    }
                    SimpleQueryMessage::Row(row) => {
                        let cell = |index| row.get(index).map(str::to_string);
                        result.rows.push((0..row.len()).map(cell).collect());
                    }
                    SimpleQueryMessage::CommandComplete(rows) => result.affected = rows,
                    _ => {}
                }
            }
            Ok(result)
        };
        self.wait(patience, work)
    }

    fn keep(&mut self, sql: &str, prepared: &Prepared) {
        if self.statements.len() >= STATEMENTS_MAX {
            // Rare enough that forgetting all of them is as good as choosing one.
            self.statements.clear();
        }
        if !self.statements.contains_key(sql) {
            self.statements.insert(sql.to_string(), prepared.clone());
        }
    }

    /// Waits, and looks at the clocks meanwhile. When they say so, the server is asked to
    /// give the statement up, and the connection is not used again.
    fn wait<T>(
        &self,
        patience: Patience<'_>,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let Some(runtime) = &self.runtime else {
            return Err(Failure::Lost("the connection is closed".to_string()));
        };
        let done = runtime.block_on(async {
            pin_mut!(work);
            let done = within(patience, &mut work).await;
            match &done {
                Err(Failure::Interrupted) => self.give_up(work).await,
                Err(Failure::Exceeded(_) | Failure::Lost(_) | Failure::TooLarge) => {
                    self.give_up(std::future::ready(())).await;
                }
                _ => {}
            }
            done
        });
        match done {
            Err(Failure::Lost(_)) if self.seen.is_too_large() => Err(Failure::TooLarge),
            done => done,
        }
    }

    /// Asks the server to end what it does for this connection, and waits a moment, so
    /// that nothing outlives the call.
    async fn give_up(&self, work: impl Future) {
        self.is_broken.set(true);
        let ended = async {
            self.cancel().await;
            // What it says now is of no interest.
            let _ = work.await;
        };
        let _ = tokio::time::timeout(CANCEL_PATIENCE, ended).await;
    }

    async fn cancel(&self) {
        let canceled = async {
            let stream = self.address.open().await.map_err(|e| e.to_string())?;
            let stream = Watched::new(stream, CANCEL_BYTES_MAX, Arc::default());
            let token = self.client.cancel_token();
            let canceled = token.cancel_query_raw(stream, NoTls).await;
            canceled.map_err(|error| error.to_string())
        };
        if let Err(error) = canceled.await {
            tracing::warn!(error, "a statement could not be canceled");
        }
    }
}

/// Rows as the server writes them.
#[derive(Default)]
pub(crate) struct TextRows {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
    pub(crate) affected: u64,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs the statement and counts its rows.
async fn stream(
    client: &Client,
    prepared: &Prepared,
    values: &[Value],
    on_row: &mut impl FnMut(&Row) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let parameters = value::encode_all(values, prepared.params()).map_err(Failure::Value)?;
    let rows = client.query_raw(prepared, parameters).await?;
    pin_mut!(rows);
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        count += 1;
        on_row(&row)?;
    }
    Ok(rows.rows_affected().unwrap_or(count))
}

/// The work's result, unless patience ends before.
async fn within<T>(
    patience: Patience<'_>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    pin_mut!(work);
    loop {
        // Most statements take less than a slice, and then no timer is set.
        let polled = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
        if let Poll::Ready(done) = polled {
            return done;
        }
        match tokio::time::timeout(SLICE, work.as_mut()).await {
            Ok(done) => return done,
            Err(_) if patience.is_over() => return Err(Failure::Interrupted),
            Err(_) => {}
        }
    }
}

fn keep(notices: &Mutex<Vec<String>>, message: AsyncMessage) {
    if let AsyncMessage::Notice(notice) = message {
        let mut notices = notices.lock().unwrap_or_else(PoisonError::into_inner);
        if notices.len() < NOTICES_MAX {
            notices.push(notice.message().to_string());
        }
    }
}

/// The error of a server that cannot be reached, or that refuses the connection.
pub(crate) fn unreachable(failure: Failure, address: &Address) -> Error {
    let what = format!(
        "the database \"{}\" cannot be opened as \"{}\"",
        address.database(),
        address.user()
    );
    match failure {
        Failure::Server(error) => Error::new(error.state, what).with_detail(error.message),
        failure => {
            let error = failure.into_error();
            let cause = error.cause().unwrap_or_else(|| error.message()).to_string();
            Error::new(crate::error::SqlState::IO, what).with_detail(cause)
        }
    }
}
