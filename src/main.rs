//! The command line of Daybook.
fn main() {}
