//! Pictures in characters: pure, numbers in, lines out.

/// Filled from the left, in eighths.
const ACROSS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
/// Filled from below, in eighths.
const UP: [char; 8] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇'];
const FULL: char = '█';
/// Columns that the axis of a graph takes.
pub(super) const AXIS_WIDTH: usize = 9;

/// A bar of `width` characters, filled as far as `share` (0 to 1) says.
pub(super) fn bar(share: f64, width: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let (full, rest) = (eighths / 8, eighths % 8);
    let mut bar: String = std::iter::repeat_n(FULL, full).collect();
    if rest > 0 {
        bar.push(ACROSS[rest]);
    }
    let drawn = full + usize::from(rest > 0);
    bar.extend(std::iter::repeat_n('·', width.saturating_sub(drawn)));
    bar
}

/// The last `width` samples (seconds; `None` where nothing is known) as columns of `height` lines, with
/// an axis that fits the greatest of them. The axis takes [`AXIS_WIDTH`] more.
pub(super) fn graph(samples: &[Option<f64>], width: usize, height: usize) -> Vec<String> {
    let shown = &samples[samples.len().saturating_sub(width)..];
    let top = round_up(shown.iter().flatten().copied().fold(0.0, f64::max));
    let steps = height * 8;
    let levels: Vec<Option<usize>> = shown.iter().map(|s| s.map(|s| level(s, top, steps))).collect();
    (0..height)
        .map(|line| {
            let below = (height - 1 - line) * 8;
            let axis = match line {
                0 => format!("{:>w$} ┤", duration(top), w = AXIS_WIDTH - 2),
                _ if line + 1 == height => format!("{:>w$} ┤", "0", w = AXIS_WIDTH - 2),
                _ => format!("{:>w$} │", "", w = AXIS_WIDTH - 2),
            };
            let columns = levels.iter().map(|level| match level {
                None => ' ',
                Some(level) if *level >= below + 8 => FULL,
                Some(level) => UP[level.saturating_sub(below)],
            });
            axis.chars().chain(columns).collect()
        })
        .collect()
}

/// How high a sample stands. Even nothing leaves a mark: it is known to be nothing.
fn level(sample: f64, top: f64, steps: usize) -> usize {
    ((sample / top * steps as f64).round() as usize).clamp(1, steps)
}

/// The next of 0.1, 0.2, 0.5, 1, 2, 5, ... that `most` fits under.
fn round_up(most: f64) -> f64 {
    let mut unit = 0.1;
    loop {
        for top in [unit, 2.0 * unit, 5.0 * unit] {
            if most <= top {
                return top;
            }
        }
        unit *= 10.0;
        if !most.is_finite() {
            return unit;
        }
    }
}

/// A number with its thousands apart.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: "1 row", "2 rows".
pub(super) fn count(n: u64, one: &str, several: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { several })
}

/// Seconds, as precise as they are of interest.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.995 => format!("{s:.2} s"),
        s if s < 9.95 => format!("{s:.1} s"),
        s => format!("{s:.0} s"),
    }
}

/// Items in a sentence: "a, b and c".
pub(super) fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// The line cut to `width` characters.
pub(super) fn cut(line: &str, width: usize) -> String {
    match line.char_indices().nth(width) {
        Some((end, _)) => line[..end].to_string(),
        None => line.to_string(),
    }
}

/// `text` in lines of at most `width` characters, broken at spaces.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_in_eighths() {
        assert_eq!(bar(0.0, 4), "····");
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(0.5, 4), "██··");
        assert_eq!(bar(0.53, 4), "██▏·");
        assert_eq!(bar(7.0, 2), "██");
        assert_eq!(bar(-1.0, 2), "··");
        assert_eq!(bar(f64::NAN, 2), "··");
    }

    #[test]
    fn a_graph_stands_on_its_axis() {
        let samples = [Some(0.0), Some(0.25), None, Some(0.5), Some(0.375)];
        let expected = [
            " 0.50 s ┤   █▂", //
            "        │ ▄ ██",
            "      0 ┤▁█ ██",
        ];
        let drawn = graph(&samples, 5, 3);
        assert_eq!(drawn, expected);
    }

    #[test]
    fn a_graph_shows_the_last_samples() {
        let samples: Vec<Option<f64>> = (0..100).map(|n| Some(f64::from(n))).collect();
        let drawn = graph(&samples, 10, 2);
        assert!(drawn[0].starts_with("  100 s ┤"), "{drawn:?}");
        assert_eq!(drawn[1], "      0 ┤██████████");
        assert_eq!(graph(&[], 10, 2), ["0.10 s ┤", "     0 ┤"].map(|line| format!(" {line}")));
    }

    #[test]
    fn the_axis_has_round_numbers() {
        for (most, top) in [(0.0, 0.1), (0.1, 0.1), (0.11, 0.2), (0.4, 0.5), (0.9, 1.0), (7.0, 10.0)] {
            assert!((round_up(most) - top).abs() < 1e-9, "{most}");
        }
        assert!(round_up(f64::INFINITY) > 0.0);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(number(7), "7");
        assert_eq!(number(1_000), "1,000");
        assert_eq!(number(12_345_678), "12,345,678");
        assert_eq!(count(1, "row", "rows"), "1 row");
        assert_eq!(count(0, "row", "rows"), "0 rows");
        assert_eq!(duration(0.054), "0.05 s");
        assert_eq!(duration(0.999), "1.0 s");
        assert_eq!(duration(12.4), "12 s");
    }

    #[test]
    fn sentences_read_well() {
        let items = |n: usize| ["a", "b", "c"][..n].iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(listed(&items(1)), "a");
        assert_eq!(listed(&items(3)), "a, b and c");
        assert_eq!(wrapped("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(cut("äöü", 2), "äö");
    }
}
