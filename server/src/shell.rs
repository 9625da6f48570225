//! Runs scripts, statement by statement, and shows what each one did.
//!
//! A script is read as it comes, and a statement runs as soon as the last line that is
//! there ends it: a program can write a statement and wait for its answer.

use crate::script::{Script, count_lines, leading_blanks};
use crate::{backslash, json, output, render};
use perihelion::{Error, Outcome, Session, SqlState, Value};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::Instant;

/// A session, and how its answers are shown.
pub(crate) struct Shell {
    pub(crate) session: Session,
    /// Whether every statement is followed by the time that it took.
    pub(crate) timing: bool,
    settings: Settings,
    /// Files that are being read: one can name another, or itself.
    files_open: usize,
}

/// How statements are run and shown.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) format: Format,
    /// Whether a script goes on after an error.
    pub(crate) keep_going: bool,
    /// Whether errors show their SQLSTATE.
    pub(crate) verbose: bool,
}

/// How answers are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    Table,
    Json,
}

/// How a statement, a command or a script ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ran {
    Succeeded,
    Failed,
    /// It asked for the end of what it is a part of.
    Quit,
}

/// How much of a script is read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// How deep files can name files.
const FILES_OPEN_MAX: usize = 16;

impl Shell {
    pub(crate) fn new(session: Session, settings: Settings) -> Shell {
        Shell {
            session,
            timing: false,
            settings,
            files_open: 0,
        }
    }

    /// Runs the statements of a text.
    pub(crate) fn run_text(&mut self, text: &str) -> io::Result<Ran> {
        self.run_script(text.as_bytes(), None)
    }

    /// Runs the statements of a file.
    pub(crate) fn run_file(&mut self, path: &Path) -> io::Result<Ran> {
        let name = path.display().to_string();
        if self.files_open >= FILES_OPEN_MAX {
            return self.fail(
                SqlState::TOO_DEEP,
                format!("files are nested too deep at \"{name}\""),
            );
        }
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) => return self.fail(SqlState::IO, cannot_be_read(&name, &error)),
        };
        self.files_open += 1;
        let ran = self.run_script(file, Some(&name));
        self.files_open -= 1;
        ran
    }

    /// Runs the statements that a reader gives.
    pub(crate) fn run_script(&mut self, reader: impl Read, name: Option<&str>) -> io::Result<Ran> {
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, reader);
        let mut script = Script::new(name);
        let mut bytes = Vec::new();
        while !script.ended {
            bytes.clear();
            match reader.read_until(b'\n', &mut bytes) {
                Ok(0) => {
                    self.run_pending(&mut script, true)?;
                    break;
                }
                Ok(_) => {}
                Err(error) => {
                    let message = cannot_be_read(name.unwrap_or("the script"), &error);
                    return self.fail(SqlState::IO, message);
                }
            }
            let Ok(line) = std::str::from_utf8(&bytes) else {
                self.run_pending(&mut script, false)?;
                if script.ended {
                    break;
                }
                let error = Error::new(SqlState::BAD_TEXT, "the line is not UTF-8");
                return self.show_error(&error, script.place(script.next_line()));
            };
            let is_last_there = !reader.buffer().contains(&b'\n');
            self.take_line(&mut script, line, is_last_there)?;
        }
        Ok(if script.failed {
            Ran::Failed
        } else {
            Ran::Succeeded
        })
    }

    /// Shows a result.
    pub(crate) fn show(&mut self, outcome: &Outcome) -> io::Result<Ran> {
        match self.settings.format {
            Format::Table => {
                outcome
                    .notices
                    .iter()
                    .for_each(|n| output::complain(&render::notice(n)));
                output::print(&render::outcome(outcome))?;
            }
            Format::Json => output::print(&(json::outcome(outcome) + "\n"))?,
        }
        Ok(Ran::Succeeded)
    }

    /// Shows text that is no answer of the database: for people only.
    pub(crate) fn say(&self, text: &str) -> io::Result<Ran> {
        if self.settings.format == Format::Table {
            output::print(text)?;
        }
        Ok(Ran::Succeeded)
    }

    /// Shows an error that is not the database's.
    pub(crate) fn fail(&mut self, sqlstate: SqlState, message: String) -> io::Result<Ran> {
        self.show_error(&Error::new(sqlstate, message), None)
    }

    /// Runs a query of the command line's own and shows its result.
    pub(crate) fn query(&mut self, sql: &str, parameters: &[Value]) -> io::Result<Ran> {
        match self.session.execute_with(sql, parameters) {
            Ok(outcome) => self.show(&outcome),
            Err(error) => self.show_error(&error, None),
        }
    }

    fn take_line(
        &mut self,
        script: &mut Script,
        line: &str,
        is_last_there: bool,
    ) -> io::Result<()> {
        if line.trim_start().starts_with('\\') {
            // Between statements it is a command, and inside of one a part of it.
            self.run_pending(script, false)?;
            if script.ended {
                return Ok(());
            }
            if script.pending.is_empty() {
                script.line += 1;
                let ran = backslash::run(self, line.trim())?;
                script.note(ran, self.settings.keep_going);
                return Ok(());
            }
        }
        script.pending.push_str(line);
        if is_last_there {
            self.run_pending(script, false)
        } else {
            Ok(())
        }
    }

    /// Runs the statements that are whole, and leaves the rest. At the script's end
    /// the rest is a statement too.
    fn run_pending(&mut self, script: &mut Script, is_end: bool) -> io::Result<()> {
        let text = std::mem::take(&mut script.pending);
        let mut pieces = perihelion::split(&text).peekable();
        let mut position = 0;
        while let Some(piece) = pieces.next() {
            let start = match &piece {
                Ok(sql) => sql.as_ptr() as usize - text.as_ptr() as usize,
                Err(_) => position + leading_blanks(&text[position..]),
            };
            let may_go_on = !is_end && pieces.peek().is_none();
            if may_go_on && !perihelion::is_complete(&text[start..]) {
                script.line += count_lines(&text[..start]);
                script.pending = text[start..].to_string();
                return Ok(());
            }
            let place = script.place(script.line + count_lines(&text[..start]));
            let ran = match piece {
                Ok(sql) => {
                    position = start + sql.len();
                    self.run_statement(sql, place)?
                }
                Err(error) => self.show_error(&of_statement(&text[start..], error), place)?,
            };
            script.note(ran, self.settings.keep_going);
            if script.ended {
                return Ok(());
            }
        }
        script.line += count_lines(&text);
        Ok(())
    }

    fn run_statement(&mut self, sql: &str, place: Option<(&str, usize)>) -> io::Result<Ran> {
        let begun = Instant::now();
        let result = self.session.execute(sql);
        let elapsed_ms = begun.elapsed().as_secs_f64() * 1e3;
        let ran = match result {
            Ok(outcome) => self.show(&outcome)?,
            Err(error) => self.show_error(&error, place)?,
        };
        if self.timing {
            self.say(&format!("Time: {elapsed_ms:.3} ms\n"))?;
        }
        Ok(ran)
    }

    /// Shows an error, after the messages that came before it.
    pub(crate) fn show_error(
        &mut self,
        error: &Error,
        place: Option<(&str, usize)>,
    ) -> io::Result<Ran> {
        let notices = self.session.take_notices();
        match self.settings.format {
            Format::Table => {
                notices
                    .iter()
                    .for_each(|notice| output::complain(&render::notice(notice)));
                let place = place.map(|(file, line)| format!("{file}:{line}"));
                let text = render::error(error, place.as_deref(), self.settings.verbose);
                output::complain(&text);
            }
            Format::Json => output::print(&(json::failure(error, &notices, place) + "\n"))?,
        }
        Ok(Ran::Failed)
    }
}

/// The error with its places counted from where the statement begins, as those of every
/// other error are.
fn of_statement(statement: &str, error: Error) -> Error {
    perihelion::split(statement)
        .find_map(Result::err)
        .unwrap_or(error)
}

fn cannot_be_read(name: &str, error: &io::Error) -> String {
    format!("\"{name}\" cannot be read: {}", error.kind())
}
