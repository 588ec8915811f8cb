//! One SQL statement, known to only read.

use std::fmt;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParser, Statement as Parsed};
use datafusion::sql::sqlparser::ast::Statement as Sql;

use crate::Error;

/// One statement of a script.
#[derive(Clone, Debug)]
pub struct Statement(Parsed);

impl Statement {
    pub(crate) fn parse(sql: &str) -> Result<Vec<Self>, DataFusionError> {
        Ok(DFParser::parse_sql(sql)?.into_iter().map(Self).collect())
    }

    /// The statement, if its kind is one that only reads.
    pub(crate) fn reading(self) -> Result<Self, Error> {
        match reads(&self.0) {
            true => Ok(self),
            false => Err(Error::ReadOnly { statement: self.verb() }),
        }
    }

    pub(crate) fn into_inner(self) -> Parsed {
        self.0
    }

    /// The words that say what the statement does: `CREATE EXTERNAL TABLE`, `INSERT INTO`.
    fn verb(&self) -> String {
        let text = self.0.to_string();
        let is_keyword = |word: &&str| word.chars().all(|c| c.is_ascii_uppercase());
        let words: Vec<&str> = text.split_whitespace().take(3).take_while(is_keyword).collect();
        words.join(" ")
    }
}

fn reads(statement: &Parsed) -> bool {
    match statement {
        Parsed::Statement(sql) => matches!(
            **sql,
            Sql::Query(_)
                | Sql::Explain { .. }
                | Sql::ExplainTable { .. }
                | Sql::ShowTables { .. }
                | Sql::ShowColumns { .. }
                | Sql::ShowFunctions { .. }
                | Sql::ShowVariable { .. }
                | Sql::ShowVariables { .. }
        ),
        Parsed::Explain(explain) => reads(&explain.statement),
        Parsed::CreateExternalTable(_) | Parsed::CopyTo(_) | Parsed::Reset(_) => false,
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
