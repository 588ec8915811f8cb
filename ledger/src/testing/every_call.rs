//! One operation, with a fault at each of its calls in turn.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;

use super::{Fault, FaultyStore};
use crate::{Ledger, Root};

const FAULTS: [Fault; 7] = [
    Fault::Refuse,
    Fault::LoseReply,
    Fault::FindItself,
    Fault::ArriveLate(3),
    Fault::Tear,
    Fault::Die,
    Fault::DieAfter,
];

/// `broken` meets one fault at each of its calls that changes something, in a copy of `base`; `check` looks at what that
/// leaves, whatever `broken` said of how it ended. Of the calls that only read every third is refused.
pub async fn at_every_call(
    base: &InMemory,
    broken: impl AsyncFn(FaultyStore),
    check: impl AsyncFn(Ledger, Vec<String>),
) {
    for fault in FAULTS.map(Some).into_iter().chain([None]) {
        for at in 0.. {
            let copy = Arc::new(base.fork());
            let store = FaultyStore::over(Arc::clone(&copy) as Arc<dyn ObjectStore>);
            match fault.clone() {
                Some(fault) => store.fail_at_change(at, fault),
                None => store.fail_at(at * 3, Fault::Refuse),
            }
            broken(store.clone()).await;
            if store.struck().is_empty() {
                assert!(at > 1, "{fault:?} has met {at} calls only");
                break;
            }
            let root = Root { store: copy, ..Root::memory() };
            check(Ledger::create_at(root).await.unwrap(), store.struck()).await;
        }
    }
}
