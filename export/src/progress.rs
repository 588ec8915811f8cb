//! How far a long run is.

/// Is told how far a run is; every method returns at once.
pub trait Progress: Send {
    /// The run will read `bytes` in all.
    fn start(&mut self, bytes: u64);
    /// `bytes` more are done.
    fn advance(&mut self, bytes: u64);
    /// Something a person should know, which is no error.
    fn notice(&mut self, text: &str);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&mut self, _bytes: u64) {}
    fn advance(&mut self, _bytes: u64) {}
    fn notice(&mut self, _text: &str) {}
}
