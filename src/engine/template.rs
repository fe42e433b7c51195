//! Fills in the names that a statement in `sql/` leaves open.

/// `text` with each `{name}` replaced by its value. Values are put in as they are: names must be
/// quoted and texts escaped by the caller.
pub(crate) fn fill(text: &str, pairs: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        rest = &rest[open..];
        let value = rest.find('}').and_then(|close| {
            let name = &rest[1..close];
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (close, *value))
        });
        debug_assert!(value.is_some() || !is_name(rest), "a placeholder is left open in: {rest}");
        let (close, value) = value.unwrap_or((0, "{"));
        filled.push_str(value);
        rest = &rest[close + 1..];
    }
    filled.push_str(rest);
    filled
}

/// Whether a placeholder begins here: braces stand in array and JSON literals too.
fn is_name(rest: &str) -> bool {
    rest.find('}').is_some_and(|close| {
        close > 1 && rest[1..close].bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b' ')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_read_again() {
        assert_eq!(fill("a {x} b {y}", &[("x", "{y}"), ("y", "2")]), "a {y} b 2");
        assert_eq!(fill("'{}' {x}", &[("x", "1")]), "'{}' 1");
        assert_eq!(fill("'{1,2}'::int[]", &[]), "'{1,2}'::int[]");
    }

    #[test]
    #[should_panic(expected = "left open")]
    fn an_open_name_is_noticed() {
        fill("select {x}", &[("y", "1")]);
    }
}
