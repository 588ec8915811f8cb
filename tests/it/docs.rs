//! What the documentation promises exists.

use std::collections::BTreeMap;
use std::path::Path;

/// The text of a file of the repository.
fn text_of(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn every_error_code_has_a_section() {
    let text = text_of("docs/errors.md");
    let codes = [
        daybook_ledger::Error::CODES,
        daybook_ledger::price::Error::CODES,
        daybook_ledger::seal::Error::CODES,
        daybook_ingest::Error::CODES,
        daybook_ingest::decode::DecodeError::CODES,
        daybook_ingest::source::file::Fault::CODES,
        daybook_ingest::billing::Error::CODES,
        daybook_ingest::receive::Error::CODES,
        daybook_ingest::receive::Refusal::CODES,
        daybook_queries::Error::CODES,
        daybook_export::Error::CODES,
    ];
    for code in codes.into_iter().flatten() {
        assert!(
            text.lines().any(|line| line.trim_start_matches('#').trim() == *code),
            "{code} is not in docs/errors.md"
        );
    }
}

/// The modules that `file` declares.
fn modules(file: &str) -> Vec<String> {
    let text = text_of(file);
    let declared = |line: &str| {
        let (visibility, name) = line.strip_suffix(';')?.split_once("mod ")?;
        (visibility.is_empty() || visibility.starts_with("pub")).then(|| name.to_owned())
    };
    text.lines().filter_map(declared).collect()
}

#[test]
fn the_module_map_names_every_module() {
    let text = text_of("docs/architecture.md");
    let mut of_crate = BTreeMap::<&str, String>::new();
    let mut current = "";
    for cells in text.lines().filter(|line| line.starts_with('|')).map(|line| line.split('|').collect::<Vec<_>>()) {
        current = match cells.as_slice() {
            [_, name, ..] if name.trim().is_empty() => current,
            [_, name, ..] => name.trim().trim_matches('`'),
            _ => current,
        };
        of_crate.entry(current).or_default().push_str(cells.get(2).copied().unwrap_or_default());
    }
    let crates = ["ledger", "ingest", "queries", "export"].map(|name| (name, format!("{name}/src/lib.rs")));
    let binary = ["src/main.rs", "src/commands/mod.rs"].map(|file| ("src/", file.to_owned()));
    for (name, file) in crates.into_iter().chain(binary) {
        let named = &of_crate[name];
        let modules = modules(&file);
        assert!(modules.len() > 5, "{file}");
        for module in modules {
            let is_named = [format!("`{module}`"), format!("`{module}/")].iter().any(|text| named.contains(text));
            assert!(is_named, "`{module}` of {file} is not in the module map of docs/architecture.md");
        }
    }
}

/// Everything under `folder` of the repository, folders with a `/` at their end.
fn paths_in(folder: &str) -> Vec<String> {
    let mut paths = vec![format!("{folder}/")];
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        match entry.file_type().unwrap().is_dir() {
            true => paths.extend(paths_in(&path)),
            false => paths.push(path),
        }
    }
    paths
}

#[test]
fn every_path_that_is_named_exists() {
    let folders =
        ["src", "ledger", "ingest", "queries", "export", "tests", "docs", "benches", "examples", "deploy", ".ci"];
    let there: Vec<String> = folders.into_iter().flat_map(paths_in).collect();
    // A ledger may lie in a folder `ledger`, and `export` is a command too: of the crates, only what is surely code.
    let roots = ["src/", "tests/", "docs/", "benches/", "examples/", "deploy/", ".ci/"];
    let crates = ["ledger/src/", "ledger/tests/", "ingest/src/", "queries/src/", "export/src/"];
    let is_path = |word: &str| word.ends_with(".rs") || roots.iter().chain(&crates).any(|root| word.starts_with(root));
    // A file may be named by the end of its path.
    let is_end =
        |path: &str, end: &str| path.strip_suffix(end).is_some_and(|begin| begin.is_empty() || begin.ends_with('/'));
    let is_there = |word: &str| there.iter().any(|path| is_end(path.trim_end_matches('/'), word.trim_end_matches('/')));
    let documents = paths_in("docs").into_iter().filter(|path| path.ends_with(".md"));
    let others = ["README.md", "tests/README.md", "ledger/tests/library_limits.rs"].map(String::from);
    let mut named = 0;
    for document in documents.chain(others) {
        let text = text_of(&document);
        let words = text.split(|c: char| c.is_whitespace() || "`()[]{},;:\"'|*<>".contains(c));
        // `tests/live/up` makes the folder `.state`.
        let words = words
            .map(|word| word.trim_end_matches('.'))
            .filter(|word| !word.contains("/.state") && !word.contains("//"));
        for word in words.filter(|word| is_path(word)) {
            named += 1;
            assert!(is_there(word), "{document} names {word}, which is not there");
        }
    }
    assert!(named > 100, "{named}");
}

#[test]
fn every_variable_is_in_the_configuration() {
    let documented = text_of("docs/configuration.md");
    let sources = paths_in("src").into_iter().filter(|path| path.ends_with(".rs"));
    let mut found = 0;
    for source in sources {
        let text = text_of(&source);
        let is_variable = |word: &&str| {
            let name = word.strip_prefix("DAYBOOK_");
            name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        };
        for literal in text.split('"').filter(is_variable) {
            found += 1;
            assert!(
                documented.contains(&format!("{literal}`")),
                "{literal} of {source} is not in docs/configuration.md"
            );
        }
    }
    assert!(found > 5, "{found}");
}
