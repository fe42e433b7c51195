//! `highwater demo`: the whole job before a newcomer's eyes, without a server and without settings.
//!
//! A small production is made and written to without a break. highwater's own code, just what `run`
//! and `final-sync` do, carries it over to staging. Then code that shares nothing with it compares
//! every row of both sides.

mod acts;
mod compare;
mod lag;
mod link;
mod picture;
mod place;
mod production;
mod screen;
mod story;
mod summary;
mod writers;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use place::Place;
use screen::{Screen, Tone};
use story::Story;

/// What the demo can be told.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// Use this empty database of a server as production, instead of a SQLite file.
    #[arg(long, value_name = "URL", requires = "target")]
    pub source: Option<String>,

    /// Use this empty database as staging.
    #[arg(long, value_name = "URL", requires = "source")]
    pub target: Option<String>,

    /// Put the files into this folder, which must be new or empty [default: a temporary one, kept].
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// Begin production with this many rows.
    #[arg(long, value_name = "N", default_value_t = ROWS, value_parser = clap::value_parser!(u64).range(1_000..=5_000_000))]
    pub rows: u64,

    /// Let production write about this many statements a second.
    #[arg(long, value_name = "N", default_value_t = RATE, value_parser = clap::value_parser!(u32).range(4..=100_000))]
    pub rate: u32,

    /// Watch the replay for so long before the final sync.
    #[arg(long, value_name = "N", default_value_t = SECONDS, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,

    /// Make the same rows and choices as the run that printed this seed.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

const ROWS: u64 = 200_000;
const RATE: u32 = 400;
const SECONDS: u64 = 8;

impl Default for DemoArgs {
    fn default() -> Self {
        DemoArgs {
            source: None,
            target: None,
            dir: None,
            rows: ROWS,
            rate: RATE,
            seconds: SECONDS,
            seed: None,
        }
    }
}

/// Shows the whole job, to stderr as it goes and to stdout as a summary. `stop` ends it early, which is
/// an error. The log goes to a file beside the databases unless logging has begun already.
///
/// # Errors
/// [`crate::error::Kind::NotConverged`] when one row differs in the end; what else went wrong.
pub async fn run(args: &DemoArgs, stop: CancellationToken) -> Result<()> {
    let place = Place::make(args).await?;
    let folder = place.folder.clone();
    log_to(&folder.join("highwater.log"))?;
    let seed = args.seed.unwrap_or_else(|| rand::random_range(1..100_000));
    let mut screen = Screen::new();
    screen.say(Tone::Title, &format!("highwater demo, seed {seed}"));
    let mut story = Story::new(args, seed, place, screen, &stop);
    let told = tokio::select! {
        told = Box::pin(story.tell()) => told,
        () = stop.cancelled() => Err(Error::failed("the demo was interrupted")),
    };
    let ended = story.end().await;
    told.and(ended).map_err(|error| {
        let look = format!("everything is still in {}; highwater.log there tells more", folder.display());
        match error.remedy_text() {
            Some(_) => error,
            None => error.remedy(look),
        }
    })
}

/// Has the log written to a file: on the terminal it would stand in the picture.
fn log_to(file: &Path) -> Result<()> {
    let made = File::create(file)
        .map_err(|e| Error::failed(format!("{} can't be written", file.display())).because(e))?;
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(Mutex::new(made));
    if log.try_init().is_err() {
        tracing::debug!("logging has begun already");
    }
    Ok(())
}
