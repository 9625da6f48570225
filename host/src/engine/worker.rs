//! Compile workers, from outside: a process for each upload, with a deadline, and at
//! most a few at once. `compile.rs` is what runs in them.

use super::Configuration;
use super::frame::{Answer, Request};
use crate::error::{Error, Result, SqlState};
use crate::limits;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Condvar, Mutex, mpsc};
use std::time::Duration;

/// The argument that makes a program a compile worker.
const ARGUMENT: &str = "compile-worker";

/// What is read of a worker's last words.
const STDERR_BYTES_MAX: u64 = 4 << 10;

/// What compiling one component may use in a worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompileLimits {
    /// CPU time, in whole seconds.
    pub cpu_time: Duration,
    /// Time on the clock; also, how long an upload waits for a worker to be free.
    pub wall_time: Duration,
    /// Address space.
    pub memory_bytes: u64,
}

/// Starts workers.
pub(crate) struct CompileWorker {
    path: PathBuf,
    limits: CompileLimits,
    running: Mutex<usize>,
    ended: Condvar,
}

/// A worker may run while this lives.
struct Slot<'w>(&'w CompileWorker);

/// A worker that runs. It ends with this, and so does whatever it has started.
struct Running {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Default for CompileLimits {
    /// 60 s of CPU time, 120 s on the clock, 2 GiB.
    fn default() -> CompileLimits {
        CompileLimits {
            cpu_time: limits::UPLOAD_CPU_TIME,
            wall_time: limits::UPLOAD_WALL_TIME,
            memory_bytes: limits::UPLOAD_MEMORY_BYTES,
        }
    }
}

impl CompileWorker {
    pub(crate) fn new(path: PathBuf, limits: CompileLimits) -> CompileWorker {
        CompileWorker {
            path,
            limits,
            running: Mutex::new(0),
            ended: Condvar::new(),
        }
    }

    /// The compiled code of a component, for an engine with this configuration.
    pub(crate) fn compile(
        &self,
        component: &[u8],
        configuration: Configuration,
        wanted: &[u8; 32],
    ) -> Result<Vec<u8>> {
        let _slot = self.wait_for_slot()?;
        let mut worker = Running {
            child: start(&self.path)?,
            ended: None,
        };
        match self.ask(&mut worker, component, self.request(configuration))? {
            Some(Ok(Answer::Code {
                compatibility,
                code,
            })) if compatibility == *wanted => Ok(code),
            Some(Ok(Answer::Code { .. })) => Err(Error::new(
                SqlState::IO,
                "the compile worker is of another version",
            )),
            Some(Ok(Answer::Refusal { message, detail })) => {
                Err(Error::new(SqlState::INVALID_VALUE, message).with_detail(detail))
            }
            Some(Err(broken)) => Err(self.explain(&mut worker, &broken)),
            None => Err(took_more("on the clock", self.limits.wall_time)),
        }
    }

    fn wait_for_slot(&self) -> Result<Slot<'_>> {
        let running = self.running.lock().map_err(Error::internal)?;
        let (mut running, waited) = self
            .ended
            .wait_timeout_while(running, self.limits.wall_time, |running| {
                *running >= limits::UPLOAD_WORKERS_MAX
            })
            .map_err(Error::internal)?;
        if waited.timed_out() {
            return Err(Error::new(
                SqlState::CANCELED,
                format!(
                    "other components were being compiled for {} s",
                    self.limits.wall_time.as_secs()
                ),
            )
            .with_hint("try again"));
        }
        *running += 1;
        Ok(Slot(self))
    }

    fn request(&self, configuration: Configuration) -> Request {
        let cpu_seconds = self.limits.cpu_time.as_secs();
        Request {
            configuration,
            cpu_seconds: cpu_seconds.try_into().unwrap_or(u32::MAX),
            memory_bytes: self.limits.memory_bytes,
        }
    }

    /// Sends the request and reads the answer; none if it took too long. Pipes have no
    /// deadlines, so a thread reads and this one waits; it ends when the worker does.
    fn ask(
        &self,
        worker: &mut Running,
        component: &[u8],
        request: Request,
    ) -> Result<Option<io::Result<Answer>>> {
        let (Some(mut to), Some(mut from)) =
            (worker.child.stdin.take(), worker.child.stdout.take())
        else {
            return Err(Error::internal("a worker without pipes"));
        };
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            let exchange = move || {
                let asked = request.write(&mut to, component);
                drop(to);
                // The reason why it did not listen may be in its answer.
                let answer = Answer::read(&mut from);
                let _ = sender.send(asked.and(answer));
            };
            std::thread::Builder::new()
                .name("compile worker's pipes".to_string())
                .spawn_scoped(scope, exchange)
                .map_err(Error::internal)?;
            let answer = receiver.recv_timeout(self.limits.wall_time).ok();
            if answer.is_none() {
                worker.end().map_err(Error::internal)?;
            }
            Ok(answer)
        })
    }

    /// Why a worker ended without an answer.
    fn explain(&self, worker: &mut Running, broken: &io::Error) -> Error {
        let mut words = Vec::new();
        let status = worker.end();
        if let Some(stderr) = worker.child.stderr.take() {
            let _ = stderr.take(STDERR_BYTES_MAX).read_to_end(&mut words);
        }
        let words = String::from_utf8_lossy(&words);
        let signal = status.as_ref().ok().and_then(ExitStatus::signal);
        if signal == Some(Signal::XCPU.as_raw()) {
            return took_more("of CPU time", self.limits.cpu_time);
        }
        if words.contains("memory allocation of") {
            return beyond(format!(
                "compiling it took more than {} MiB of memory",
                self.limits.memory_bytes >> 20
            ));
        }
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        // What it ended by itself with; at the latest, it was ended from here.
        if signal.is_some_and(|signal| signal != Signal::KILL.as_raw()) {
            return refused_by_compiler().with_cause(format!("{status}; {}", words.trim()));
        }
        Error::new(SqlState::IO, "the compile worker gave no answer")
            .with_cause(format!("{broken}; {status}; {}", words.trim()))
    }
}

impl Running {
    /// Kills it, if it runs still, and says how it ended. Its exchange is over: there is
    /// nothing that it could still be good for. Once it was waited for, its number may be
    /// another's.
    fn end(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        kill_process_group(Pid::from_child(&self.child), Signal::KILL)?;
        let status = self.child.wait()?;
        self.ended = Some(status);
        Ok(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, "a compile worker could not be ended");
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if let Ok(mut running) = self.0.running.lock() {
            *running -= 1;
        }
        self.0.ended.notify_one();
    }
}

/// Nothing of this process's surroundings goes along: no environment, no directory, no
/// signals from the terminal.
#[expect(
    clippy::disallowed_methods,
    reason = "the program that compiles uploads"
)]
fn start(path: &Path) -> Result<Child> {
    Command::new(path)
        .arg(ARGUMENT)
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            Error::new(SqlState::IO, "the compile worker cannot be started")
                .with_cause(format!("{}: {error}", path.display()))
        })
}

fn took_more(what: &str, limit: Duration) -> Error {
    beyond(format!(
        "compiling it took more than {} s {what}",
        limit.as_secs_f64()
    ))
}

fn beyond(what: String) -> Error {
    Error::new(
        SqlState::TOO_LARGE,
        format!("the component is refused: {what}"),
    )
}

fn refused_by_compiler() -> Error {
    Error::new(
        SqlState::INVALID_VALUE,
        "the component is refused: the compiler was ended by it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_few_run_at_once_and_waiting_has_an_end() {
        let limits = CompileLimits {
            wall_time: Duration::from_millis(20),
            ..CompileLimits::default()
        };
        let worker = CompileWorker::new(PathBuf::new(), limits);
        let slots: Vec<Slot<'_>> = (0..limits::UPLOAD_WORKERS_MAX)
            .map(|_| worker.wait_for_slot().unwrap())
            .collect();
        let error = worker.wait_for_slot().err().unwrap();
        assert_eq!(error.sqlstate(), SqlState::CANCELED);
        drop(slots);
        assert!(worker.wait_for_slot().is_ok());
    }
}
