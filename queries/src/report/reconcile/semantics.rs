//! The mistakes of reading counts that show as an exact identity between two sides.

use super::vector::{Bucket, Vector};

/// What one side counts inside another bucket, if that alone makes the two sides agree.
///
/// Every bucket has to fit exactly; the input side and the output side may each have one mistake.
pub(super) fn identity(called: Vector, billed: Vector, reasoning: i128) -> Option<String> {
    let input = input_identity(called, billed)?;
    let output = output_identity(called, billed, reasoning)?;
    if called.get(Bucket::Search) != billed.get(Bucket::Search) {
        return None;
    }
    let found: Vec<&str> = [input, output].into_iter().flatten().collect();
    (!found.is_empty()).then(|| found.join("; "))
}

/// `Some(None)`: the input agrees. `None`: no identity explains it.
fn input_identity(called: Vector, billed: Vector) -> Option<Option<&'static str>> {
    let inputs = |side: Vector| (side.get(Bucket::Input), side.get(Bucket::CacheRead), side.writes());
    let ((fresh, read, writes), (bill_fresh, bill_read, bill_writes)) = (inputs(called), inputs(billed));
    let same_writes = Bucket::WRITES.into_iter().all(|bucket| called.get(bucket) == billed.get(bucket));
    if fresh == bill_fresh && read == bill_read && same_writes {
        return Some(None);
    }
    if fresh == bill_fresh && read == bill_read && writes == bill_writes {
        return Some(Some("the lifetimes of cache writes differ, their sum agrees"));
    }
    let agree = (read == bill_read, writes == bill_writes);
    let none = (read == 0 && bill_read != 0, writes == 0 && bill_writes != 0);
    let over = fresh - bill_fresh;
    let rules: [(bool, &str); 9] = [
        (
            over == bill_read && agree.0 && agree.1,
            "the ledger's fresh input holds the cached reads too: they count twice",
        ),
        (over == bill_read && none.0 && agree.1, "the ledger counts cached reads as fresh input"),
        (
            over == bill_writes && agree.0 && agree.1,
            "the ledger's fresh input holds the cache writes too: they count twice",
        ),
        (over == bill_writes && agree.0 && none.1, "the ledger counts cache writes as fresh input"),
        (
            over == bill_read + bill_writes && agree.0 && agree.1,
            "the ledger's fresh input holds cached reads and cache writes too: they count twice",
        ),
        (
            over == bill_read + bill_writes && none.0 && none.1,
            "the ledger counts cached reads and cache writes as fresh input",
        ),
        (
            over == -bill_read && agree.0 && agree.1,
            "cached reads were taken off the ledger's fresh input, which left them out already",
        ),
        (
            over == -(bill_read + bill_writes) && agree.0 && agree.1,
            "cached reads and cache writes were taken off the ledger's fresh input, which left them out already",
        ),
        (over == 0 && none.0 && (agree.1 || none.1), "the ledger leaves cached input out"),
    ];
    let found =
        rules.into_iter().find(|(holds, _)| *holds && (over != 0 || read != bill_read || writes != bill_writes));
    found.map(|(_, detail)| Some(detail))
}

fn output_identity(called: Vector, billed: Vector, reasoning: i128) -> Option<Option<&'static str>> {
    let over = called.get(Bucket::Output) - billed.get(Bucket::Output);
    match over {
        0 => Some(None),
        _ if reasoning != 0 && over == -reasoning => Some(Some("the ledger's output leaves reasoning out")),
        _ if reasoning != 0 && over == reasoning => Some(Some("the ledger counts reasoning twice in its output")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(input: i128, read: i128, write_5m: i128, write_1h: i128, output: i128) -> Vector {
        let mut vector = Vector::one(Bucket::Input, input);
        vector.put(Bucket::CacheRead, read);
        vector.put(Bucket::Write5m, write_5m);
        vector.put(Bucket::Write1h, write_1h);
        vector.put(Bucket::Output, output);
        vector
    }

    #[test]
    fn each_mistake_is_told_by_its_identity() {
        let bill = side(100, 40, 5, 2, 30);
        for (called, detail) in [
            (side(140, 40, 5, 2, 30), "the ledger's fresh input holds the cached reads too: they count twice"),
            (side(140, 0, 5, 2, 30), "the ledger counts cached reads as fresh input"),
            (side(107, 40, 5, 2, 30), "the ledger's fresh input holds the cache writes too: they count twice"),
            (side(107, 40, 0, 0, 30), "the ledger counts cache writes as fresh input"),
            (side(147, 0, 0, 0, 30), "the ledger counts cached reads and cache writes as fresh input"),
            (
                side(60, 40, 5, 2, 30),
                "cached reads were taken off the ledger's fresh input, which left them out already",
            ),
            (side(100, 0, 5, 2, 30), "the ledger leaves cached input out"),
            (side(100, 40, 7, 0, 30), "the lifetimes of cache writes differ, their sum agrees"),
        ] {
            assert_eq!(identity(called, bill, 0).as_deref(), Some(detail));
        }
        assert_eq!(
            identity(side(100, 40, 5, 2, 18), bill, 12).as_deref(),
            Some("the ledger's output leaves reasoning out")
        );
        assert_eq!(
            identity(side(100, 40, 5, 2, 42), bill, 12).as_deref(),
            Some("the ledger counts reasoning twice in its output")
        );
    }

    #[test]
    fn what_merely_resembles_a_mistake_is_none() {
        let bill = side(100, 40, 5, 2, 30);
        assert_eq!(identity(bill, bill, 3), None);
        assert_eq!(identity(side(139, 40, 5, 2, 30), bill, 0), None);
        assert_eq!(
            identity(side(140, 40, 5, 2, 29), bill, 0),
            None,
            "one token of output more is no mistake of reading"
        );
        assert_eq!(
            identity(side(90, 0, 0, 0, 30), side(100, 0, 0, 0, 30), 0),
            None,
            "without a cache nothing can be misread"
        );
    }
}
