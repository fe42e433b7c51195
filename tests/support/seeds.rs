//! The seeds of random work.

use rand::Rng;

/// Those that `HIGHWATER_SEED` names, `7` or `100..120`; else one by chance. Each is printed as its turn
/// comes, so that the last one printed is the one that failed. A seed repeats the choices; threads and
/// processes interleave as they like.
pub fn seeds() -> impl Iterator<Item = u64> {
    let asked = std::env::var("HIGHWATER_SEED").ok();
    let number =
        |text: &str| text.parse::<u64>().expect("HIGHWATER_SEED is a number, or two with `..` between");
    let range = match asked.as_deref().map(|asked| asked.split_once("..").unwrap_or((asked, ""))) {
        Some((seed, "")) => number(seed)..number(seed) + 1,
        Some((from, to)) => number(from)..number(to),
        None => {
            let seed = rand::rng().random_range(0..1_000_000);
            seed..seed + 1
        }
    };
    range.inspect(|seed| println!("HIGHWATER_SEED={seed}"))
}
