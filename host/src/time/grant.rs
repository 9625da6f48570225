//! Who may read the clock.

use crate::capability::Capability;
use crate::function::Authority;

/// The proof that the clock may be read once.
pub(super) struct Permit(());

pub(super) fn permit(authority: &Authority) -> Option<Permit> {
    authority
        .capabilities()
        .contains(Capability::TimeAccess)
        .then_some(Permit(()))
}
