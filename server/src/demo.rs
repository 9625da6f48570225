//! `perihelion demo`: the main job on a real database, step by step as at the prompt:
//! procedures in JavaScript and Rust, a refusal and its cure, a write, a rollback, the
//! cost of a call and the audit log.
//!
//! It checks every result: whatever goes otherwise than expected ends it.

use crate::stage::{Demo, Failure, Step, expect, failed, first, is_track, say, typed, unexpected};
use crate::{audit, output};
use perihelion::{SqlState, Value};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

const JAVASCRIPT: &str = include_str!("../../guests/js/top_track.sql");

/// Writes and then fails, to show that nothing of it stays.
const CHANGES_ITS_MIND: &str = "\
CREATE FUNCTION change_and_regret(playlist BIGINT) RETURNS VOID LANGUAGE javascript AS $$
function change_and_regret(playlist) {
  const { rowCount } = heliosdb.execute('UPDATE Playlist SET Name = ? WHERE PlaylistId = ?', ['Nothing', playlist]);
  throw new Error(`${rowCount} row is changed, and that was wrong`);
}
$$";

const COST: &str = "\
SELECT function_name, detail ->> 'instructions' AS instructions, detail ->> 'cpu_us' AS cpu_us,
       detail ->> 'memory_bytes_peak' AS memory_bytes_peak
  FROM heliosdb.audit_log
 WHERE event_type = 'ExecutionCompleted' AND function_name IN ('js_top_track', 'top_track')
 ORDER BY seq";

const LAST_ENTRIES: &str = "\
SELECT seq, function_name, event_type, capability, target, allowed
  FROM heliosdb.audit_log ORDER BY seq DESC LIMIT 8";

/// Plays the demo.
pub(crate) fn run(chinook: &Path, shop: &Path, data: Option<&Path>) -> ExitCode {
    match play(chinook, shop, data) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Output(error)) => output::status(Err(error)),
        Err(Failure::Unexpected(message)) => {
            output::complain(&format!("ERROR:  the demo failed: {message}\n"));
            ExitCode::FAILURE
        }
    }
}

fn play(chinook: &Path, shop: &Path, data: Option<&Path>) -> Step {
    let script = std::fs::read_to_string(chinook).map_err(|error| {
        let name = chinook.display();
        unexpected(format!(
            "the Chinook script \"{name}\" cannot be read: {}\nHINT:  --chinook FILE says where it is",
            error.kind()
        ))
    })?;
    if !shop.is_file() {
        let name = shop.display();
        return Err(unexpected(format!(
            "there is no component \"{name}\"\nHINT:  \"cargo xtask demo\" builds it first; or say where it \
             is with --shop FILE.wasm"
        )));
    }
    let mut demo = Demo::open(data)?;
    demo.load(chinook, &script)?;
    demo.javascript()?;
    demo.rust(shop)?;
    demo.write()?;
    demo.rollback()?;
    demo.cost()?;
    demo.audit_log()
}

impl Demo {
    fn load(&mut self, path: &Path, script: &str) -> Step {
        say("Load the Chinook music shop, in one transaction.")?;
        self.succeed("BEGIN")?;
        let begun = Instant::now();
        typed(&format!("\\i {}", path.display()))?;
        self.session
            .execute_script(script, |_| {})
            .map_err(failed)?;
        let seconds = begun.elapsed().as_secs_f64();
        let (tables, rows) = self.size()?;
        output::print(&format!("{tables} tables, {rows} rows, {seconds:.2} s\n"))?;
        self.succeed("COMMIT")?;
        expect(tables == 11 && rows == 15_607, "11 tables and 15607 rows")
    }

    fn javascript(&mut self) -> Step {
        say("A procedure in JavaScript: the track that a customer bought most often.")?;
        let statement = perihelion::split(JAVASCRIPT)
            .next()
            .transpose()
            .map_err(failed)?;
        self.succeed(statement.unwrap_or_default())?;
        say("It may touch nothing yet. The refusal states the cure.")?;
        let refusal = self.fail("SELECT js_top_track(1)", SqlState::DENIED)?;
        say("Pasted, the cure works.")?;
        self.cure(&refusal)?;
        let found = self.succeed("SELECT js_top_track(1)")?;
        expect(is_track(first(&found)?), "a track")
    }

    fn rust(&mut self, shop: &Path) -> Step {
        say("The same in Rust, as a WebAssembly component. It says what it may need.")?;
        let path = std::path::absolute(shop).unwrap_or_else(|_| shop.to_path_buf());
        let path = path.display().to_string().replace('\'', "''");
        let created = self.succeed(&format!(
            "CREATE FUNCTION top_track LANGUAGE wasm AS '{path}'"
        ))?;
        expect(
            !created.notices.is_empty(),
            "a notice of the component's imports",
        )?;
        let refusal = self.fail("SELECT top_track(1)", SqlState::DENIED)?;
        self.cure(&refusal)?;
        let both = self.succeed("SELECT top_track(1), top_track(1) = js_top_track(1) AS same")?;
        expect(is_track(first(&both)?), "a track")?;
        say("One procedure, for many rows.")?;
        let rows = self.succeed(
            "SELECT LastName, top_track(CustomerId) ->> 'name' AS favourite\n  \
               FROM Customer ORDER BY CustomerId LIMIT 3",
        )?;
        expect(rows.rows.len() == 3, "3 customers")?;
        say("It was granted what it needs, and not more.")?;
        let grants =
            self.succeed("SELECT * FROM heliosdb.grants WHERE function_name = 'top_track'")?;
        expect(grants.rows.len() == 5, "5 grants")?;
        self.succeed(&format!(
            "CREATE FUNCTION rename_playlist LANGUAGE wasm AS '{path}'"
        ))
        .map(drop)
    }

    fn write(&mut self) -> Step {
        say("A procedure that writes. Reading the table that it writes is a grant of its own.")?;
        self.succeed("ALTER FUNCTION rename_playlist GRANT CAPABILITY DATABASE_WRITE('Playlist')")?;
        let refusal = self.fail("SELECT rename_playlist(1, 'Everything')", SqlState::DENIED)?;
        self.cure(&refusal)?;
        let renamed = self.succeed("SELECT rename_playlist(1, 'Everything')")?;
        expect(*first(&renamed)? == Value::Integer(1), "1 row renamed")?;
        let name = self.succeed("SELECT Name FROM Playlist WHERE PlaylistId = 1")?;
        expect(
            *first(&name)? == Value::Text("Everything".into()),
            "the new name",
        )
    }

    fn rollback(&mut self) -> Step {
        say("A call is atomic: one that writes and then fails leaves nothing.")?;
        self.succeed(CHANGES_ITS_MIND)?;
        self.succeed(
            "ALTER FUNCTION change_and_regret GRANT CAPABILITY DATABASE_READ('Playlist'), \
             DATABASE_WRITE('Playlist')",
        )?;
        let error = self.fail("SELECT change_and_regret(1)", SqlState::GUEST_EXCEPTION)?;
        expect(
            error.message().contains("1 row is changed"),
            "a change before the failure",
        )?;
        let name = self.succeed("SELECT Name FROM Playlist WHERE PlaylistId = 1")?;
        expect(
            *first(&name)? == Value::Text("Everything".into()),
            "the name of before",
        )
    }

    fn cost(&mut self) -> Step {
        say("What each run has cost.")?;
        let costs = self.succeed(COST)?;
        let counted = |row: &Vec<Value>| matches!(row[1], Value::Integer(n) if n > 0);
        expect(
            costs.rows.len() >= 3 && costs.rows.iter().all(counted),
            "instructions of each run",
        )
    }

    fn audit_log(&mut self) -> Step {
        say("Every decision is on record, the newest first.")?;
        let entries = self.succeed(LAST_ENTRIES)?;
        expect(entries.rows.len() == 8, "8 entries")?;
        let denied = self.succeed(
            "SELECT count(*) FROM heliosdb.audit_log WHERE event_type = 'CapabilityCheck' AND NOT allowed",
        )?;
        expect(
            matches!(first(&denied)?, Value::Integer(n) if *n >= 3),
            "the refusals",
        )?;
        say("The entries are a chain of hashes, and it holds (perihelion audit verify).")?;
        let verified = self.vault.verify_audit_log().map_err(failed)?;
        output::print(&audit::summary(&verified))?;
        expect(
            Value::Integer(verified.entries as i64) == entries.rows[0][0],
            "the newest entry's seq",
        )
    }
}
