//! Hostile and broken input: a clear error, and the catalog as it was before.

use crate::support::{guest, refuse, run, session, value};
use perihelion::{Session, Value};

fn functions(session: &mut Session) -> Value {
    value(session, "SELECT count(*) FROM heliosdb.functions")
}

#[test]
fn broken_statements_leave_the_catalog_as_it_was() {
    let mut session = session();
    let js = |body: &str| format!("CREATE FUNCTION f() LANGUAGE javascript AS {body}");
    let cases = [
        (js("$$ function f() {}"), "42601"),
        (js("$$ function f() {\0} $$"), "22021"),
        (js(&format!("$${}$$", "x".repeat(17 << 20))), "54000"),
        (
            js(&format!(
                "$$ function f() {{}} //{} $$",
                "x".repeat(5 << 20)
            )),
            "54000",
        ),
        (js("$$ function f( $$"), "42601"),
        (
            "CREATE FUNCTION f() LANGUAGE cobol AS $$ x $$".into(),
            "0A000",
        ),
        (
            "CREATE FUNCTION f() RETURNS MONEY LANGUAGE javascript AS $$ x $$".into(),
            "42804",
        ),
        (
            "CREATE FUNCTION upper(x TEXT) LANGUAGE javascript AS $$ function upper() {} $$".into(),
            "42723",
        ),
        (
            "CREATE FUNCTION f LANGUAGE wasm AS '/nonexistent.wasm'".into(),
            "58030",
        ),
        (
            "CREATE FUNCTION f LANGUAGE wasm AS '/dev/zero'".into(),
            "58030",
        ),
        (
            "CREATE FUNCTION f LANGUAGE wasm AS 'AGFzbQ#'".into(),
            "22P02",
        ),
        (
            "ALTER FUNCTION f GRANT CAPABILITY TIME_ACCESS".into(),
            "42883",
        ),
        ("DROP FUNCTION f".into(), "42883"),
        ("SELECT f()".into(), "42883"),
        ("GRANT CAPABILITY DATABASE_WRITE('*')".into(), "42601"),
    ];
    for (sql, sqlstate) in cases {
        refuse(&mut session, &sql, sqlstate);
        assert_eq!(functions(&mut session), Value::Integer(0));
    }
}

#[test]
fn bad_grants_are_refused_and_change_nothing() {
    let mut session = session();
    run(
        &mut session,
        "CREATE FUNCTION f() LANGUAGE javascript AS $$ function f() {} $$",
    );
    for (capability, sqlstate) in [
        ("DATABASE_READ", "42601"),
        ("DATABASE_READ('')", "22023"),
        ("DATABASE_READ('a.b.c')", "22023"),
        ("DATABSE_READ('users')", "22023"),
        ("TIME_ACCESS('x')", "42601"),
        ("FILE_READ('/tmp/*')", "0A000"),
        ("DATABASE_READ('users'), NONSENSE", "22023"),
    ] {
        refuse(
            &mut session,
            &format!("ALTER FUNCTION f GRANT CAPABILITY {capability}"),
            sqlstate,
        );
    }
    refuse(
        &mut session,
        "ALTER FUNCTION f REVOKE CAPABILITY TIME_ACCESS",
        "22023",
    );
    assert_eq!(
        value(&mut session, "SELECT count(*) FROM heliosdb.grants"),
        Value::Integer(0)
    );
    let near = refuse(
        &mut session,
        "ALTER FUNCTION ff SET ENABLED = false",
        "42883",
    );
    assert_eq!(near.hint(), Some("did you mean \"f()\"?"));
}

#[test]
fn h33_what_is_no_component_is_refused() {
    let mut session = session();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guest.wasm");
    let mut try_bytes = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let sql = format!("CREATE FUNCTION nop LANGUAGE wasm AS '{}'", path.display());
        session.execute(&sql).map(drop)
    };
    let state = |result: perihelion::Result<()>| result.unwrap_err().sqlstate().as_str();
    let module = wat::parse_str("(module (func (export \"nop\")))").unwrap();
    assert_eq!(state(try_bytes(&module)), "22023");
    assert_eq!(state(try_bytes(b"")), "22023");
    assert_eq!(state(try_bytes(b"\x7fELF\x02\x01\x01")), "22023");
    assert_eq!(state(try_bytes(&vec![0; 33 << 20])), "54000");
    let imports =
        "(component (import \"evil:host/launch@1.0.0\" (instance (export \"go\" (func)))))";
    let error = try_bytes(&wat::parse_str(imports).unwrap()).unwrap_err();
    assert_eq!(error.sqlstate().as_str(), "22023");
    assert!(
        error.message().contains("\"evil:host/launch@1.0.0\""),
        "{error:?}"
    );
    let good = std::fs::read(guest("bench_guest")).unwrap();
    for end in (0..good.len()).step_by(61) {
        assert_eq!(
            state(try_bytes(&good[..end])),
            "22023",
            "truncated at {end}"
        );
    }
    assert_eq!(functions(&mut session), Value::Integer(0));
}

#[test]
fn a_component_is_accepted_as_base64_and_its_signature_is_read() {
    let mut session = session();
    let bytes = std::fs::read(guest("bench_guest")).unwrap();
    let text = base64(&bytes);
    run(
        &mut session,
        &format!("CREATE FUNCTION describe LANGUAGE wasm AS '{text}'"),
    );
    run(
        &mut session,
        &format!("CREATE FUNCTION point(id BIGINT) RETURNS TEXT LANGUAGE wasm AS '{text}'"),
    );
    let error = refuse(
        &mut session,
        &format!("CREATE FUNCTION points(n TEXT) RETURNS TEXT LANGUAGE wasm AS '{text}'"),
        "22023",
    );
    assert_eq!(
        error.detail(),
        Some("the component has points(n BIGINT) RETURNS BIGINT")
    );
    let error = refuse(
        &mut session,
        &format!("CREATE FUNCTION pont LANGUAGE wasm AS '{text}'"),
        "22023",
    );
    assert_eq!(error.hint(), Some("did you mean \"point\"?"));
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let word = (0..3).fold(0u32, |w, i| w << 8 | u32::from(*chunk.get(i).unwrap_or(&0)));
            let digit = move |i: usize| char::from(DIGITS[(word >> (18 - 6 * i)) as usize & 63]);
            (0..4).map(move |i| if i <= chunk.len() { digit(i) } else { '=' })
        })
        .collect()
}
