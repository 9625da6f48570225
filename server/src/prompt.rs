//! The interactive prompt: reads lines with history and completion, and hands whole
//! statements to the shell.

use crate::shell::{Ran, Shell};
use crate::{backslash, directories, output, render, table};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::io;
use std::path::{Path, PathBuf};

/// Reads and runs statements until the user quits. Errors that were shown there are
/// no failure of the prompt.
pub(crate) fn run(shell: &mut Shell, data: Option<&Path>) -> io::Result<bool> {
    let mut prompt = Prompt::new().map_err(io::Error::other)?;
    shell.say(&greeting(data))?;
    loop {
        match prompt.read(shell) {
            Ok(text) if text.starts_with('\\') => {
                if backslash::run(shell, text.trim())? == Ran::Quit {
                    return Ok(true);
                }
            }
            Ok(text) => {
                shell.run_text(&text)?;
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => {
                shell.say("\\q\n")?;
                return Ok(true);
            }
            Err(ReadlineError::Io(error)) => return Err(error),
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

struct Prompt {
    editor: Editor<Words, DefaultHistory>,
    history: Option<PathBuf>,
}

/// What can be completed: keywords, and the names that there are now.
#[derive(Default)]
struct Words {
    names: Vec<String>,
}

const KEYWORDS: &str = "ALTER AND AS ASC BEGIN BETWEEN BIGINT BLOB BOOLEAN BY BYTEA CALL \
    CAPABILITY CASE CAST COMMIT CONDITION CREATE CROSS DATABASE_EXECUTE DATABASE_READ DATABASE_WRITE DATE \
    DEFAULT DELETE DENY DESC DISTINCT DOUBLE DROP ELSE ENABLED END EXCEPT EXISTS EXPLAIN \
    FOREIGN FROM FUNCTION GRANT GROUP HAVING INDEX INNER INSERT INTEGER INTERSECT INTO \
    JAVASCRIPT JOIN JSON KEY LANGUAGE LEFT LIKE LIMIT NULL NUMERIC OFFSET ORDER PRECISION \
    PRIMARY REFERENCES REPLACE RETURNING RETURNS REVOKE ROLLBACK SELECT SMALLINT STRICT TABLE \
    TEXT THEN TIMESTAMP TIME_ACCESS TRIGGER UNION UNIQUE UPDATE USING UUID VALUES VIEW VOID \
    WASM WHEN WHERE WITH";

/// The names of the host's own that nobody has to know by heart.
const VIEWS: [&str; 3] = [
    "heliosdb.audit_log",
    "heliosdb.functions",
    "heliosdb.grants",
];

const FUNCTIONS: &str = "SELECT name FROM heliosdb.functions";

const RELATIONS: &str = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')";

const RELATIONS_ON_POSTGRES: &str = "SELECT relname FROM pg_catalog.pg_class \
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_catalog.pg_table_is_visible(oid) \
      AND relnamespace <> 'pg_catalog'::regnamespace";

impl Prompt {
    fn new() -> rustyline::Result<Prompt> {
        let config = Config::builder()
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Words::default()));
        let history = directories::history().filter(|path| make_parent(path).is_ok());
        if let Some(path) = &history {
            // There is none the first time.
            let _ = editor.load_history(path);
        }
        Ok(Prompt { editor, history })
    }

    /// Reads a backslash command or whole statements.
    fn read(&mut self, shell: &mut Shell) -> rustyline::Result<String> {
        self.learn_names(shell);
        let mark = if shell.session.in_transaction() {
            "*"
        } else {
            ""
        };
        let mut text = self.editor.readline(&format!("perihelion={mark}> "))?;
        while !text.trim_start().starts_with('\\') && !perihelion::is_complete(&text) {
            text.push('\n');
            text.push_str(&self.editor.readline(&format!("perihelion-{mark}> "))?);
        }
        let text = text.trim().to_string();
        self.remember(&text);
        Ok(text)
    }

    /// A query would pin the snapshot of an open transaction, so it waits for the end.
    fn learn_names(&mut self, shell: &mut Shell) {
        if shell.session.in_transaction() {
            return;
        }
        let relations = match shell.session.is_on_postgres() {
            true => RELATIONS_ON_POSTGRES,
            false => RELATIONS,
        };
        let mut names = Vec::new();
        for sql in [relations, FUNCTIONS] {
            // Completion is a help: what goes wrong here, a statement will say.
            if let Ok(found) = shell.session.execute(sql) {
                names.extend(found.rows.iter().flatten().map(table::plain));
            }
        }
        if let Some(words) = self.editor.helper_mut() {
            words.names = names;
        }
    }

    /// Kept at once: a killed process loses nothing.
    fn remember(&mut self, text: &str) {
        let added = self.editor.add_history_entry(text).unwrap_or(false);
        if let Some(path) = self.history.as_ref().filter(|_| added)
            && self.editor.append_history(path).is_err()
        {
            output::warn("the history cannot be written");
            self.history = None;
        }
    }
}

impl Completer for Words {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let before = &line[..position];
        let start = before
            .rfind(|c: char| !(c.is_alphanumeric() || "_.\\?".contains(c)))
            .map_or(0, |index| {
                index + before[index..].chars().next().map_or(1, char::len_utf8)
            });
        Ok((
            start,
            self.completions(&before[start..], before.trim_start().starts_with('\\')),
        ))
    }
}

impl Words {
    fn completions(&self, word: &str, is_command: bool) -> Vec<String> {
        if word.starts_with('\\') {
            return matching(word, backslash::NAMES.into_iter());
        }
        let names = self.names.iter().map(String::as_str).chain(VIEWS);
        let mut found = matching(word, names);
        if !is_command && !word.is_empty() {
            // As the user writes them.
            let is_lower = word.chars().all(|c| !c.is_ascii_uppercase());
            let keywords = matching(word, KEYWORDS.split_whitespace());
            found.extend(keywords.into_iter().map(|keyword| match is_lower {
                true => keyword.to_ascii_lowercase(),
                false => keyword,
            }));
        }
        found
    }
}

fn matching<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    names
        .filter(|name| {
            name.get(..word.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(word))
        })
        .map(str::to_string)
        .collect()
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}
impl Validator for Words {}
impl Helper for Words {}

fn greeting(data: Option<&Path>) -> String {
    let place = match data {
        Some(directory) => format!("in \"{}\"", directory.display()),
        None => "in memory: it ends with this prompt".to_string(),
    };
    format!(
        "perihelion {}, a database {}\nType \\? for help, \\q to quit.\n\n",
        env!("CARGO_PKG_VERSION"),
        render::printable(&place)
    )
}

/// What was typed is the user's alone.
fn make_parent(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_follow_the_users_case_and_names_keep_their_own() {
        let words = Words {
            names: vec!["Track".into(), "top_track".into()],
        };
        assert_eq!(words.completions("sel", false), ["select"]);
        assert_eq!(words.completions("SEL", false), ["SELECT"]);
        assert_eq!(words.completions("tr", false), ["Track", "trigger"]);
        assert_eq!(words.completions("tr", true), ["Track"]);
        assert_eq!(
            words.completions("heliosdb.a", false),
            ["heliosdb.audit_log"]
        );
        assert_eq!(words.completions("\\d", true), ["\\d", "\\df", "\\dp"]);
        assert!(words.completions("é", false).is_empty());
    }
}
