//! Runs a guest's future on this thread, looking at the clocks whenever it yields.

use crate::execution::meter::Meter;
use crate::limits::Exceeded;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Polls until the future is done or a limit is reached. A future that is given up is
/// dropped, which unwinds the guest's stack.
pub(crate) fn drive<F: Future>(future: F, meter: &Meter) -> Result<F::Output, Exceeded> {
    drive_with(future, meter, || {})
}

/// The same, and calls `on_yield` whenever the guest has run for a while.
pub(crate) fn drive_with<F: Future>(
    future: F,
    meter: &Meter,
    mut on_yield: impl FnMut(),
) -> Result<F::Output, Exceeded> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return Ok(output),
            Poll::Pending => meter.check()?,
        }
        on_yield();
    }
}
