//! The demo from beginning to end.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::DemoArgs;
use super::compare::{self, Comparison};
use super::lag::Lag;
use super::link::Link;
use super::picture::{self, AXIS_WIDTH, count, duration, number};
use super::place::Place;
use super::production::{self, NODES, Scale, TABLES};
use super::screen::{Line, Screen, Tone};
use super::summary::Summary;
use super::writers::Writers;
use crate::cutover::{self, FinalSync};
use crate::error::{Error, Kind, Result};
use crate::ledger::Actor;
use crate::run;
use crate::state::TableState;
use crate::status::{Board, DatabaseStatus};

/// Between two pictures, which are also the samples of the lag.
const TICK: Duration = Duration::from_millis(125);
/// The copy, and the final sync, may take this long.
const PATIENCE: Duration = Duration::from_secs(600);
/// Writers go on after the final sync until the fence was seen to refuse them, but not longer.
const REFUSED_WITHIN: Duration = Duration::from_secs(2);
/// What still runs has this long to end.
const ENDED_WITHIN: Duration = Duration::from_secs(10);
/// Lines and columns of the lag's graph.
const GRAPH: (usize, usize) = (5, 72);
/// Columns of a bar.
const BAR: usize = 32;

/// The demo on its way.
pub(super) struct Story {
    args: DemoArgs,
    seed: u64,
    scale: Scale,
    place: Place,
    screen: Screen,
    boards: Vec<Board>,
    daemon: Option<JoinHandle<Result<()>>>,
    stop: CancellationToken,
}

impl Story {
    pub(super) fn new(
        args: &DemoArgs,
        seed: u64,
        place: Place,
        screen: Screen,
        stop: &CancellationToken,
    ) -> Self {
        let boards = run::boards(&place.settings);
        let scale = Scale::of(args.rows);
        Story {
            args: args.clone(),
            seed,
            scale,
            place,
            screen,
            boards,
            daemon: None,
            stop: stop.child_token(),
        }
    }

    /// Tells it.
    ///
    /// # Errors
    /// [`Kind::NotConverged`] when one row differs in the end; what else went wrong.
    pub(super) async fn tell(&mut self) -> Result<()> {
        let mut summary = Summary::default();
        self.make_production().await?;
        let source = &self.place.database.source;
        let mut writers = Writers::begin(source, self.scale, self.args.rate, self.seed).await?;
        let tally = writers.tally.clone();
        let mut lag = Lag::of(&self.place.database).await?;
        summary.copy_seconds = self.copy(&mut writers, &mut lag).await?;
        let copied = self.status();
        summary.rows_copied = copied.tables.iter().map(|t| t.rows_copied).sum();
        summary.bytes_copied = copied.tables.iter().map(|t| t.bytes_copied).sum();
        self.replay(&mut writers, &mut lag).await?;
        let (report, seconds) = self.final_sync(&mut writers, &mut lag).await?;
        summary.final_seconds = seconds;
        writers.end().await?;
        summary.refused = tally.refused();
        summary.most_lag = lag.most();
        summary.rows_replayed = self.replayed();
        self.say_final(&report, &summary);
        self.end().await?;
        let comparison = self.compare().await?;
        summary.say(&self.place, &tally, &comparison);
        verdict(&comparison)
    }

    /// Ends the daemon, if it runs.
    ///
    /// # Errors
    /// What the daemon ended with.
    pub(super) async fn end(&mut self) -> Result<()> {
        self.stop.cancel();
        let Some(daemon) = self.daemon.take() else { return Ok(()) };
        match timeout(ENDED_WITHIN, daemon).await {
            Ok(ended) => ended.map_err(died)?,
            Err(_) => Err(Error::failed("the daemon did not end in time")),
        }
    }

    fn status(&self) -> DatabaseStatus {
        self.boards[0].status()
    }

    fn replayed(&self) -> u64 {
        self.boards.iter().map(|board| board.status().rows_replayed).sum()
    }

    async fn make_production(&mut self) -> Result<()> {
        self.screen.say(Tone::Title, "\n1  Production: a small identity server");
        self.screen.say(Tone::Faint, &format!("   {}", self.place.database.source));
        let began = Instant::now();
        let mut link = Link::open(&self.place.database.source).await?;
        let (screen, total) = (&mut self.screen, self.scale.total());
        let making = |rows| {
            let bar = picture::bar(rows as f64 / total as f64, BAR);
            let line = format!("   {:<14} {bar} {:>9}", "making rows", number(rows));
            screen.draw(&[(Tone::Drawn, line)], || format!("   made {}", count(rows, "row", "rows")));
        };
        production::fill(&mut link, &self.scale, self.seed, making).await?;
        let made = format!(
            "   {} in {} tables, made in {}; from now on {} writers work on it, without a break",
            count(self.scale.total(), "row", "rows"),
            TABLES.len(),
            duration(began.elapsed().as_secs_f64()),
            NODES.len(),
        );
        self.screen.say(Tone::Plain, &made);
        Ok(())
    }

    /// Starts the daemon and watches until every table is copied. Returns the seconds it took.
    async fn copy(&mut self, writers: &mut Writers, lag: &mut Lag) -> Result<f64> {
        self.screen.say(Tone::Title, "\n2  highwater copies it to staging, while production writes");
        self.screen.say(Tone::Faint, &format!("   {}", self.place.database.target));
        let began = Instant::now();
        let settings = self.place.settings.clone();
        let actor = Actor::here("demo", &settings.hash);
        let daemon = run::daemon(settings, actor, self.boards.clone(), self.stop.clone());
        self.daemon = Some(tokio::spawn(daemon));
        let mut tick = ticks();
        while !is_copied(&self.status())? {
            if began.elapsed() > PATIENCE {
                return Err(Error::new(Kind::NotConverged, "the copy did not end in time"));
            }
            tick.tick().await;
            self.look(writers, lag).await?;
            let status = self.status();
            self.screen.draw(&bars(&status), || copy_line(&status));
        }
        let seconds = began.elapsed().as_secs_f64();
        let status = self.status();
        self.screen.draw(&bars(&status), || copy_line(&status));
        self.screen.keep();
        let rows: u64 = status.tables.iter().map(|t| t.rows_copied).sum();
        let per_second = (rows as f64 / seconds) as u64;
        let rows = count(rows, "row", "rows");
        let said = format!("   {rows} copied in {}: {} a second", duration(seconds), number(per_second));
        self.screen.say(Tone::Good, &said);
        Ok(seconds)
    }

    async fn replay(&mut self, writers: &mut Writers, lag: &mut Lag) -> Result<()> {
        self.screen.say(Tone::Title, "\n3  highwater replays what production writes; the lag, as it goes");
        let until = Instant::now() + Duration::from_secs(self.args.seconds);
        let mut tick = ticks();
        while Instant::now() < until {
            tick.tick().await;
            self.look(writers, lag).await?;
            let line = self.lag_line(writers, lag);
            let picture = self.lag_picture(lag, &line);
            self.screen.draw(&picture, || line);
        }
        self.screen.keep();
        Ok(())
    }

    /// The final sync with the fence, beside the daemon, which hands over for it. The writers know
    /// nothing of it and run into the fence. Returns the report and the seconds it took.
    async fn final_sync(&mut self, writers: &mut Writers, lag: &mut Lag) -> Result<(FinalSync, f64)> {
        self.screen
            .say(Tone::Title, "\n4  Final sync: the fence goes up, the rest is drained, rows are counted");
        let began = Instant::now();
        let database = &self.place.database;
        let board = Board::new(DatabaseStatus::unknown(
            &database.name,
            &database.source,
            &database.target,
            crate::status::Role::Connecting,
        ));
        self.boards.push(board.clone());
        let (settings, database, stop) = (self.place.settings.clone(), database.clone(), self.stop.clone());
        let actor = Actor::here("final-sync", &settings.hash);
        let options = cutover::Options { fence: true, allow_writers: false, timeout: PATIENCE };
        let sync = tokio::spawn(async move {
            cutover::final_sync(&settings, &[(database, board)], &actor, options, &stop).await
        });
        let mut tick = ticks();
        while !sync.is_finished() {
            tick.tick().await;
            self.look(writers, lag).await?;
            let line = self.lag_line(writers, lag);
            self.screen.draw(&[(Tone::Plain, line.clone())], || line);
        }
        let mut ended = sync.await.map_err(died)?;
        let report = ended.pop().ok_or_else(|| Error::failed("the final sync gave no report"))??;
        let seconds = began.elapsed().as_secs_f64();
        if let Some(error) = report.error() {
            return Err(error);
        }
        let until = Instant::now() + REFUSED_WITHIN;
        while writers.tally.refused() == 0 && Instant::now() < until {
            sleep(TICK).await;
        }
        Ok((report, seconds))
    }

    fn say_final(&mut self, report: &FinalSync, summary: &Summary) {
        let writes = count(summary.refused, "write was", "writes were");
        let claim = report.claim();
        self.screen.say(
            Tone::Good,
            &format!("   {claim} after {}; {writes} refused by the fence", duration(summary.final_seconds)),
        );
    }

    async fn compare(&mut self) -> Result<Comparison> {
        self.screen
            .say(Tone::Title, "\n5  The proof: every row of both sides, read and compared by other code");
        self.screen.draw(&[(Tone::Plain, "   comparing ...".to_string())], String::new);
        let database = &self.place.database;
        let comparison = compare::compare(&database.source, &database.target).await?;
        let rows = count(comparison.rows, "row", "rows");
        let said = format!("   {rows} of {} tables, every column: ", comparison.tables);
        match comparison.different {
            0 => self.screen.say(Tone::Good, &format!("{said}no difference")),
            n => self.screen.say(Tone::Bad, &format!("{said}{} differ", number(n))),
        }
        Ok(comparison)
    }

    /// Samples the lag; ends the demo when the daemon or a writer has ended.
    async fn look(&mut self, writers: &mut Writers, lag: &mut Lag) -> Result<()> {
        writers.check()?;
        if self.daemon.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(daemon) = self.daemon.take()
        {
            daemon.await.map_err(died)??;
            return Err(Error::failed("the daemon ended before its time"));
        }
        lag.sample(&self.boards).await
    }

    fn lag_line(&self, writers: &Writers, lag: &Lag) -> String {
        let known = lag.last().map_or_else(|| "not known".to_string(), duration);
        let refused = match writers.tally.refused() {
            0 => String::new(),
            n => format!("   {} refused by the fence", number(n)),
        };
        format!(
            "   lag {known:<9}   production wrote {}   highwater replayed {}{refused}",
            count(writers.tally.statements(), "statement", "statements"),
            count(self.replayed(), "row", "rows"),
        )
    }

    fn lag_picture(&self, lag: &Lag, line: &str) -> Vec<Line> {
        let width = self.screen.width().saturating_sub(AXIS_WIDTH + 3).min(GRAPH.1);
        let graph = picture::graph(&lag.samples, width, GRAPH.0);
        let mut lines: Vec<Line> = graph.into_iter().map(|l| (Tone::Drawn, format!("   {l}"))).collect();
        lines.push((Tone::Plain, line.to_string()));
        lines
    }
}

fn ticks() -> tokio::time::Interval {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

fn died(error: tokio::task::JoinError) -> Error {
    Error::failed("a task of the demo died").because(error)
}

/// Whether every table is copied.
fn is_copied(status: &DatabaseStatus) -> Result<bool> {
    if let Some(stopped) = status.tables.iter().find(|t| t.state == TableState::Stopped) {
        let why = stopped.reason.clone().unwrap_or_default();
        return Err(Error::new(Kind::NotConverged, format!("{} was stopped: {why}", stopped.table)));
    }
    Ok(!status.tables.is_empty() && status.tables.iter().all(|t| t.state == TableState::Replaying))
}

fn bars(status: &DatabaseStatus) -> Vec<Line> {
    let lines = status.tables.iter().map(|table| {
        let share = match table.state {
            TableState::Replaying => 1.0,
            _ => table.chunks_done as f64 / table.chunks.max(1) as f64,
        };
        let bar = picture::bar(share, BAR);
        (Tone::Drawn, format!("   {:<14} {bar} {:>9}", table.table, number(table.rows_copied)))
    });
    lines.collect()
}

fn copy_line(status: &DatabaseStatus) -> String {
    let copied = status.tables.iter().map(|t| t.rows_copied).sum();
    let done = status.tables.iter().filter(|t| t.state == TableState::Replaying).count();
    let rows = count(copied, "row", "rows");
    format!("   copied {rows}, {done} of {} tables done", status.tables.len())
}

fn verdict(comparison: &Comparison) -> Result<()> {
    if comparison.different == 0 {
        return Ok(());
    }
    let rows = count(comparison.different, "row is", "rows are");
    let error = Error::new(Kind::NotConverged, format!("{rows} not the same on both sides"));
    Err(error.remedy("the first are told above; please keep the folder and report this as a bug"))
}
