//! What a misspelt name could have meant.

/// Every name a query may use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Tables and views.
    pub(crate) tables: Vec<String>,
    /// Functions of every kind.
    pub(crate) functions: Vec<String>,
}

/// Letters a word has at least to say something of a name it is part of.
const WORD_MIN: usize = 4;

/// The candidate nearest to `name`, if one is near: a third of the letters may differ, or it has a word that is like `name`, or
/// one that `name` has too.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distance = |other: &str| strsim::damerau_levenshtein(&name, other);
    let is_near = |other: &str| distance(other) * 3 <= name.chars().count().max(other.chars().count());
    let rank = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let like = words_of(&candidate).filter(|word| is_near(word)).map(distance).min();
        let is_shared = |word: &str| word.len() >= WORD_MIN && words_of(&name).any(|other| other == word);
        let tier = match like {
            _ if is_near(&candidate) => (0, 0),
            Some(of_word) => (1, of_word),
            None if words_of(&candidate).any(is_shared) => (2, 0),
            None => return None,
        };
        Some((tier, distance(&candidate)))
    };
    let ranked = candidates.into_iter().filter_map(|candidate| Some((rank(candidate)?, candidate)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, candidate)| candidate)
}

fn words_of(name: &str) -> impl Iterator<Item = &str> {
    name.split(['_', '/'])
}

/// The end of a message about an unknown name.
pub(crate) fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_is_near() {
        let columns = ["input_tokens", "output_tokens", "list_cost", "team"];
        assert_eq!(nearest("output_token", columns), Some("output_tokens"));
        assert_eq!(nearest("Teams", columns), Some("team"));
        assert_eq!(nearest("cost", columns), Some("list_cost"), "a word of the name");
        assert_eq!(nearest("tokns", columns), Some("input_tokens"), "like a word of the name");
        assert_eq!(nearest("total_cost", columns), Some("list_cost"), "a word both have");
        assert_eq!(nearest("colour", columns), None);
        // Of three letters one may differ, not two.
        assert_eq!(nearest("abd", ["abc"]), Some("abc"));
        assert_eq!(nearest("add", ["abc"]), None);
    }
}
