//! Functions of components that return tables.

use crate::support::{guest, refuse, run, session, text, value};
use perihelion::{Session, Value};

fn tables() -> Session {
    let mut session = session();
    let path = guest("tables_guest").display().to_string();
    for (name, returns) in [
        ("squares", "RETURNS TABLE"),
        ("one_square", "RETURNS TABLE"),
        ("count_up", ""),
    ] {
        let create = format!("CREATE FUNCTION {name} {returns} LANGUAGE wasm AS '{path}'");
        run(&mut session, &create);
    }
    session
}

#[test]
fn a_list_of_records_is_a_table_if_it_is_declared_one() {
    let mut session = tables();
    let outcome = run(&mut session, "SELECT * FROM squares(2, 3)");
    assert_eq!(outcome.columns, ["i", "the_square", "note"]);
    let (even, odd) = (Value::Text("even".into()), Value::Null);
    let row = |i: i64, note: &Value| vec![Value::Integer(i), Value::Integer(i * i), note.clone()];
    assert_eq!(outcome.rows, [row(2, &even), row(3, &odd)]);
    assert_eq!(
        run(&mut session, "CALL one_square(4)").rows,
        [row(4, &even)]
    );
    let failure = refuse(&mut session, "SELECT * FROM one_square(-1)", "38000");
    assert_eq!(
        failure.message(),
        "function \"one_square\" failed: no square of that"
    );
    let returns = "SELECT returns FROM heliosdb.functions WHERE name = 'squares'";
    let of_component = "TABLE (i INTEGER, the_square BIGINT, note TEXT)";
    assert_eq!(text(&mut session, returns), of_component);
    // Otherwise it is JSON, as ever.
    let path = guest("tables_guest");
    let path = path.display();
    run(
        &mut session,
        &format!("CREATE OR REPLACE FUNCTION squares LANGUAGE wasm AS '{path}'"),
    );
    let json = text(&mut session, "SELECT squares(2, 2)");
    assert_eq!(json, r#"[{"i":2,"the_square":4,"note":"even"}]"#);
    // Declared names and types stand where they fit.
    let create = |signature: &str| {
        format!("CREATE OR REPLACE FUNCTION squares{signature} LANGUAGE wasm AS '{path}'")
    };
    run(
        &mut session,
        &create("(low INTEGER, high INTEGER) RETURNS TABLE (n INTEGER, sq BIGINT, remark TEXT)"),
    );
    let sql = "SELECT sq || remark FROM squares WHERE low = 2 AND high = 2";
    assert_eq!(text(&mut session, sql), "4even");
    for signature in [
        " RETURNS TABLE (n INTEGER)",
        " RETURNS TABLE (n TEXT, sq BIGINT, remark TEXT)",
        "(low INTEGER) RETURNS TABLE",
        " RETURNS BIGINT",
    ] {
        let differs = refuse(&mut session, &create(signature), "22023");
        assert!(
            differs.message().contains("is not the component's"),
            "{differs}"
        );
    }
    let count_up =
        format!("CREATE OR REPLACE FUNCTION count_up RETURNS VOID LANGUAGE wasm AS '{path}'");
    refuse(&mut session, &count_up, "22023");
}

#[test]
fn a_resource_yields_rows_as_long_as_they_are_wanted() {
    let mut session = tables();
    let sum = "SELECT sum(i) FROM (SELECT i FROM count_up(1) LIMIT 1000)";
    assert_eq!(value(&mut session, sum), Value::Integer(500_500));
    let all = "SELECT count(*) FROM count_up(1)";
    assert_eq!(value(&mut session, all), Value::Integer(99_999));
    // As many as there are handles for, one after the other: each is dropped.
    let many = "SELECT count((SELECT i FROM count_up(s.i) LIMIT 1)) FROM squares(1, 3000) s";
    assert_eq!(value(&mut session, many), Value::Integer(3_000));
    let failure = refuse(&mut session, "SELECT * FROM count_up(2000000)", "38000");
    assert_eq!(
        failure.message(),
        "function \"count_up\" failed: that is enough"
    );
    let joined = "SELECT count(*) FROM count_up(99990) a, count_up(99995) b WHERE a.i = b.i";
    assert_eq!(value(&mut session, joined), Value::Integer(5));
}
