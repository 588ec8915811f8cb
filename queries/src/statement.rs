//! One SQL statement, known to only read.

use std::collections::HashMap;
use std::fmt;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParser, Statement as Parsed};
use datafusion::sql::sqlparser::ast::Statement as Sql;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::Error;

/// How often one operator may stand in a row. Each time what is before it lies one level deeper in the parsed statement, and what
/// walks that, and frees it, needs stack for every level.
const IN_A_ROW_MAX: usize = 1_000;

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

/// That no operator of `sql` stands in a row too often to be planned.
pub(crate) fn check_depth(sql: &str) -> Result<(), Error> {
    // What is no token, the parser says.
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize().unwrap_or_default();
    match most_in_a_row(&tokens) {
        Some((operator, times)) if times > IN_A_ROW_MAX => {
            Err(Error::TooDeep { operator: operator.to_string(), times, max: IN_A_ROW_MAX })
        }
        _ => Ok(()),
    }
}

/// The operator that stands in a row most often: at one level of parentheses and, unless it joins queries, in one query and
/// between two commas.
fn most_in_a_row(tokens: &[Token]) -> Option<(&Token, usize)> {
    let mut levels: Vec<HashMap<&Token, usize>> = vec![HashMap::new()];
    let mut most = None;
    for token in tokens {
        match token {
            Token::LParen => levels.push(HashMap::new()),
            Token::RParen => drop(levels.pop()),
            Token::SemiColon => levels.last_mut()?.clear(),
            _ => {}
        }
        if *token == Token::Comma || joins_queries(token) {
            levels.last_mut()?.retain(|operator, _| joins_queries(operator));
        }
        if is_operator(token) {
            let times = levels.last_mut()?.entry(token).or_default();
            *times += 1;
            most = most.max(Some((*times, token)));
        }
    }
    most.map(|(times, operator)| (operator, times))
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => joins_queries(token) || matches!(word.keyword, Keyword::AND | Keyword::OR | Keyword::JOIN),
        Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod | Token::StringConcat => true,
        Token::Eq | Token::Neq | Token::Lt | Token::Gt | Token::LtEq | Token::GtEq | Token::DoubleColon => true,
        _ => false,
    }
}

fn joins_queries(token: &Token) -> bool {
    matches!(token, Token::Word(word) if matches!(word.keyword, Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn in_a_row(times: usize, first: &str, each: &str) -> String {
        format!("{first}{}", each.repeat(times))
    }

    #[test]
    fn operators_are_counted_where_each_nests_the_one_before() {
        for (first, each) in [
            ("SELECT 1", " UNION ALL SELECT 1"),
            ("SELECT a, b FROM t", " UNION SELECT a, b FROM t"),
            ("SELECT 1", " EXCEPT SELECT 1"),
            ("SELECT true", " OR team = 'b'"),
            ("SELECT 1", "+1"),
            ("SELECT f(1, ('a'", " || 'b'"),
            ("SELECT 1", "::int"),
            ("SELECT 1 FROM a", " JOIN b USING (x)"),
        ] {
            assert!(check_depth(&in_a_row(IN_A_ROW_MAX, first, each)).is_ok(), "{each}");
            let error = check_depth(&in_a_row(IN_A_ROW_MAX + 1, first, each)).unwrap_err();
            assert!(matches!(error, Error::TooDeep { times: 1_001, max: 1_000, .. }), "{each}: {error}");
        }
    }

    #[test]
    fn operators_side_by_side_do_not_nest() {
        for (first, each) in [
            ("SELECT 1", ", 1 + 1"),
            ("SELECT true", " AND (true AND true)"),
            ("SELECT 1", "; SELECT 1 + 1"),
            ("SELECT 1 = 1 AND 2 = 2", " UNION ALL SELECT 1 = 1 AND 2 = 2 AND 3 = 3"),
            ("SELECT 1 IN (1", ", 2"),
        ] {
            assert!(check_depth(&in_a_row(IN_A_ROW_MAX, first, each)).is_ok(), "{each}");
        }
    }
}
