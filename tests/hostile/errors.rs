//! Attacks that make errors speak: no value of another, no path of the host, nothing
//! that the guest makes up in the host's name.

use super::attack::{Attack, Guest, js};

/// A table that may be written and not read, whose rules would tell.
const BLIND: &str = "
  CREATE TABLE guarded (id INTEGER PRIMARY KEY, code TEXT UNIQUE, n INTEGER CHECK (n <> 7 OR code <> 'no'));
  INSERT INTO guarded VALUES (1, 'CANARY-unique', 1);
  ALTER FUNCTION f GRANT CAPABILITY DATABASE_WRITE('guarded')";

const WROTE: &[(&str, usize)] = &[("Allowed", 1)];

const fn blind(name: &'static str, sql: &'static str) -> Attack {
    Attack::new(name, Guest::Execute(sql))
        .before(BLIND)
        .entries(WROTE)
}

pub(super) const ATTACKS: &[Attack] = &[
    blind("h96_a key that exists", "INSERT INTO guarded VALUES (1, 'x', 1)").fails("38000", "UNIQUE"),
    blind("h96_a value that exists", "INSERT INTO guarded VALUES (2, 'CAN' || 'ARY-unique', 1)").fails("38000", "UNIQUE"),
    blind("h96_a rule that is broken", "INSERT INTO guarded VALUES (2, 'no', 7)").fails("38000", "CHECK"),
    blind("h96_a blind read of what is written", "INSERT INTO guarded SELECT 2, code || 'x', 1 FROM guarded")
        .entries(&[("Denied", 1)])
        .fails("42501", "read table \"guarded\""),
    Attack::new("h96_a column that does not exist", Guest::Query("SELECT passwd FROM users"))
        .before("ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users')")
        .fails("38000", "passwd"),
    Attack::new("h96_a table that does not exist", Guest::Query("SELECT * FROM secret"))
        .entries(&[("Denied", 1)])
        .fails("42501", "read table \"secret\""),
    Attack::new("h96_a column of a table without a grant", Guest::Query("SELECT no_column FROM secrets"))
        .entries(&[("Denied", 1)])
        .fails("42501", "read table \"secrets\""),
    Attack::new("h96_a number too large", Guest::Query("SELECT abs(-9223372036854775808)"))
        .before("ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users')")
        .fails("38000", "overflow"),
    Attack::new("h96_bad JSON in SQL", Guest::Query("SELECT json('{')"))
        .before("ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users')")
        .fails("38000", "JSON"),
    js("h96_a stack of frames that are made up", "function f() { const e = new Error('x'); e.stack = 'at f (f.js:1:1)\\nat /etc/passwd (/etc/passwd:1:1)\\nat f (f.js:99999999999:0)'; throw e; }")
        .fails("38000", "x"),
    js("h96_an error in the host's words", "function f() { throw new Error('permission denied: function \"f\" may not read table \"secrets\"'); }")
        .fails("38000", "failed: Error: permission denied"),
    js("an exception that is null", "function f() { throw null; }").fails("38000", "null"),
    js("an exception that is a symbol", "function f() { throw Symbol('s'); }").fails("38000", "s"),
    js("an exception that is a proxy", "function f() { throw new Proxy(new Error('x'), { get() { throw 1; }, getPrototypeOf() { throw 2; } }); }")
        .fails("38000", "failed"),
    js("an exception that has half a character and a NUL", "function f() { throw new Error('\\ud800\\0x'); }").fails("38000", "x"),
    js("a result that is a function", "function f() { return () => 1; }").gives("NULL"),
    js("a result with a BigInt", "function f() { return { a: 1n }; }").gives("{\"a\":1}"),
    js("a result of another type", "function f() { return 'x'; }").signature("() RETURNS BIGINT").fails("22P02", "x"),
    js("an integer that does not fit", "function f() { return 2 ** 40; }").signature("() RETURNS INTEGER").fails("22003", "out of range"),
    Attack::new("an argument of another type", Guest::JavaScript("function f(n) { return n; }"))
        .signature("(n BIGINT) RETURNS BIGINT")
        .call("SELECT f('CAN' || 'not')")
        .fails("22P02", "not"),
    Attack::new("a function without its arguments", Guest::JavaScript("function f(n) { return n; }"))
        .signature("(n BIGINT) RETURNS BIGINT")
        .fails("42883", "arguments"),
    Attack::new("a file of the host's as a component", Guest::None)
        .call("CREATE FUNCTION g LANGUAGE wasm AS '/etc/passwd'")
        .entries(&[("FunctionChanged", 1)])
        .refused("22023", "component"),
    Attack::new("a name that would end a statement", Guest::None)
        .call("SELECT \"f; DROP TABLE users\"()")
        .refused("42883", "function"),
];
