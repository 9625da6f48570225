//! Who may read the clock.

use crate::capability::Capability;
use crate::function::Authority;
use crate::guard::{Guard, Guards};

/// The proof that the clock may be read once.
pub(super) struct Permit(());

pub(super) fn permit(authority: &Authority, guards: Guards) -> Option<Permit> {
    let granted = authority.capabilities().contains(Capability::TimeAccess);
    (granted || !guards.holds(Guard::TimeGrant)).then_some(Permit(()))
}
