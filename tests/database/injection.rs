//! H66: input is no part of a statement. A text with literals is accepted if it is a
//! constant of the function, and refused if it was put together while it ran.

use crate::hostile::wat;
use crate::support::{column, guest, refuse, run, session_with_users, text};
use perihelion::{Session, Value};

/// A function `f` of one text, and what it gives or the SQLSTATE that it fails with.
fn with_function(source: &str) -> Session {
    let mut session = session_with_users();
    let create = format!(
        "CREATE FUNCTION f(v TEXT) RETURNS JSON LANGUAGE javascript AS $hostile${source}$hostile$;
         ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users'),
           DATABASE_EXECUTE;"
    );
    run(&mut session, &create);
    session
}

fn call(session: &mut Session, input: &str) -> String {
    match session.call("f", &[Value::Text(input.into())]) {
        Ok(Value::Json(json)) => json,
        Ok(other) => format!("{other:?}"),
        Err(error) => error.sqlstate().as_str().to_string(),
    }
}

const COUNT: &str = "SELECT count(*) AS n FROM users WHERE name <> 'x' AND id < 9";

#[test]
fn h66_a_constant_text_may_hold_literals() {
    let folded =
        "'SELECT count(*) AS n ' + // of all\n \"FROM users WHERE name \" + `<> 'x' AND id < 9`";
    for text in [
        &format!("\"{COUNT}\""),
        &format!("`{COUNT}`"),
        &format!("'{}'", COUNT.replace('\'', "\\'")),
        &format!("'{}'", COUNT.replace('\'', "\\u0027")),
        folded,
        &format!("({folded})"),
        &format!("[`{COUNT}`][0]"),
        &format!("{{ sql: `{COUNT}` }}.sql"),
        &format!("/'/.test(v) ? `{COUNT}` : `{COUNT}`"),
        &format!("`{}`", COUNT.replace(" FROM", "\n         FROM")),
    ] {
        for request in [
            "heliosdb.query(sql).rows[0].n",
            "heliosdb.queryOne(sql).n",
            "heliosdb.prepare(sql).queryOne().n",
            "[...heliosdb.stream(sql)][0].n",
        ] {
            let source = format!("const sql = {text};\nfunction f(v) {{ return {request}; }}");
            let source = source.replace("const sql = /'/", "let v = ''; const sql = /'/");
            assert_eq!(call(&mut with_function(&source), "x"), "2", "{source}");
        }
    }
    let source = "function f(v) {
        heliosdb.execute(`CREATE TABLE notes (text VARCHAR(9) DEFAULT 'none')`);
        heliosdb.execute(`UPDATE users SET name = 'Cy' WHERE id = 1`);
        return heliosdb.batch(`INSERT INTO users(name, email) VALUES (?, 'none')`, [[v]]).rowCount;
      }";
    assert_eq!(call(&mut with_function(source), "x"), "1");
}

#[test]
fn h66_a_text_that_was_put_together_holds_no_literal() {
    let head = "SELECT count(*) AS n FROM users WHERE name <> ";
    for text in [
        "`SELECT count(*) AS n FROM users WHERE name <> '${v}'`",
        "\"SELECT count(*) AS n FROM users WHERE name <> '\" + v + \"'\"",
        // Of constants alone, but not together in the source.
        &format!("(() => {{ const head = `{head}`; return head + `'x'`; }})()"),
        &format!("[`{head}`, `'x'`].join(``)"),
        &format!("`{head}`.concat(`'x'`)"),
        &format!("`{head}?`.replace(`?`, `'x'`)"),
        &format!("`x{COUNT}`.slice(1)"),
        &format!("`{COUNT} `.trim()"),
        &format!("`{COUNT}`.replace(`x`, v)"),
        &format!("`{COUNT}`.toUpperCase()"),
        "JSON.parse('\"SELECT \\\\u0031 AS n\"')",
        "String.fromCharCode(83, 69, 76, 69, 67, 84, 32, 49, 32, 65, 83, 32, 110)",
        "new TextLike().sql",
    ] {
        for request in [
            "heliosdb.query(sql).rows[0].n",
            "heliosdb.queryOne(sql).n",
            "heliosdb.prepare(sql).queryOne().n",
            "[...heliosdb.stream(sql)][0].n",
        ] {
            let source = format!(
                "class TextLike {{ get sql() {{ return `{head}` + this.value; }} value = `'x'`; }}
                 function f(v) {{ const sql = {text}; return {request}; }}"
            );
            assert_eq!(call(&mut with_function(&source), "y"), "42601", "{source}");
        }
    }
    for request in [
        "heliosdb.execute(`UPDATE users SET name = '${v}'`)",
        "heliosdb.batch(`INSERT INTO users(name) VALUES ('${v}')`, [[]])",
        "heliosdb.prepare(`DELETE FROM users WHERE name = '${v}'`).execute()",
        "heliosdb.prepare(`INSERT INTO users(name) VALUES ('${v}')`).batch([[]])",
        "heliosdb.execute(`CREATE TABLE t (a DEFAULT '${v}')`)",
        "eval('heliosdb.query(\"SELECT 1 AS n\")')",
        "new Function('return heliosdb.query(\"SELECT 1 AS n\")')()",
    ] {
        let source = format!("function f(v) {{ return {request}.rowCount; }}");
        assert_eq!(
            call(&mut with_function(&source), "Ada"),
            "42601",
            "{source}"
        );
    }
}

/// Every input in every place: what is not refused has no value in it, and reads what the
/// function may read.
#[test]
fn h66_no_input_becomes_part_of_a_statement() {
    let inputs = [
        "Ada",
        "' OR '1'='1",
        "x' OR name <> 'y",
        "' UNION SELECT value FROM secrets --",
        "'; DROP TABLE users; --",
        "1 OR 1=1",
        "1; DELETE FROM users",
        "0x1",
        "x'41'",
        "1e3",
        ".5",
        "-1",
        "TRUE",
        "NULL",
        "null OR true",
        "''",
        "\"\" OR 1",
        "/*'*/ 1",
        "-- '\n 1",
        "1 --",
        "1 /*",
        "$$a$$",
        "$a$ 'b' $a$",
        "\u{feff}1",
        "id/**/=/**/1",
        "(SELECT 1)",
        "CASE WHEN 1 THEN name END",
        "[1",
        "`1",
    ];
    let places = [
        "SELECT name FROM users WHERE id = ${v}",
        "SELECT name FROM users WHERE name = '${v}'",
        "SELECT name FROM users WHERE name = \"${v}\"",
        "SELECT name FROM users WHERE name LIKE '%${v}%'",
        "SELECT name FROM users WHERE id IN (${v})",
        "SELECT name FROM users LIMIT ${v}",
        "SELECT ${v} AS name FROM users",
        "SELECT name FROM users /* ${v} */ WHERE id > ?",
        "SELECT name FROM users -- ${v}",
    ];
    for place in places {
        let params = if place.contains('?') { "[0]" } else { "[]" };
        let source = format!(
            "function f(v) {{
               return heliosdb.query(`{place}`, {params}).rows.map(row => row.name).join();
             }}"
        );
        let mut session = with_function(&source);
        for input in inputs {
            let answer = call(&mut session, input);
            // A comment holds anything, or a name that there is not: nothing of it counts.
            let has_comment = place.contains("--") || place.contains("/*");
            let harmless = answer == "38000" || (answer == "\"Ada,Bob\"" && has_comment);
            assert!(
                answer == "42601" || harmless,
                "{place} with {input}: {answer}"
            );
            assert_eq!(text(&mut session, "SELECT count(*) FROM users"), "2");
        }
    }
}

/// Names cannot be parameters. They are held by the grants.
#[test]
fn h66_names_may_be_put_together() {
    let source = "function f(v) {
        const sql = `SELECT name FROM users WHERE email IS NOT NULL ORDER BY ${v} DESC LIMIT ?`;
        return heliosdb.query(sql, [1]).rows[0].name;
      }";
    let mut session = with_function(source);
    assert_eq!(call(&mut session, "name"), "\"Bob\"");
    assert_eq!(call(&mut session, "lower(email)"), "\"Bob\"");
    assert_eq!(call(&mut session, "1"), "42601");
    assert_eq!(call(&mut session, "(SELECT value FROM secrets)"), "42501");
}

/// The error says what to write, and shows no value. What a guest makes of it is its own.
#[test]
fn h66_the_error_shows_the_way() {
    let source = "function f(v) {
        return heliosdb.query(`SELECT name FROM users\nWHERE name = '${v}'`).rowCount;
      }";
    let mut session = with_function(source);
    let error = refuse(&mut session, "SELECT f('CANARY')", "42601");
    assert_eq!(
        error.message(),
        "function \"f\" failed: HeliosError: the statement was put together while the function \
         ran, and has a literal at 2:14: write a parameter in its place, as in \"WHERE id = ?\", \
         and pass the value beside the text"
    );
    assert!(!format!("{error:?}").contains("CANARY"));
    let source = "function f(v) {
        try { heliosdb.query(`SELECT '${v}'`); } catch (e) { if (v === 'own') throw new Error(e.message); return e.code; }
      }";
    let mut session = with_function(source);
    assert_eq!(call(&mut session, "x"), "\"invalid\"");
    assert_eq!(call(&mut session, "own"), "38000");
    // The other rules of a request have the same code.
    for (request, sqlstate) in [
        ("heliosdb.query('SELECT 1; SELECT 2')", "42601"),
        ("heliosdb.query('SELECT ?', [])", "42601"),
        ("heliosdb.query('SELECT ?', [1, 2])", "42601"),
        ("heliosdb.query('SELEC')", "38000"),
    ] {
        let mut session = with_function(&format!("function f(v) {{ {request}; }}"));
        assert_eq!(call(&mut session, "x"), sqlstate, "{request}");
    }
}

/// A value is stored as it is.
#[test]
fn h56_a_parameter_is_no_part_of_the_statement() {
    let source = "function f(v) {
        heliosdb.execute('UPDATE users SET email = ? WHERE id = ?', [v, 1]);
        return heliosdb.queryOne('SELECT email FROM users WHERE id = ?', [1]).email;
      }";
    let mut session = with_function(source);
    assert_eq!(
        call(&mut session, "'; DROP TABLE users;--"),
        "\"'; DROP TABLE users;--\""
    );
    assert_eq!(
        column(&mut session, "SELECT email FROM users WHERE id = 2"),
        ["bob@example.com"]
    );
}

/// The constants are those of the version that runs.
#[test]
fn h66_another_version_has_other_constants() {
    let version = |literal: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION f(v TEXT) RETURNS JSON LANGUAGE javascript AS $$
           const own = \"SELECT '{literal}' AS a\";
           function f(v) {{ return heliosdb.queryOne(v === '' ? own : `${{v}}`).a; }}
         $$"
        )
    };
    let mut session = with_function("function f(v) {}");
    run(&mut session, &version("first"));
    assert_eq!(call(&mut session, "SELECT 'first' AS a"), "\"first\"");
    assert_eq!(call(&mut session, "SELECT 'second' AS a"), "42601");
    run(&mut session, &version("second"));
    assert_eq!(call(&mut session, ""), "\"second\"");
    assert_eq!(call(&mut session, "SELECT 'first' AS a"), "42601");
    run(&mut session, "ALTER FUNCTION f SET VERSION 2");
    assert_eq!(call(&mut session, "SELECT 'first' AS a"), "\"first\"");
    assert_eq!(call(&mut session, "SELECT 'second' AS a"), "42601");
}

#[test]
fn h66_a_rust_guest_sends_constants_and_parameters() {
    let mut session = session_with_users();
    let file = guest("sender_guest");
    for name in [
        "send_constant",
        "send_concatenated",
        "send_ordered",
        "send_query",
        "send_execute",
    ] {
        run(
            &mut session,
            &format!(
                "CREATE FUNCTION {name} LANGUAGE wasm AS '{}'",
                file.display()
            ),
        );
        run(
            &mut session,
            &format!(
                "ALTER FUNCTION {name} GRANT CAPABILITY DATABASE_READ('users'), DATABASE_WRITE('users')"
            ),
        );
    }
    assert_eq!(text(&mut session, "SELECT send_constant()"), "2");
    assert_eq!(text(&mut session, "SELECT send_ordered('name')"), "Bob");
    assert_eq!(
        text(
            &mut session,
            "SELECT send_query('SELECT name FROM users ORDER BY id')"
        ),
        "Text(\"Ada\"),Text(\"Bob\")"
    );
    for call in [
        "send_concatenated('Ada')",
        "send_concatenated('x'' OR ''1''=''1')",
        "send_ordered('1')",
        "send_query('SELECT 1')",
        "send_query('SELECT name FROM users WHERE id = 1')",
        "send_execute('DELETE FROM users WHERE id = 1')",
    ] {
        let error = refuse(&mut session, &format!("SELECT {call}"), "42601");
        assert!(
            error.message().contains("write a parameter in its place"),
            "{error:?}"
        );
    }
    assert_eq!(text(&mut session, "SELECT count(*) FROM users"), "2");
}

/// A component that sends `length` bytes from `from` of its memory, and gives 0, or 1 and
/// the case of the error.
fn sending(data: &str, before: &str, from: u32, length: u32) -> Vec<u8> {
    let module = format!(
        r#"(module
             (import "heliosdb:host/database-read@0.1.0" "query"
               (func $query (param i32 i32 i32 i32 i32)))
             (memory (export "memory") 2)
             (global $free (mut i32) (i32.const 65536))
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
               (global.set $free (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
               (global.get $free)
               (global.set $free (i32.add (global.get $free) (local.get 3))))
             {data}
             (func (export "f") (result i32)
               {before}
               (call $query (i32.const {from}) (i32.const {length}) (i32.const 0) (i32.const 0)
                 (i32.const 60000))
               (i32.add (i32.mul (i32.load8_u (i32.const 60000)) (i32.const 10))
                 (i32.mul (i32.load8_u (i32.const 60000)) (i32.load8_u (i32.const 60008))))))"#
    );
    let world = "import heliosdb:host/database-read@0.1.0; export f: func() -> s32;";
    wat::core(world, &module)
}

#[test]
fn h66_a_text_lies_in_one_data_segment() {
    const TEXT: &str = "SELECT id FROM users WHERE id = 1";
    let length = TEXT.len() as u32;
    let (head, tail) = TEXT.split_at(20);
    let copy = "(memory.copy (i32.const 4096) (i32.const 1024) (i32.const 20))
                (memory.copy (i32.const 4116) (i32.const 2048) (i32.const 13))";
    let whole = |at: u32| format!("(data (i32.const {at}) \"{TEXT}\")");
    let pieces = |a: u32, b: u32| {
        format!("(data (i32.const {a}) \"{head}\") (data (i32.const {b}) \"{tail}\")")
    };
    let invalid = "12";
    for (name, component, given) in [
        ("a constant", sending(&whole(1024), "", 1024, length), "0"),
        (
            "a constant that was moved",
            sending(
                &whole(1024),
                "(memory.copy (i32.const 4096) (i32.const 1024) (i32.const 33))",
                4096,
                length,
            ),
            "0",
        ),
        (
            "a part of a longer text",
            sending(
                &format!("(data (i32.const 1024) \"x {TEXT} OR id = 2\")"),
                "",
                1026,
                length,
            ),
            "0",
        ),
        (
            "a passive segment",
            sending(
                &format!("(data $s \"{TEXT}\")"),
                "(memory.init $s (i32.const 1024) (i32.const 0) (i32.const 33))",
                1024,
                length,
            ),
            "0",
        ),
        (
            "two segments side by side",
            sending(&pieces(1024, 1044), "", 1024, length),
            invalid,
        ),
        (
            "put together from two",
            sending(&pieces(1024, 2048), copy, 4096, length),
            invalid,
        ),
        (
            "a digit that is computed",
            sending(
                &whole(1024),
                "(i32.store8 (i32.const 1056) (i32.const 50))",
                1024,
                length,
            ),
            invalid,
        ),
        (
            "more than the segment",
            sending(
                &whole(1024),
                "(i32.store8 (i32.const 1057) (i32.const 48))",
                1024,
                length + 1,
            ),
            invalid,
        ),
        (
            "no literal, from anywhere",
            sending(&pieces(1024, 1044), "", 1024, 27 - 6),
            "0",
        ),
    ] {
        let mut session = session_with_users();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), component).unwrap();
        run(
            &mut session,
            &format!(
                "CREATE FUNCTION f LANGUAGE wasm AS '{}';
                 ALTER FUNCTION f GRANT CAPABILITY DATABASE_READ('users')",
                file.path().display()
            ),
        );
        assert_eq!(text(&mut session, "SELECT f()"), given, "{name}");
    }
}
