//! What an attack is: a guest, how it is called, and how that ends.

/// One row.
#[derive(Clone, Copy)]
pub(super) struct Attack {
    /// Begins with the requirement that it stands for, if one names it.
    pub(super) name: &'static str,
    pub(super) guest: Guest,
    /// Between the function's name and its LANGUAGE: `(a JSON) RETURNS JSON`.
    pub(super) signature: &'static str,
    /// Statements of the owner's after the function was created: its grants. `{guest}`
    /// is the path of its component.
    pub(super) before: &'static str,
    /// A statement whose outcome does not matter, right before the attack.
    pub(super) first: &'static str,
    /// The settings of the function's own limits.
    pub(super) limits: &'static str,
    /// The statement that attacks.
    pub(super) call: &'static str,
    pub(super) ending: Ending,
    /// The entries of the log besides those of the start, the end and the limit.
    pub(super) entries: &'static [(&'static str, usize)],
    /// What the process may need at most while it runs, in MiB.
    pub(super) peak_mib: u64,
}

/// The code of the function `f`.
#[derive(Clone, Copy)]
pub(super) enum Guest {
    /// A source.
    JavaScript(&'static str),
    /// A source that is made.
    Source(fn() -> String),
    /// A query, and a script that makes it.
    Query(&'static str),
    /// A writing statement, and a script that makes it.
    Execute(&'static str),
    /// An export of a guest of `guests/rust`, called by its own name.
    Rust(&'static str, &'static str),
    /// The items of a world, and the core module that stands behind it.
    Core(&'static str, &'static str),
    /// A whole component as text.
    Component(&'static str),
    /// A component's bytes, or what is said to be one.
    Bytes(fn() -> Vec<u8>),
    /// None: the statement itself is the attack.
    None,
}

/// How an attack ends.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    /// By a limit, which the log names.
    Limit(Limit),
    /// With another error of the call: its SQLSTATE and a part of its message.
    Fails(&'static str, &'static str),
    /// With an error before anything ran: nothing is recorded.
    Refused(&'static str, &'static str),
    /// CREATE FUNCTION is refused.
    NotCreated(&'static str, &'static str),
    /// With this value, as text.
    Gives(&'static str),
}

/// A limit as errors and the log show it.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    pub(super) sqlstate: &'static str,
    pub(super) message: &'static str,
    /// The `resource` of its entry.
    pub(super) resource: &'static str,
}

/// The CPU time of those attacks that need as much as they get.
pub(super) const CPU_TIME_MS: u64 = 300;

pub(super) const CPU_TIME: Limit = Limit {
    sqlstate: "57014",
    message: "cpu time limit of 0.3 s reached",
    resource: "cpu time",
};

pub(super) const INSTRUCTIONS: Limit = Limit {
    sqlstate: "57014",
    message: "instruction limit of 10,000,000,000 instructions reached",
    resource: "instruction",
};

pub(super) const MEMORY: Limit = Limit {
    sqlstate: "53200",
    message: "memory limit of 16 MiB reached",
    resource: "memory",
};

pub(super) const STACK: Limit = Limit {
    sqlstate: "54001",
    message: "stack limit of 2 MiB reached",
    resource: "stack",
};

pub(super) const HOST_BYTES: Limit = Limit {
    sqlstate: "53200",
    message: "host bytes limit of 64 MiB reached (",
    resource: "host bytes",
};

pub(super) const AUDIT_ENTRIES: Limit = Limit {
    sqlstate: "53400",
    message: "audit entry limit of 1,000 entries reached (1,001 entries needed; ",
    resource: "audit entry",
};

pub(super) const RESULT: Limit = Limit {
    sqlstate: "53200",
    message: "query result limit of 16 MiB reached",
    resource: "query result",
};

impl Attack {
    pub(super) const fn new(name: &'static str, guest: Guest) -> Attack {
        let signature = match guest {
            Guest::JavaScript(_) | Guest::Source(_) | Guest::Query(_) | Guest::Execute(_) => {
                "() RETURNS JSON"
            }
            _ => "",
        };
        Attack {
            name,
            guest,
            signature,
            before: "",
            first: "",
            limits: "max_cpu_time_ms = 300, max_instructions = 100000000000",
            call: "SELECT f()",
            ending: Ending::Gives(""),
            entries: &[],
            peak_mib: 96,
        }
    }

    pub(super) const fn signature(mut self, signature: &'static str) -> Attack {
        self.signature = signature;
        self
    }

    pub(super) const fn before(mut self, before: &'static str) -> Attack {
        self.before = before;
        self
    }

    pub(super) const fn first(mut self, first: &'static str) -> Attack {
        self.first = first;
        self
    }

    pub(super) const fn limits(mut self, limits: &'static str) -> Attack {
        self.limits = limits;
        self
    }

    /// With the limits that every function has.
    pub(super) const fn default_limits(self) -> Attack {
        self.limits("")
    }

    pub(super) const fn call(mut self, call: &'static str) -> Attack {
        self.call = call;
        self
    }

    pub(super) const fn entries(mut self, entries: &'static [(&'static str, usize)]) -> Attack {
        self.entries = entries;
        self
    }

    pub(super) const fn ends_by(mut self, limit: Limit) -> Attack {
        self.ending = Ending::Limit(limit);
        self
    }

    pub(super) const fn fails(mut self, sqlstate: &'static str, message: &'static str) -> Attack {
        self.ending = Ending::Fails(sqlstate, message);
        self
    }

    pub(super) const fn refused(mut self, sqlstate: &'static str, message: &'static str) -> Attack {
        self.ending = Ending::Refused(sqlstate, message);
        self
    }

    pub(super) const fn not_created(
        mut self,
        sqlstate: &'static str,
        message: &'static str,
    ) -> Attack {
        self.ending = Ending::NotCreated(sqlstate, message);
        self
    }

    pub(super) const fn gives(mut self, text: &'static str) -> Attack {
        self.ending = Ending::Gives(text);
        self
    }
}

pub(super) const fn js(name: &'static str, source: &'static str) -> Attack {
    Attack::new(name, Guest::JavaScript(source))
}

pub(super) const fn rust(name: &'static str, export: &'static str) -> Attack {
    Attack::new(name, Guest::Rust("hostile_guest", export))
}

pub(super) const fn core(name: &'static str, world: &'static str, module: &'static str) -> Attack {
    Attack::new(name, Guest::Core(world, module))
}

pub(super) const fn component(name: &'static str, text: &'static str) -> Attack {
    Attack::new(name, Guest::Component(text))
}
