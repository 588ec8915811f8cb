//! Typed reading of TOML tables that notes every fault with its place instead of stopping at the first.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use daybook_ledger::{Date, Usd};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Fault;
use super::pattern::Pattern;
use crate::names;

/// One file while it is read.
pub(crate) struct Document<'a> {
    file: &'a str,
    text: &'a str,
    faults: RefCell<Vec<Fault>>,
}

impl<'a> Document<'a> {
    /// Reads `text` as TOML and hands its root table to `read`; what is wrong goes to `faults`.
    pub(crate) fn read<T: Default>(
        file: &'a str,
        text: &'a str,
        faults: &mut Vec<Fault>,
        read: impl FnOnce(&Fields<'_>) -> T,
    ) -> T {
        let document = Self { file, text, faults: RefCell::new(Vec::new()) };
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            document.fault(error.span().map_or(0, |span| span.start), error.message().to_owned());
        }
        let value = match errors.is_empty() {
            true => {
                let fields = Fields::new(&document, root.get_ref(), 0, "");
                let value = read(&fields);
                fields.refuse_unknown();
                value
            }
            // A table read around a syntax error would only add faults that are none.
            false => T::default(),
        };
        faults.extend(document.faults.into_inner());
        value
    }

    fn fault(&self, offset: usize, message: String) {
        self.faults.borrow_mut().push(Fault::at(self.file, self.text, offset, message));
    }
}

/// One table of a file. Each getter notes its key as known; a wrong value is a fault and reads as absent.
pub(crate) struct Fields<'a> {
    document: &'a Document<'a>,
    table: &'a DeTable<'a>,
    offset: usize,
    /// What messages call the table: `[[workload]]`.
    name: &'static str,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Fields<'a> {
    fn new(document: &'a Document<'a>, table: &'a DeTable<'a>, offset: usize, name: &'static str) -> Self {
        Self { document, table, offset, name, known: RefCell::default() }
    }

    /// The 1-based line the table begins at.
    pub(crate) fn line(&self) -> usize {
        Fault::at("", self.document.text, self.offset, String::new()).line
    }

    /// Notes a fault of the table as a whole.
    pub(crate) fn fault(&self, message: impl Into<String>) {
        self.document.fault(self.offset, message.into());
    }

    /// Notes a fault of the value of `key`.
    pub(crate) fn fault_at(&self, key: &'static str, message: impl Into<String>) {
        let offset = self.table.get(key).map_or(self.offset, |value| value.span().start);
        self.document.fault(offset, message.into());
    }

    /// Whether the table has `key`.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether `key` holds a table.
    pub(crate) fn is_table(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| value.get_ref().is_table())
    }

    /// Whether `key` holds the text `word`.
    pub(crate) fn is_text(&self, key: &str, word: &str) -> bool {
        self.table.get(key).is_some_and(|value| value.get_ref().as_str() == Some(word))
    }

    fn value(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.borrow_mut().push(key);
        self.table.get(key)
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let found = value.get_ref().type_str();
        self.document.fault(value.span().start, format!("`{key}` is {} {found}; it takes {wanted}", article(found)));
    }

    /// `value`, or a fault that `key` is missing. A key that is there but wrong has its fault already.
    pub(crate) fn need<T>(&self, key: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.has(key) {
            self.fault(format!("{} has no `{key}`", self.name));
        }
        value
    }

    /// Text that is not empty.
    pub(crate) fn text(&self, key: &'static str) -> Option<String> {
        let value = self.value(key)?;
        match value.get_ref().as_str().map(str::trim) {
            Some("") => self.document.fault(value.span().start, format!("`{key}` is empty")),
            Some(text) => return Some(text.to_owned()),
            None => self.wrong(key, value, "text"),
        }
        None
    }

    /// A text, or a list of texts; each with its place.
    fn texts_with_places(&self, key: &'static str) -> Vec<(usize, String)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let items = match value.get_ref().as_array() {
            Some(array) => array.iter().collect(),
            None => vec![value],
        };
        if items.is_empty() {
            self.document.fault(value.span().start, format!("`{key}` is an empty list; leave it out instead"));
        }
        let mut texts = Vec::new();
        for item in items {
            match item.get_ref().as_str().map(str::trim) {
                Some("") => self.document.fault(item.span().start, format!("`{key}` has an empty text")),
                Some(text) => texts.push((item.span().start, text.to_owned())),
                None => self.wrong(key, item, "a text or a list of texts"),
            }
        }
        texts
    }

    /// A text, or a list of texts.
    pub(crate) fn texts(&self, key: &'static str) -> Vec<String> {
        self.texts_with_places(key).into_iter().map(|(_, text)| text).collect()
    }

    /// A pattern, or a list of patterns.
    pub(crate) fn patterns(&self, key: &'static str) -> Vec<Pattern> {
        self.texts_with_places(key).into_iter().map(|(_, text)| Pattern::new(&text)).collect()
    }

    /// One of the words `all` have.
    pub(crate) fn word<T: Copy>(&self, key: &'static str, all: &[T], word: fn(T) -> &'static str) -> Option<T> {
        let text = self.text(key)?;
        let found = self.one_of(key, &text, all, word);
        if found.is_none() {
            self.fault_at(key, unknown_word(key, &text, all, word));
        }
        found
    }

    /// Some of the words `all` have.
    pub(crate) fn some_words<T: Copy>(&self, key: &'static str, all: &[T], word: fn(T) -> &'static str) -> Vec<T> {
        let texts = self.texts_with_places(key);
        let known = texts.iter().filter_map(|(offset, text)| {
            let found = self.one_of(key, text, all, word);
            if found.is_none() {
                self.document.fault(*offset, unknown_word(key, text, all, word));
            }
            found
        });
        known.collect()
    }

    fn one_of<T: Copy>(&self, _key: &str, text: &str, all: &[T], word: fn(T) -> &'static str) -> Option<T> {
        all.iter().copied().find(|candidate| word(*candidate) == text)
    }

    /// True or false.
    pub(crate) fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong(key, value, "`true` or `false`");
        }
        flag
    }

    /// A whole number of `range`.
    pub(crate) fn whole(&self, key: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.value(key)?;
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let Some(number) = value.get_ref().as_integer() else {
            self.wrong(key, value, &wanted);
            return None;
        };
        let found = i64::from_str_radix(number.as_str(), number.radix()).ok().filter(|found| range.contains(found));
        if found.is_none() {
            self.document.fault(value.span().start, format!("`{key}` is {number}; it takes {wanted}"));
        }
        found
    }

    /// An exact decimal of `range`, written as a number or as text; never through a float.
    pub(crate) fn decimal(&self, key: &'static str, range: RangeInclusive<Usd>) -> Option<Usd> {
        let value = self.value(key)?;
        let wanted = format!("a decimal from {} to {}", short(*range.start()), short(*range.end()));
        let text = match value.get_ref() {
            DeValue::String(text) => text.as_ref(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            _ => {
                self.wrong(key, value, &wanted);
                return None;
            }
        };
        let found = Usd::parse(text).ok().filter(|found| range.contains(found));
        if found.is_none() {
            self.document.fault(value.span().start, format!("`{key}` is `{text}`; it takes {wanted}"));
        }
        found
    }

    /// A day: `2026-11-20`, with or without quotes.
    pub(crate) fn day(&self, key: &'static str) -> Option<Date> {
        let value = self.value(key)?;
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(datetime) => datetime.to_string(),
            _ => String::new(),
        };
        let day = Date::parse(&text);
        if day.is_none() {
            self.document.fault(value.span().start, format!("`{key}` is not a day like 2026-11-20"));
        }
        day
    }

    /// The pairs of a table of patterns, in the order of their keys: `tags = { app = "support-*" }`.
    pub(crate) fn pattern_pairs(&self, key: &'static str) -> Vec<(String, Vec<Pattern>)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(key, value, "a table of patterns");
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (name, value) in table.iter() {
            let items: Vec<_> = match value.get_ref().as_array() {
                Some(array) => array.iter().collect(),
                None => vec![value],
            };
            let texts: Vec<_> = items.iter().filter_map(|item| item.get_ref().as_str()).collect();
            match texts.len() == items.len() && !texts.is_empty() {
                true => pairs.push((name.get_ref().to_string(), texts.into_iter().map(Pattern::new).collect())),
                false => self.wrong(name.get_ref(), value, "a pattern or a list of patterns"),
            }
        }
        pairs
    }

    /// The tables of an array of tables, or an inline list of tables, called `name` in messages.
    pub(crate) fn tables(&self, key: &'static str, name: &'static str) -> Vec<Self> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(key, value, &format!("tables written as {name}"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_table() {
                Some(table) => tables.push(Fields::new(self.document, table, item.span().start, name)),
                None => self.wrong(key, item, "tables"),
            }
        }
        tables
    }

    /// An inline table, called `name` in messages.
    pub(crate) fn table(&self, key: &'static str, name: &'static str) -> Option<Self> {
        let value = self.value(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(Fields::new(self.document, table, value.span().start, name)),
            None => {
                self.wrong(key, value, "a table such as { provider = \"..\", model = \"..\" }");
                None
            }
        }
    }

    /// Notes every key nobody asked for. Call it last.
    pub(crate) fn refuse_unknown(&self) {
        let known = self.known.borrow();
        for (key, _) in self.table.iter().filter(|(key, _)| !known.iter().any(|known| *known == key.get_ref())) {
            let name = key.get_ref();
            let nearest = names::nearest(name, known.iter().copied());
            let hint = match nearest {
                Some(_) => names::suggestion(nearest),
                None => format!("; known here: {}", quoted(known.iter().copied())),
            };
            self.document.fault(key.span().start, format!("unknown key `{name}`{hint}"));
        }
    }
}

/// The message about a text that is none of the words of `all`.
pub(crate) fn unknown_word<T: Copy>(key: &str, text: &str, all: &[T], word: fn(T) -> &'static str) -> String {
    let words = || all.iter().map(|candidate| word(*candidate));
    match names::nearest(text, words()) {
        Some(nearest) => format!("`{key}` is `{text}`; did you mean `{nearest}`?"),
        None => format!("`{key}` is `{text}`; it takes {}", quoted(words())),
    }
}

fn quoted<'w>(words: impl Iterator<Item = &'w str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// An amount without the zeros behind its last digit.
fn short(amount: Usd) -> String {
    amount.to_string().trim_end_matches('0').trim_end_matches('.').to_owned()
}
