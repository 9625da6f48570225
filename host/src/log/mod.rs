//! Messages of guests. No capability: they reach the operator's log and the caller.

mod host;

/// How many messages an execution may still write.
pub(crate) struct MessageBudget {
    left: u64,
    pub(crate) dropped: u64,
}

impl Default for MessageBudget {
    fn default() -> MessageBudget {
        MessageBudget {
            left: crate::limits::LOG_MESSAGES_MAX,
            dropped: 0,
        }
    }
}

impl MessageBudget {
    /// Takes one, or counts a message that is dropped.
    fn take(&mut self) -> bool {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.dropped += 1;
                false
            }
        }
    }
}
