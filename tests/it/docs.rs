//! What the documentation promises exists.

use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn every_error_code_has_a_section() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md")).unwrap();
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
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let declared = |line: &str| {
        let (visibility, name) = line.strip_suffix(';')?.split_once("mod ")?;
        (visibility.is_empty() || visibility.starts_with("pub")).then(|| name.to_owned())
    };
    text.lines().filter_map(declared).collect()
}

#[test]
fn the_module_map_names_every_module() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/architecture.md")).unwrap();
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
