//! The same context gives the same answer, the same number of instructions and the
//! same entry: in every run, on every thread, in every process.

use super::components::{of_a_text, upload};
use super::create;
use crate::command_line::perihelion;
use crate::support::{column, guest, run, session, vault};
use perihelion::{Session, Verdict};

/// Conditions that do something of each kind.
const CONDITIONS: [(&str, &str); 5] = [
    ("plain", "return context.n > 10;"),
    (
        "strings",
        "return JSON.stringify(context).split('').sort().join('').length % 2 === 0;",
    ),
    (
        "numbers",
        "let x = context.n; for (let i = 0; i < 100; i++) x = Math.sin(x) * 1e9 + Math.sqrt(i);
         return Math.floor(x) % 2 === 0;",
    ),
    (
        "objects",
        "const m = new Map(); for (let i = 0; i < 200; i++) m.set({ i }, new WeakRef({ i }));
         const s = new Set(Object.keys(context)); return [...m.keys()].length + s.size > 3;",
    ),
    (
        "throws",
        "throw new Error(`at ${context.n}: ${new Error('x').stack}`);",
    ),
];

const CONTEXTS: [&str; 4] = [
    r#"{"n": 1}"#,
    r#"{"n": 11.5, "who": "Ada"}"#,
    r#"{"n": 1e300, "who": ["x", {"y": null}]}"#,
    "nonsense",
];

fn create_all(session: &mut Session) {
    for (name, body) in CONDITIONS {
        create(session, name, body);
    }
    let path = guest("condition_guest");
    run(
        session,
        &format!(
            "CREATE OR REPLACE CONDITION may_read LANGUAGE wasm AS '{}'",
            path.display()
        ),
    );
}

fn ask_all(session: &mut Session) -> Vec<(Verdict, u64, Option<String>)> {
    let names = CONDITIONS.iter().map(|(name, _)| *name).chain(["may_read"]);
    let questions = names.flat_map(|name| CONTEXTS.map(|context| (name, context)));
    questions
        .map(|(name, context)| {
            let decision = session.check(name, context).unwrap();
            let failure = decision
                .failure
                .map(|failure| format!("{:?}", failure.error));
            (decision.verdict, decision.instructions, failure)
        })
        .collect()
}

const DETAILS: &str = "SELECT function_name || allowed || detail FROM heliosdb.audit_log
                       WHERE event_type = 'Decision' ORDER BY seq";

#[test]
fn i32_runs_and_threads_agree_to_the_bit() {
    let vault = vault();
    let mut session = vault.session().unwrap();
    create_all(&mut session);
    let expected = ask_all(&mut session);
    assert!(
        expected
            .iter()
            .any(|(verdict, ..)| *verdict == Verdict::Allow)
    );
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let vault = vault.clone();
            std::thread::spawn(move || {
                let mut session = vault.session().unwrap();
                // Each begins with something else, and leaves other memory behind.
                let junk = format!(
                    "const a = []; for (let i = 0; i < {}; i++) a.push(`${{i}}`);
                                    return a.length > 0;",
                    thread * 1_000
                );
                create(&mut session, &format!("junk{thread}"), &junk);
                let mut seen = Vec::new();
                for _ in 0..5 {
                    session.check(&format!("junk{thread}"), "{}").unwrap();
                    seen.push(ask_all(&mut session));
                }
                seen
            })
        })
        .collect();
    for thread in threads {
        for seen in thread.join().unwrap() {
            assert_eq!(seen, expected);
        }
    }
    let count = format!(
        "SELECT count(DISTINCT d) FROM ({}) ",
        DETAILS.replace("detail FROM", "detail d FROM")
    );
    let distinct = column(
        &mut session,
        &count.replace(" ORDER BY seq", " AND function_name NOT LIKE 'junk%'"),
    );
    // As many as there are questions: the words of the log are the same, too.
    assert_eq!(distinct, [expected.len().to_string()]);
}

#[test]
fn i32_processes_agree_to_the_bit() {
    let mut session = session();
    create_all(&mut session);
    let mut script = String::new();
    for (name, body) in CONDITIONS {
        script.push_str(&format!(
            "CREATE OR REPLACE CONDITION {name}(context JSON) LANGUAGE javascript AS $$
               function {name}(context) {{ {body} }}
             $$;\n"
        ));
    }
    let path = guest("condition_guest");
    script.push_str(&format!(
        "CREATE OR REPLACE CONDITION may_read LANGUAGE wasm AS '{}';\n",
        path.display()
    ));
    for name in CONDITIONS.iter().map(|(name, _)| *name).chain(["may_read"]) {
        for context in CONTEXTS {
            script.push_str(&format!("SELECT {name}('{context}');\n"));
        }
    }
    script.push_str(&format!("{DETAILS};\n"));
    let process = || {
        let output = perihelion()
            .args(["sql", "--json", "-c", &script])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let first = process();
    assert_eq!(first, process());
    ask_all(&mut session);
    let details = column(&mut session, DETAILS);
    assert_eq!(details.len(), 6 * CONTEXTS.len());
    for detail in details {
        let shown = serde_json::Value::from(detail).to_string();
        assert!(first.contains(&shown), "{shown}\n{first}");
    }
}

#[test]
fn i32_no_decision_depends_on_one_before() {
    let mut session = session();
    run(
        &mut session,
        "CREATE CONDITION once(context JSON) LANGUAGE javascript AS $$
           let calls = 0;
           function once() {
             globalThis.seen = (globalThis.seen ?? 0) + 1;
             Array.prototype.seen = (Array.prototype.seen ?? 0) + 1;
             return ++calls === 1 && globalThis.seen === 1 && [].seen === 1;
           }
         $$;
         CREATE TABLE three (n); INSERT INTO three VALUES (1), (2), (3);",
    );
    assert_eq!(
        column(&mut session, "SELECT once('{}') FROM three"),
        ["1", "1", "1"]
    );
    assert_eq!(column(&mut session, "SELECT once('{}')"), ["1"]);
    let counting = "i32.const 64 i32.load local.tee $i i32.const 1 i32.add
                    i32.const 64 local.set $bytes local.set $text
                    local.get $bytes local.get $text i32.store
                    local.get $i i32.eqz";
    upload(&mut session, &of_a_text(counting)).unwrap();
    assert_eq!(
        column(&mut session, r#"SELECT f('{"user": "ada"}') FROM three"#),
        ["1", "1", "1"]
    );
}

#[test]
fn i32_a_nan_has_the_same_bits_on_every_processor() {
    let mut session = session();
    // Operands that lie in memory are no constants that a compiler could have folded.
    let zero = "i32.const 64 f64.load";
    let zero32 = "i32.const 64 f32.load";
    let canonical = "i64.reinterpret_f64 i64.const 0x7ff8000000000000 i64.eq";
    let canonical32 = "i32.reinterpret_f32 i32.const 0x7fc00000 i32.eq";
    for (name, instructions) in [
        ("0/0", format!("{zero} {zero} f64.div {canonical}")),
        ("-0/0", format!("{zero} f64.neg {zero} f64.div {canonical}")),
        (
            "sqrt(-1)",
            format!("{zero} f64.const 1 f64.sub f64.sqrt {canonical}"),
        ),
        (
            "inf - inf",
            format!(
                "f64.const inf {zero} f64.add f64.const inf {zero} f64.add f64.sub {canonical}"
            ),
        ),
        (
            "payload + 0",
            format!("f64.const -nan:0xabcdef {zero} f64.add {canonical}"),
        ),
        (
            "min(payload, 0)",
            format!("f64.const -nan:0xabcdef {zero} f64.min {canonical}"),
        ),
        (
            "promoted",
            format!("{zero32} {zero32} f32.div f64.promote_f32 {canonical}"),
        ),
        (
            "0/0, 32 bits",
            format!("{zero32} {zero32} f32.div {canonical32}"),
        ),
        (
            "payload * 1, 32 bits",
            format!("f32.const -nan:0x20 {zero32} f32.const 1 f32.add f32.mul {canonical32}"),
        ),
    ] {
        upload(&mut session, &of_a_text(&instructions)).unwrap();
        let decision = session.check("f", r#"{"user": "ada"}"#).unwrap();
        assert!(decision.failure.is_none(), "{name}: {:?}", decision.failure);
        assert!(decision.is_allowed(), "{name} has other bits");
    }
    create(
        &mut session,
        "bits",
        "const bits = (x) => new BigUint64Array(Float64Array.of(x).buffer)[0];
         const all = [context.n / context.n, -(context.n / context.n), Math.sqrt(-1 - context.n),
                      Infinity - (Infinity + context.n), Math.sin(Infinity), Number('x'), NaN];
         return all.map(bits).slice(2).every((b) => b === 0x7ff8000000000000n);",
    );
    let decision = session.check("bits", r#"{"n": 0}"#).unwrap();
    assert!(decision.is_allowed(), "{decision:?}");
}
