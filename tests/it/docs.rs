//! What the documentation promises exists.

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
