//! SQLite's own scripts of statements and results: run by a session, and again by
//! functions whose texts they are. The scripts use the oldest and smallest dialect of
//! sqllogictest (one value a line, or a hash), which is read here: a runner for all of
//! today's dialects would bring forty crates.

use crate::support::{self, refuse, run};
use md5::{Digest, Md5};
use perihelion::{Session, Value};
use serde_json::Value as Json;

/// One record of a script.
enum Record {
    Statement(String),
    Query(Query),
}

struct Query {
    sql: String,
    /// A letter for each column: I, R or T.
    types: String,
    /// Whether the rows are compared in the order of their texts (`rowsort`), and not in
    /// the query's own (`nosort`).
    is_sorted: bool,
    /// The values, one a line, or `30 values hashing to …`.
    expected: String,
}

#[test]
fn select1_and_select2_give_what_sqlite_gives() {
    for script in SCRIPTS {
        let mut session = support::session();
        let mut queries = 0;
        for record in records(script) {
            match record {
                Record::Statement(sql) => drop(run(&mut session, &sql)),
                Record::Query(query) => {
                    let rows = run(&mut session, &query.sql).rows;
                    check(&query, rows.into_iter().flatten());
                    queries += 1;
                }
            }
        }
        assert_eq!(queries, QUERIES);
    }
}

#[test]
fn select1_and_select2_give_the_same_to_a_function() {
    for script in SCRIPTS {
        let mut session = support::session();
        let (statements, queries) = parts(script);
        let (tables, inserts): (Vec<_>, Vec<_>) = statements
            .into_iter()
            .partition(|sql| sql.starts_with("CREATE"));
        run(&mut session, &tables.join(";"));
        fill_by_function(&mut session, &inserts);
        let names = functions(&mut session, &queries);
        for (number, query) in queries.iter().enumerate() {
            let values = ask(&mut session, &names[number / IN_ONE], number % IN_ONE);
            check(query, values.into_iter());
        }
    }
}

#[test]
fn without_the_grant_every_record_that_reads_the_table_is_refused() {
    for script in SCRIPTS {
        let mut session = support::session();
        let (statements, queries) = parts(script);
        run(&mut session, &statements.join(";"));
        let names = functions(&mut session, &queries);
        for name in &names {
            let revoke = format!("ALTER FUNCTION {name} REVOKE CAPABILITY DATABASE_READ('t1')");
            run(&mut session, &revoke);
        }
        for number in 0..queries.len() {
            let name = &names[number / IN_ONE];
            // The fifth denial would lock its caller out, and nothing be looked at.
            run(
                &mut session,
                &format!("ALTER FUNCTION {name} SET ENABLED = true"),
            );
            let call = format!("SELECT {name}({})", number % IN_ONE);
            let error = refuse(&mut session, &call, "42501");
            assert!(error.to_string().contains("\"t1\""), "{error}");
        }
    }
}

const SCRIPTS: [&str; 2] = ["select1.test", "select2.test"];

/// In each script.
const QUERIES: usize = 1_000;

/// The queries whose texts one function has.
const IN_ONE: usize = 50;

/// One function that has the inserts' texts and runs them all.
fn fill_by_function(session: &mut Session, inserts: &[String]) {
    let texts = serde_json::to_string(inserts).unwrap();
    let source = format!(
        "const texts = {texts};
         function fill() {{ for (const sql of texts) heliosdb.execute(sql); }}"
    );
    run(
        session,
        &format!(
            "CREATE FUNCTION fill() RETURNS VOID LANGUAGE javascript AS $js${source}$js$;
             ALTER FUNCTION fill GRANT CAPABILITY DATABASE_WRITE('t1');
             CALL fill()"
        ),
    );
}

/// Functions that have the queries' texts, and their names, in order.
fn functions(session: &mut Session, queries: &[Query]) -> Vec<String> {
    let create = |(number, queries): (usize, &[Query])| {
        let name = format!("queries_{number}");
        let texts: Vec<&str> = queries.iter().map(|query| query.sql.as_str()).collect();
        let source = format!(
            "const texts = {};
             function {name}(number) {{
                 const {{ columns, rows }} = heliosdb.query(texts[number]);
                 return rows.flatMap(row => columns.map(column => row[column]));
             }}",
            serde_json::to_string(&texts).unwrap()
        );
        run(
            session,
            &format!(
                "CREATE FUNCTION {name}(number INTEGER) RETURNS JSON
                     LANGUAGE javascript AS $js${source}$js$;
                 ALTER FUNCTION {name} GRANT CAPABILITY DATABASE_READ('t1');"
            ),
        );
        name
    };
    queries.chunks(IN_ONE).enumerate().map(create).collect()
}

fn ask(session: &mut Session, function: &str, number: usize) -> Vec<Value> {
    let call = format!("SELECT {function}({number})");
    let (Value::Text(found) | Value::Json(found)) = support::value(session, &call) else {
        panic!("{call} gives JSON");
    };
    let Json::Array(values) = serde_json::from_str(&found).unwrap() else {
        panic!("{found}");
    };
    values.iter().map(from_json).collect()
}

fn from_json(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => Value::Real(number.as_f64().unwrap()),
        },
        Json::String(text) => Value::Text(text.clone()),
        other => panic!("{other}"),
    }
}

/// The scripts ask in an order that ORDER BY gives (`nosort`).
#[track_caller]
fn check(query: &Query, values: impl Iterator<Item = Value>) {
    let types = query.types.chars().cycle();
    let mut lines: Vec<String> = values
        .zip(types)
        .map(|(value, of)| line(&value, of))
        .collect();
    if query.is_sorted {
        let mut rows: Vec<&[String]> = lines.chunks(query.types.len()).collect();
        rows.sort();
        lines = rows.concat();
    }
    let found = if query.expected.contains(" values hashing to ") {
        let mut hash = Md5::new();
        for line in &lines {
            hash.update(line);
            hash.update("\n");
        }
        format!("{} values hashing to {:x}", lines.len(), hash.finalize())
    } else {
        lines.join("\n")
    };
    assert_eq!(found, query.expected, "{}", query.sql);
}

/// As SQLite's runner prints it.
fn line(value: &Value, of: char) -> String {
    match (value, of) {
        (Value::Null, _) => "NULL".to_string(),
        (Value::Integer(whole), 'R') => format!("{:.3}", *whole as f64),
        (Value::Real(real), 'R') => format!("{real:.3}"),
        (Value::Integer(whole), 'I') => whole.to_string(),
        (Value::Real(real), 'I') => format!("{}", *real as i64),
        (Value::Text(text), 'T') => text.clone(),
        other => panic!("{other:?}"),
    }
}

fn parts(script: &str) -> (Vec<String>, Vec<Query>) {
    let (mut statements, mut queries) = (Vec::new(), Vec::new());
    for record in records(script) {
        match record {
            Record::Statement(sql) => statements.push(sql),
            Record::Query(query) => queries.push(query),
        }
    }
    assert_eq!(queries.len(), QUERIES);
    (statements, queries)
}

fn records(script: &str) -> Vec<Record> {
    let path = support::root().join("../shared/data").join(script);
    let text = std::fs::read_to_string(path).unwrap();
    text.split("\n\n").filter_map(record).collect()
}

fn record(text: &str) -> Option<Record> {
    let (head, body) = text.trim().split_once('\n')?;
    let mut words = head.split(' ');
    match words.next()? {
        "statement" => Some(Record::Statement(body.to_string())),
        "query" => {
            let (sql, expected) = body.split_once("\n----").expect("a query has a result");
            Some(Record::Query(Query {
                sql: sql.to_string(),
                types: words.next().expect("a query has types").to_string(),
                is_sorted: words.next().expect("a query has an order") == "rowsort",
                expected: expected.trim_start().to_string(),
            }))
        }
        other => panic!("{other}"),
    }
}
