//! The known name that is nearest to an unknown one.

/// The nearest of these names, if it differs in a few letters only.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let limit = 1 + name.chars().count() / 4;
    let near = known.map(|other| (distance(name, other), other)).filter(|(far, _)| *far <= limit);
    near.min_by_key(|(far, _)| *far).map(|(_, other)| other.to_owned())
}

/// The number of letters to insert, remove or replace.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.to_lowercase().chars().enumerate() {
        let mut next = vec![line + 1];
        for (pair, with) in row.windows(2).zip(&other) {
            let [diagonal, above] = pair else { continue };
            let left = next.last().copied().unwrap_or(0);
            next.push((diagonal + usize::from(letter != *with)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = || ["$add", "$addToSet", "$subtract"].into_iter();
        assert_eq!(nearest("$ad", known()).as_deref(), Some("$add"));
        assert_eq!(nearest("$addtoset", known()).as_deref(), Some("$addToSet"));
        assert_eq!(nearest("$frobnicate", known()), None);
    }
}
