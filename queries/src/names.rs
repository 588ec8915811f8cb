//! What a misspelt name could have meant.

/// Every name a query may use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Tables and views.
    pub(crate) tables: Vec<String>,
    /// Functions of every kind.
    pub(crate) functions: Vec<String>,
}

/// The candidate nearest to `name`, if one is near: a third of the letters may differ, or `name` is a word of it.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let rank = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let distance = strsim::damerau_levenshtein(&name, &candidate);
        let near = distance * 3 <= name.chars().count().max(candidate.chars().count());
        let is_word = candidate.split(['_', '/']).any(|word| word == name);
        (near || is_word).then_some((!near, distance))
    };
    let ranked = candidates.into_iter().filter_map(|candidate| Some((rank(candidate)?, candidate)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, candidate)| candidate)
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
        assert_eq!(nearest("colour", columns), None);
        // Of three letters one may differ, not two.
        assert_eq!(nearest("abd", ["abc"]), Some("abc"));
        assert_eq!(nearest("add", ["abc"]), None);
    }
}
