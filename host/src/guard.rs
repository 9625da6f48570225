//! The checks that stand between a guest and what it must not get, each by its name, so
//! that a test can take one away and see the attack succeed that it is there for.
//!
//! Only with the feature `remove-guards`, which nothing but the tests has, is there
//! anything to take away: without it every guard holds, as a constant. What was removed
//! belongs to a runtime and travels with it; there is nothing else that could hold it.
//!
//! To add one: a variant here, `guards.holds(Guard::…)` or `guards.bound(…)` where it
//! stands, and a row in `tests/guards/`, without which a test fails.
//!
//! Not here is what no code could leave out, since there would be nothing to put in its
//! place:
//!
//! - A guest's own memory: it has no address of any other. Nor do a table's bounds, the
//!   types of calls and the validation that they rest on have a switch in the engine.
//! - `Permit` and `Pass`: what touches a table or the clock cannot be called without one.
//! - Imports: what the host does not link, or has nothing to stand behind it (random
//!   bytes, files, sockets), a guest cannot reach, whatever is asked of it.
//! - The store of a condition, which holds nothing; that of an execution, which is dropped
//!   after a failure and serves no second statement.
//! - The engine's configuration: what a proposal is without which it is not built.
//! - The longest texts of an entry in the log: its format has no room for longer ones.
//! - The limits of a compile worker: they are a process's, and `compile_limits` of the
//!   builder sets them as high as anybody wants.
//! - Bounds of what is kept between calls (prepared statements, callers, messages of an
//!   error): they bound memory slowly, and `tests/hostile/` watches that.

/// Makes the list of guards, and with it `ALL`.
macro_rules! guards {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A check that a test can remove.
        #[allow(unreachable_pub, reason = "without the feature there is no way to name one")]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Guard {
            $($(#[doc = $doc])+ $name,)+
        }

        #[cfg(feature = "remove-guards")]
        impl Guard {
            /// Every guard there is.
            pub const ALL: &[Guard] = &[$(Guard::$name),+];
        }
    };
}

guards! {
    // Limits of an execution.
    /// The CPU time of a call.
    CpuTime,
    /// The time of a call on the clock.
    WallTime,
    /// The instructions of a call.
    Instructions,
    /// The sum of a call's memories and tables. Without it the engine's pool remains.
    Memory,
    /// The stack of a function's policy. Without it, it has the largest there is: none at
    /// all would be the end of the process.
    Stack,
    /// What a host call, or a result, may carry out of a guest.
    HostCallBytes,
    /// What the host calls of one execution may carry.
    HostBytes,
    /// The rows that they may give.
    Rows,
    /// The handles that a component may hold.
    Handles,
    /// The timers that a guest may wait for.
    Timers,
    /// A guest that waits looks at the clocks.
    WaitClock,
    /// A result that is made text looks at the clocks.
    ConversionClock,
    /// A panic of the host's ends one call.
    PanicCatch,
    /// A guest's messages: how many.
    LogMessages,
    /// A guest's message: how long, and without a terminal's control characters.
    LogMessageText,
    /// The messages of one statement.
    Notices,
    /// The text of a guest's error.
    ErrorText,

    // A guest's statements.
    /// SQLite looks at the clocks while it works for a guest.
    StatementClock,
    /// A guest that waits for a lock of the database waits no longer than it may run.
    LockWait,
    /// The rows of one query.
    ResultBytes,
    /// What SQLite holds for a call.
    DatabaseMemory,
    /// What it writes for a call into temporary files.
    TemporaryFiles,
    /// The text of a statement: how long.
    StatementBytes,
    /// The longest text or blob that a statement may make.
    StatementValues,
    /// The longest pattern of LIKE.
    StatementPatterns,
    /// The longest program of a statement.
    StatementProgram,
    /// What functions may compare in one step.
    Comparisons,
    /// A guest's text is one statement.
    OneStatement,
    /// It has no NUL character, at which SQLite ends. Behind it is `OneStatement`.
    NulCharacters,
    /// A text with literals is a constant of the function.
    Literals,
    /// What a call may have open: statements, cursors, transactions.
    OpenHandles,

    // Capabilities.
    /// An interface without a grant is linked to functions that refuse.
    UngrantedInterfaces,
    /// A grant must cover each table that is read or written.
    TableGrants,
    /// A denial takes from a grant.
    Denials,
    /// The clock needs a grant.
    TimeGrant,
    /// No pattern covers the host's and the database's own names.
    ReservedNames,
    /// No pattern covers a virtual table.
    VirtualTables,
    /// A view of which no column is read needs a grant, too.
    ViewsBetween,
    /// SQL functions that are more than computations need a capability.
    SqlFunctions,
    /// A change of the schema needs a grant.
    SchemaGrant,
    /// A change of a table that is there needs grants on it.
    ChangedTables,
    /// Nothing is hidden in a new table: a function, a foreign key, a name of the
    /// database's own.
    HiddenChanges,
    /// What no grant allows: schema changes, PRAGMA, ATTACH, transactions.
    ForbiddenActions,
    /// What SQLite reports of no action: EXPLAIN, VACUUM.
    UnreportedStatements,
    /// A statement that SQLite prepares anew in the middle of a step was not checked.
    StepGate,
    /// A prepared statement is found only under the authority that it was checked under.
    StatementKey,
    /// What a function may do is looked up at each host call.
    AuthorityNow,
    /// A guest is told of no table that no grant covers.
    UncoveredTables,
    /// "permission denied" is said only of what the host did refuse.
    ClaimedDenials,
    /// A call's writes are undone with it.
    RollBack,
    /// A call ends if SQLite has rolled back its writes: what followed would commit.
    LostUnits,
    /// A client's transaction block that SQLite has rolled back has failed until its end.
    FailedBlocks,
    /// What a client may not do to its own database.
    ClientActions,
    /// SQLite's defenses against a client that writes its schema by hand.
    DefensiveSchema,
    /// A function has no name that the database's own functions have.
    TakenNames,

    // Functions in queries.
    /// A guest's statement calls no function that a table brings along, but for those that
    /// reach nothing.
    BroughtCalls,
    /// An IMMUTABLE function has no capabilities.
    ImmutableReach,
    /// A function that an index uses keeps its code.
    UsedFunctions,
    /// What the states of aggregates hold.
    AggregateStates,

    // System calls, and what counts against a function.
    /// A system call passes if the policy allows it.
    SyscallFilter,
    /// Refused system calls are counted, and disable the function.
    Violations,
    /// Denials refuse a function to their caller.
    CallerLockout,
    /// A disabled function begins no call.
    DisabledCalls,
    /// A function that is disabled while it runs ends.
    DisableSwitch,

    // The audit log.
    /// Entries are kept.
    AuditLog,
    /// What was written is recorded before it is committed.
    RecordedFirst,
    /// The entries of one execution.
    AuditEntries,
    /// How many denials of one execution have an entry each.
    DenialEntries,

    // Uploads.
    /// The bytes of a component.
    UploadBytes,
    /// The bytes of a source.
    SourceBytes,
    /// How deeply components and types lie in each other.
    UploadNesting,
    /// How many parts of each kind a component has.
    UploadCounts,
    /// The size of each of its functions.
    UploadBodies,
    /// The proposals that a component may use. Behind it is the engine's configuration.
    UploadFeatures,
    /// The imports of a component. Behind it is the linker, which has no others.
    UploadImports,
    /// The imports of a condition. Behind it is the linker, as well.
    ConditionImports,
    /// An import that a JavaScript condition calls ends it.
    ConditionCalls,
    /// The size of a condition's context.
    ContextBytes,
    /// A context in which no member is there twice.
    ContextMembers,
    /// What is stored is what was uploaded.
    ContentHash,
    /// Compiled code is loaded only if this host wrote it.
    CompiledCode,
    /// Compiled code is kept where nobody else can write.
    CodeDirectory,

    // Vaults.
    /// One vault never has all places for calls.
    VaultShare,
    /// The places for calls.
    Places,
    /// The places for calls within calls. Behind it is the engine's pool.
    NestedPlaces,
    /// The memory that all calls may hold together.
    MemoryBudget,
    /// One process has a vault's directory open.
    DirectoryLock,
    /// One process has a log open.
    LogLock,
}

/// The guards of one runtime: all of them, but for those that a test has removed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Guards {
    #[cfg(feature = "remove-guards")]
    removed: u128,
}

impl Guards {
    /// Whether the guard is there.
    #[cfg(not(feature = "remove-guards"))]
    pub(crate) const fn holds(self, _: Guard) -> bool {
        true
    }

    /// Whether the guard is there.
    #[cfg(feature = "remove-guards")]
    pub(crate) const fn holds(self, guard: Guard) -> bool {
        self.removed & (1 << guard as u32) == 0
    }

    /// The bound that the guard sets, or what stands for none.
    pub(crate) fn bound<T>(self, guard: Guard, bound: T, none: T) -> T {
        if self.holds(guard) { bound } else { none }
    }

    /// All but one more.
    #[cfg(feature = "remove-guards")]
    pub(crate) fn without(self, guard: Guard) -> Guards {
        Guards {
            removed: self.removed | 1 << guard as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h1_every_guard_holds_by_default() {
        let guards = Guards::default();
        assert!(guards.holds(Guard::CpuTime) && guards.holds(Guard::DirectoryLock));
        assert_eq!(guards.bound(Guard::Memory, 1, 2), 1);
        #[cfg(feature = "remove-guards")]
        for guard in Guard::ALL {
            assert!(guards.holds(*guard));
            let less = guards.without(*guard);
            let missing = Guard::ALL.iter().filter(|other| !less.holds(**other));
            assert_eq!(missing.collect::<Vec<_>>(), [guard]);
        }
    }
}
