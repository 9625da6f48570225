//! Runs a guest's future on this thread, looking at the clocks whenever it yields.

use crate::execution::meter::{Meter, Stop};
use crate::guard::Guard;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Why a future was given up. Dropping it unwinds the guest's stack.
pub(crate) enum Stopped {
    Ended(Stop),
    /// A host function panicked: a bug of ours, which must end this call only.
    Panic(String),
}

/// Polls until the future is done, a limit is reached, or the host panics.
pub(crate) fn drive<F: Future>(future: F, meter: &Meter) -> Result<F::Output, Stopped> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        // Nothing that the panic may have left half done is used again: the store is
        // dropped with the future.
        let polled = caught(meter, || future.as_mut().poll(&mut context));
        match polled.map_err(|panic| Stopped::Panic(message(&*panic)))? {
            Poll::Ready(output) => return Ok(output),
            Poll::Pending => meter.check().map_err(Stopped::Ended)?,
        }
    }
}

fn caught<R>(meter: &Meter, work: impl FnOnce() -> R) -> std::thread::Result<R> {
    if !meter.guards.holds(Guard::PanicCatch) {
        return Ok(work());
    }
    catch_unwind(AssertUnwindSafe(work))
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text.to_string(),
        (_, Some(text)) => text.clone(),
        _ => "a panic without a message".to_string(),
    }
}
