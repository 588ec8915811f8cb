//! Counts whose parts may stand inside or beside their totals: the source's own sum decides.

use daybook_ledger::Tokens;

/// Converts `tokens` to totals with their parts inside, as far as the source's own `total` proves that they are not.
///
/// Sources that speak the same dialect disagree on it: xAI leaves reasoning out of `completion_tokens`, others leave
/// cached tokens out of the prompt. Where input and output do not make the total, the readings with reasoning beside the
/// output, with the cache beside the input, and with both are tried in this order; the first that makes it is right. If
/// none does, the counts stay as they are, and are flagged. One side that is missing is what the total leaves for it.
pub(super) fn fit_to_total(tokens: &mut Tokens) {
    let Some(total) = tokens.total else { return };
    match (tokens.input, tokens.output) {
        (Some(input), Some(output)) => {
            let beside = total.saturating_sub(input.saturating_add(output));
            let reasoning = tokens.reasoning.unwrap_or(0);
            let cached = tokens.cache_read.unwrap_or(0).saturating_add(tokens.cache_write.unwrap_or(0));
            if beside <= 0 || reasoning < 0 || cached < 0 {
                return;
            }
            if beside == reasoning || beside == reasoning.saturating_add(cached) {
                tokens.output = Some(output.saturating_add(reasoning));
            }
            if beside == cached && beside != reasoning || beside == reasoning.saturating_add(cached) {
                tokens.input = Some(input.saturating_add(cached));
            }
        }
        (Some(known), None) => tokens.output = rest(total, known),
        (None, Some(known)) => tokens.input = rest(total, known),
        (None, None) => {}
    }
}

/// What `known` leaves of `total`; nothing where it leaves less than nothing.
fn rest(total: i64, known: i64) -> Option<i64> {
    total.checked_sub(known).filter(|rest| *rest >= 0 && known >= 0)
}

/// Takes sound and pictures that were read from a cache out of the columns for those that were not.
///
/// Most sources do not say of which modality the cached tokens were. Text is assumed as far as there is text; what the
/// cache holds beyond it was pictures, then sound, for otherwise the parts would be more than the whole.
pub(super) fn fit_modalities(tokens: &mut Tokens) {
    let Some(input) = tokens.input else { return };
    let parts = [tokens.cache_read, tokens.cache_write, tokens.input_audio, tokens.input_image];
    let parts = parts.iter().flatten().fold(0_i64, |sum, part| sum.saturating_add(*part));
    let mut beyond = parts.saturating_sub(input).min(tokens.cache_read.unwrap_or(0));
    for modality in [&mut tokens.input_image, &mut tokens.input_audio] {
        if let Some(count) = modality.as_mut().filter(|count| **count > 0 && beyond > 0) {
            let cached = beyond.min(*count);
            *count -= cached;
            beyond -= cached;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(input: i64, output: i64, total: i64, (cached, reasoning): (i64, i64)) -> (Option<i64>, Option<i64>) {
        let mut tokens = Tokens {
            input: Some(input),
            output: Some(output),
            total: Some(total),
            cache_read: Some(cached),
            reasoning: Some(reasoning),
            ..Tokens::default()
        };
        fit_to_total(&mut tokens);
        (tokens.input, tokens.output)
    }

    #[test]
    fn the_total_tells_what_stands_beside_its_side() {
        assert_eq!(fitted(131, 52, 488, (96, 305)), (Some(131), Some(357)));
        assert_eq!(fitted(131, 357, 488, (96, 305)), (Some(131), Some(357)));
        assert_eq!(fitted(100, 20, 180, (60, 0)), (Some(160), Some(20)));
        assert_eq!(fitted(100, 20, 190, (60, 10)), (Some(160), Some(30)));
        // Both would explain it: reasoning beside the output is what a vendor is known for.
        assert_eq!(fitted(100, 20, 130, (10, 10)), (Some(100), Some(30)));
        assert_eq!(fitted(100, 20, 140, (10, 10)), (Some(110), Some(30)));
    }

    #[test]
    fn a_total_that_nothing_explains_changes_nothing() {
        assert_eq!(fitted(100, 20, 121, (10, 5)), (Some(100), Some(20)));
        assert_eq!(fitted(100, 20, 90, (10, 5)), (Some(100), Some(20)));
        assert_eq!(fitted(100, 20, 115, (10, -5)), (Some(100), Some(20)));
        assert_eq!(fitted(i64::MAX, 20, i64::MAX, (10, 5)), (Some(i64::MAX), Some(20)));
    }

    #[test]
    fn one_missing_side_is_what_the_total_leaves() {
        let side = |input, output, total| {
            let mut tokens = Tokens { input, output, total, ..Tokens::default() };
            fit_to_total(&mut tokens);
            (tokens.input, tokens.output)
        };
        assert_eq!(side(Some(12), None, Some(12)), (Some(12), Some(0)));
        assert_eq!(side(None, Some(4), Some(12)), (Some(8), Some(4)));
        assert_eq!(side(Some(12), None, Some(11)), (Some(12), None));
        assert_eq!(side(Some(-1), None, Some(11)), (Some(-1), None));
        assert_eq!(side(None, None, Some(11)), (None, None));
        assert_eq!(side(Some(12), None, None), (Some(12), None));
    }

    #[test]
    fn cached_pictures_are_not_counted_as_fresh_ones() {
        let fitted = |input, cache_read, image, audio| {
            let mut tokens = Tokens {
                input: Some(input),
                cache_read: Some(cache_read),
                input_image: Some(image),
                input_audio: Some(audio),
                ..Tokens::default()
            };
            fit_modalities(&mut tokens);
            (tokens.input_image, tokens.input_audio)
        };
        assert_eq!(fitted(1_036, 0, 1_024, 0), (Some(1_024), Some(0)));
        assert_eq!(fitted(1_036, 12, 1_024, 0), (Some(1_024), Some(0)));
        assert_eq!(fitted(1_036, 1_030, 1_024, 0), (Some(6), Some(0)));
        assert_eq!(fitted(100, 90, 50, 40), (Some(0), Some(10)));
        // More pictures than input is a contradiction that no cache explains: it stays, and is flagged.
        assert_eq!(fitted(10, 0, 50, 0), (Some(50), Some(0)));
        assert_eq!(fitted(10, 5, 50, 0), (Some(45), Some(0)));
    }
}
