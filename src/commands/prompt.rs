//! The prompt of `daybook query`.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Instant;

use daybook_queries::{Error, Format, Session};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, Editor, Helper};

use super::query::{Show, show_result};
use crate::failure::Failure;
use crate::output;

const HELP: &str = "\
End a statement with `;`. Only reading is possible.
  \\d           tables and views
  \\d NAME      columns of a table or view
  \\dt          tables and views
  \\?           this help
  \\q           leave (also Ctrl-D)
Ctrl-C stops a running query. TAB completes names.";

const KEYWORDS: [&str; 44] = [
    "ALL",
    "ANALYZE",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FILTER",
    "FROM",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INTERSECT",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "SELECT",
    "SHOW",
    "THEN",
    "UNION",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Asks for statements and shows their results until the end of input; an error does not end it.
pub(crate) async fn run(session: &Session, show: Show) -> Result<(), Error> {
    let mut editor = editor(session).await?;
    let history = history_file();
    if let Some(path) = &history {
        // No history yet, or one that cannot be read, is an empty one.
        editor.load_history(path).ok();
    }
    if !show.quiet {
        output::say(r"daybook: end a statement with `;`, \? for help");
    }
    loop {
        let line = match editor.readline("daybook> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(Error::Output { source: std::io::Error::other(error) }),
        };
        if line.trim().is_empty() {
            continue;
        }
        editor.add_history_entry(line.trim()).ok();
        match answer(session, line.trim(), show).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => output::tell_failure(&Failure::from(error)),
        }
    }
    if let Some(path) = &history {
        save_history(&mut editor, path);
    }
    Ok(())
}

/// Answers one input; false to leave.
async fn answer(session: &Session, line: &str, show: Show) -> Result<bool, Error> {
    let Some(command) = line.strip_prefix('\\') else {
        run_statements(session, line, show).await?;
        return Ok(true);
    };
    let mut words = command.trim_end_matches(';').split_whitespace();
    match (words.next(), words.next()) {
        (Some("q"), _) => return Ok(false),
        (Some("d" | "dt"), None) => session.tables().iter().for_each(output::say),
        (Some("d"), Some(table)) => describe(session, table).await?,
        (Some("?"), _) => output::say(HELP),
        _ => output::say(format_args!("`{line}` is not a command; \\? lists them")),
    }
    Ok(true)
}

async fn describe(session: &Session, table: &str) -> Result<(), Error> {
    let columns = session.describe(table).await?;
    let width = |text: fn(&daybook_queries::ColumnDescription) -> usize| columns.iter().map(text).max().unwrap_or(0);
    let (names, types) = (width(|column| column.name.len()), width(|column| column.data_type.len()));
    for column in &columns {
        output::say(format_args!(" {:names$} | {:types$} | {}", column.name, column.data_type, column.meaning));
    }
    Ok(())
}

async fn run_statements(session: &Session, sql: &str, show: Show) -> Result<(), Error> {
    if show.format == Format::Parquet {
        let message = "a prompt shows text: choose another --format".into();
        return Err(Error::NotInFormat { format: show.format.as_str(), message });
    }
    for statement in session.parse(sql)? {
        let started = Instant::now();
        let done = show_result(session, statement, show).await?;
        if !show.quiet {
            let rows = output::counted(done.rows, "row");
            output::say(format_args!("({rows}, {} ms)", started.elapsed().as_millis()));
        }
    }
    Ok(())
}

/// `$XDG_STATE_HOME/daybook/history` (XDG Base Directory Specification).
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    Some(state.join("daybook/history"))
}

/// A history that cannot be kept is worth a word, not a failed session.
fn save_history(editor: &mut Editor<Names, FileHistory>, path: &std::path::Path) {
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    if let Err(error) = folder.map_err(ReadlineError::from).and_then(|()| editor.save_history(path)) {
        output::say(format_args!("the history was not kept in {}: {error}", path.display()));
    }
}

async fn editor(session: &Session) -> Result<Editor<Names, FileHistory>, Error> {
    let failed = |error: ReadlineError| Error::Output { source: std::io::Error::other(error) };
    let config = Config::builder().max_history_size(10_000).map_err(failed)?.history_ignore_space(true).build();
    let mut editor = Editor::with_config(config).map_err(failed)?;
    editor.set_helper(Some(Names::load(session).await?));
    Ok(editor)
}

/// Everything TAB completes, sorted.
struct Names(Vec<String>);

impl Names {
    async fn load(session: &Session) -> Result<Self, Error> {
        let mut names: Vec<String> = session.tables().to_vec();
        for table in session.tables() {
            names.extend(session.schema_of(table).await?.fields().iter().map(|field| field.name().clone()));
        }
        names.extend(session.functions().iter().cloned());
        names.extend(KEYWORDS.map(String::from));
        names.sort_unstable();
        names.dedup();
        Ok(Self(names))
    }

    /// Where the word before `at` starts, and what it could become.
    fn candidates(&self, line: &str, at: usize) -> (usize, Vec<String>) {
        let before = line.get(..at).unwrap_or_default();
        let word = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        let start = before.len() - word.len();
        if word.is_empty() {
            return (start, Vec::new());
        }
        let begins = |name: &&String| name.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
        (start, self.0.iter().filter(begins).cloned().collect())
    }
}

impl Completer for Names {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(line, at))
    }
}

impl Validator for Names {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_complete(context.input()) { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Highlighter for Names {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Borrowed(prompt)
    }
}

impl Hinter for Names {
    type Hint = String;
}

impl Helper for Names {}

/// Whether ENTER ends the input: a command, nothing at all, or SQL whose last token is `;`.
fn is_complete(input: &str) -> bool {
    let input = input.trim();
    input.is_empty() || input.starts_with('\\') || last_token(input) == Some(';')
}

/// The last character outside strings, quoted names and comments; `None` inside one.
fn last_token(sql: &str) -> Option<char> {
    let mut last = None;
    let mut rest = sql.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('\'' | '"', _) => {
                // A doubled quote ends one string and starts the next, which comes to the same.
                rest.by_ref().find(|inner| *inner == c)?;
                last = Some(c);
            }
            ('-', Some('-')) => {
                rest.by_ref().find(|inner| *inner == '\n');
            }
            ('/', Some('*')) => {
                rest.next();
                let mut star = false;
                rest.by_ref().find(|inner| std::mem::replace(&mut star, *inner == '*') && *inner == '/')?;
            }
            (c, _) if c.is_whitespace() => {}
            (c, _) => last = Some(c),
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_ends_with_a_semicolon_outside_of_text() {
        for sql in ["SELECT 1;", "SELECT ';' ; -- done", "SELECT 1; /* a */", r"\d usage", "", "SELECT 'it''s';"] {
            assert!(is_complete(sql), "{sql}");
        }
        for sql in [
            "SELECT 1",
            "SELECT 'a;",
            "SELECT 1 -- ;",
            "SELECT /* ; */ 1",
            "SELECT \"a;",
            "SELECT 1 /* ;",
            "SELECT 1; SELECT",
        ] {
            assert!(!is_complete(sql), "{sql}");
        }
    }

    #[test]
    fn names_complete_from_their_beginning() {
        let names = Names(["SELECT", "list_cost", "usage", "usage_check"].map(String::from).into());
        assert_eq!(names.candidates("select us", 9), (7, vec!["usage".into(), "usage_check".into()]));
        assert_eq!(names.candidates("sel", 3), (0, vec!["SELECT".into()]));
        assert_eq!(names.candidates("sum(u.list", 10), (6, vec!["list_cost".into()]));
        assert_eq!(names.candidates("", 0), (0, Vec::new()));
    }
}
