//! The `perihelion` binary, as a script or a program uses it.

use crate::support::binary;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
}

pub(crate) fn perihelion() -> Command {
    let mut command = Command::new(binary());
    command
        .env("PERIHELION_CACHE", workspace().join("target/test-cache"))
        .current_dir(workspace())
        .stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    perihelion().args(arguments).output().expect("perihelion")
}

/// The exit status, standard output and standard error.
#[track_caller]
fn check(arguments: &[&str], status: i32, stdout: &str, stderr: &str) {
    let output = run(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&output.stdout), stdout);
    assert_eq!(text(&output.stderr), stderr);
    assert_eq!(output.status.code(), Some(status));
}

fn json_lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A directory with a script in it.
fn script(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sql");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_string();
    (directory, path)
}

#[test]
fn a_script_stops_at_its_first_error() {
    let sql = "CREATE TABLE t (a); nonsense; INSERT INTO t VALUES (1)";
    let error = "ERROR:  near \"nonsense\": syntax error\n";
    check(&["sql", "-c", sql], 1, "CREATE TABLE\n", error);
    check(
        &["sql", "-c", sql, "--continue"],
        1,
        "CREATE TABLE\nINSERT 0 1\n",
        error,
    );
    check(&["sql", "-c", "nonsense", "-c", "SELECT 1"], 1, "", error);
    check(&["sql", "-c", ""], 0, "", "");
}

#[test]
fn wrong_usage_has_a_status_of_its_own() {
    for arguments in [
        &["sql", "--no-such-option"][..],
        &["sql", "-c"],
        &["audit", "verify"],
        &[],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn statements_and_files_run_in_the_order_given() {
    let (_directory, path) = script("INSERT INTO t VALUES (1), (2);\n\\d\n");
    check(
        &[
            "sql",
            "-c",
            "CREATE TABLE t (a)",
            "-f",
            &path,
            "-c",
            "SELECT count(*) AS n FROM t",
        ],
        0,
        concat!(
            "CREATE TABLE\nINSERT 0 2\n",
            " name | type\n------+-------\n t    | table\n(1 row)\n\n",
            " n\n---\n 2\n(1 row)\n\n"
        ),
        "",
    );
}

#[test]
fn an_error_in_a_file_names_its_line() {
    let (_directory, path) = script("-- a;\nSELECT $$\n");
    let output = run(&["sql", "-f", &path]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.starts_with(&format!("{path}:2: ERROR:  unterminated")),
        "{error}"
    );

    let (_directory, path) = script("SELECT 1 AS a;\n\n/* b;\n */ SELECT\n  2 FROM c;\n");
    let output = run(&["sql", "--verbose", "-f", &path]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        error,
        format!("{path}:4: ERROR:  42P01: no such table: c\n")
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_stands_before_a_line_that_is_not_utf8_runs() {
    let (_directory, path) = script("");
    std::fs::write(&path, b"CREATE TABLE t (a);\nSELECT '\xff';\n").unwrap();
    let error = format!("{path}:2: ERROR:  the line is not UTF-8\n");
    check(&["sql", "-f", &path], 1, "CREATE TABLE\n", &error);
}

#[test]
fn a_backslash_inside_a_statement_is_no_command() {
    let (_directory, path) = script("SELECT '\n\\q\n' AS a;\n\\q\nSELECT 2;\n");
    check(
        &["sql", "-f", &path],
        0,
        " a\n----\n   +\n \\q+\n\n(1 row)\n\n",
        "",
    );
}

#[test]
fn a_file_that_names_itself_ends() {
    let (_directory, path) = script("");
    std::fs::write(&path, format!("\\i {path}\n")).unwrap();
    let output = run(&["sql", "-f", &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("nested too deep")
    );
}

#[test]
fn an_unknown_command_says_where_help_is() {
    let (_directory, path) = script("\\nope\n");
    let error = "ERROR:  no command \\nope; \\? lists those there are\n";
    check(&["sql", "-f", &path], 1, "", error);
}

#[test]
fn a_refusal_can_be_pasted() {
    let sql = "CREATE TABLE users (a); CREATE TABLE secrets (a);
        CREATE FUNCTION notify() RETURNS BIGINT LANGUAGE javascript AS $$
          function notify() { return heliosdb.query('SELECT a FROM secrets', []).rowCount }
        $$;
        ALTER FUNCTION notify GRANT CAPABILITY DATABASE_READ('users'), TIME_ACCESS;
        SELECT notify()";
    check(
        &["sql", "-c", sql],
        1,
        "CREATE TABLE\nCREATE TABLE\nCREATE FUNCTION\nALTER FUNCTION\n",
        concat!(
            "ERROR:  permission denied: function \"notify\" may not read table \"secrets\"\n",
            "DETAIL:  its grants are DATABASE_READ('users'), TIME_ACCESS\n",
            "HINT:  ALTER FUNCTION notify GRANT CAPABILITY DATABASE_READ('secrets');\n",
        ),
    );
}

#[test]
fn d19_json_is_one_object_a_statement() {
    let sql = "CREATE TABLE t (a); INSERT INTO t VALUES (9007199254740993), (NULL);
        SELECT a, x'0102' AS b, 9e999 AS c FROM t; SELECT missing FROM t; SELECT 1";
    let output = run(&["sql", "--json", "-c", sql]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.is_empty());
    assert_eq!(
        json_lines(&output.stdout),
        [
            json!({"command": "CREATE TABLE", "columns": [], "rows": [], "notices": []}),
            json!({"command": "INSERT", "columns": [], "rows": [], "affected": 2, "notices": []}),
            json!({
                "command": "SELECT",
                "columns": ["a", "b", "c"],
                "rows": [[9007199254740993_i64, "AQI=", "Infinity"], [null, "AQI=", "Infinity"]],
                "notices": [],
            }),
            json!({"error": {"sqlstate": "42703", "message": "no such column: missing"}}),
        ]
    );
}

#[test]
fn a_program_can_wait_for_each_answer() {
    let mut child = perihelion()
        .args(["sql", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    for n in 0..3 {
        write!(stdin, "SELECT\n  {n};\n").unwrap();
        let answer: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
        assert_eq!(answer["rows"], json!([[n]]));
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_goes_away_is_nothing_to_complain_of() {
    const ROWS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000) \
        SELECT i FROM n";
    let mut child = perihelion()
        .args(["sql", "-c", ROWS])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_transaction_that_is_left_open_is_rolled_back_and_said_so() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data").to_str().unwrap().to_string();
    let sql = "CREATE TABLE t (a); BEGIN; INSERT INTO t VALUES (1)";
    check(
        &["sql", "--data", &data, "-c", sql],
        0,
        "CREATE TABLE\nBEGIN\nINSERT 0 1\n",
        "WARNING:  the transaction was not committed and is rolled back\n",
    );
    let count = " n\n---\n 0\n(1 row)\n\n";
    check(
        &["sql", "--data", &data, "-c", "SELECT count(*) AS n FROM t"],
        0,
        count,
        "",
    );
}

#[test]
fn an_audit_log_is_verified_and_damage_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let path = data.to_str().unwrap();
    let sql = "CREATE FUNCTION one() RETURNS BIGINT LANGUAGE javascript AS $$
        function one() { return 1 } $$; SELECT one()";
    assert!(run(&["sql", "--data", path, "-c", sql]).status.success());
    let verified = run(&["audit", "verify", "--data", path]);
    assert!(verified.status.success());
    assert!(
        String::from_utf8(verified.stdout)
            .unwrap()
            .starts_with("entries  3\nhead     ")
    );

    let segment = std::fs::read_dir(data.join("audit"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = std::fs::read(&segment).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let damaged = run(&["audit", "verify", "--data", path]);
    assert_eq!(damaged.status.code(), Some(1));
    let error = String::from_utf8(damaged.stderr).unwrap();
    assert!(
        error.contains('3') && error.starts_with("ERROR:  "),
        "{error}"
    );
}

#[test]
fn h87_the_checklist_says_what_is_ok_and_what_needs_attention() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let path = data.to_str().unwrap();
    let one = "CREATE FUNCTION one() RETURNS BIGINT LANGUAGE javascript AS $$
        function one() { return 1 } $$;";
    assert!(run(&["sql", "--data", path, "-c", one]).status.success());
    let items = |arguments: &[&str], status: i32| -> Vec<(String, String, String)> {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let rows = json_lines(&output.stdout)[0]["rows"].clone();
        let text = |value: &Value| value.as_str().unwrap().to_string();
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| (text(&row[1]), text(&row[2]), text(&row[3])))
            .collect()
    };
    let all_well = items(&["check", "--data", path, "--json"], 0);
    assert_eq!(all_well.len(), 12);
    let count = |items: &[(String, String, String)], status: &str| {
        items.iter().filter(|item| item.1 == status).count()
    };
    assert_eq!((count(&all_well, "ok"), count(&all_well, "manual")), (4, 8));

    let unwell = "
        CREATE SECURITY POLICY lax AS (audit_logging: false, max_cpu_time_ms: 60000,
            capabilities: [DATABASE_READ('*')]);
        ALTER FUNCTION one SET SECURITY POLICY lax;
        ALTER FUNCTION one GRANT CAPABILITY TIME_ACCESS;";
    assert!(run(&["sql", "--data", path, "-c", unwell]).status.success());
    let found = items(&["check", "--data", path, "--json", "one"], 1);
    let findings: Vec<&str> = found
        .iter()
        .filter(|item| item.1 == "attention")
        .map(|item| item.2.as_str())
        .collect();
    assert_eq!(
        findings,
        [
            "covers everything: DATABASE_READ('*'); not used for 30 days: DATABASE_READ('*'), TIME_ACCESS",
            "as high as can be: max_cpu_time_ms",
            "policy \"lax\" records refusals only",
            "\"lax\", version 1, by nobody",
        ]
    );
    let table = run(&["check", "--data", path]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("| audit logging enabled"), "{table}");
    check(
        &["check", "--data", path, "two"],
        1,
        "",
        "ERROR:  no function \"two\"\n",
    );
}

#[test]
fn inspect_fails_where_create_function_would() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
        path.to_str().unwrap().to_string()
    };
    let add = write(
        "add.wasm",
        r#"(component
            (core module $m (func (export "add") (param i64 i64) (result i64)
              (i64.add (local.get 0) (local.get 1))))
            (core instance $i (instantiate $m))
            (func (export "add") (param "a" s64) (param "b" s64) (result s64)
              (canon lift (core func $i "add"))))"#,
    );
    let create = format!("CREATE FUNCTION add LANGUAGE wasm AS '{add}';");
    check(
        &["inspect", &add],
        0,
        &format!(
            "-- functions\nadd(a BIGINT, b BIGINT) RETURNS BIGINT\n\n-- to create them\n{create}\n\n"
        ),
        "",
    );
    let shown = json_lines(&run(&["inspect", "--json", &add]).stdout);
    assert_eq!(
        shown[0]["functions"],
        json!(["add(a BIGINT, b BIGINT) RETURNS BIGINT"])
    );
    assert_eq!(shown[0]["error"], Value::Null);

    let core = write("core.wasm", "(module)");
    let refused = run(&["inspect", &core]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains("it is a core module")
    );

    let foreign = write(
        "foreign.wasm",
        r#"(component
            (import "acme:shop/cart@1.0.0" (instance (export "buy" (func))))
            (core module $m (func (export "run")))
            (core instance $i (instantiate $m))
            (func (export "run") (canon lift (core func $i "run"))))"#,
    );
    let refused = run(&["inspect", &foreign]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8(refused.stdout)
            .unwrap()
            .contains("\nacme:shop/cart@1.0.0\n")
    );
    let error = &json_lines(&run(&["inspect", "--json", &foreign]).stdout)[0]["error"];
    assert_eq!(error["sqlstate"], "22023");
}

#[test]
#[ignore = "needs the example component, which `perihelion demo --help` names"]
fn the_demo_succeeds() {
    let output = run(&["demo"]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}
