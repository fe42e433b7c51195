//! Whether values of one type fit another, as far as the types' names tell.

/// How a column's new type takes the values of the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fit {
    /// The same type under another name.
    Same,
    /// It takes all of them.
    Wider,
    /// It may not take some: those that meet the condition, `{}` standing for the column.
    Narrower(String),
    /// It is something else.
    Other,
}

/// Compares two types by their names, as PostgreSQL, MySQL and SQLite write them.
pub(super) fn fit(from: &str, to: &str) -> Fit {
    let (from, to) = (Parsed::of(from), Parsed::of(to));
    if from == to {
        return Fit::Same;
    }
    if let (Some(a), Some(b)) = (from.integer(), to.integer()) {
        return if b.0 <= a.0 && b.1 >= a.1 {
            Fit::Wider
        } else {
            Fit::Narrower(format!("{{}} NOT BETWEEN {} AND {}", b.0, b.1))
        };
    }
    if let (Some(a), Some(b)) = (from.characters(), to.characters()) {
        return match (a, b) {
            (_, None) => Fit::Wider,
            (Some(a), Some(b)) if a <= b => Fit::Wider,
            (_, Some(b)) => Fit::Narrower(format!("CHARACTER_LENGTH({{}}) > {b}")),
        };
    }
    if let (Some((precision, scale)), Some((less, fewer))) = (from.decimal(), to.decimal()) {
        if less - fewer >= precision - scale && fewer >= scale {
            return Fit::Wider;
        }
        return Fit::Narrower(format!("ABS({{}}) >= 1e{} OR {{}} <> ROUND({{}}, {fewer})", less - fewer));
    }
    Fit::Other
}

/// Whether a condition says the same of a value in either of two types, which are written as
/// [`Column::compares_as`](crate::model::Column) is.
pub(super) fn compare_alike(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_lowercase(), other.to_lowercase());
    let collation = |t: &str| {
        let at = t.find(" character set ").or_else(|| t.find(" collate "));
        at.and_then(|at| t.get(at..)).unwrap_or_default().to_string()
    };
    let (a, b) = (Parsed::of(&one), Parsed::of(&other));
    // Below zero unsigned numbers do not go.
    let is_whole = |p: &Parsed| p.integer().is_some_and(|(least, _)| least < 0);
    let is_text =
        |p: &Parsed| p.characters().is_some() && !matches!(p.name.as_str(), "character" | "char" | "bpchar");
    one == other
        || (collation(&one) == collation(&other)
            && ((is_whole(&a) && is_whole(&b)) || (is_text(&a) && is_text(&b))))
}

#[derive(Debug, PartialEq, Eq)]
struct Parsed {
    name: String,
    numbers: Vec<i64>,
}

impl Parsed {
    /// `character varying(20)` or `varchar(20) CHARACTER SET utf8mb4 COLLATE ..`, in parts.
    fn of(type_name: &str) -> Self {
        let lower = type_name.to_lowercase();
        let plain = lower.split(" character set ").next().unwrap_or(&lower);
        let plain = plain.split(" collate ").next().unwrap_or(plain);
        let (name, rest) = plain.split_once('(').unwrap_or((plain, ""));
        let (numbers, behind) = rest.split_once(')').unwrap_or((rest, ""));
        Parsed {
            name: format!("{}{behind}", name.trim()).trim().to_string(),
            numbers: numbers.split(',').filter_map(|n| n.trim().parse().ok()).collect(),
        }
    }

    /// The least and greatest value, of a whole number.
    fn integer(&self) -> Option<(i128, i128)> {
        let unsigned = self.name.contains("unsigned");
        let bits = match self.name.trim_end_matches(" unsigned").trim_end_matches(" zerofill") {
            "tinyint" => 8,
            "smallint" | "int2" => 16,
            "mediumint" => 24,
            "int" | "integer" | "int4" => 32,
            "bigint" | "int8" => 64,
            _ => return None,
        };
        Some(if unsigned { (0, (1 << bits) - 1) } else { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) })
    }

    /// The greatest length of a text, `Some(None)` for none.
    fn characters(&self) -> Option<Option<i64>> {
        match self.name.as_str() {
            "character varying" | "varchar" | "character" | "char" | "bpchar" => {
                Some(self.numbers.first().copied())
            }
            "text" | "mediumtext" | "longtext" => Some(None),
            _ => None,
        }
    }

    /// Precision and scale.
    fn decimal(&self) -> Option<(i64, i64)> {
        let named = matches!(self.name.as_str(), "numeric" | "decimal");
        let precision = self.numbers.first().copied().filter(|_| named)?;
        Some((precision, self.numbers.get(1).copied().unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_and_narrower() {
        assert_eq!(fit("integer", "bigint"), Fit::Wider);
        assert_eq!(fit("int", "integer"), Fit::Wider);
        assert_eq!(
            fit("int unsigned", "int"),
            Fit::Narrower("{} NOT BETWEEN -2147483648 AND 2147483647".into())
        );
        assert_eq!(fit("character varying(10)", "character varying(20)"), Fit::Wider);
        assert_eq!(fit("varchar(10)", "text"), Fit::Wider);
        let utf8 = "varchar(5) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
        assert_eq!(
            fit("varchar(10) CHARACTER SET latin1 COLLATE latin1_bin", utf8),
            Fit::Narrower("CHARACTER_LENGTH({}) > 5".into())
        );
        assert_eq!(fit("numeric(10,2)", "numeric(12,2)"), Fit::Wider);
        assert_eq!(
            fit("numeric(10,2)", "numeric(10,1)"),
            Fit::Narrower("ABS({}) >= 1e9 OR {} <> ROUND({}, 1)".into())
        );
        assert_eq!(fit("timestamp without time zone", "bigint"), Fit::Other);
    }

    #[test]
    fn what_compares_alike() {
        let latin = |name: &str| format!("{name} CHARACTER SET latin1 COLLATE latin1_bin");
        for (one, other) in [
            ("integer", "bigint"),
            ("character varying(5)", "text"),
            ("INTEGER collate nocase", "integer collate NOCASE"),
            (&latin("varchar(5)"), &latin("varchar(9)")),
            ("character(3)", "character(3)"),
        ] {
            assert!(compare_alike(one, other), "{one} and {other}");
        }
        for (one, other) in [
            ("integer", "text"),
            ("int unsigned", "bigint"),
            ("character(3)", "text"),
            ("text", "text collate nocase"),
            (&latin("varchar(5)"), "varchar(5) CHARACTER SET latin1 COLLATE latin1_swedish_ci"),
            ("numeric(10,2)", "numeric(10,1)"),
            ("NUMERIC", "INTEGER"),
        ] {
            assert!(!compare_alike(one, other), "{one} and {other}");
        }
    }
}
